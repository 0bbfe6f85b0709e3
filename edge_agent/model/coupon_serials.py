"""Serials of coupons: a trace code for ever, with check digits that anybody can verify.

Two capitals name the channel that a coupon was handed out through (row C3), thirteen digits or more
number it, and two check digits by ISO 7064 MOD 97-10, as in a bank account's IBAN, find every wrong
digit and every two that were swapped (row C30). A genuine serial says nothing about whose coupon it
is or whether it was used: that is headquarters', and reaches a station as a lease.
"""

from __future__ import annotations

import re
from typing import Final

_SERIAL: Final = re.compile(r"([A-Z]{2})([0-9]{13,20})([0-9]{2})")
_CHANNEL: Final = re.compile(r"[A-Z]{2}")
_FIRST_LETTER: Final = ord("A") - 10


def make_serial(channel: str, number: int) -> str:
    """Return the serial of a coupon.

    Raises:
        ValueError: the channel is not two capitals, or the number is out of range.
    """
    digits = f"{number:013d}"
    if not _CHANNEL.fullmatch(channel) or number < 0 or len(digits) > 20:
        raise ValueError("a serial is two capitals and up to twenty digits")
    return f"{channel}{digits}{98 - _value(f'{channel}{digits}00') % 97:02d}"


def is_genuine(serial: str) -> bool:
    """Whether the check digits fit."""
    return _SERIAL.fullmatch(serial) is not None and _value(serial) % 97 == 1


def channel_of(serial: str) -> str | None:
    """Return the channel that a serial names; None when it is no serial."""
    return serial[:2] if is_genuine(serial) else None


def _value(text: str) -> int:
    """Read a text as a number, letters as 10 for A to 35 for Z."""
    return int("".join(c if c.isdecimal() else str(ord(c) - _FIRST_LETTER) for c in text))
