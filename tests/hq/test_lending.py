"""A station asks for more while a customer waits: the lease first, then the answer."""

from __future__ import annotations

import pytest

from edge_agent.model import topics
from edge_agent.model.errors import MessageRefused
from edge_agent.model.wire import LeaseReply, SignedCatalogue, decode
from hq.headquarters import Headquarters
from hq.leases import ASKED_MS
from hq.message import Message
from tests.hq_kit import NOW, STATION
from tests.lease_kit import DAY_MS, LeaseStation, banking, codes, enrol, lent


def visitor(hq: Headquarters, name: str = "S-2") -> LeaseStation:
    """A station where the member is not at home."""
    station = LeaseStation(hq, name)
    station.come_up()
    return station


def kind_of(message: Message) -> str:
    for kind in (LeaseReply, SignedCatalogue):
        try:
            decode(kind, message.payload)
        except MessageRefused:
            continue
        return kind.__name__
    return "?"


def test_row_v19_the_lease_is_on_its_way_before_the_answer() -> None:
    hq = banking()
    station = visitor(hq)
    messages = hq.handle([station.request("balance", "a-1", 30_000)], NOW)
    assert [kind_of(message) for message in messages] == ["SignedCatalogue", "LeaseReply"]
    assert not hq.books.connection.in_transaction
    station.take(messages)
    assert station.available("balance", "a-1") == 30_000
    reply = station.replies[-1]
    assert (reply.granted, reply.reason, reply.request_id) == (30_000, "", "q")
    (lease,) = station.leases.values()
    assert lease.terms.expires_ms == NOW + ASKED_MS
    assert lease.terms.holding == 100_000


def test_the_same_question_twice_is_answered_alike_and_granted_once() -> None:
    hq = banking()
    station = visitor(hq)
    question = station.request("balance", "a-1", 30_000)
    station.take(hq.handle([question, question], NOW))
    station.take(hq.handle([question], NOW + 5))
    assert [reply.granted for reply in station.replies] == [30_000] * 3
    assert (lent(hq), len(station.leases)) == ((70_000, 30_000), 1)


def test_two_customers_who_ask_at_once_both_get_theirs() -> None:
    """Headquarters has not heard yet that the first lease arrived when it grants the second."""
    hq = banking()
    enrol(hq, "m-2", stations=[])
    station = visitor(hq)
    questions = [
        station.request("balance", "a-1", 100, "q-1"),
        station.request("balance", "a-2", 200, "q-2"),
    ]
    station.take([m for question in questions for m in hq.handle([question], NOW)])
    assert (station.available("balance", "a-1"), station.available("balance", "a-2")) == (100, 200)
    assert codes(hq) == []


@pytest.mark.parametrize(
    ("asset", "holder", "amount", "granted", "reason"),
    [
        ("balance", "a-1", 100_000, 100_000, ""),
        ("balance", "a-1", 100_001, 100_000, "nothing_left"),
        ("balance", "a-9", 1, 0, "unknown_holder"),
        ("points", "m-1", 1, 0, "unknown_holder"),
        ("budget", "nothing", 1, 0, "unknown_holder"),
        ("coupon", "HQ1", 1, 0, "unknown_holder"),
    ],
)
def test_an_answer_says_why_not_all(
    asset: str, holder: str, amount: int, granted: int, reason: str
) -> None:
    station = visitor(banking(stations=[]))
    reply = station.ask(asset, holder, amount)  # type: ignore[arg-type]
    assert (reply.granted, reply.reason) == (granted, reason)


def test_row_r5_a_locked_member_gets_nothing() -> None:
    hq = banking(stations=[])
    with hq.books.transaction():
        hq.enrolment.lock("m-1", "risk", NOW)
    assert visitor(hq).ask("balance", "a-1", 1).reason == "locked"


def test_what_lies_elsewhere_is_recalled_there_and_granted_on_the_next_question() -> None:
    hq = banking(set_aside_fen={STATION: 100_000})
    home = LeaseStation(hq)
    home.come_up()
    home.spend("a-1", 30_000)
    station = visitor(hq)
    reply = station.ask("balance", "a-1", 50_000)
    assert (reply.granted, reply.reason) == (0, "elsewhere")
    (recall,) = station.outbox
    assert recall.topic == topics.down(STATION, "catalogue")
    home.take(station.outbox)
    home.tell()
    assert home.available("balance", "a-1") == 0
    hq.publish(NOW + 1_000)
    assert station.ask("balance", "a-1", 50_000).granted == 50_000, "home waits for it"
    assert station.ask("balance", "a-1", 50_000).granted == 20_000
    assert (codes(hq), hq.vault.differences()) == ([], [])


def test_what_lies_at_a_station_that_is_away_stays_there() -> None:
    hq = banking(set_aside_fen={STATION: 100_000})
    home = LeaseStation(hq)
    home.come_up()
    with hq.books.transaction():
        hq.books.station_gone(STATION, "b1", NOW)
    station = visitor(hq)
    assert station.ask("balance", "a-1", 50_000).reason == "elsewhere"
    assert station.outbox == []
    assert home.available("balance", "a-1") == 100_000


def test_a_lease_that_was_lost_on_the_way_is_sent_again_with_the_next_answer() -> None:
    hq = banking()
    station = visitor(hq)
    station.deaf = lambda message: message.topic == topics.down("S-2", "catalogue")
    assert station.ask("balance", "a-1", 100_000).granted == 100_000
    assert station.available("balance", "a-1") == 0
    station.deaf = lambda message: False
    reply = station.ask("balance", "a-1", 100_000)
    assert (reply.granted, reply.reason) == (100_000, "")
    assert station.available("balance", "a-1") == 100_000
    assert lent(hq) == (0, 100_000)


def test_a_question_of_another_epoch_grants_nothing() -> None:
    hq = banking(stations=[])
    station = visitor(hq)
    station.epoch += 1
    assert station.ask("balance", "a-1", 5).reason == "out_of_order"
    station.come_up()
    assert station.ask("balance", "a-1", 5).granted == 5


def test_row_v12_what_lies_in_an_expired_lease_is_not_nothing() -> None:
    """A station that hears `nothing_left` lets the account be topped up to the legal cap."""
    hq = banking(set_aside_fen={STATION: 100_000})
    station = visitor(hq, STATION)
    station.tell()
    station.now_ms += 8 * DAY_MS
    station.close_due()
    reply = station.ask("balance", "a-1", 1)
    assert (reply.granted, reply.reason) == (0, "elsewhere")
    station.tell()
    assert station.ask("balance", "a-1", 1).granted == 1


def test_nothing_is_lent_to_books_that_contradict_themselves() -> None:
    """What such a station spends is not read any more, so it would be lent out a second time."""
    hq = banking(stations=["S-2"], set_aside_fen={"S-2": 10_000})
    station = visitor(hq)
    assert (station.available("balance", "a-1"), lent(hq)) == (10_000, (90_000, 10_000))
    with hq.books.transaction():
        hq.books.mark_forked(hq.books.stream("S-2", station.epoch))
    reply = station.ask("balance", "a-1", 20_000)
    assert (reply.granted, reply.reason) == (0, "out_of_order")
    with hq.books.transaction():
        hq.standing.settle("balance", "a-1", {"S-2": 50_000})
    station.take(hq.publish(NOW))
    assert lent(hq) == (90_000, 10_000)


def test_what_a_restored_station_had_set_aside_is_asked_for_again() -> None:
    hq = banking(set_aside_fen={STATION: 100_000})
    home = LeaseStation(hq)
    home.come_up()
    home.tell()
    home.restore(len(home.records))
    home.come_up()
    assert home.ask("balance", "a-1", 10).reason == "elsewhere"
    home.tell()
    assert home.ask("balance", "a-1", 10).granted == 10


def test_a_station_that_never_came_up_gets_an_answer_and_no_lease() -> None:
    hq = banking(stations=[])
    station = LeaseStation(hq, "S-9")
    assert station.ask("balance", "a-1", 5).reason == "out_of_order"
    assert lent(hq) == (100_000, 0)


def test_a_crash_before_the_commit_grants_nothing() -> None:
    hq = banking(stations=[])
    station = visitor(hq)

    def crash() -> None:
        with hq.books.transaction():
            hq._take(station.request("balance", "a-1", 5), NOW, 1, {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    assert lent(hq) == (100_000, 0)
    assert station.ask("balance", "a-1", 5).granted == 5


def test_a_crash_after_the_commit_leaves_a_lease_that_comes_later() -> None:
    hq = banking(stations=[])
    station = visitor(hq)
    hq.handle([station.request("balance", "a-1", 5)], NOW)  # nothing of this was sent
    assert hq.publish(NOW + 1_000) == []
    station.now_ms += 31_000
    station.publish()
    assert station.available("balance", "a-1") == 5
