"""Catalogues: what headquarters publishes reaches each station whole, in step and signed."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model import topics
from edge_agent.model.errors import ConfigRefused, PolicyRefused
from edge_agent.model.identifiers import blind_index
from edge_agent.model.wire import (
    CatalogueReply,
    SignedCatalogue,
    decode,
    encode,
    signing_bytes,
)
from edge_agent.security.signatures import TrustedKeys
from hq.enrolment import NewMember
from hq.headquarters import Headquarters
from hq.members import MEMBERS_IN_ONE, MOST_LOST_VERSIONS
from hq.message import Message
from hq.publishing import REFUSED_MS
from tests.hq_kit import KEYS, NOW, POLICY_1, STATION, alarms, birth, catalogues, headquarters

PHONE, PLATE, CARD = "139 0000 1234", "云A·D12345", "6221-0001"


def member(number: int = 1, **more: object) -> NewMember:
    fields: dict[str, object] = {
        "ref": f"m-{number}",
        "name": "王小明",
        "tier": "silver",
        "account": f"a-{number}",
        "plate_pay": True,
    }
    return NewMember(**(fields | more))  # type: ignore[arg-type]


class FakeStation:
    """Takes catalogues as a station does, as far as versions go, and holds the members."""

    def __init__(self, hq: Headquarters) -> None:
        self.hq = hq
        self.members: dict[str, Mapping[str, object]] = {}
        self.in_force: dict[str, int] = {}
        self.payloads: list[str] = []

    def come_up(self) -> None:
        self.take(self.hq.handle([birth(catalogues=self.in_force)], NOW))

    def take(self, messages: list[Message]) -> None:
        while messages:
            answers: list[Message] = []
            for catalogue in catalogues(messages):
                answers += self.hq.handle([self.reply(catalogue)], NOW)
            messages = answers

    def reply(self, catalogue: SignedCatalogue) -> Message:
        reason = self.judge(catalogue)
        reply = CatalogueReply(
            station=STATION,
            dataset=catalogue.dataset,
            version=catalogue.version,
            in_force=self.in_force.get(catalogue.dataset, 0),
            accepted=not reason,
            reason=reason,
        )
        return Message(topics.up(STATION, "request"), encode(reply))

    def judge(self, catalogue: SignedCatalogue) -> str:
        self.payloads.append(catalogue.payload)
        if catalogue.version <= self.in_force.get(catalogue.dataset, 0):
            return "replayed"
        if catalogue.dataset == "members":
            content = json.loads(catalogue.payload)
            if content["base"] not in {0, self.in_force.get("members", 0)}:
                return "out_of_order"
            if content["base"] == 0:
                self.members.clear()
            self.members.update({entry["ref"]: entry for entry in content["members"]})
        self.in_force[catalogue.dataset] = catalogue.version
        return ""


def test_a_station_that_comes_up_is_brought_to_the_newest_of_everything() -> None:
    hq = headquarters()
    with hq.books.transaction():
        hq.enrolment.enrol(member(), NOW)
        hq.publish_policy(POLICY_1, NOW)
        hq.desk.publish_prices("ps-1", 0, {"92": 7_850})
    station = FakeStation(hq)
    station.come_up()
    assert station.in_force == {"members": 1, "prices": 1, "policy": 1}
    assert hq.publish(NOW + 60_000) == []
    station.come_up()
    assert len(station.payloads) == 3, "nothing is sent twice"


def test_nothing_personal_leaves_headquarters_or_stays_in_its_books() -> None:
    hq = headquarters()
    with hq.books.transaction():
        hq.enrolment.enrol(member(cards=[CARD], phones=[PHONE], plates=[PLATE]), NOW)
    station = FakeStation(hq)
    station.come_up()
    dump = "\n".join(hq.books.connection.iterdump()) + station.payloads[0]
    for secret in ("王小明", "小明", "13900001234", "1234", "云AD", "D12345", "62210001"):
        assert secret not in dump
    entry = station.members["m-1"]
    assert entry["masked_name"] == "王**"
    assert entry["indexes"] == {
        "card": [blind_index(KEYS.index, "card", CARD)],
        "phone": [blind_index(KEYS.index, "phone", PHONE)],
        "plate": [blind_index(KEYS.index, "plate", PLATE)],
    }


def test_many_members_travel_in_pieces_each_after_the_stations_word() -> None:
    hq = headquarters()
    with hq.books.transaction():
        for number in range(2 * MEMBERS_IN_ONE + 5):
            hq.enrolment.enrol(member(number), NOW)
    station = FakeStation(hq)
    station.come_up()
    assert len(station.members) == 2 * MEMBERS_IN_ONE + 5
    assert len(station.payloads) == 3
    assert [json.loads(text)["base"] for text in station.payloads] == [0, 1000, 2000]


def test_a_change_reaches_a_station_that_is_online() -> None:
    hq = headquarters()
    with hq.books.transaction():
        hq.enrolment.enrol(member(1), NOW)
        hq.enrolment.enrol(member(2), NOW)
    station = FakeStation(hq)
    station.come_up()
    with hq.books.transaction():
        hq.enrolment.lock("m-2", "lost", NOW)
    station.take(hq.publish(NOW + 1000))
    assert station.members["m-2"]["locked"] == "lost"
    assert json.loads(station.payloads[-1])["base"] == 2, "only what changed"


def test_a_member_that_left_is_gone_at_every_station() -> None:
    hq = headquarters()
    with hq.books.transaction():
        for number in range(5):
            hq.enrolment.enrol(member(number), NOW)
    station = FakeStation(hq)
    station.come_up()
    with hq.books.transaction():
        hq.enrolment.remove("m-3")
    station.take(hq.publish(NOW + 1000))
    assert sorted(station.members) == ["m-0", "m-1", "m-2", "m-4"]
    with hq.books.transaction():
        for number in (0, 1, 2, 4):
            hq.enrolment.remove(f"m-{number}")
    station.take(hq.publish(NOW + 2000))
    assert station.members == {}


operations = st.lists(
    st.one_of(
        st.tuples(st.just("enrol"), st.integers(0, 6)),
        st.tuples(st.just("remove"), st.integers(0, 6)),
        st.tuples(st.just("touch"), st.integers(0, 6)),
        st.tuples(st.just("publish"), st.just(0)),
        st.tuples(st.just("lose"), st.just(0)),
        st.tuples(st.just("birth"), st.just(0)),
    ),
    max_size=25,
)


@given(operations)
def test_whatever_is_changed_and_lost_the_station_ends_with_what_hq_has(
    steps: list[tuple[str, int]],
) -> None:
    hq = headquarters()
    station = FakeStation(hq)
    station.come_up()
    now_ms = NOW
    for what, number in steps:
        now_ms += 60_000
        with hq.books.transaction():
            if what == "enrol":
                hq.enrolment.enrol(member(number), NOW)
            elif what == "remove":
                hq.enrolment.remove(f"m-{number}")
            elif what == "touch":
                hq.members.touch(f"m-{number}")
        if what == "publish":
            station.take(hq.publish(now_ms))
        elif what == "lose":
            hq.publish(now_ms)
        elif what == "birth":
            station.come_up()
    station.come_up()
    refs = [row[0] for row in hq.books.connection.execute("SELECT ref FROM member ORDER BY ref")]
    assert sorted(station.members) == refs


def test_an_older_headquarters_database_is_overcome() -> None:
    """HQ came back from a backup: the station has members of a version that HQ never heard of."""
    hq = headquarters()
    with hq.books.transaction():
        hq.enrolment.enrol(member(1), NOW)
    station = FakeStation(hq)
    station.in_force = {"members": 500}
    station.members = {"m-9": {}}
    station.come_up()
    assert sorted(station.members) == ["m-1"]
    assert station.in_force["members"] > 500


@pytest.mark.parametrize(
    "claimed", [MOST_LOST_VERSIONS + 2, 2**53 - MEMBERS_IN_ONE, 2**53 - 3, 2**53 - 1]
)
def test_a_version_that_nobody_can_have_published_is_not_believed(claimed: int) -> None:
    hq = headquarters()
    with hq.books.transaction():
        hq.enrolment.enrol(member(), NOW)
    assert catalogues(hq.handle([birth(catalogues={"members": claimed})], NOW)) == []
    assert alarms(hq) == [(claimed, "members_ahead")]
    assert hq.publish(NOW + 60_000) == []
    assert hq.members.version() == 1, "nobody else starts over because of it"
    honest = FakeStation(hq)
    honest.come_up()
    assert honest.in_force == {"members": 1}


def test_a_reply_may_not_claim_such_a_version_either() -> None:
    hq = headquarters()
    with hq.books.transaction():
        hq.enrolment.enrol(member(), NOW)
    hq.handle([birth()], NOW)
    reply = CatalogueReply(
        station=STATION, dataset="members", version=1, in_force=2**53 - 1, accepted=True
    )
    assert hq.handle([Message(topics.up(STATION, "request"), encode(reply))], NOW) == []
    assert alarms(hq) == [(2**53 - 1, "members_ahead")]


def test_prices_that_headquarters_lost_are_an_alarm() -> None:
    hq = headquarters()
    with hq.books.transaction():
        hq.desk.publish_prices("ps-1", 0, {"92": 7_850})
    assert catalogues(hq.handle([birth(catalogues={"prices": 9})], NOW)) == []
    assert alarms(hq) == [(9, "prices_ahead")]


def test_price_sets_travel_whole_those_in_force_and_those_to_come() -> None:
    hq = headquarters()
    with hq.books.transaction():
        for number, valid_from_ms in enumerate((0, NOW - 1000, NOW + 1000, NOW + 2000)):
            hq.desk.publish_prices(f"ps-{number}", valid_from_ms, {"92": 7_000 + number})
        hq.desk.publish_prices("other", NOW + 5, {"92": 1}, scope="S-2")
    station = FakeStation(hq)
    station.come_up()
    sets = json.loads(station.payloads[0])["price_sets"]
    assert [entry["id"] for entry in sets] == ["ps-1", "ps-2", "ps-3"]


def test_senseless_content_is_not_published() -> None:
    hq = headquarters()
    with hq.books.transaction():
        hq.publish_policy(POLICY_1, NOW)
        hq.desk.publish_prices("ps-1", 0, {"92": 7_850})
        for attempt in (
            lambda: hq.publish_policy(POLICY_1, NOW),
            lambda: hq.desk.publish_prices("ps-1", 5, {"92": 1}),
            lambda: hq.desk.publish_prices("ps-2", 0, {}),
            lambda: hq.desk.publish_prices("ps-2", 0, {"92": 0}),
            lambda: hq.desk.publish_prices("ps-2", -1, {"92": 1}),
        ):
            with pytest.raises(ConfigRefused):
                attempt()
        with pytest.raises(PolicyRefused):
            hq.publish_policy("{}", NOW)


def test_a_catalogue_is_signed_and_its_counter_grows() -> None:
    hq = headquarters()
    with hq.books.transaction():
        hq.enrolment.enrol(member(), NOW)
        hq.desk.publish_prices("ps-1", 0, {"92": 7_850})
    sent = catalogues(hq.handle([birth()], NOW))
    again = catalogues(hq.handle([birth()], NOW - 10_000))
    counters = [catalogue.counter for catalogue in sent + again]
    assert counters == sorted(set(counters))
    trusted = TrustedKeys({KEYS.key_id: KEYS.public})
    for catalogue in sent + again:
        assert catalogue.scope == STATION
        trusted.verify(
            catalogue.key_id, signing_bytes(catalogue), bytes.fromhex(catalogue.signature)
        )


def _answer(catalogue: SignedCatalogue, reason: str) -> Message:
    reply = CatalogueReply(
        station=STATION,
        dataset=catalogue.dataset,
        version=catalogue.version,
        in_force=0,
        accepted=False,
        reason=reason,
    )
    return Message(topics.up(STATION, "request"), encode(reply))


def test_what_was_refused_is_tried_again_after_a_while() -> None:
    """Whoever sent a refusal in a station's name delays its prices by so much, not for ever."""
    hq = headquarters()
    with hq.books.transaction():
        hq.desk.publish_prices("ps-1", 0, {"92": 7_850})
    (sent,) = catalogues(hq.handle([birth()], NOW))
    hq.handle([_answer(sent, "bad_content")], NOW)
    assert hq.publish(NOW + REFUSED_MS - 1) == []
    assert len(hq.publish(NOW + REFUSED_MS)) == 1


def test_a_refused_catalogue_is_an_alarm_and_is_not_sent_over_and_over() -> None:
    hq = headquarters()
    with hq.books.transaction():
        hq.desk.publish_prices("ps-1", 0, {"92": 7_850})
    (sent,) = catalogues(hq.handle([birth()], NOW))
    assert hq.handle([_answer(sent, "bad_content")], NOW) == []
    assert alarms(hq) == [(1, "prices_refused")]
    assert hq.publish(NOW + 600_000) == []
    with hq.books.transaction():
        hq.desk.publish_prices("ps-2", 0, {"92": 7_900})
    assert len(hq.publish(NOW + 600_001)) == 1, "new content is tried"


def test_a_refusal_that_may_pass_is_tried_again_later_but_not_at_once() -> None:
    hq = headquarters()
    with hq.books.transaction():
        hq.desk.publish_prices("ps-1", 0, {"92": 7_850})
    (sent,) = catalogues(hq.handle([birth()], NOW))
    assert hq.handle([_answer(sent, "not_yet_valid")], NOW) == []
    assert len(hq.publish(NOW + 40_000)) == 1


def test_what_was_lost_on_the_way_is_sent_again() -> None:
    hq = headquarters()
    with hq.books.transaction():
        hq.desk.publish_prices("ps-1", 0, {"92": 7_850})
    assert len(catalogues(hq.handle([birth()], NOW))) == 1
    assert hq.publish(NOW + 1000) == []
    (message,) = hq.publish(NOW + 31_000)
    assert decode(SignedCatalogue, message.payload).dataset == "prices"
