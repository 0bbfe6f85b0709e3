"""Headquarters takes each row once, in order, its chain verified; anything else is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model import topics
from edge_agent.model.ledger import GENESIS_HASH
from edge_agent.model.wire import MAX_MESSAGE_BYTES, Death, Telemetry, encode
from hq.headquarters import Headquarters
from hq.message import Message
from tests.hq_kit import (
    EPOCH,
    NOW,
    STATION,
    acks,
    action,
    alarms,
    batch,
    birth,
    chain,
    headquarters,
)

ROWS = chain(action(number) for number in range(20))


def held(hq: Headquarters) -> list[str]:
    rows = hq.books.connection.execute("SELECT hash FROM ledger ORDER BY stream, seq")
    return [row[0] for row in rows]


def parked(hq: Headquarters) -> list[str]:
    return [row[0] for row in hq.books.connection.execute("SELECT reason FROM parked")]


def test_rows_are_committed_before_they_are_acknowledged() -> None:
    hq = headquarters()
    (ack,) = acks(hq.handle([batch(ROWS[:5])], NOW))
    assert (ack.epoch, ack.up_to_seq, ack.head_hash) == (EPOCH, 5, ROWS[4].hash)
    assert not hq.books.connection.in_transaction
    assert held(hq) == [row.hash for row in ROWS[:5]]


def test_one_ack_speaks_for_all_batches_of_a_group() -> None:
    hq = headquarters()
    answers = acks(hq.handle([batch(ROWS[:5]), batch(ROWS[5:9]), batch(ROWS[9:])], NOW))
    assert [ack.up_to_seq for ack in answers] == [20]


@given(
    st.lists(st.tuples(st.integers(0, 19), st.integers(1, 20)), min_size=1, max_size=30),
    st.integers(1, 5),
)
def test_any_order_of_any_pieces_leaves_a_true_prefix(
    pieces: list[tuple[int, int]], group: int
) -> None:
    hq = headquarters()
    messages = [batch(ROWS[first : first + count]) for first, count in pieces]
    for start in range(0, len(messages), group):
        for ack in acks(hq.handle(messages[start : start + group], NOW)):
            assert ack.head_hash == (
                ROWS[ack.up_to_seq - 1].hash if ack.up_to_seq else GENESIS_HASH
            )
    assert held(hq) == [row.hash for row in ROWS[: len(held(hq))]]
    (ack,) = acks(hq.handle([batch(ROWS)], NOW))
    assert ack.up_to_seq == len(held(hq)) == 20
    assert alarms(hq) == []


def test_a_gap_is_told_and_nothing_beyond_it_is_taken() -> None:
    hq = headquarters()
    hq.handle([batch(ROWS[:3])], NOW)
    (ack,) = acks(hq.handle([batch(ROWS[5:8])], NOW))
    assert (ack.up_to_seq, ack.gap) == (3, True)
    assert len(held(hq)) == 3


def test_the_same_row_with_another_hash_is_an_alarm_and_stops_the_stream() -> None:
    hq = headquarters()
    hq.handle([batch(ROWS[:5])], NOW)
    other = chain((action(number + 100) for number in range(5)), after=ROWS[:3])
    (ack,) = acks(hq.handle([batch(other[2:])], NOW))
    assert (ack.up_to_seq, ack.fork) == (5, True)
    assert alarms(hq) == [(4, "ledger_fork")]
    (ack,) = acks(hq.handle([batch(ROWS[5:])], NOW + 1))
    assert (ack.up_to_seq, ack.fork) == (5, True), "nobody knows which history is the true one"
    assert len(held(hq)) == 5


def test_rows_that_continue_another_history_are_a_fork() -> None:
    hq = headquarters()
    hq.handle([batch(ROWS[:5])], NOW)
    other = chain(action(number + 100) for number in range(10))
    hq.handle([batch(other[5:])], NOW)
    assert alarms(hq) == [(5, "ledger_fork")]


@pytest.mark.parametrize(
    "change", [{"body": "{}"}, {"kind": "x"}, {"at_ms": 1}, {"hash": "0" * 64}]
)
def test_a_row_whose_content_does_not_match_its_hash_ends_the_good_part(
    change: dict[str, str],
) -> None:
    hq = headquarters()
    rows = [*ROWS[:6], replace(ROWS[6], **change), *ROWS[7:]]  # type: ignore[arg-type]
    (ack,) = acks(hq.handle([batch(rows)], NOW))
    assert (ack.up_to_seq, ack.fork) == (6, True)
    assert alarms(hq) == [(7, "chain_broken")]


def test_streams_of_stations_and_epochs_do_not_touch_each_other() -> None:
    hq = headquarters()
    later = chain((action(number) for number in range(4)), epoch=EPOCH + 1)
    hq.handle([batch(ROWS), batch(later), batch(ROWS[:7], station="S-2")], NOW)
    counts = hq.books.connection.execute("SELECT station, epoch, up_to_seq FROM stream ORDER BY id")
    assert counts.fetchall() == [(STATION, EPOCH, 20), (STATION, EPOCH + 1, 4), ("S-2", EPOCH, 7)]


def test_a_birth_is_answered_with_where_we_stand() -> None:
    hq = headquarters()
    (first,) = acks(hq.handle([birth(ROWS, hello="first")], NOW))
    assert (first.up_to_seq, first.head_hash, first.hello) == (0, GENESIS_HASH, "first")
    hq.handle([batch(ROWS)], NOW)
    (again,) = acks(hq.handle([birth(ROWS, hello="again")], NOW))
    assert (again.up_to_seq, again.hello, again.fork) == (20, "again", False)
    assert alarms(hq) == []


def test_a_late_birth_of_a_shorter_ledger_proves_nothing() -> None:
    hq = headquarters()
    hq.handle([batch(ROWS), birth(ROWS[:4])], NOW)
    assert alarms(hq) == []


def test_a_birth_of_another_history_is_a_fork() -> None:
    hq = headquarters()
    hq.handle([batch(ROWS)], NOW)
    other = chain(action(number + 100) for number in range(10))
    (ack,) = acks(hq.handle([birth(other)], NOW))
    assert ack.fork
    assert alarms(hq) == [(10, "ledger_fork")]


def test_a_fork_that_the_station_reports_is_an_alarm_that_counts() -> None:
    hq = headquarters()
    hq.handle([batch(ROWS)], NOW)
    for turn in range(3):
        hq.handle([birth(ROWS[:4], fork=True)], NOW + turn)
    times = hq.books.connection.execute("SELECT code, times FROM alarm").fetchall()
    assert times == [("fork_reported", 3)]


def test_a_full_queue_shrinks_the_credit() -> None:
    hq = headquarters()
    (idle,) = acks(hq.handle([batch(ROWS[:1])], NOW, load=0.0))
    (busy,) = acks(hq.handle([batch(ROWS[:1])], NOW, load=1.0))
    assert idle.credit > busy.credit > 0


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        (topics.up(STATION, "ledger"), b"garbage", "malformed"),
        (topics.up(STATION, "birth"), b"garbage", "malformed"),
        (topics.up(STATION, "request"), b"", "malformed"),
        (topics.up("S-2", "ledger"), batch(ROWS).payload, "wrong_station"),
        (topics.up(STATION, "ledger"), bytes(MAX_MESSAGE_BYTES + 1), "oversized"),
        (f"forecourt/v1/{STATION}/up/else", b"", "unknown_topic"),
        ("elsewhere", b"", "unknown_topic"),
    ],
)
def test_what_cannot_be_read_is_parked_and_the_group_goes_on(
    topic: str, payload: bytes, reason: str
) -> None:
    hq = headquarters()
    answers = hq.handle([Message(topic, payload), batch(ROWS)], NOW)
    assert acks(answers)[-1].up_to_seq == 20
    assert parked(hq) == [reason]


def test_parking_is_bounded() -> None:
    hq = headquarters()
    bad = Message(topics.up(STATION, "ledger"), b"x" * 100_000)
    for _ in range(11):
        hq.handle([bad] * 100, NOW)
    count, largest = hq.books.connection.execute(
        "SELECT count(*), max(length(payload)) FROM parked"
    ).fetchone()
    assert count == 1000
    assert largest == 64 * 1024


def test_presence_and_figures_are_kept() -> None:
    hq = headquarters()
    telemetry = Telemetry(station=STATION, sent_ms=NOW, figures={"temperature": 21})
    hq.handle([birth(), Message(topics.up(STATION, "telemetry"), encode(telemetry))], NOW)
    state = "SELECT online, figures, boot_id FROM station"
    assert hq.books.connection.execute(state).fetchone() == (1, '{"temperature":21}', "b1")
    late = encode(Death(station=STATION, boot_id="b0"))
    hq.handle([Message(topics.up(STATION, "birth"), late)], NOW)
    assert hq.books.connection.execute(state).fetchone()[0] == 1, "the word of an earlier start"
    death = encode(Death(station=STATION, boot_id="b1"))
    hq.handle([Message(topics.up(STATION, "birth"), death)], NOW)
    assert hq.books.connection.execute(state).fetchone()[0] == 0


def test_a_transaction_that_fails_leaves_nothing_and_answers_nothing() -> None:
    hq = headquarters()
    hq.handle([batch(ROWS[:3])], NOW)
    hq.books.connection.execute(
        "CREATE TEMP TRIGGER full BEFORE INSERT ON main.ledger WHEN new.seq > 8"
        " BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"
    )
    with pytest.raises(Exception, match="full"):
        hq.handle([batch(ROWS[3:])], NOW)
    assert len(held(hq)) == 3
    hq.books.connection.execute("DROP TRIGGER full")
    (ack,) = acks(hq.handle([batch(ROWS[3:])], NOW))
    assert ack.up_to_seq == 20
    assert len(held(hq)) == 20


def test_rows_are_never_changed_or_deleted() -> None:
    hq = headquarters()
    hq.handle([batch(ROWS)], NOW)
    for change in ("UPDATE ledger SET body = '{}'", "DELETE FROM ledger WHERE seq = 20"):
        with pytest.raises(Exception, match="append only"):
            hq.books.connection.execute(change)
    pragma = hq.books.connection.execute("PRAGMA synchronous").fetchone()
    assert pragma == (2,), "FULL"


@pytest.mark.parametrize("error", [ValueError("no such figure"), OverflowError("too large")])
def test_a_message_that_breaks_a_rule_of_ours_is_parked_and_leaves_nothing(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    hq = headquarters()

    def fail(station: str, versions: dict[str, int], now_ms: int) -> None:
        raise error

    monkeypatch.setattr(hq.publisher, "station_has", fail)
    answers = hq.handle([batch(ROWS[:2]), birth(epoch=EPOCH + 1), batch(ROWS[2:5])], NOW)
    assert [(ack.epoch, ack.up_to_seq) for ack in acks(answers)] == [(EPOCH, 5)]
    assert parked(hq) == [type(error).__name__]
    assert hq.books.connection.execute("SELECT count(*) FROM station").fetchone() == (0,)
    assert hq.books.connection.execute("SELECT epoch FROM stream").fetchall() == [(EPOCH,)]
    monkeypatch.undo()
    (ack,) = acks(hq.handle([birth(epoch=EPOCH + 1)], NOW))
    assert (ack.epoch, ack.up_to_seq, ack.hello) == (EPOCH + 1, 0, "h1")
    assert hq.books.connection.execute("SELECT count(*) FROM stream").fetchone() == (2,)
