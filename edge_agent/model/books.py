"""What the ledger's projections answer: the state of fuellings, sales, totalisers and sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from edge_agent.model.ids import FpId, LogicalNozzle
from edge_agent.model.records import (
    FuellingAuthorised,
    FuellingCompleted,
    SaleRefunded,
    SaleSettled,
)
from edge_agent.model.units import Money, Volume


@dataclass(frozen=True, slots=True)
class Totals:
    """The totalisers of one nozzle as last recorded."""

    fp: FpId
    nozzle: LogicalNozzle
    volume: Volume
    amount: Money | None


@dataclass(frozen=True, slots=True)
class OpenFuelling:
    """A fuelling that was authorised and has neither completed nor been cancelled."""

    seq: int
    at_ms: int
    authorised: FuellingAuthorised


@dataclass(frozen=True, slots=True)
class UnpaidFuelling:
    """A payable transaction: delivered, not yet settled."""

    seq: int
    at_ms: int
    completed: FuellingCompleted


@dataclass(frozen=True, slots=True)
class SettledSale:
    """A settled sale with its refund, if there was one."""

    seq: int
    at_ms: int
    settled: SaleSettled
    completed: FuellingCompleted
    refunded: SaleRefunded | None


@dataclass(frozen=True, slots=True)
class FuelSums:
    """Sums over completed fuellings (any payment state) and over settled sales."""

    fuellings: int
    volume: Volume
    amount: Money
    sales: int
    payable: Money
    member_sales: int
    plate_sales: int


UsageSubject: TypeAlias = Literal["member", "account", "plate", "points"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What was paid for somebody within a stretch of time. A refunded sale counts no more."""

    payments: int
    amount: Money
    volume: Volume
