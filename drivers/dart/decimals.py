"""Bare digits on the wire to money, volume and price, and back.

DART carries no decimal point: 1175 may be 11.75 or 1.175. Where the point stands is a setting of
the pump's head, repeated in the configuration and confirmed there by a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge_agent.model.units import Money, UnitPrice, Volume, amount_of

_STEPS: Final = (1000, 100, 10, 1)

SIGNIFICANT_STEPS: Final = 10
"""Below so many steps of the display's volume, rounding hides a misplaced decimal point."""

TOLERANCE_PARTS: Final = 4
"""An amount may be off by a quarter; a misplaced point makes it off by a factor of ten."""


@dataclass(frozen=True, slots=True)
class Decimals:
    """Digits behind the point: volume in litres (0 to 3), amount in yuan (0 to 2), price in yuan
    per litre (0 to 3)."""

    volume: int
    amount: int
    price: int

    @property
    def volume_step_ml(self) -> int:
        """One count of the display's volume, in millilitres."""
        return _STEPS[self.volume]

    @property
    def amount_step_fen(self) -> int:
        """One count of the display's amount, in fen."""
        return _STEPS[self.amount + 1]

    @property
    def price_step_milli(self) -> int:
        """One count of the display's price, in thousandths of a yuan per litre."""
        return _STEPS[self.price]

    def to_volume(self, digits: int) -> Volume:
        """Return the volume that the digits mean."""
        return Volume(digits * self.volume_step_ml)

    def to_amount(self, digits: int) -> Money:
        """Return the amount that the digits mean."""
        return Money(digits * self.amount_step_fen)

    def to_price(self, digits: int) -> UnitPrice:
        """Return the unit price that the digits mean."""
        return UnitPrice(digits * self.price_step_milli)

    def of_volume(self, volume: Volume) -> int | None:
        """Return the digits of a volume; None where the display cannot show it."""
        return _digits(volume.ml, self.volume_step_ml, 8)

    def of_amount(self, amount: Money) -> int | None:
        """Return the digits of an amount; None where the display cannot show it."""
        return _digits(amount.fen, self.amount_step_fen, 8)

    def of_price(self, price: UnitPrice) -> int | None:
        """Return the digits of a price; None where the display cannot show it."""
        return _digits(price.milli, self.price_step_milli, 6)

    def agree(self, volume: Volume, amount: Money, price: UnitPrice) -> bool:
        """Tell whether amount and volume times price agree well enough to trust the decimals.

        They always agree where there is too little volume, or no price, to tell.
        """
        if volume.ml < SIGNIFICANT_STEPS * self.volume_step_ml or not price.milli:
            return True
        expected = amount_of(volume, price).fen
        slack = expected // TOLERANCE_PARTS + 2 * self.amount_step_fen
        return abs(amount.fen - expected) <= slack


def _digits(value: int, step: int, most: int) -> int | None:
    digits, rest = divmod(value, step)
    return None if rest or not 0 <= digits < 10**most else digits
