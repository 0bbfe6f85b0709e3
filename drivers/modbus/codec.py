"""Modbus frames: bytes to units and messages, and back. RTU and TCP, both directions.

Layouts are those of the MODBUS over Serial Line Guide V1.02 and the TCP/IP Implementation Guide:

    RTU  unit(1) PDU CRC-16/MODBUS(2, low byte first)            at most 256 bytes
    TCP  transaction(2) protocol 0(2) length(2) unit(1) PDU      at most 260 bytes

RTU marks frames by silence, which no operating system reports faithfully. The decoder therefore
finds frames by function code, length and CRC, and leaves silence to its caller (`flush`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum, unique

from drivers.framing.crc import crc16_modbus
from drivers.modbus.pdu import (
    EXCEPTION_BIT,
    MAX_READ_REGISTERS,
    MAX_WRITE_REGISTERS,
    Function,
    Pdu,
    decode_reply,
    decode_request,
    encode_pdu,
)
from edge_agent.model.errors import FrameRejected

MAX_TCP_BYTES = 260
MAX_PENDING_BYTES = 2 * MAX_TCP_BYTES
"""Bound of what a decoder keeps: an incomplete frame, and the garbage before it."""

_MBAP_BYTES = 7
LAST_SERIAL_UNIT = 247
_READS = frozenset({Function.READ_HOLDING, Function.READ_INPUT})
_WRITES = frozenset({Function.WRITE_SINGLE, Function.WRITE_MULTIPLE})
_READ_BYTES = range(2, 2 * MAX_READ_REGISTERS + 1, 2)
_WRITE_BYTES = range(2, 2 * MAX_WRITE_REGISTERS + 1, 2)


@unique
class Framing(StrEnum):
    """How messages stand on the wire."""

    RTU = "rtu"
    TCP = "tcp"


@unique
class Listening(Enum):
    """Whose frames a decoder expects: requests (a pump), replies (the master) or both (a tap)."""

    REQUESTS = "requests"
    REPLIES = "replies"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, whose it is, and its bytes. `transaction` is 0 for RTU."""

    unit: int
    transaction: int
    pdu: Pdu
    raw: bytes


@dataclass(frozen=True, slots=True)
class Rejected:
    """Bytes that are no frame; `reason` is a stable word."""

    reason: str
    raw: bytes


def add_header(framing: Framing, transaction: int, body: bytes) -> bytes:
    """Return the frame whose bytes behind the RTU start or the TCP length are `body`."""
    if framing is Framing.RTU:
        return body
    return struct.pack(">HHH", transaction, 0, len(body)) + body


def encode_body(framing: Framing, unit: int, pdu: Pdu) -> bytes:
    """Return a frame but for its TCP header: what equal messages have in common.

    Raises:
        ValueError: a field does not fit.
    """
    body = bytes([unit]) + encode_pdu(pdu)
    return body if framing is Framing.TCP else body + crc16_modbus(body).to_bytes(2, "little")


# --- the stream ---------------------------------------------------------------------------------


@unique
class _Miss(Enum):
    """Why no frame begins at a byte; the values are the reasons that are reported."""

    SHORT = "short"  # one may, once more bytes have come
    NOISE = "noise"
    CRC = "crc"
    MESSAGE = "message"


class FrameDecoder:
    """Cuts a stream into frames, whatever the size of its pieces, and resynchronises on garbage.

    What it returns depends on the bytes only, not on how they are cut. It keeps less than
    `MAX_PENDING_BYTES` and does a bounded amount of work for each byte.
    """

    __slots__ = ("_decodes", "_framing", "_noise", "_pending", "_reason", "_sizes")

    def __init__(self, framing: Framing, listening: Listening) -> None:
        replies = listening is not Listening.REQUESTS
        requests = listening is not Listening.REPLIES
        self._framing = framing
        self._sizes = (_reply_bytes,) * replies + (_request_bytes,) * requests
        self._decodes: tuple[Callable[[bytes], Pdu], ...] = (decode_reply,) * replies
        self._decodes += (decode_request,) * requests
        self._pending = b""
        self._noise = bytearray()
        self._reason = _Miss.NOISE

    @property
    def pending(self) -> bytes:
        """The beginning of a frame whose end has not come yet."""
        return self._pending

    @property
    def is_clean(self) -> bool:
        """Whether nothing is pending: what comes next begins anew."""
        return not self._pending and not self._noise

    def discard(self) -> None:
        """Forget everything, silently: the link was opened anew."""
        self._pending = b""
        self._noise.clear()

    def feed(self, data: bytes) -> list[Frame | Rejected]:
        """Append bytes and return the frames that they complete, with the garbage between them."""
        found: list[Frame | Rejected] = []
        for start in range(0, len(data), MAX_TCP_BYTES):
            self._pending += data[start : start + MAX_TCP_BYTES]
            self._scan(found, final=False)
        return found

    def flush(self) -> list[Frame | Rejected]:
        """Return what is left when nothing more will come: frames behind a false start, garbage."""
        found: list[Frame | Rejected] = []
        self._scan(found, final=True)
        self._reject_noise(found)
        return found

    def resynchronise(self) -> list[Frame | Rejected]:
        """Return a whole frame that hides behind a false start; without one, keep everything."""
        kept = self._pending, bytearray(self._noise), self._reason
        found: list[Frame | Rejected] = []
        self._scan(found, final=True)
        if not any(isinstance(each, Frame) for each in found):
            self._pending, self._noise, self._reason = kept
            found.clear()
        return found

    def _scan(self, found: list[Frame | Rejected], *, final: bool) -> None:
        buffer, position = self._pending, 0
        while position < len(buffer):
            taken = self._frame_at(buffer, position)
            if isinstance(taken, Frame):
                self._reject_noise(found)
                found.append(taken)
                position += len(taken.raw)
                continue
            if taken is _Miss.SHORT and not final:
                break
            if not self._noise:
                self._reason = taken
            self._noise.append(buffer[position])
            position += 1
            if len(self._noise) >= MAX_TCP_BYTES:
                self._reject_noise(found)
        self._pending = buffer[position:]

    def _reject_noise(self, found: list[Frame | Rejected]) -> None:
        if self._noise:
            found.append(Rejected(self._reason.value, bytes(self._noise)))
            self._noise.clear()

    def _frame_at(self, buffer: bytes, position: int) -> Frame | _Miss:
        if self._framing is Framing.TCP:
            return self._tcp_frame_at(buffer, position)
        miss = _Miss.NOISE
        for size_of, decode in zip(self._sizes, self._decodes, strict=True):
            size = size_of(buffer, position)
            if not size:
                continue
            end = position + size
            if end > len(buffer):
                miss = _Miss.SHORT
            elif buffer[end - 2] | buffer[end - 1] << 8 == crc16_modbus(buffer[position : end - 2]):
                pdu = _decoded(decode, buffer[position + 1 : end - 2])
                if pdu is not None:
                    return Frame(buffer[position], 0, pdu, buffer[position:end])
            elif miss is _Miss.NOISE:
                miss = _Miss.CRC
        return miss

    def _tcp_frame_at(self, buffer: bytes, position: int) -> Frame | _Miss:
        head = buffer[position : position + _MBAP_BYTES]
        if any(head[2:5]) or (len(head) > 5 and not 3 <= head[5] <= MAX_TCP_BYTES - 6):
            return _Miss.NOISE
        if len(head) < _MBAP_BYTES:
            return _Miss.SHORT
        end = position + 6 + head[5]
        if end > len(buffer):
            return _Miss.SHORT
        for decode in self._decodes:
            pdu = _decoded(decode, buffer[position + _MBAP_BYTES : end])
            if pdu is not None:
                return Frame(head[6], head[0] << 8 | head[1], pdu, buffer[position:end])
        return _Miss.MESSAGE


def _decoded(decode: Callable[[bytes], Pdu], data: bytes) -> Pdu | None:
    try:
        return decode(data)
    except FrameRejected:
        return None


# How long the RTU frame is that may begin at a position: 0 for none, and the shortest that it can
# be while the bytes that tell have not come. Serial units are 1 to 247; requests also go to 0, all.


def _reply_bytes(buffer: bytes, position: int) -> int:
    if not 1 <= buffer[position] <= LAST_SERIAL_UNIT:
        return 0
    if position + 1 >= len(buffer):
        return 5
    function = buffer[position + 1]
    if function in _READS:
        if position + 2 >= len(buffer):
            return 7
        data_bytes = buffer[position + 2]
        return 5 + data_bytes if data_bytes in _READ_BYTES else 0
    if function in _WRITES:
        return 8
    return 5 if function & EXCEPTION_BIT else 0


def _request_bytes(buffer: bytes, position: int) -> int:
    if buffer[position] > LAST_SERIAL_UNIT:
        return 0
    if position + 1 >= len(buffer):
        return 8
    function = buffer[position + 1]
    if function == Function.WRITE_MULTIPLE:
        if position + 6 >= len(buffer):
            return 11
        data_bytes = buffer[position + 6]
        return 9 + data_bytes if data_bytes in _WRITE_BYTES else 0
    return 8 if function in _READS or function == Function.WRITE_SINGLE else 0
