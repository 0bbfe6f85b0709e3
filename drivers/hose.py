"""One hose of a simulated pump and what a fuelling through it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge_agent.model.ids import LogicalNozzle
from edge_agent.model.units import Money, UnitPrice, Volume

ROLLOVER_VOLUME_ML: Final = 10**8 * 1000
"""A totaliser of ten digits with two decimals starts again after 99,999,999.99 litres."""

ROLLOVER_AMOUNT_FEN: Final = 10**10


@dataclass(slots=True)
class Hose:
    """A nozzle: its price, its boot switch, its totalisers, and what really went through it.

    The totalisers may be replaced or roll over; `delivered_ml` and `delivered_fen` never lie.
    """

    price_milli: int = 0
    is_lifted: bool = False
    total_volume_ml: int = 0
    total_amount_fen: int = 0
    delivered_ml: int = 0
    delivered_fen: int = 0

    def count(self, volume_ml: int, amount_fen: int) -> None:
        """Move the totalisers."""
        self.total_volume_ml = (self.total_volume_ml + volume_ml) % ROLLOVER_VOLUME_ML
        self.total_amount_fen = (self.total_amount_fen + amount_fen) % ROLLOVER_AMOUNT_FEN


@dataclass(frozen=True, slots=True)
class Delivery:
    """A fuelling as it really was; zero fuellings are deliveries too."""

    number: int
    nozzle: LogicalNozzle
    volume: Volume
    amount: Money
    unit_price: UnitPrice
    is_stand_alone: bool
