"""Transactions from the site controller to the pump (CD in Wayne's papers).

Reports (DC) use the same TRANS codes for other things: a code means nothing without its direction.
Numbers are bare digits, as on the wire; `drivers.dart.decimals` gives them units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final, TypeAlias

from drivers.dart.codec import Transaction, malformed, prices_from_bcd, prices_to_bcd, sized
from drivers.framing.bcd import from_bcd, to_bcd

AMOUNT_COUNTER: Final = 0x10
"""CD101 asks for the volume counter of nozzle n by n, for its amount counter by 10H + n."""


@unique
class Ask(IntEnum):
    """CD1 commands (DCC)."""

    RETURN_STATUS = 0x00
    RETURN_PARAMETERS = 0x02
    RETURN_IDENTITY = 0x03
    RETURN_FILLING = 0x04
    RESET = 0x05
    AUTHORIZE = 0x06
    STOP = 0x08
    SWITCH_OFF = 0x0A
    SUSPEND = 0x0D
    RESUME = 0x0E
    RETURN_PRICES = 0x0F


@dataclass(frozen=True, slots=True)
class Command:
    """CD1."""

    ask: Ask

    def encode(self) -> Transaction:
        """Return the transaction."""
        return Transaction(0x01, bytes((self.ask,)))


@dataclass(frozen=True, slots=True)
class AllowNozzles:
    """CD2: the nozzles that may be used; a lift of any other is ignored."""

    nozzles: tuple[int, ...]

    def encode(self) -> Transaction:
        """Return the transaction."""
        return Transaction(0x02, bytes(self.nozzles))


@dataclass(frozen=True, slots=True)
class PresetVolume:
    """CD3, in digits of the display's volume."""

    volume: int

    def encode(self) -> Transaction:
        """Return the transaction. Raises `ValueError` for more than eight digits."""
        return Transaction(0x03, to_bcd(self.volume, 4))


@dataclass(frozen=True, slots=True)
class PresetAmount:
    """CD4, in digits of the display's amount."""

    amount: int

    def encode(self) -> Transaction:
        """Return the transaction. Raises `ValueError` for more than eight digits."""
        return Transaction(0x04, to_bcd(self.amount, 4))


@dataclass(frozen=True, slots=True)
class UpdatePrices:
    """CD5: prices of all nozzles of the side, the first for nozzle 1."""

    prices: tuple[int, ...]

    def encode(self) -> Transaction:
        """Return the transaction. Raises `ValueError` for a price of more than six digits."""
        return Transaction(0x05, prices_to_bcd(self.prices))


@dataclass(frozen=True, slots=True)
class SuspendRequest:
    """CD14; nozzle 0 for the fuelling point."""

    nozzle: int

    def encode(self) -> Transaction:
        """Return the transaction."""
        return Transaction(0x0E, bytes((self.nozzle,)))


@dataclass(frozen=True, slots=True)
class ResumeRequest:
    """CD15; nozzle 0 for the fuelling point."""

    nozzle: int

    def encode(self) -> Transaction:
        """Return the transaction."""
        return Transaction(0x0F, bytes((self.nozzle,)))


@dataclass(frozen=True, slots=True)
class RequestTotal:
    """CD101: n for the volume counter of nozzle n, 10H + n for its amount counter."""

    counter: int

    def encode(self) -> Transaction:
        """Return the transaction."""
        return Transaction(0x65, bytes((self.counter,)))


@dataclass(frozen=True, slots=True)
class OtherOrder:
    """CD7, CD9, CD13 and codes that nobody has documented: known to exist, not interpreted."""

    code: int
    data: bytes

    def encode(self) -> Transaction:
        """Return the transaction."""
        return Transaction(self.code, self.data)


Order: TypeAlias = (
    Command
    | AllowNozzles
    | PresetVolume
    | PresetAmount
    | UpdatePrices
    | SuspendRequest
    | ResumeRequest
    | RequestTotal
    | OtherOrder
)


def decode_order(transaction: Transaction) -> Order:
    """Read a transaction that the site controller sent.

    Raises:
        FrameRejected: the length is wrong for the code, a digit is none, or a command is unknown.
    """
    reader = _READERS.get(transaction.code)
    if reader is None:
        return OtherOrder(transaction.code, transaction.data)
    try:
        return reader(transaction.data)
    except ValueError as error:
        raise malformed("CD", transaction) from error


def _allowed(data: bytes) -> AllowNozzles:
    if not data or not all(1 <= nozzle <= 0x0F for nozzle in data):
        raise ValueError("nozzles are 1 to 15")
    return AllowNozzles(tuple(data))


_READERS: Final[Mapping[int, Callable[[bytes], Order]]] = {
    0x01: lambda data: Command(Ask(sized(data, 1)[0])),
    0x02: _allowed,
    0x03: lambda data: PresetVolume(from_bcd(sized(data, 4))),
    0x04: lambda data: PresetAmount(from_bcd(sized(data, 4))),
    0x05: lambda data: UpdatePrices(prices_from_bcd(data)),
    0x0E: lambda data: SuspendRequest(sized(data, 1)[0]),
    0x0F: lambda data: ResumeRequest(sized(data, 1)[0]),
    0x65: lambda data: RequestTotal(sized(data, 1)[0]),
}
