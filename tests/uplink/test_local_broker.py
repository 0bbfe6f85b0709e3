"""The broker that demo and tests start for themselves, of either kind."""

from __future__ import annotations

import importlib.util

import pytest

from edge_agent.model import topics
from edge_agent.ports import Inbound
from edge_agent.sim.live.broker import Kind, LocalBroker, mosquitto_path, takes_connections
from tests.uplink.test_mqtt import joined

pytestmark = pytest.mark.broker


@pytest.fixture(params=["mosquitto", "wheel"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of broker that is installed here."""
    wanted: Kind = request.param
    if wanted == "mosquitto" and not mosquitto_path():
        pytest.skip("mosquitto is not installed")
    if wanted == "wheel" and importlib.util.find_spec("iotcore") is None:
        pytest.skip("the wheel of the broker is not installed")
    return wanted


async def test_it_carries_large_messages_both_ways_and_comes_back_on_its_port(kind: Kind) -> None:
    broker = LocalBroker()
    broker.start(kind)
    try:
        assert broker.kind == kind
        port = broker.port
        for turn in range(2):
            name = f"S-{turn}"
            topic = topics.up(name, "ledger")
            async with joined(broker, name) as station, joined(broker, "hq", [topic]) as hq:
                await station.uplink.publish(topic, bytes(900_000), expiry_s=60)
                assert await hq.next() == Inbound(topic, bytes(900_000))
                await hq.uplink.publish(topics.down(name, "ack"), b"down")
                assert await station.next() == Inbound(topics.down(name, "ack"), b"down")
            broker.kill()
            assert not takes_connections(port)
            broker.start(kind, port=port)
            assert broker.port == port
    finally:
        broker.stop()
        broker.stop()
    assert not takes_connections(broker.port)


async def test_what_it_should_keep_it_keeps_over_a_stop_in_good_order() -> None:
    if not mosquitto_path():
        pytest.skip("mosquitto is not installed")
    broker = LocalBroker()
    broker.start(keeps=True)
    try:
        port = broker.port
        topic = topics.down("S-1", "ack")
        async with joined(broker, "hq", ["nothing"]) as hq:
            async with joined(broker, "S-1"):
                pass
            await hq.uplink.publish(topic, b"while away")
            broker.pause()
            assert await hq.next() is False
            broker.start(port=port, keeps=True)
            async with joined(broker, "S-1") as station:
                assert await station.next() == Inbound(topic, b"while away")
    finally:
        broker.stop()
