"""Money, volume and unit price as integers that refuse to mix.

No float ever touches money or volume. There is one rounding function, half up, and each line of
a bill uses it once. The dispenser's own figures are the legal ones: `amount_of` serves to quote,
to preset and to compare, never to overwrite what a pump said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, TypeVar

T = TypeVar("T")


def divide_half_up(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded half away from zero.

    Raises:
        ValueError: the denominator is not positive.
    """
    if denominator <= 0:
        raise ValueError("denominator must be positive")
    quotient, rest = divmod(abs(numerator), denominator)
    if 2 * rest >= denominator:
        quotient += 1
    return quotient if numerator >= 0 else -quotient


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount of money in minor units (fen)."""

    fen: int

    def __post_init__(self) -> None:
        _require_int(self.fen, "fen")

    def __add__(self, other: Self) -> Self:
        return type(self)(self.fen + _same(self, other).fen)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.fen - _same(self, other).fen)

    def __neg__(self) -> Self:
        return type(self)(-self.fen)

    def __bool__(self) -> bool:
        return self.fen != 0

    def __str__(self) -> str:
        sign, fen = ("-" if self.fen < 0 else ""), abs(self.fen)
        return f"{sign}{fen // 100}.{fen % 100:02d}"


@dataclass(frozen=True, slots=True, order=True)
class Volume:
    """A volume in millilitres, at the temperature of the meter."""

    ml: int

    def __post_init__(self) -> None:
        _require_int(self.ml, "ml")

    def __add__(self, other: Self) -> Self:
        return type(self)(self.ml + _same(self, other).ml)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.ml - _same(self, other).ml)

    def __neg__(self) -> Self:
        return type(self)(-self.ml)

    def __bool__(self) -> bool:
        return self.ml != 0

    def __str__(self) -> str:
        sign, ml = ("-" if self.ml < 0 else ""), abs(self.ml)
        return f"{sign}{ml // 1000}.{ml % 1000:03d}"


@dataclass(frozen=True, slots=True, order=True)
class UnitPrice:
    """A price in thousandths of a currency unit per litre: 7.85 yuan is 7850."""

    milli: int

    def __post_init__(self) -> None:
        _require_int(self.milli, "milli")
        if self.milli < 0:
            raise ValueError("a unit price is never negative")

    def __str__(self) -> str:
        whole, rest = divmod(self.milli, 1000)
        return f"{whole}.{rest:03d}".removesuffix("0")


def amount_of(volume: Volume, price: UnitPrice) -> Money:
    """Price a volume: millilitres x thousandths of a yuan per litre, rounded half up to the fen."""
    return Money(divide_half_up(volume.ml * price.milli, 10_000))


def volume_for(amount: Money, price: UnitPrice) -> Volume:
    """Return the volume that an amount buys, rounded half up to the millilitre.

    Raises:
        ValueError: the price is zero.
    """
    return Volume(divide_half_up(amount.fen * 10_000, price.milli))


def _require_int(value: object, name: str) -> None:
    if type(value) is not int:
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")


def _same(one: T, other: T) -> T:
    if type(one) is not type(other):
        raise TypeError(f"{type(one).__name__} does not mix with {type(other).__name__}")
    return other


NO_MONEY = Money(0)
NO_VOLUME = Volume(0)
