"""Transactions from the pump to the site controller (DC in Wayne's papers).

Orders (CD) use the same TRANS codes for other things: a code means nothing without its direction.
Numbers are bare digits, as on the wire; `drivers.dart.decimals` gives them units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final, TypeAlias

from drivers.dart.codec import Transaction, malformed, prices_from_bcd, prices_to_bcd, sized
from drivers.framing.bcd import from_bcd, to_bcd


@unique
class Status(IntEnum):
    """DC1 pump status."""

    NOT_PROGRAMMED = 0
    RESET = 1
    AUTHORIZED = 2
    FILLING = 4
    FILLING_COMPLETED = 5
    LIMIT_REACHED = 6
    SWITCHED_OFF = 7
    SUSPENDED = 8


@dataclass(frozen=True, slots=True)
class PumpStatus:
    """DC1."""

    status: Status

    def encode(self) -> Transaction:
        """Return the transaction."""
        return Transaction(0x01, bytes((self.status,)))


@dataclass(frozen=True, slots=True)
class Filled:
    """DC2: the display's volume and amount."""

    volume: int
    amount: int

    def encode(self) -> Transaction:
        """Return the transaction. Raises `ValueError` for more than eight digits."""
        return Transaction(0x02, to_bcd(self.volume, 4) + to_bcd(self.amount, 4))


@dataclass(frozen=True, slots=True)
class NozzleReport:
    """DC3: the selected nozzle (0: none), whether it is out, and the filling price."""

    price: int
    nozzle: int
    is_out: bool

    def encode(self) -> Transaction:
        """Return the transaction. Raises `ValueError` for a price of more than six digits."""
        return Transaction(0x03, to_bcd(self.price, 3) + bytes((self.nozzle | self.is_out << 4,)))


@dataclass(frozen=True, slots=True)
class PumpAlarm:
    """DC5."""

    code: int

    def encode(self) -> Transaction:
        """Return the transaction."""
        return Transaction(0x05, bytes((self.code,)))


@dataclass(frozen=True, slots=True)
class PumpParameters:
    """DC7: decimals of volume, amount and unit price; the rest is not interpreted, since no source
    shows where its reserved bytes stand."""

    volume_decimals: int
    amount_decimals: int
    price_decimals: int
    rest: bytes

    def encode(self) -> Transaction:
        """Return the transaction."""
        decimals = (self.volume_decimals, self.amount_decimals, self.price_decimals)
        return Transaction(0x07, bytes(decimals) + self.rest)


@dataclass(frozen=True, slots=True)
class Identity:
    """DC9: ten digits."""

    digits: int

    def encode(self) -> Transaction:
        """Return the transaction. Raises `ValueError` for more than ten digits."""
        return Transaction(0x09, to_bcd(self.digits, 5))


@dataclass(frozen=True, slots=True)
class TotalByMeter:
    """DC101 of 16 bytes: one counter and the two meters behind it."""

    counter: int
    total: int
    meter_1: int
    meter_2: int

    def encode(self) -> Transaction:
        """Return the transaction. Raises `ValueError` for more than ten digits."""
        totals = (self.total, self.meter_1, self.meter_2)
        data = b"".join(to_bcd(total, 5) for total in totals)
        return Transaction(0x65, bytes((self.counter,)) + data)


@dataclass(frozen=True, slots=True)
class TotalPair:
    """DC101 of 13 bytes, as Chinese card dispensers send it: volume and amount at once."""

    counter: int
    volume: int
    amount: int

    def encode(self) -> Transaction:
        """Return the transaction. Raises `ValueError` for more than twelve digits."""
        data = to_bcd(self.volume, 6) + to_bcd(self.amount, 6)
        return Transaction(0x65, bytes((self.counter,)) + data)


@dataclass(frozen=True, slots=True)
class UnitPrices:
    """DC103: prices of all nozzles, the first of nozzle 1."""

    prices: tuple[int, ...]

    def encode(self) -> Transaction:
        """Return the transaction. Raises `ValueError` for a price of more than six digits."""
        return Transaction(0x67, prices_to_bcd(self.prices))


@dataclass(frozen=True, slots=True)
class OtherReport:
    """DC14, DC15, DC102 and codes that nobody has documented: known to exist, not interpreted."""

    code: int
    data: bytes

    def encode(self) -> Transaction:
        """Return the transaction."""
        return Transaction(self.code, self.data)


Report: TypeAlias = (
    PumpStatus
    | Filled
    | NozzleReport
    | PumpAlarm
    | PumpParameters
    | Identity
    | TotalByMeter
    | TotalPair
    | UnitPrices
    | OtherReport
)


def decode_report(transaction: Transaction) -> Report:
    """Read a transaction that a pump sent.

    Raises:
        FrameRejected: the length is wrong for the code, a digit is none, or a status is unknown.
    """
    reader = _READERS.get(transaction.code)
    if reader is None:
        return OtherReport(transaction.code, transaction.data)
    try:
        return reader(transaction.data)
    except ValueError as error:
        raise malformed("DC", transaction) from error


def _filled(data: bytes) -> Filled:
    sized(data, 8)
    return Filled(from_bcd(data[:4]), from_bcd(data[4:]))


def _nozzle(data: bytes) -> NozzleReport:
    sized(data, 4)
    return NozzleReport(from_bcd(data[:3]), data[3] & 0x0F, bool(data[3] & 0x10))


def _parameters(data: bytes) -> PumpParameters:
    if len(data) < 3:
        raise ValueError("three decimals are the least")
    return PumpParameters(data[0], data[1], data[2], data[3:])


def _total(data: bytes) -> TotalByMeter | TotalPair:
    if len(data) == 13:
        return TotalPair(data[0], from_bcd(data[1:7]), from_bcd(data[7:]))
    sized(data, 16)
    return TotalByMeter(data[0], from_bcd(data[1:6]), from_bcd(data[6:11]), from_bcd(data[11:]))


_READERS: Final[Mapping[int, Callable[[bytes], Report]]] = {
    0x01: lambda data: PumpStatus(Status(sized(data, 1)[0])),
    0x02: _filled,
    0x03: _nozzle,
    0x05: lambda data: PumpAlarm(sized(data, 1)[0]),
    0x07: _parameters,
    0x09: lambda data: Identity(from_bcd(sized(data, 5))),
    0x65: _total,
    0x67: lambda data: UnitPrices(prices_from_bcd(data)),
}
