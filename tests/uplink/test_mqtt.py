"""The MQTT uplink against a real broker: paho's ways must not lose, double or hold anything."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from edge_agent.model import topics
from edge_agent.model.errors import LinkLost
from edge_agent.model.wire import MAX_MESSAGE_BYTES, Death, decode_presence, encode
from edge_agent.ports import Inbound
from edge_agent.sim.live.broker import LocalBroker
from edge_agent.uplink.mqtt import MqttUplink
from edge_agent.uplink.settings import MqttSettings
from tests.sync_kit import SeededEntropy

pytestmark = pytest.mark.broker
_names = itertools.count()


class Client:
    """An uplink with its task, and what it received."""

    def __init__(self, uplink: MqttUplink) -> None:
        self.uplink = uplink
        self.stream = uplink.messages()
        self.task = asyncio.create_task(uplink.run())

    async def next(self) -> Inbound | bool:
        async with asyncio.timeout(20):
            return await anext(self.stream)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def client(broker: LocalBroker, name: str, filters: Sequence[str] | None = None) -> Client:
    settings = MqttSettings(
        "127.0.0.1", broker.port, name, retry_first_s=0.05, retry_most_s=0.2, session_expiry_s=60
    )
    will = (topics.up(name, "birth"), encode(Death(station=name, boot_id="b")))
    wanted = topics.station_filters(name) if filters is None else filters
    return Client(MqttUplink(settings, wanted, will, SeededEntropy(name)))


@asynccontextmanager
async def joined(
    broker: LocalBroker, name: str, filters: Sequence[str] | None = None
) -> AsyncIterator[Client]:
    made = client(broker, name, filters)
    try:
        assert await made.next() is True
        yield made
    finally:
        await made.stop()


def new_name() -> str:
    return f"S-{next(_names)}"


async def test_a_message_travels_and_news_of_the_link_comes_first(broker: LocalBroker) -> None:
    name = new_name()
    async with (
        joined(broker, name) as station,
        joined(broker, f"{name}-hq", [topics.up(name, "ledger")]) as hq,
    ):
        await station.uplink.publish(topics.up(name, "ledger"), b"rows", expiry_s=60)
        assert await hq.next() == Inbound(topics.up(name, "ledger"), b"rows")
        await hq.uplink.publish(topics.down(name, "ack"), b"ack")
        assert await station.next() == Inbound(topics.down(name, "ack"), b"ack")


async def test_more_than_twenty_in_flight_wait_their_turn_and_keep_their_order(
    broker: LocalBroker,
) -> None:
    name = new_name()
    topic = topics.up(name, "ledger")
    async with joined(broker, name) as station, joined(broker, f"{name}-hq", [topic]) as hq:
        sending = asyncio.gather(
            *(station.uplink.publish(topic, str(number).encode()) for number in range(300))
        )
        received = [await hq.next() for _ in range(300)]
        await sending
        assert [item.payload for item in received if isinstance(item, Inbound)] == [
            str(number).encode() for number in range(300)
        ]


async def test_without_a_connection_publishing_fails_and_nothing_is_kept() -> None:
    uplink = MqttUplink(MqttSettings("127.0.0.1", 1, "S-x"), ["a"], ("w", b""), SeededEntropy(1))
    assert not uplink.connected
    with pytest.raises(LinkLost):
        await uplink.publish("a", b"x")


async def test_a_broker_that_is_killed_and_comes_back_is_found_again(
    own_broker: LocalBroker,
) -> None:
    name = new_name()
    topic = topics.up(name, "ledger")
    async with joined(own_broker, name) as station:
        own_broker.kill()
        assert await station.next() is False
        with pytest.raises(LinkLost):
            await station.uplink.publish(topic, b"lost")
        assert station.uplink.last_reason
        own_broker.start(port=own_broker.port, prefer=own_broker.kind)
        assert await station.next() is True
        async with joined(own_broker, f"{name}-hq", [topic]) as hq:
            await station.uplink.publish(topic, b"after")
            assert await hq.next() == Inbound(topic, b"after"), "nothing was kept in memory"


async def test_waiting_publishers_are_told_when_the_connection_ends(
    own_broker: LocalBroker,
) -> None:
    name = new_name()
    async with joined(own_broker, name) as station:
        waiting = [
            asyncio.create_task(station.uplink.publish(topics.up(name, "ledger"), bytes(900_000)))
            for _ in range(60)
        ]
        await asyncio.sleep(0)  # twenty are under way now, forty wait
        own_broker.kill()
        async with asyncio.timeout(20):
            results = await asyncio.gather(*waiting, return_exceptions=True)
        assert any(isinstance(result, LinkLost) for result in results)
        assert all(result is None or isinstance(result, LinkLost) for result in results)


async def test_a_downlink_that_was_not_dealt_with_comes_again(broker: LocalBroker) -> None:
    name = new_name()
    topic = topics.down(name, "catalogue")
    async with joined(broker, f"{name}-hq", ["nothing"]) as hq:
        station = client(broker, name)
        assert await station.next() is True
        await hq.uplink.publish(topic, b"first")
        await hq.uplink.publish(topic, b"second")
        assert await station.next() == Inbound(topic, b"first")
        assert await station.next() == Inbound(topic, b"second")  # acknowledges the first
        await station.stop()
        again = client(broker, name)
        try:
            assert await again.next() is True
            assert await again.next() == Inbound(topic, b"second")
        finally:
            await again.stop()


async def test_a_second_client_of_our_name_cuts_us_off(broker: LocalBroker) -> None:
    name = new_name()
    first = client(broker, name)
    assert await first.next() is True
    second = client(broker, name)
    try:
        assert await second.next() is True
        assert await first.next() is False
    finally:
        await first.stop()
        await second.stop()


async def test_a_station_that_leaves_lets_the_broker_say_so(
    broker: LocalBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.uplink.connection.WILL_DELAY_S", 0)
    name = new_name()
    topic = topics.up(name, "birth")
    async with joined(broker, f"{name}-hq", [topic]) as hq:
        station = client(broker, name)
        assert await station.next() is True
        await station.stop()
        word = await hq.next()
        assert isinstance(word, Inbound)
        assert decode_presence(word.payload, name) == Death(station=name, boot_id="b")


async def test_messages_beyond_the_bound_do_not_reach_us(broker: LocalBroker) -> None:
    name = new_name()
    topic = topics.down(name, "catalogue")
    async with joined(broker, name) as station, joined(broker, f"{name}-hq", ["nothing"]) as hq:
        await hq.uplink.publish(topic, bytes(MAX_MESSAGE_BYTES + 10_000))
        await asyncio.sleep(0.3)
        if not hq.uplink.connected:
            assert await hq.next() is False
            assert await hq.next() is True
        await hq.uplink.publish(topic, b"small")
        assert await station.next() == Inbound(topic, b"small")
