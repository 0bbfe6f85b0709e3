"""Modbus frames: published examples, agreement with pymodbus, and any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
    ReadInputRegistersResponse,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterRequest,
    WriteSingleRegisterResponse,
)

from drivers.modbus.codec import (
    MAX_PENDING_BYTES,
    Frame,
    FrameDecoder,
    Framing,
    Listening,
    Rejected,
)
from drivers.modbus.pdu import (
    MAX_READ_REGISTERS,
    MAX_WRITE_REGISTERS,
    ExceptionReply,
    Function,
    Pdu,
    ReadReply,
    ReadRequest,
    WriteReply,
    WriteRequest,
    WriteSingle,
    decode_reply,
    decode_request,
    encode_pdu,
)
from edge_agent.model.errors import FrameRejected
from tests.drivers.modbus.bench import encode_frame

VECTORS = [
    ("01 03 00 00 00 0A C5 CD", 1, ReadRequest(Function.READ_HOLDING, 0, 10)),
    ("11 03 00 6B 00 03 76 87", 17, ReadRequest(Function.READ_HOLDING, 107, 3)),
    (
        "11 03 06 AE 41 56 52 43 40 49 AD",
        17,
        ReadReply(Function.READ_HOLDING, (0xAE41, 0x5652, 0x4340)),
    ),
    ("11 04 00 08 00 01 B2 98", 17, ReadRequest(Function.READ_INPUT, 8, 1)),
    ("11 04 02 00 0A F8 F4", 17, ReadReply(Function.READ_INPUT, (10,))),
    ("11 06 00 01 00 03 9A 9B", 17, WriteSingle(1, 3)),
    ("11 10 00 01 00 02 04 00 0A 01 02 C6 F0", 17, WriteRequest(1, (10, 258))),
    ("11 10 00 01 00 02 12 98", 17, WriteReply(1, 2)),
    ("0A 81 02 B0 53", 10, ExceptionReply(1, 2)),
]

word = st.integers(0, 0xFFFF)
read_function = st.sampled_from([Function.READ_HOLDING, Function.READ_INPUT])
requests: st.SearchStrategy[Pdu] = st.one_of(
    st.builds(ReadRequest, read_function, word, st.integers(1, MAX_READ_REGISTERS)),
    st.builds(WriteSingle, word, word),
    st.builds(WriteRequest, word, st.lists(word, min_size=1, max_size=123).map(tuple)),
)
replies: st.SearchStrategy[Pdu] = st.one_of(
    st.builds(ReadReply, read_function, st.lists(word, min_size=1, max_size=125).map(tuple)),
    st.builds(WriteSingle, word, word),
    st.builds(WriteReply, word, st.integers(1, MAX_WRITE_REGISTERS)),
    st.builds(ExceptionReply, st.sampled_from([3, 4, 6, 16]), st.integers(1, 11)),
)
unit = st.integers(1, 247)
framing = st.sampled_from(list(Framing))


def decode_all(kind: Framing, listening: Listening, *pieces: bytes) -> list[Frame | Rejected]:
    decoder = FrameDecoder(kind, listening)
    found = [each for piece in pieces for each in decoder.feed(piece)]
    assert len(decoder.pending) <= MAX_PENDING_BYTES
    return found + decoder.flush()


@pytest.mark.parametrize(("text", "number", "pdu"), VECTORS)
def test_published_examples_both_ways(text: str, number: int, pdu: Pdu) -> None:
    raw = bytes.fromhex(text)
    assert encode_frame(Framing.RTU, number, 0, pdu) == raw
    assert decode_all(Framing.RTU, Listening.BOTH, raw) == [Frame(number, 0, pdu, raw)]


def test_tcp_header() -> None:
    raw = encode_frame(Framing.TCP, 17, 0x1501, ReadRequest(Function.READ_HOLDING, 107, 3))
    assert raw.hex(" ") == "15 01 00 00 00 06 11 03 00 6b 00 03"
    (frame,) = decode_all(Framing.TCP, Listening.REQUESTS, raw)
    assert frame == Frame(17, 0x1501, ReadRequest(Function.READ_HOLDING, 107, 3), raw)


@given(framing, unit, word, requests)
def test_requests_come_back(kind: Framing, number: int, transaction: int, pdu: Pdu) -> None:
    raw = encode_frame(kind, number, transaction, pdu)
    told = transaction if kind is Framing.TCP else 0
    assert decode_all(kind, Listening.REQUESTS, raw) == [Frame(number, told, pdu, raw)]


@given(framing, unit, word, replies)
def test_replies_come_back(kind: Framing, number: int, transaction: int, pdu: Pdu) -> None:
    raw = encode_frame(kind, number, transaction, pdu)
    told = transaction if kind is Framing.TCP else 0
    assert decode_all(kind, Listening.REPLIES, raw) == [Frame(number, told, pdu, raw)]


@given(framing, st.sampled_from(list(Listening)), st.binary(max_size=700), st.data())
def test_any_bytes_in_any_pieces_decode_alike(
    kind: Framing, listening: Listening, data: bytes, draw: st.DataObject
) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=8)))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    whole = decode_all(kind, listening, data)
    assert decode_all(kind, listening, *pieces) == whole
    assert b"".join(each.raw for each in whole) == data


@given(st.binary(max_size=300), replies, st.binary(max_size=300))
def test_a_reply_is_found_in_noise(before: bytes, pdu: Pdu, after: bytes) -> None:
    raw = encode_frame(Framing.RTU, 7, 0, pdu)
    found = decode_all(Framing.RTU, Listening.REPLIES, before + raw + after)
    assert raw in [each.raw for each in found if isinstance(each, Frame)]


@given(replies, st.data())
def test_a_garbled_reply_is_no_frame(pdu: Pdu, draw: st.DataObject) -> None:
    raw = bytearray(encode_frame(Framing.RTU, 7, 0, pdu))
    raw[draw.draw(st.integers(0, len(raw) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    found = decode_all(Framing.RTU, Listening.REPLIES, bytes(raw))
    assert not [each for each in found if isinstance(each, Frame)]
    assert b"".join(each.raw for each in found) == raw


def test_silence_reveals_a_frame_behind_a_false_start() -> None:
    raw = encode_frame(Framing.RTU, 7, 0, ReadReply(Function.READ_INPUT, (1, 2)))
    decoder = FrameDecoder(Framing.RTU, Listening.REPLIES)
    assert decoder.feed(b"\x07\x04\xc8" + raw) == []  # looks like the start of 200 bytes
    noise, frame = decoder.resynchronise()
    assert isinstance(noise, Rejected)
    assert noise.raw == b"\x07\x04\xc8"
    assert frame.raw == raw


def test_silence_within_a_frame_loses_nothing() -> None:
    raw = encode_frame(Framing.RTU, 7, 0, ReadReply(Function.READ_INPUT, (1, 2)))
    decoder = FrameDecoder(Framing.RTU, Listening.REPLIES)
    assert decoder.feed(b"\xff" + raw[:4]) == []
    assert decoder.resynchronise() == []
    assert [each.raw for each in decoder.feed(raw[4:])] == [b"\xff", raw]


def test_a_wrong_crc_is_called_so() -> None:
    (found,) = decode_all(Framing.RTU, Listening.BOTH, bytes.fromhex("01 03 00 00 00 0A C5 CE"))
    assert isinstance(found, Rejected)
    assert found.reason == "crc"


# ---- messages that say one thing and are another ------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "03", "03 00 00 00", "03 00 00 00 00", "03 00 00 00 7E", "05 00 00 00 01", "06 00 00 00",
     "10 00 00 00 02 04 00 01", "10 00 00 00 01 04 00 01 00 02", "10 00 00 00 01"],
)  # fmt: skip
def test_malformed_request_is_refused(text: str) -> None:
    with pytest.raises(FrameRejected):
        decode_request(bytes.fromhex(text))


@pytest.mark.parametrize(
    "text",
    ["", "03", "03 02 00", "03 03 00 00 00", "03 00", "83", "83 01 02", "10 00 00 00 00",
     "06 00 00", "07 00 00 00 00", "03 FC" + " 00" * 252],
)  # fmt: skip
def test_malformed_reply_is_refused(text: str) -> None:
    with pytest.raises(FrameRejected):
        decode_reply(bytes.fromhex(text))


@pytest.mark.parametrize(
    "pdu",
    [
        ReadRequest(Function.READ_INPUT, 0, 0),
        ReadRequest(Function.READ_INPUT, 0, 126),
        ReadRequest(Function.READ_INPUT, 0x10000, 1),
        ReadReply(Function.READ_INPUT, ()),
        WriteSingle(0, 0x10000),
        WriteSingle(0, -1),
        WriteRequest(0, (0,) * 124),
    ],
)
def test_what_fits_no_field_is_not_encoded(pdu: Pdu) -> None:
    with pytest.raises(ValueError, match=r"bounds|fit"):
        encode_pdu(pdu)


# ---- a second opinion: pymodbus's own framers and messages --------------------------------------


messages = st.tuples(requests, st.just(value=True)) | st.tuples(replies, st.just(value=False))


def theirs(pdu: Pdu, *, is_request: bool) -> ModbusPDU:
    match pdu:
        case ReadRequest(Function.READ_HOLDING):
            return ReadHoldingRegistersRequest(address=pdu.address, count=pdu.count)
        case ReadRequest():
            return ReadInputRegistersRequest(address=pdu.address, count=pdu.count)
        case ReadReply(Function.READ_HOLDING):
            return ReadHoldingRegistersResponse(registers=list(pdu.registers))
        case ReadReply():
            return ReadInputRegistersResponse(registers=list(pdu.registers))
        case WriteSingle():
            kind = WriteSingleRegisterRequest if is_request else WriteSingleRegisterResponse
            return kind(address=pdu.address, registers=[pdu.value])
        case WriteRequest():
            return WriteMultipleRegistersRequest(address=pdu.address, registers=list(pdu.registers))
        case WriteReply():
            return WriteMultipleRegistersResponse(address=pdu.address, count=pdu.count)
        case ExceptionReply():
            return ExceptionResponse(pdu.function, pdu.code)


@given(framing, unit, word, messages)
def test_pymodbus_agrees(
    kind: Framing, number: int, transaction: int, sent: tuple[Pdu, bool]
) -> None:
    pdu, is_request = sent
    framer = (FramerRTU if kind is Framing.RTU else FramerSocket)(DecodePDU(is_request))
    message = theirs(pdu, is_request=is_request)
    message.dev_id, message.transaction_id = number, transaction
    raw = encode_frame(kind, number, transaction, pdu)
    assert framer.buildFrame(message) == raw
    used, read = framer.handleFrame(raw, 0, 0)
    assert used == len(raw)
    assert read is not None
    assert read.dev_id == number
    assert read.function_code == encode_pdu(pdu)[0]
