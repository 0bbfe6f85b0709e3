"""One request at a time: replies are matched, echoes stripped, late ones counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.codec import Framing
from drivers.modbus.link import FRAME_GAP_MS, Echo, Link, LinkTiming
from drivers.modbus.pdu import (
    ExceptionReply,
    Function,
    Pdu,
    ReadReply,
    ReadRequest,
    WriteReply,
    WriteRequest,
    WriteSingle,
)
from tests.drivers.modbus.bench import encode_frame

TIMING = LinkTiming(timeout_ms=100, gap_ms=5, late_ms=50)
READ = ReadRequest(Function.READ_INPUT, 0, 2)
REPLY = ReadReply(Function.READ_INPUT, (1, 2))


def rtu(unit: int, pdu: Pdu) -> bytes:
    return encode_frame(Framing.RTU, unit, 0, pdu)


def link(framing: Framing = Framing.RTU, echo: Echo = Echo.UNKNOWN) -> Link:
    return Link(framing, TIMING, echo)


@pytest.mark.parametrize(
    "reply",
    [
        rtu(2, REPLY),
        rtu(1, ReadReply(Function.READ_HOLDING, (1, 2))),
        rtu(1, ReadReply(Function.READ_INPUT, (1,))),
        rtu(1, ExceptionReply(3, 2)),
        rtu(1, WriteSingle(0, 2)),
    ],
)
def test_a_reply_to_something_else_is_not_used(reply: bytes) -> None:
    bus = link()
    bus.ask(0, 1, READ)
    answer, faults = bus.on_bytes(10, reply)
    assert answer is None
    assert [fault.reason for fault in faults] == ["unexpected_reply"]
    assert bus.on_bytes(20, rtu(1, REPLY)) == (REPLY, [])


@pytest.mark.parametrize(
    ("request_", "reply", "is_answer"),
    [
        (WriteSingle(5, 7), WriteSingle(5, 7), True),
        (WriteSingle(5, 7), WriteSingle(5, 8), False),
        (WriteRequest(5, (7, 8)), WriteReply(5, 2), True),
        (WriteRequest(5, (7, 8)), WriteReply(6, 2), False),
        (WriteRequest(5, (7, 8)), ExceptionReply(16, 3), True),
    ],
)
def test_write_replies_are_matched(
    request_: WriteSingle | WriteRequest, reply: Pdu, is_answer: bool
) -> None:
    bus = link(echo=Echo.ABSENT)
    bus.ask(0, 1, request_)
    answer, _ = bus.on_bytes(10, rtu(1, reply))
    assert (answer == reply) is is_answer


def test_the_next_request_waits_for_the_gap_and_longer_after_silence() -> None:
    bus = link()
    bus.ask(0, 1, READ)
    bus.on_bytes(30, rtu(1, REPLY))
    assert bus.free_ms == 35
    bus.ask(40, 1, READ)
    assert bus.next_deadline_ms() == 140
    assert bus.on_timer(140) == (True, (None, []))
    assert bus.free_ms == 190
    answer, (fault,) = bus.on_bytes(150, rtu(1, REPLY))
    assert answer is None
    assert fault.reason == "unexpected_reply"


def test_tcp_tells_replies_apart_by_number() -> None:
    bus = link(Framing.TCP)
    first = bus.ask(0, 1, READ)
    bus.on_timer(100)
    second = bus.ask(150, 1, READ)
    assert first[:2] != second[:2]
    late = first[:2] + encode_frame(Framing.TCP, 1, 0, REPLY)[2:]
    assert bus.on_bytes(160, late)[0] is None
    good = second[:2] + encode_frame(Framing.TCP, 1, 0, REPLY)[2:]
    assert bus.on_bytes(170, good)[0] == REPLY


@pytest.mark.parametrize("framing", list(Framing))
def test_a_reply_that_came_before_is_taken_again_but_not_a_stale_or_changed_one(
    framing: Framing,
) -> None:
    bus = link(framing, Echo.ABSENT)
    for transaction in (1, 2, 3):
        bus.ask(0, 1, READ)
        same = encode_frame(framing, 1, transaction, REPLY)
        assert bus.on_bytes(10, same) == (REPLY, [])
    bus.ask(20, 1, READ)
    if framing is Framing.TCP:
        stale = encode_frame(framing, 1, 3, REPLY)
        assert bus.on_bytes(30, stale)[0] is None
    changed = ReadReply(Function.READ_INPUT, (1, 3))
    assert bus.on_bytes(30, encode_frame(framing, 1, 4, changed)) == (changed, [])
    bus.ask(40, 2, READ)
    assert bus.on_bytes(50, encode_frame(framing, 1, 5, changed))[0] is None


def test_a_reply_behind_a_false_start_is_found_at_the_next_silence() -> None:
    bus = link(echo=Echo.ABSENT)
    bus.ask(0, 1, READ)
    assert bus.on_bytes(10, b"\x01\x04\x50" + rtu(1, REPLY)) == (None, [])
    assert bus.next_deadline_ms() == 10 + FRAME_GAP_MS
    is_silent, (answer, faults) = bus.on_timer(10 + FRAME_GAP_MS)
    assert (is_silent, answer) == (False, REPLY)
    assert [fault.data for fault in faults] == [b"\x01\x04\x50"]


@pytest.mark.parametrize("echo", [Echo.UNKNOWN, Echo.PRESENT])
@pytest.mark.parametrize("bytewise", [False, True])
def test_an_echo_is_not_the_reply_to_a_write(echo: Echo, bytewise: bool) -> None:
    bus = link(echo=echo)

    def receive(data: bytes) -> list[object]:
        pieces = [data[n : n + 1] for n in range(len(data))] if bytewise else [data]
        return [bus.on_bytes(10, piece) for piece in pieces]

    own = bus.ask(0, 1, READ)
    assert receive(own + rtu(1, REPLY))[-1] == (REPLY, [])
    write = WriteSingle(0, 1)
    own = bus.ask(0, 1, write)
    assert set(map(repr, receive(own))) == {"(None, [])"}
    assert receive(rtu(1, ExceptionReply(6, 3)))[-1] == (ExceptionReply(6, 3), [])


def test_without_an_echo_the_reply_to_a_write_counts_at_once() -> None:
    bus = link()
    bus.ask(0, 1, READ)
    bus.on_bytes(10, rtu(1, REPLY))
    own = bus.ask(20, 1, WriteSingle(0, 1))
    assert bus.on_bytes(30, own) == (WriteSingle(0, 1), [])


@given(st.lists(st.tuples(st.integers(1, 120), st.binary(max_size=80)), max_size=20), st.booleans())
def test_any_bytes_at_any_time_end_in_an_answer_or_silence(
    received: list[tuple[int, bytes]], is_tcp: bool
) -> None:
    bus = link(Framing.TCP if is_tcp else Framing.RTU)
    now_ms = 0
    bus.ask(now_ms, 1, READ)
    for wait_ms, data in received:
        now_ms += wait_ms
        while (due_ms := bus.next_deadline_ms()) is not None and due_ms <= now_ms:
            bus.on_timer(due_ms)
        bus.on_bytes(now_ms, data)
        if not bus.is_waiting:
            assert bus.free_ms <= now_ms + TIMING.late_ms
            bus.ask(now_ms, 1, READ)
    rounds = 0
    while (due_ms := bus.next_deadline_ms()) is not None:
        bus.on_timer(due_ms)
        rounds += 1
        assert rounds < 5
