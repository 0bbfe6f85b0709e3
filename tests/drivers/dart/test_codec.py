"""Frames against real captures, and against every other sequence of bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dart.codec import (
    FRAME_MAX,
    TAILS_TRIED,
    ControlFrame,
    ControlKind,
    DataFrame,
    Frame,
    FrameDecoder,
    Rejected,
    Transaction,
    decode,
)
from drivers.dart.orders import Order, OtherOrder, decode_order
from drivers.dart.reports import OtherReport, Report, decode_report
from drivers.framing.crc import crc16_arc
from edge_agent.model.errors import FrameRejected
from tests.drivers.dart.vectors import CAPTURED, SALE_ORDERS, SALE_REPORTS, WORKED, Vector

VECTORS = [*CAPTURED, *WORKED, *SALE_ORDERS, *SALE_REPORTS]

ADDRESSES = st.integers(0x50, 0x6F)
NUMBERS = st.integers(0, 15)
AWKWARD = st.sampled_from([0xFA, 0x10, 0x03, 0x50, 0x30, 0x00])
CONTENTS = st.lists(AWKWARD | st.integers(0, 255), max_size=20).map(bytes)
TRANSACTIONS = st.builds(Transaction, st.integers(0, 255), CONTENTS)
DATA_FRAMES = st.builds(
    DataFrame, ADDRESSES, NUMBERS, st.lists(TRANSACTIONS, min_size=1, max_size=4).map(tuple)
)
CONTROL_FRAMES = st.builds(ControlFrame, ADDRESSES, st.sampled_from(ControlKind), NUMBERS)
FRAMES: st.SearchStrategy[Frame] = st.one_of(DATA_FRAMES, CONTROL_FRAMES)
GARBAGE = st.lists(AWKWARD | st.integers(0, 255), max_size=200).map(bytes)


@pytest.mark.parametrize(("text", "address", "number", "meaning"), VECTORS)
def test_vector(text: str, address: int, number: int, meaning: tuple[Order | Report, ...]) -> None:
    raw = bytes.fromhex(text)
    frame = DataFrame(address, number, tuple(element.encode() for element in meaning))
    assert decode(raw) == frame
    assert frame.encode() == raw
    for transaction, element in zip(frame.transactions, meaning, strict=True):
        decoded = decode_order if type(element).__module__.endswith("orders") else decode_report
        assert decoded(transaction) == element


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("50 20 FA", ControlFrame(0x50, ControlKind.POLL)),
        ("50 70 FA", ControlFrame(0x50, ControlKind.EOT)),
        ("50 C1 FA", ControlFrame(0x50, ControlKind.ACK, 1)),
        ("6F 5F FA", ControlFrame(0x6F, ControlKind.NAK, 15)),
        ("51 E2 FA", ControlFrame(0x51, ControlKind.ACKPOLL, 2)),
    ],
)
def test_control_vector(text: str, frame: ControlFrame) -> None:
    assert decode(bytes.fromhex(text)) == frame
    assert frame.encode() == bytes.fromhex(text)


def test_the_checksum_is_arc_and_not_ccitt() -> None:
    body = bytes.fromhex("50 30 01 01 00")
    assert crc16_arc(body).to_bytes(2, "little") == bytes.fromhex("9F 5C")


def test_a_known_sniffing_error_does_not_verify() -> None:
    with pytest.raises(FrameRejected, match="crc"):
        decode(bytes.fromhex("51 35 01 01 05 DA CB 03 FA"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("FA", "short"),
        ("50 FA", "short"),
        ("70 20 FA", "address"),
        ("50 00 FA", "control"),
        ("50 31 01 03 FA", "short"),
        ("50 30 01 01 05 5F 5F 02 FA", "etx"),
        ("50 30 01 01 05 5F 5E 03 FA", "crc"),
    ],
)
def test_rejection_says_why(text: str, reason: str) -> None:
    raw = bytes.fromhex(text)
    assert FrameDecoder().feed(raw) == [Rejected(reason, raw)]


def test_transactions_must_fill_the_frame() -> None:
    body = bytes.fromhex("50 30 01 05 05")
    raw = body + crc16_arc(body).to_bytes(2, "little") + b"\x03\xfa"
    with pytest.raises(FrameRejected, match="length"):
        decode(raw)


@given(FRAMES)
def test_every_frame_comes_back(frame: Frame) -> None:
    assert decode(frame.encode()) == frame
    assert FrameDecoder().feed(frame.encode()) == [frame]


@given(DATA_FRAMES)
def test_sf_is_always_escaped(frame: DataFrame) -> None:
    raw = frame.encode()
    ends = [at for at, byte in enumerate(raw) if byte == 0xFA and raw[at - 1] != 0x10]
    assert ends == [len(raw) - 1]


@given(st.lists(st.one_of(GARBAGE, FRAMES.map(lambda frame: frame.encode())), max_size=8))
def test_pieces_do_not_matter_and_nothing_raises(pieces: list[bytes]) -> None:
    piecewise, whole, bytewise = FrameDecoder(), FrameDecoder(), FrameDecoder()
    stream = b"".join(pieces)
    found = [each for piece in pieces for each in piecewise.feed(piece)]
    assert found == whole.feed(stream)
    assert found == [each for byte in stream for each in bytewise.feed(bytes((byte,)))]
    assert len(piecewise) < FRAME_MAX
    carried = sum(
        len(each.raw) if isinstance(each, Rejected) else len(each.encode()) for each in found
    )
    assert carried + len(piecewise) == len(stream)


def decoys(raw: bytes) -> int:
    """Count the places in a frame that look like the start of another one."""
    return sum(0x50 <= raw[at] <= 0x6F and raw[at + 1] >> 4 == 3 for at in range(1, len(raw) - 1))


PLAIN_FRAMES = FRAMES.filter(lambda frame: decoys(frame.encode()) < TAILS_TRIED)


@given(GARBAGE.filter(lambda data: 0xFA not in data), PLAIN_FRAMES)
def test_the_frame_behind_noise_is_found(noise: bytes, frame: Frame) -> None:
    assert FrameDecoder().feed(noise + frame.encode())[-1] == frame


@given(PLAIN_FRAMES, st.data())
def test_the_repeated_frame_behind_half_of_it_is_found(frame: Frame, data: st.DataObject) -> None:
    raw = frame.encode()
    cut = data.draw(st.integers(0, len(raw) - 1))
    assert FrameDecoder().feed(raw[:cut] + raw)[-1] == frame


@given(DATA_FRAMES, st.data())
def test_one_wrong_bit_is_never_taken(frame: DataFrame, data: st.DataObject) -> None:
    raw = bytearray(frame.encode())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    found = FrameDecoder().feed(bytes(raw))
    taken = [each for each in found if isinstance(each, DataFrame)]
    assert all(each == frame for each in taken)


def test_memory_stays_bounded_without_an_end() -> None:
    decoder = FrameDecoder()
    found = decoder.feed(bytes(10 * FRAME_MAX))
    assert [type(each) for each in found] == [Rejected] * 10
    assert decoder.is_between


def try_to_read(
    read: Callable[[Transaction], Order] | Callable[[Transaction], Report], given: Transaction
) -> Order | Report | None:
    try:
        return read(given)
    except FrameRejected:
        return None


@given(TRANSACTIONS)
def test_every_transaction_has_a_meaning_or_is_refused(transaction: Transaction) -> None:
    for element in (
        try_to_read(decode_order, transaction),
        try_to_read(decode_report, transaction),
    ):
        if isinstance(element, OtherOrder | OtherReport):
            assert element.encode() == transaction
        elif element is not None:
            assert element.encode().code == transaction.code
            assert len(element.encode().data) == len(transaction.data)


@pytest.mark.parametrize("vector", [*CAPTURED, *SALE_REPORTS])
def test_no_vector_is_taken_for_two_frames(vector: Vector) -> None:
    raw = bytes.fromhex(vector[0])
    assert len(FrameDecoder().feed(raw + raw)) == 2
