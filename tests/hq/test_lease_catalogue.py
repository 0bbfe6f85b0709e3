"""Leases as a dataset: changes since what a station has, of the epoch that its books are in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.model import topics
from edge_agent.model.errors import ConfigRefused
from edge_agent.model.wire import CatalogueReply, encode
from hq.books import HqBooks
from hq.headquarters import Headquarters
from hq.lease_catalogue import LEASES_IN_ONE
from hq.message import Message
from hq.publishing import MOST_LOST_MS
from tests.hq_kit import EPOCH, KEYS, NOW, STATION, birth, catalogues
from tests.lease_kit import LeaseStation, banking, codes, enrol, lent


def leases_in(messages: list[Message]) -> list[str]:
    return [each.payload for each in catalogues(messages) if each.dataset == "leases"]


def test_a_payload_names_base_and_epoch_and_a_station_is_told_once() -> None:
    hq = banking()
    (payload,) = leases_in(hq.handle([birth()], NOW))
    content = json.loads(payload)
    assert (content["base"], content["epoch"]) == (0, EPOCH)
    assert [entry["holder"] for entry in content["granted"]] == ["a-1"]
    station = LeaseStation(hq)
    station.come_up()
    assert leases_in(hq.publish(NOW + 60_000)) == []


def test_many_leases_travel_in_pieces() -> None:
    hq = banking(stations=[])
    with hq.books.transaction():
        hq.leases.station_is_in(STATION, EPOCH)
        for number in range(LEASES_IN_ONE + 5):
            hq.leases.grant(STATION, "balance", "a-1", 1, NOW + 1_000, NOW + number)
        for lease in hq.leases.open_leases("balance", "a-1")[:3]:
            hq.leases.recall(lease.lease_id, NOW)
    station = LeaseStation(hq)
    station.come_up()
    assert len(station.holding("balance", "a-1").leases) == LEASES_IN_ONE + 2
    assert codes(hq) == []


def test_versions_never_go_back_whatever_the_epoch() -> None:
    hq = banking()
    station = LeaseStation(hq)
    station.come_up()
    before = station.in_force
    station.tell()
    station.restore(len(station.records))
    station.now_ms += 10
    station.come_up()
    assert station.in_force > before


def test_a_refusal_of_leases_of_an_earlier_epoch_is_in_order() -> None:
    hq = banking()
    hq.handle([birth()], NOW)
    reply = CatalogueReply(
        station=STATION, dataset="leases", version=NOW, in_force=0, accepted=False,
        reason="out_of_order",
    )  # fmt: skip
    hq.handle([Message(topics.up(STATION, "request"), encode(reply))], NOW)
    assert codes(hq) == []


@pytest.mark.parametrize("claimed", [2**53 - 1, NOW + MOST_LOST_MS + 1])
def test_a_version_that_nobody_can_have_published_is_not_believed(claimed: int) -> None:
    hq = banking()
    assert leases_in(hq.handle([birth(catalogues={"leases": claimed})], NOW)) == []
    assert codes(hq) == ["leases_ahead"]


def test_a_station_with_later_leases_than_these_books_gets_ours_beyond_them() -> None:
    hq = banking()
    station = LeaseStation(hq)
    station.in_force = NOW + 5_000
    station.come_up()
    assert station.available("balance", "a-1") == 50_000
    assert station.in_force > NOW + 5_000


steps = st.lists(
    st.tuples(
        st.sampled_from(["lose", "double", "publish", "birth", "ask", "recall", "tell", "wait"]),
        st.integers(1, 5_000),
    ),
    max_size=25,
)


@settings(max_examples=40)
@given(steps)
def test_whatever_is_lost_or_doubled_the_station_ends_with_what_was_set_aside(
    what: list[tuple[str, int]],
) -> None:
    hq = banking(stations=[])
    enrol(hq, "m-2")
    station = LeaseStation(hq)
    station.come_up()
    for number, (step, amount) in enumerate(what):
        station.now_ms += 40_000 if step == "wait" else 1
        if step == "lose":
            hq.handle([station.request("balance", "a-1", amount, f"lost-{number}")], station.now_ms)
        elif step == "double":
            asked = station.request("balance", "a-1", amount, f"twice-{number}")
            messages = hq.handle([asked], station.now_ms)
            station.take([*messages, *messages])
        elif step == "publish":
            station.publish()
        elif step == "birth":
            station.come_up()
        elif step == "ask":
            station.ask("balance", "a-1", amount, f"q-{number}")
        elif step == "recall":
            for lease in hq.leases.open_leases("balance", "a-1")[:1]:
                with hq.books.transaction():
                    hq.leases.recall(lease.lease_id, station.now_ms)
        elif step == "tell":
            station.tell()
    station.come_up()
    station.tell()
    for account in ("a-1", "a-2"):
        ready = sum(lease.left for lease in station.holding("balance", account).leases)
        assert ready == lent(hq, holder=account)[1]
    assert codes(hq) == []
    assert hq.vault.differences() == []


def test_what_was_set_aside_survives_a_restart_of_headquarters(tmp_path: Path) -> None:
    path = tmp_path / "hq.db"
    hq = Headquarters(HqBooks(path), KEYS)
    enrol(hq)
    station = LeaseStation(hq)
    station.deaf = lambda message: True
    station.come_up()
    hq.books.close()
    station.hq = Headquarters(HqBooks(path), KEYS)
    station.deaf = lambda message: False
    station.come_up()
    assert station.available("balance", "a-1") == 50_000
    station.hq.books.close()


def test_books_of_another_version_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "hq.db"
    books = HqBooks(path)
    books.connection.execute("PRAGMA user_version=1")
    books.close()
    with pytest.raises(ConfigRefused, match="version 1"):
        HqBooks(path)
