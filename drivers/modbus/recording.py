"""Reading a recorded bus: each frame by name, whichever side sent it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from drivers.contract import DecodedFrame
from drivers.modbus.codec import Frame, FrameDecoder, Framing, Listening, Rejected
from drivers.modbus.pdu import (
    ExceptionCode,
    ExceptionReply,
    Pdu,
    ReadReply,
    ReadRequest,
    WriteReply,
    WriteRequest,
    WriteSingle,
)
from edge_agent.model.canonical import Json
from edge_agent.model.errors import ConfigRefused, Problem

_EXCEPTIONS: Final = {code.value: code.name.lower() for code in ExceptionCode}
_REASONS: Final = {
    "crc": "CRC does not match",
    "noise": "no Modbus frame",
    "message": "malformed message",
    "short": "incomplete frame",
}


def decode_frames(data: bytes, variant: str) -> list[DecodedFrame]:
    """Decode a recording; `variant` is "rtu" (also when empty) or "tcp".

    A write of one register and its reply are the same bytes; both are called `write_single`.

    Raises:
        ConfigRefused: another variant.
    """
    try:
        framing = Framing(variant or Framing.RTU)
    except ValueError:
        raise ConfigRefused(
            Problem("variant_unknown", "没有这种帧格式", "this protocol has no such framing"),
            f"modbus has 'rtu' and 'tcp', not '{variant}'",
        ) from None
    decoder = FrameDecoder(framing, Listening.BOTH)
    return [_described(found, framing) for found in decoder.feed(data) + decoder.flush()]


def _described(found: Frame | Rejected, framing: Framing) -> DecodedFrame:
    if isinstance(found, Rejected):
        return DecodedFrame(ok=False, raw=found.raw, error=_REASONS[found.reason])
    fields: dict[str, Json] = {"unit": found.unit}
    if framing is Framing.TCP:
        fields["transaction"] = found.transaction
    return DecodedFrame(ok=True, raw=found.raw, fields={**fields, **_fields(found.pdu)})


def _fields(pdu: Pdu) -> Mapping[str, Json]:
    match pdu:
        case ReadRequest():
            kind: dict[str, Json] = {"message": "read_request", "function": int(pdu.function)}
            return {**kind, "address": pdu.address, "count": pdu.count}
        case ReadReply():
            kind = {"message": "read_reply", "function": int(pdu.function)}
            return {**kind, "registers": list(pdu.registers)}
        case WriteSingle():
            kind = {"message": "write_single", "function": 6}
            return {**kind, "address": pdu.address, "value": pdu.value}
        case WriteRequest():
            kind = {"message": "write_request", "function": 16}
            return {**kind, "address": pdu.address, "registers": list(pdu.registers)}
        case WriteReply():
            kind = {"message": "write_reply", "function": 16}
            return {**kind, "address": pdu.address, "count": pdu.count}
        case ExceptionReply():
            kind = {"message": "exception", "function": pdu.function, "code": pdu.code}
            return {**kind, "meaning": _EXCEPTIONS.get(pdu.code, "unknown")}
