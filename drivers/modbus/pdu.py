"""Modbus messages (PDUs): what is asked and answered, and its bytes, without unit, length or CRC.

Layouts are those of the MODBUS Application Protocol Specification V1.1b3: function codes 03, 04,
06, 16 and the exception reply.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import TypeAlias

from edge_agent.model.errors import FrameRejected, Problem

MAX_READ_REGISTERS = 125
MAX_WRITE_REGISTERS = 123
EXCEPTION_BIT = 0x80

_BAD_MESSAGE = Problem(
    "modbus_message",
    "Modbus 报文格式错误，请检查接线与站号",
    "malformed Modbus message: check the wiring and the unit numbers",
)


@unique
class Function(IntEnum):
    """The function codes that dispensers need."""

    READ_HOLDING = 0x03
    READ_INPUT = 0x04
    WRITE_SINGLE = 0x06
    WRITE_MULTIPLE = 0x10


@unique
class ExceptionCode(IntEnum):
    """Why a unit refuses a request."""

    ILLEGAL_FUNCTION = 0x01
    ILLEGAL_ADDRESS = 0x02
    ILLEGAL_VALUE = 0x03
    DEVICE_FAILURE = 0x04
    ACKNOWLEDGE = 0x05
    BUSY = 0x06
    MEMORY_PARITY = 0x08
    GATEWAY_PATH = 0x0A
    GATEWAY_NO_ANSWER = 0x0B


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Asks for `count` registers from `address` (counted from 0) on."""

    function: Function
    address: int
    count: int


@dataclass(frozen=True, slots=True)
class ReadReply:
    """The registers asked for."""

    function: Function
    registers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WriteSingle:
    """Sets one register; the reply is the same message."""

    address: int
    value: int


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """Sets consecutive registers."""

    address: int
    registers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WriteReply:
    """Says which registers were set."""

    address: int
    count: int


@dataclass(frozen=True, slots=True)
class ExceptionReply:
    """A refusal. `function` and `code` are as received: units also use codes of their own."""

    function: int
    code: int


Request: TypeAlias = ReadRequest | WriteSingle | WriteRequest
Reply: TypeAlias = ReadReply | WriteSingle | WriteReply | ExceptionReply
Pdu: TypeAlias = Request | Reply


def encode_pdu(pdu: Pdu) -> bytes:
    """Return the bytes of a message without unit, length or CRC.

    Raises:
        ValueError: a count, address or register does not fit its field.
    """
    match pdu:
        case ReadRequest():
            _require(1 <= pdu.count <= MAX_READ_REGISTERS, "count")
            return bytes([pdu.function]) + _words(pdu.address, pdu.count)
        case ReadReply():
            _require(1 <= len(pdu.registers) <= MAX_READ_REGISTERS, "count")
            return bytes([pdu.function, 2 * len(pdu.registers)]) + _words(*pdu.registers)
        case WriteSingle():
            return bytes([Function.WRITE_SINGLE]) + _words(pdu.address, pdu.value)
        case WriteRequest():
            count = len(pdu.registers)
            _require(1 <= count <= MAX_WRITE_REGISTERS, "count")
            head = bytes([Function.WRITE_MULTIPLE]) + _words(pdu.address, count)
            return head + bytes([2 * count]) + _words(*pdu.registers)
        case WriteReply():
            return bytes([Function.WRITE_MULTIPLE]) + _words(pdu.address, pdu.count)
        case ExceptionReply():
            return bytes([pdu.function | EXCEPTION_BIT, pdu.code])


def decode_request(data: bytes) -> Request:
    """Read a request's bytes, without unit, length or CRC.

    Raises:
        FrameRejected: unknown function, wrong length, or a count outside its bounds.
    """
    function = _function(data)
    if function is Function.WRITE_MULTIPLE:
        if len(data) < 8 or data[5] != len(data) - 6 or _word(data, 3) * 2 != data[5]:
            raise _rejected("length")
        if _word(data, 3) > MAX_WRITE_REGISTERS:
            raise _rejected("count")
        return WriteRequest(_word(data, 1), _registers(data[6:]))
    if len(data) != 5:
        raise _rejected("length")
    address, value = _word(data, 1), _word(data, 3)
    if function is Function.WRITE_SINGLE:
        return WriteSingle(address, value)
    if not 1 <= value <= MAX_READ_REGISTERS:
        raise _rejected("count")
    return ReadRequest(function, address, value)


def decode_reply(data: bytes) -> Reply:
    """Read a reply's bytes, without unit, length or CRC.

    Raises:
        FrameRejected: unknown function, wrong length, or a count outside its bounds.
    """
    if data and data[0] & EXCEPTION_BIT:
        if len(data) != 2:
            raise _rejected("length")
        return ExceptionReply(data[0] & ~EXCEPTION_BIT, data[1])
    function = _function(data)
    if function in {Function.READ_HOLDING, Function.READ_INPUT}:
        if len(data) < 4 or data[1] != len(data) - 2 or data[1] % 2:
            raise _rejected("length")
        if data[1] > 2 * MAX_READ_REGISTERS:
            raise _rejected("count")
        return ReadReply(function, _registers(data[2:]))
    if len(data) != 5:
        raise _rejected("length")
    if function is Function.WRITE_SINGLE:
        return WriteSingle(_word(data, 1), _word(data, 3))
    if not 1 <= _word(data, 3) <= MAX_WRITE_REGISTERS:
        raise _rejected("count")
    return WriteReply(_word(data, 1), _word(data, 3))


def function_of(request: Request) -> Function:
    """Return the function code of a request."""
    match request:
        case ReadRequest():
            return request.function
        case WriteSingle():
            return Function.WRITE_SINGLE
        case WriteRequest():
            return Function.WRITE_MULTIPLE


def _function(data: bytes) -> Function:
    if not data:
        raise _rejected("length")
    try:
        return Function(data[0])
    except ValueError:
        raise _rejected("function") from None


def _word(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]


def _words(*values: int) -> bytes:
    try:
        return struct.pack(f">{len(values)}H", *values)
    except struct.error:
        raise ValueError("a register, address or count does not fit 16 bits") from None


def _registers(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(data) // 2}H", data)


def _rejected(detail: str) -> FrameRejected:
    return FrameRejected(_BAD_MESSAGE, detail)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"{what} is out of bounds")
