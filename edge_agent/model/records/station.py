"""Records of the station itself: starts, prices, catalogues, alarms, operators."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from edge_agent.model.records.body import PriceMilli, RecordBody


class EpochOpened(RecordBody):
    """First record of books that continue others, after a restore: where those ended.

    Binds the chains of both epochs together, since each starts at the genesis hash.
    """

    kind: ClassVar[str] = "epoch.opened"
    reason: Literal["restore"]
    previous_epoch: int
    previous_seq: int
    previous_hash: str


class StationStarted(RecordBody):
    """The agent came up."""

    kind: ClassVar[str] = "station.started"
    version: str
    boot_id: str
    config_sha256: str
    clock_trusted: bool


class StationStopped(RecordBody):
    """The agent was stopped in good order."""

    kind: ClassVar[str] = "station.stopped"
    boot_id: str


class PriceApplied(RecordBody):
    """A fuelling point confirmed the unit prices of a price set."""

    kind: ClassVar[str] = "price.applied"
    price_set: str
    fp: int
    prices: dict[str, PriceMilli]


class PriceRefusedByPump(RecordBody):
    """A fuelling point did not take a price set within the bound."""

    kind: ClassVar[str] = "price.refused"
    price_set: str
    fp: int
    reason: str


class CatalogueAccepted(RecordBody):
    """A signed catalogue from headquarters came into force."""

    kind: ClassVar[str] = "catalogue.accepted"
    dataset: str
    version: int
    sha256: str


class DownlinkRefused(RecordBody):
    """A message from headquarters was refused; the payload is parked, its hash is here."""

    kind: ClassVar[str] = "downlink.refused"
    topic: str
    reason: str
    sha256: str
    size_bytes: int


class AlarmRecorded(RecordBody):
    """Something that staff had to see: a dispenser's alarm, phantom flow, a foreign master."""

    kind: ClassVar[str] = "alarm.raised"
    code: str
    fp: int | None
    detail: str


class StopAllOrdered(RecordBody):
    """Everything was stopped at one touch, or released again."""

    kind: ClassVar[str] = "forecourt.stop_all"
    active: bool
    operator: str


class OperatorAction(RecordBody):
    """A person changed something that is neither a sale nor a price: who, what, on which point."""

    kind: ClassVar[str] = "operator.action"
    action: str
    fp: int | None
    operator: str
    detail: str = Field(default="", max_length=200)
