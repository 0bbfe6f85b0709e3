"""Catalogues at the station: only what is signed, whole, timely, newer and ours is in force."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from edge_agent.model import topics
from edge_agent.model.ids import MemberRef
from edge_agent.model.wire import (
    CatalogueReply,
    SignedCatalogue,
    decode,
    encode,
    payload_digest,
    signing_bytes,
)
from edge_agent.ports import Inbound
from edge_agent.security.blind_index import KeyedIndex
from edge_agent.sim.memory_broker import MemoryBroker, MemoryUplink
from edge_agent.sim.virtual_time import EPOCH_2026_MS, VirtualClock
from hq.enrolment import NewMember
from hq.keys import HqKeys
from hq.message import Message
from tests.hq_kit import POLICY_1
from tests.sync_kit import KEYS, STATION, HqKit, StationKit, run_virtual

NOW = EPOCH_2026_MS
TOPIC = topics.down(STATION, "catalogue")
PRICES = '{"price_sets":[{"id":"ps-1","prices":{"92":7850},"valid_from_ms":0}]}'
MEMBERS = (
    '{"base":%d,"members":[{"account":"a-1","fills":%d,"indexes":{"card":[],"phone":[],'
    '"plate":[]},"masked_name":"王**","plate_pay":true,"ref":"m-1","tier":"silver"}]}'
)
STRANGER = HqKeys(bytes(range(1, 33)), bytes(32))


def catalogue(*, keys: HqKeys = KEYS, **changes: object) -> SignedCatalogue:
    """A good price catalogue, changed, then signed."""
    payload = str(changes.get("payload", PRICES))
    fields = {
        "dataset": "prices",
        "version": 1,
        "counter": 10,
        "scope": STATION,
        "issued_ms": NOW,
        "not_before_ms": NOW - 1000,
        "expires_ms": NOW + 3_600_000,
        "sha256": payload_digest(payload),
        "payload": payload,
        "key_id": keys.key_id,
        "signature": "0" * 128,
    }
    unsigned = SignedCatalogue.model_validate(fields | changes)
    signature = keys.sign(signing_bytes(unsigned)).hex()
    return unsigned.model_copy(update={"signature": signature})


class Desk:
    """A station, and a client that plays headquarters."""

    def __init__(self, station: StationKit, client: MemoryUplink) -> None:
        self.station = station
        self.client = client

    async def send(self, signed: SignedCatalogue, topic: str = TOPIC) -> CatalogueReply:
        await self.client.publish(topic, encode(signed))
        async with asyncio.timeout(60):
            async for item in self.client.messages():
                if isinstance(item, Inbound):
                    return decode(CatalogueReply, item.payload)
        raise AssertionError("no reply")

    def kinds(self) -> list[str]:
        return [record.kind for record in self.station.books.records_after(0, 1000)]


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[Desk]:
    clock = VirtualClock(asyncio.get_running_loop())
    broker = MemoryBroker(Random(0))
    station = StationKit(folder / "ledger.db", broker, clock)
    client = broker.client("hq", [topics.up(STATION, "request")])
    try:
        yield Desk(station, client)
    finally:
        await station.stop()


def test_a_good_catalogue_comes_into_force_with_a_record_of_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with desk(tmp_path) as at:
            good = catalogue()
            reply = await at.send(good)
            assert (reply.accepted, reply.in_force) == (True, 1)
            price_set = at.station.store.catalogues.price_set(NOW)
            assert price_set is not None
            assert price_set.prices["92"].milli == 7850  # type: ignore[index]
            (record,) = at.station.books.records_after(0, 9)
            assert json.loads(record.body) == {
                "dataset": "prices",
                "version": 1,
                "sha256": good.sha256,
            }

    run_virtual(scenario())


def test_the_same_catalogue_again_is_confirmed_and_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with desk(tmp_path) as at:
            for _ in range(3):
                assert (await at.send(catalogue())).accepted
            assert at.kinds() == ["catalogue.accepted"]

    run_virtual(scenario())


BAD: list[tuple[SignedCatalogue, str]] = [
    (catalogue(keys=STRANGER), "unknown_key"),
    (catalogue(keys=STRANGER, key_id=KEYS.key_id), "bad_signature"),
    (catalogue().model_copy(update={"signature": "f" * 128}), "bad_signature"),
    (catalogue().model_copy(update={"payload": PRICES.replace("7850", "1")}), "digest_mismatch"),
    (catalogue().model_copy(update={"version": 2}), "bad_signature"),
    (catalogue().model_copy(update={"counter": 11}), "bad_signature"),
    (catalogue().model_copy(update={"scope": "all"}), "bad_signature"),
    (catalogue().model_copy(update={"dataset": "policy"}), "bad_signature"),
    (catalogue().model_copy(update={"issued_ms": 1}), "bad_signature"),
    (catalogue().model_copy(update={"not_before_ms": 1}), "bad_signature"),
    (catalogue().model_copy(update={"expires_ms": NOW + 9_000_000}), "bad_signature"),
    (catalogue().model_copy(update={"sha256": "0" * 64}), "bad_signature"),
    (catalogue(scope="S-2"), "wrong_station"),
    (catalogue(expires_ms=NOW), "expired"),
    (catalogue(not_before_ms=NOW + 600_000), "not_yet_valid"),
    (catalogue(payload="{}"), "bad_content"),
    (catalogue(payload="not json"), "bad_content"),
    (catalogue(payload=PRICES.replace("7850", "0")), "bad_content"),
    (catalogue(payload=PRICES.replace("7850", "7.85")), "bad_content"),
    (catalogue(dataset="policy", payload="{}"), "bad_content"),
    (catalogue(dataset="policy", payload=POLICY_1, version=2), "bad_content"),
    (catalogue(dataset="members", payload='{"base":0}'), "bad_content"),
    (catalogue(dataset="members", payload=MEMBERS % (4, 0), version=9), "out_of_order"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD, ids=[f"{i}-{r}" for i, (_, r) in enumerate(BAD)])
def test_any_other_catalogue_is_refused_with_its_reason(
    tmp_path: Path, bad: SignedCatalogue, reason: str
) -> None:
    async def scenario() -> None:
        async with desk(tmp_path) as at:
            reply = await at.send(bad)
            assert (reply.accepted, reply.reason, reply.in_force) == (False, reason, 0)
            assert at.station.store.catalogues.versions() == {}
            assert at.station.parking.parked == [(TOPIC, reason)]
            (record,) = at.station.books.records_after(0, 9)
            assert record.kind == "downlink.refused"
            assert json.loads(record.body)["reason"] == reason

    run_virtual(scenario())


def test_an_older_version_or_counter_is_a_replay(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with desk(tmp_path) as at:
            first = catalogue(version=1, counter=10)
            newer = PRICES.replace("ps-1", "ps-2").replace("7850", "8000")
            assert (await at.send(first)).accepted
            assert (await at.send(catalogue(version=2, counter=11, payload=newer))).accepted
            assert (await at.send(first)).reason == "replayed"
            signed_again = catalogue(version=1, counter=12)
            assert (await at.send(signed_again)).reason == "replayed"
            third = PRICES.replace("ps-1", "ps-3")
            late = catalogue(version=3, counter=11, payload=third)
            assert (await at.send(late)).reason == "replayed"
            assert at.station.store.catalogues.versions() == {"prices": 2}

    run_virtual(scenario())


def test_a_replay_is_known_after_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        broker = MemoryBroker(Random(0))
        client = broker.client("hq", [topics.up(STATION, "request")])
        first = catalogue(version=1, counter=10)
        newer = catalogue(version=2, counter=11, payload=PRICES.replace("ps-1", "ps-2"))
        station = StationKit(tmp_path / "ledger.db", broker, clock)
        assert (await Desk(station, client).send(first)).accepted
        assert (await Desk(station, client).send(newer)).accepted
        await station.stop()
        station = StationKit(tmp_path / "ledger.db", broker, clock, life=2)
        assert (await Desk(station, client).send(first)).reason == "replayed"
        await station.stop()

    run_virtual(scenario())


def test_a_clock_that_is_not_to_be_trusted_does_not_refuse_prices(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with desk(tmp_path) as at:
            clock = at.station.downlink._clock
            assert isinstance(clock, VirtualClock)
            clock.is_trusted = False
            assert (await at.send(catalogue(not_before_ms=NOW + 9, expires_ms=NOW + 10))).accepted

    run_virtual(scenario())


def test_what_every_station_shares_comes_on_its_own_topic(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with desk(tmp_path) as at:
            reply = await at.send(catalogue(scope="all"), topics.SHARED_CATALOGUE)
            assert reply.accepted

    run_virtual(scenario())


def test_members_follow_their_base(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with desk(tmp_path) as at:

            def members(base: int, fills: int, version: int) -> SignedCatalogue:
                return catalogue(
                    dataset="members",
                    version=version,
                    counter=version,
                    payload=MEMBERS % (base, fills),
                )

            assert (await at.send(members(0, 5, 3))).in_force == 3
            assert (await at.send(members(3, 8, 5))).in_force == 5
            assert (await at.send(members(6, 9, 7))).reason == "out_of_order"
            assert (await at.send(members(3, 9, 6))).in_force == 6, "sent before our reply came"
            assert (await at.send(members(5, 1, 7))).in_force == 7
            member = at.station.store.catalogues.member(MemberRef("m-1"))
            assert member is not None
            assert (member.plate_pay, member.fills) == (True, 1)

    run_virtual(scenario())


def leases(
    base: int, version: int, *, epoch: int, recalled: str = "", **entry: object
) -> SignedCatalogue:
    """A piece of the station's own leases: one that is granted, or one that is recalled."""
    granted = {
        "lease_id": f"L-{version}",
        "asset": "balance",
        "holder": "a-1",
        "amount": 500,
        "expires_ms": NOW + 86_400_000,
    }
    payload = {
        "base": base,
        "epoch": epoch,
        "granted": [] if recalled else [granted | entry],
        "recalled": [recalled] if recalled else [],
    }
    text = json.dumps(payload)
    return catalogue(dataset="leases", version=version, counter=version, payload=text)


def test_row_v19_leases_come_into_force_once_and_are_recalled(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with desk(tmp_path) as at:
            books = at.station.books
            epoch = books.head().epoch
            first = leases(0, 1, epoch=epoch)
            assert (await at.send(first)).accepted
            assert (await at.send(first)).in_force == 1
            assert (await at.send(leases(1, 2, epoch=epoch))).accepted
            assert books.holding("balance", "a-1").available(NOW) == 1000
            assert (await at.send(leases(2, 3, epoch=epoch, recalled="L-1"))).accepted
            assert books.holding("balance", "a-1").available(NOW) == 500
            again = leases(3, 4, epoch=epoch, lease_id="L-1")
            assert (await at.send(again)).accepted
            assert books.holding("balance", "a-1").available(NOW) == 500, "never taken twice"
            kinds = [kind for kind in at.kinds() if kind.startswith("lease")]
            assert kinds == ["leases.taken", "leases.taken", "lease.closed"]

    run_virtual(scenario())


@pytest.mark.parametrize("what", ["epoch", "gap", "everybody"])
def test_row_v19_a_lease_of_another_life_place_or_time_is_not_spent_here(
    tmp_path: Path, what: str
) -> None:
    async def scenario() -> None:
        async with desk(tmp_path) as at:
            epoch = at.station.books.head().epoch
            bad = leases(0, 2, epoch=epoch + (what == "epoch"))
            topic = TOPIC
            if what == "gap":
                bad = leases(1, 2, epoch=epoch)
            if what == "everybody":
                bad = catalogue(dataset="leases", scope="all", payload=bad.payload)
                topic = topics.SHARED_CATALOGUE
            reply = await at.send(bad, topic)
            expected = "wrong_station" if what == "everybody" else "out_of_order"
            assert (reply.accepted, reply.reason) == (False, expected)
            assert at.station.books.open_leases() == []

    run_virtual(scenario())


def test_a_station_and_headquarters_come_to_agree_over_a_bad_line(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        broker = MemoryBroker(Random(5))
        broker.faults.lost = 0.3
        broker.faults.doubled = 0.3
        broker.faults.reordered = 0.3
        hq = HqKit(broker, clock)
        with hq.books.transaction():
            for number in range(2300):
                hq.rules.enrolment.enrol(
                    NewMember(f"m-{number}", "李", "silver", phones=[f"1390000{number:04}"]),
                    NOW,
                )
            hq.desk.publish_policy(POLICY_1)
            hq.desk.publish_prices("ps-1", 0, {"92": 7_850})
        station = StationKit(tmp_path / "ledger.db", broker, clock)
        expected = {"members": 2300, "policy": 1, "prices": 1}
        for _ in range(10_000):
            await asyncio.sleep(10)
            if station.store.catalogues.versions() == expected:
                break
        index = KeyedIndex(KEYS.index).of("phone", "139 0000 2299")
        found = station.store.catalogues.member_by_index("phone", index)
        assert found is not None
        assert found.ref == "m-2299"
        broker.mend()
        async with asyncio.timeout(24 * 3600):
            await station.sync.drained()
        state = hq.books.connection.execute("SELECT dataset, in_force FROM delivery").fetchall()
        assert {dataset: version for dataset, version in state if version} == expected
        await station.stop()
        await hq.stop()

    run_virtual(scenario())


def test_a_forged_catalogue_between_good_ones_stops_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        broker = MemoryBroker(Random(5))
        hq = HqKit(broker, clock)
        with hq.books.transaction():
            hq.desk.publish_policy(POLICY_1)
        await hq.send([Message(TOPIC, encode(catalogue(keys=STRANGER)))])
        station = StationKit(tmp_path / "ledger.db", broker, clock)
        await hq.send([Message(TOPIC, encode(catalogue(keys=STRANGER)))])
        await asyncio.sleep(60)
        assert station.store.catalogues.versions() == {"policy": 1}
        assert "prices_refused" in hq.alarms(), "HQ learns that somebody forges"
        await station.stop()
        await hq.stop()

    run_virtual(scenario())
