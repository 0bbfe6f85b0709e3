"""The window: an acknowledgement moves it only when it is true, and nothing is lost or doubled."""

import hashlib
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_agent.core.uplink_window import (
    Forked,
    Moved,
    Phase,
    Refused,
    Span,
    UplinkWindow,
    WindowLimits,
)
from edge_agent.model.ledger import GENESIS_HASH
from edge_agent.model.wire import Ack

EPOCH = 7
LIMITS = WindowLimits(
    batch_rows=3, window_rows=9, ack_timeout_ms=100, hello_first_ms=50, hello_most_ms=400
)


def hash_of(seq: int, salt: str = "") -> str:
    return GENESIS_HASH if seq == 0 else hashlib.sha256(f"{seq}{salt}".encode()).hexdigest()


def ack(up_to: int, *, hello: str = "", epoch: int = EPOCH, **more: object) -> Ack:
    fields = {
        "station": "S1",
        "epoch": epoch,
        "up_to_seq": up_to,
        "head_hash": hash_of(up_to),
        "credit": 100,
        "hello": hello,
    }
    return Ack.model_validate(fields | more)


def streaming(head: int, acked: int = 0) -> UplinkWindow:
    window = UplinkWindow(epoch=EPOCH, acked=acked, head=head, limits=LIMITS)
    window.on_connect(0)
    assert window.due(0)
    window.on_hello_sent("h1", 0, 0.5)
    assert window.on_ack(ack(acked, hello="h1"), hash_of(acked), 1) is None
    assert window.phase is Phase.STREAMING
    return window


def send_all(window: UplinkWindow, now_ms: int = 1) -> list[Span]:
    spans = []
    while (span := window.next_span()) is not None:
        spans.append(span)
        window.on_sent(span.first + span.count - 1, now_ms)
    return spans


def test_no_row_travels_before_headquarters_answered() -> None:
    window = UplinkWindow(epoch=EPOCH, acked=0, head=5, limits=LIMITS)
    assert window.next_span() is None
    window.on_connect(0)
    assert window.next_span() is None
    window.on_hello_sent("h1", 0, 0.5)
    assert window.next_span() is None
    window.on_ack(ack(0, hello="h1"), hash_of(0), 1)
    assert window.next_span() == Span(1, 3)


def test_batches_flow_up_to_the_window_and_slide_with_each_ack() -> None:
    window = streaming(head=20)
    assert send_all(window) == [Span(1, 3), Span(4, 3), Span(7, 3)]
    assert window.on_ack(ack(6), hash_of(6), 5) == Moved(6)
    assert send_all(window) == [Span(10, 3), Span(13, 3)]


def test_credit_of_headquarters_bounds_what_is_in_flight() -> None:
    window = streaming(head=20)
    window.on_ack(ack(0, credit=4), hash_of(0), 1)
    assert send_all(window) == [Span(1, 3), Span(4, 1)]
    window.on_ack(ack(4, credit=0), hash_of(4), 2)
    assert window.next_span() is None
    assert window.next_deadline_ms() is not None, "without credit it must ask again some time"


def test_the_answer_to_a_birth_resumes_where_headquarters_stands() -> None:
    window = UplinkWindow(epoch=EPOCH, acked=2, head=9, limits=LIMITS)
    window.on_connect(0)
    window.on_hello_sent("h1", 0, 0.5)
    assert window.on_ack(ack(7, hello="h1"), hash_of(7), 1) == Moved(7)
    assert window.next_span() == Span(8, 2)


def test_headquarters_that_lost_its_disk_gets_the_rows_again() -> None:
    window = UplinkWindow(epoch=EPOCH, acked=8, head=9, limits=LIMITS)
    window.on_connect(0)
    window.on_hello_sent("h1", 0, 0.5)
    assert window.on_ack(ack(3, hello="h1"), hash_of(3), 1) is None
    assert window.acked == 8
    assert not window.drained
    assert window.next_span() == Span(4, 3)


@pytest.mark.parametrize(
    ("answer", "own_hash", "expected"),
    [
        (ack(3, epoch=6), hash_of(3), Refused("other_epoch")),
        (ack(10), hash_of(10), Refused("beyond_sent")),
        (ack(21), None, Refused("beyond_sent")),
        (ack(3), None, Refused("unknown_row")),
        (ack(3), hash_of(3, "else"), Forked("other_hash")),
        (ack(3, fork=True), hash_of(3), Forked("hq_says_so")),
        (ack(0), hash_of(0), None),
    ],
)
def test_an_ack_that_is_not_true_moves_nothing(
    answer: Ack, own_hash: str | None, expected: object
) -> None:
    window = streaming(head=20)
    send_all(window)
    assert window.on_ack(answer, own_hash, 5) == expected
    assert window.acked == 0


def test_the_answer_to_an_earlier_birth_is_not_taken_for_the_latest() -> None:
    window = UplinkWindow(epoch=EPOCH, acked=0, head=9, limits=LIMITS)
    window.on_connect(0)
    window.on_hello_sent("h1", 0, 0.5)
    window.on_connect(10)
    window.on_hello_sent("h2", 10, 0.5)
    assert window.on_ack(ack(5, hello="h1"), hash_of(5), 11) is None
    assert (window.phase, window.acked) == (Phase.GREETING, 0)


def test_an_ack_for_an_earlier_start_of_the_agent_moves_nothing_and_alarms_nobody() -> None:
    window = UplinkWindow(epoch=EPOCH, acked=2, head=9, limits=LIMITS)
    window.on_connect(0)
    assert window.on_ack(ack(6), hash_of(6), 1) is None
    assert window.on_ack(ack(6), hash_of(6, "else"), 1) == Refused("beyond_sent")
    assert window.on_ack(ack(10), None, 1) == Refused("beyond_sent")
    assert window.acked == 2


def test_a_birth_answer_beyond_our_ledger_is_a_fork() -> None:
    window = UplinkWindow(epoch=EPOCH, acked=2, head=4, limits=LIMITS)
    window.on_connect(0)
    window.on_hello_sent("h1", 0, 0.5)
    assert window.on_ack(ack(6, hello="h1"), None, 1) == Forked("hq_ahead")
    assert (window.forked, window.next_span()) == (True, None)
    deadline_ms = window.next_deadline_ms()
    assert deadline_ms is not None
    assert window.due(deadline_ms), "headquarters must hear of it"
    window.on_hello_sent("h2", deadline_ms, 0.0)
    assert window.on_ack(ack(4, hello="h2"), hash_of(4), deadline_ms + 1) == Moved(4)
    assert window.next_span() is None
    assert window.drained, "a person has put it right"


def test_a_gap_sends_back_once_and_not_with_every_ack_that_repeats_it() -> None:
    window = streaming(head=9)
    send_all(window)
    window.on_ack(ack(3), hash_of(3), 2)
    window.on_ack(ack(3, gap=True), hash_of(3), 3)
    assert window.next_span() == Span(4, 3)
    window.on_sent(6, 4)
    window.on_ack(ack(3, gap=True), hash_of(3), 5)
    assert window.next_span() == Span(7, 3)


def test_silence_leads_back_to_greeting_with_longer_and_longer_waits() -> None:
    window = streaming(head=9)
    send_all(window)
    waits = []
    for turn in range(6):
        now_ms = window.next_deadline_ms()
        assert now_ms is not None
        assert not window.due(now_ms - 1)
        assert window.due(now_ms)
        assert window.next_span() is None
        window.on_hello_sent(f"x{turn}", now_ms, 0.999)
        deadline_ms = window.next_deadline_ms()
        assert deadline_ms is not None
        waits.append(deadline_ms - now_ms)
    assert waits == sorted(waits)
    assert waits[-1] <= LIMITS.hello_most_ms + 1
    window.on_ack(ack(3, hello="x5"), hash_of(3), 10_000)
    assert window.next_span() == Span(4, 3)


def test_chance_spreads_the_waits() -> None:
    def wait(chance: float) -> int:
        window = UplinkWindow(epoch=EPOCH, acked=0, head=9, limits=LIMITS)
        window.on_connect(0)
        window.on_hello_sent("h", 0, chance)
        return window.next_deadline_ms() or 0

    assert wait(0.0) < wait(0.5) < wait(0.99)


def test_a_disconnect_forgets_what_was_in_flight() -> None:
    window = streaming(head=9)
    send_all(window)
    window.on_ack(ack(3), hash_of(3), 2)
    window.on_disconnect()
    assert (window.sent, window.acked, window.next_deadline_ms()) == (3, 3, None)
    assert window.on_ack(ack(6), hash_of(6), 9) == Moved(6), "HQ committed it all the same"


def test_nothing_is_due_when_all_is_drained() -> None:
    window = streaming(head=3)
    send_all(window)
    window.on_ack(ack(3), hash_of(3), 2)
    assert window.drained
    assert window.next_deadline_ms() is None
    window.on_rows_available(4, 3)
    assert window.next_span() == Span(4, 1)


@pytest.mark.parametrize(("fork", "expected"), [(False, Moved(4)), (True, Forked("hq_ahead"))])
def test_an_epoch_that_ended_with_a_restore_may_be_longer_at_headquarters(
    fork: bool, expected: object
) -> None:
    window = UplinkWindow(epoch=EPOCH, acked=2, head=4, closed=True, limits=LIMITS)
    window.on_connect(0)
    window.on_hello_sent("h1", 0, 0.5)
    assert window.on_ack(ack(9, hello="h1", fork=fork), None, 1) == expected
    assert window.drained is not fork


@dataclass
class _Hq:
    """Headquarters as the protocol sees it: committed rows, and answers."""

    rows: list[str] = field(default_factory=list)

    def take(self, first: int, hashes: list[str]) -> Ack:
        if first > len(self.rows) + 1:
            return self.answer(gap=True)
        self.rows += hashes[len(self.rows) - first + 1 :]
        return self.answer()

    def answer(self, *, hello: str = "", gap: bool = False) -> Ack:
        head_hash = self.rows[-1] if self.rows else GENESIS_HASH
        return ack(len(self.rows), hello=hello, gap=gap, head_hash=head_hash, credit=7)


class BadNetwork(RuleBasedStateMachine):
    """Messages are lost, doubled and overtaken; station, link and deadlines come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.head = 0
        self.durable_acked = 0
        self.now_ms = 0
        self.hellos = 0
        self.hq = _Hq()
        self.up: list[str | Span] = []
        self.down: list[Ack] = []
        self.start()

    def start(self) -> None:
        self.window = UplinkWindow(
            epoch=EPOCH, acked=self.durable_acked, head=self.head, limits=LIMITS
        )

    @rule(count=st.integers(1, 8))
    def append(self, count: int) -> None:
        self.head += count
        self.window.on_rows_available(self.head, self.now_ms)

    @rule()
    def connect(self) -> None:
        self.window.on_connect(self.now_ms)

    @rule()
    def disconnect(self) -> None:
        self.window.on_disconnect()
        self.up.clear()
        self.down.clear()

    @rule()
    def station_restarts(self) -> None:
        self.start()

    @rule(ms=st.integers(1, 500))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms
        self.speak()

    @rule()
    def speak(self) -> None:
        if self.window.due(self.now_ms):
            self.hellos += 1
            self.window.on_hello_sent(f"h{self.hellos}", self.now_ms, 0.3)
            self.up.append(f"h{self.hellos}")
        self.up += send_all(self.window, self.now_ms)

    @precondition(lambda self: self.up)
    @rule(data=st.data(), keep=st.booleans())
    def headquarters_receives(self, data: st.DataObject, keep: bool) -> None:
        message = data.draw(st.sampled_from(self.up))
        if not keep:
            self.up.remove(message)
        self.reach_hq(message)

    def reach_hq(self, message: str | Span) -> None:
        if isinstance(message, str):
            self.down.append(self.hq.answer(hello=message))
        else:
            hashes = [hash_of(message.first + place) for place in range(message.count)]
            self.down.append(self.hq.take(message.first, hashes))

    @precondition(lambda self: self.up)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        self.up.remove(data.draw(st.sampled_from(self.up)))

    @precondition(lambda self: self.down)
    @rule(data=st.data(), keep=st.booleans())
    def station_receives(self, data: st.DataObject, keep: bool) -> None:
        answer = data.draw(st.sampled_from(self.down))
        if not keep:
            self.down.remove(answer)
        self.reach_station(answer)

    def reach_station(self, answer: Ack) -> None:
        own_hash = hash_of(answer.up_to_seq) if answer.up_to_seq <= self.head else None
        outcome = self.window.on_ack(answer, own_hash, self.now_ms)
        assert not isinstance(outcome, Forked)
        if isinstance(outcome, Moved):
            self.durable_acked = outcome.up_to_seq

    @invariant()
    def acked_is_committed(self) -> None:
        assert self.durable_acked <= len(self.hq.rows) <= self.head

    @invariant()
    def every_row_once_and_in_order(self) -> None:
        assert self.hq.rows == [hash_of(seq) for seq in range(1, len(self.hq.rows) + 1)]

    @invariant()
    def the_window_is_bounded(self) -> None:
        assert 0 <= self.window.in_flight <= LIMITS.window_rows

    def teardown(self) -> None:
        """Once the network behaves, everything arrives."""
        self.disconnect()
        self.connect()
        for _ in range(self.head + 5):
            self.speak()
            while self.up:
                self.reach_hq(self.up.pop(0))
            while self.down:
                self.reach_station(self.down.pop(0))
        assert self.window.drained
        assert len(self.hq.rows) == self.durable_acked == self.head


TestBadNetwork = BadNetwork.TestCase
TestBadNetwork.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
