"""Packed BCD: two decimal digits a byte, most significant first."""

from __future__ import annotations


def from_bcd(data: bytes) -> int:
    """Return the number.

    Raises:
        ValueError: no bytes, or a nibble above 9.
    """
    return int(data.hex(), 10)  # the only hexadecimal strings that `int` takes are decimal ones


def to_bcd(value: int, length: int) -> bytes:
    """Return the number in exactly `length` bytes.

    Raises:
        ValueError: the number is negative or has too many digits.
    """
    digits = f"{value:0{2 * length}d}"
    if value < 0 or len(digits) > 2 * length:
        raise ValueError(f"{value} does not fit {2 * length} decimal digits")
    return bytes.fromhex(digits)
