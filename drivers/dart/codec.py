"""Wayne DART line frames: bytes to frames and back.

    control   ADR CTRL SF                                     three bytes
    data      ADR CTRL [TRANS LNG DATA…]{1..n} CRC-L CRC-H ETX SF

ADR is 0x50 to 0x6F, ETX 0x03, SF 0xFA. The high nibble of CTRL is the kind, the low one the block
number (TX#). The checksum is CRC-16/ARC over ADR to the last data byte. A data or checksum byte
equal to SF travels as DLE (0x10) SF; a DLE anywhere else is a plain byte. A frame therefore ends at
an SF that no DLE precedes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final, TypeAlias

from drivers.framing.bcd import from_bcd, to_bcd
from drivers.framing.buffer import Segment, SegmentBuffer
from drivers.framing.crc import crc16_arc
from edge_agent.model.errors import FrameRejected, Problem

FIRST_ADDRESS: Final = 0x50
LAST_ADDRESS: Final = 0x6F
ETX: Final = 0x03
SF: Final = 0xFA
DLE: Final = 0x10
DATA: Final = 0x30

FRAME_MAX: Final = 300
"""Longest frame on the line, in bytes with escapes; the longest real one has about 90."""

TAILS_TRIED: Final = 8
"""So many starts of a data frame are tried in bytes that are no frame as a whole."""

_TRAILER: Final = bytes((ETX, SF))
_PLAIN_SF: Final = bytes((SF,))
_ESCAPED_SF: Final = bytes((DLE, SF))


@unique
class ControlKind(IntEnum):
    """The kinds of control frames, by the high nibble of CTRL."""

    POLL = 0x20  # controller: send what you have
    IAP = 0x40  # named in the specification only
    NAK = 0x50  # block refused: checksum or sequence
    EOT = 0x70  # pump: nothing to send
    ACK = 0xC0
    ACKPOLL = 0xE0  # acknowledge and poll in one


@dataclass(frozen=True, slots=True)
class ControlFrame:
    """Three bytes; `number` is the block that an ACK or NAK speaks of."""

    address: int
    kind: ControlKind
    number: int = 0

    def encode(self) -> bytes:
        """Return the bytes on the line."""
        return bytes((self.address, self.kind | self.number, SF))


@dataclass(frozen=True, slots=True)
class Transaction:
    """One TRANS LNG DATA element of a data frame, its meaning open."""

    code: int
    data: bytes

    def encode(self) -> bytes:
        """Return the bytes inside a data frame."""
        return bytes((self.code, len(self.data))) + self.data


@dataclass(frozen=True, slots=True)
class DataFrame:
    """A numbered block of transactions, either direction."""

    address: int
    number: int
    transactions: tuple[Transaction, ...]

    def encode(self) -> bytes:
        """Return the bytes on the line, escaped and with checksum."""
        body = bytes((self.address, DATA | self.number))
        body += b"".join(transaction.encode() for transaction in self.transactions)
        body += crc16_arc(body).to_bytes(2, "little")
        return body.replace(_PLAIN_SF, _ESCAPED_SF) + _TRAILER


Frame: TypeAlias = ControlFrame | DataFrame


@dataclass(frozen=True, slots=True)
class Rejected:
    """Bytes that are no frame, and why: `short`, `address`, `control`, `etx`, `crc`, `length`,
    `too_long`."""

    reason: str
    raw: bytes


_CONTROLS: Final[dict[bytes, ControlFrame]] = {
    frame.encode(): frame
    for address in range(FIRST_ADDRESS, LAST_ADDRESS + 1)
    for kind in ControlKind
    for number in range(16)
    for frame in (ControlFrame(address, kind, number),)
}


def decode(raw: bytes) -> Frame:
    """Decode exactly one frame.

    Raises:
        FrameRejected: `detail` is the reason, as in `Rejected`.
    """
    control = _CONTROLS.get(raw)
    if control is not None:
        return control
    reason = _flaw(raw)
    if reason:
        raise FrameRejected(
            Problem("frame_rejected", "收到的数据帧无效，已忽略", "a received frame is invalid"),
            reason,
        )
    body = raw[:-2].replace(_ESCAPED_SF, _PLAIN_SF)
    return DataFrame(body[0], body[1] & 0x0F, tuple(_transactions(body[2:-2])))


def _flaw(raw: bytes) -> str:
    """Return why bytes that are no control frame are no data frame either, or nothing."""
    if len(raw) < 3:
        return "short"
    if not FIRST_ADDRESS <= raw[0] <= LAST_ADDRESS:
        return "address"
    if raw[1] & 0xF0 != DATA:
        return "control"
    if len(raw) < 8:
        return "short"
    if raw[-2:] != _TRAILER:
        return "etx"
    body = raw[:-2].replace(_ESCAPED_SF, _PLAIN_SF)
    if crc16_arc(body):  # over data and its own checksum, low byte first, it comes to zero
        return "crc"
    return "" if _fills(body[2:-2]) else "length"


def _fills(payload: bytes) -> bool:
    at = 0
    while at + 1 < len(payload):
        at += 2 + payload[at + 1]
    return bool(payload) and at == len(payload)


def _transactions(payload: bytes) -> Iterator[Transaction]:
    at = 0
    while at < len(payload):
        end = at + 2 + payload[at + 1]
        yield Transaction(payload[at], payload[at + 2 : end])
        at = end


def malformed(direction: str, transaction: Transaction) -> FrameRejected:
    """Return the refusal of a transaction of a sound frame, to be raised; direction CD or DC."""
    return FrameRejected(
        Problem("transaction_malformed", "数据帧内容无效，已忽略", "a transaction is malformed"),
        f"{direction}{transaction.code} {transaction.data.hex(' ')}",
    )


def sized(data: bytes, length: int) -> bytes:
    """Return the data. Raises `ValueError` unless it has exactly `length` bytes."""
    if len(data) != length:
        raise ValueError(f"{len(data)} bytes instead of {length}")
    return data


def prices_from_bcd(data: bytes) -> tuple[int, ...]:
    """Return prices of three bytes each. Raises `ValueError` for a broken length or digit."""
    if not data or len(data) % 3:
        raise ValueError("prices have three bytes each")
    return tuple(from_bcd(data[at : at + 3]) for at in range(0, len(data), 3))


def prices_to_bcd(prices: tuple[int, ...]) -> bytes:
    """Return prices in three bytes each. Raises `ValueError` for more than six digits."""
    return b"".join(to_bcd(price, 3) for price in prices)


class FrameDecoder:
    """A stream of bytes to frames, in pieces of any size; never raises.

    Garbage comes out as `Rejected`, and the frame behind it is found again. Work is linear in the
    bytes taken in, memory is bounded by `FRAME_MAX`.
    """

    def __init__(self) -> None:
        self._segments = SegmentBuffer(SF, DLE, FRAME_MAX)
        self.is_between = True
        """Whether the next byte begins a frame: nothing is half received."""

    def __len__(self) -> int:
        """Bytes that wait for the rest of their frame."""
        return len(self._segments)

    def clear(self) -> None:
        """Forget a half-received frame."""
        self._segments.clear()
        self.is_between = True

    def feed(self, data: bytes) -> list[Frame | Rejected]:
        """Take bytes in; return what they complete, in order."""
        if self.is_between:
            control = _CONTROLS.get(data)
            if control is not None:
                return [control]
        found: list[Frame | Rejected] = []
        for segment in self._segments.feed(data):
            found += _decode_segment(segment)
        self.is_between = self._segments.is_empty
        return found


def _decode_segment(segment: Segment) -> list[Frame | Rejected]:
    raw = segment.data
    if not segment.ended:
        return [Rejected("too_long", raw)]
    try:
        return [decode(raw)]
    except FrameRejected as rejected:
        start = _tail_start(raw)
        if start is None:
            return [Rejected(rejected.detail, raw)]
        return [Rejected(rejected.detail, raw[:start]), decode(raw[start:])]


def _tail_start(raw: bytes) -> int | None:
    """Return where a whole frame begins behind noise or half a frame."""
    if raw[-3:] in _CONTROLS:
        return len(raw) - 3
    tried = 0
    for start in range(len(raw) - 8, 0, -1):
        if FIRST_ADDRESS <= raw[start] <= LAST_ADDRESS and raw[start + 1] & 0xF0 == DATA:
            if not _flaw(raw[start:]):
                return start
            tried += 1
            if tried == TAILS_TRIED:
                return None
    return None
