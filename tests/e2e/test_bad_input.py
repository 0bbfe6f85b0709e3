"""Bad input at every door of a running agent: refused with a reason, counted, and it sells on."""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from collections.abc import AsyncIterator
from typing import Any

import paho.mqtt.client as paho
import pytest
import pytest_asyncio
from paho.mqtt.enums import CallbackAPIVersion

from edge_agent.model import topics
from edge_agent.model.wire import (
    MAX_MESSAGE_BYTES,
    MAX_PLAIN_BYTES,
    SignedCatalogue,
    encode,
    payload_digest,
)
from tests.e2e.station import Station, until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.broker]

STATION = "demo-1"
GARBAGE = (
    random.Random(1).randbytes(300),
    bytes.fromhex("5030010105"),  # a frame cut short
    bytes.fromhex("5031010105ffff03fa"),  # a whole frame with a wrong checksum
    bytes(200),
    b"\xfa" * 50,
)


# --- on a bus --------------------------------------------------------------------------------


async def test_garbage_on_a_bus_is_counted_and_polling_goes_on(station: Station) -> None:
    line = station.rig.pumps.lines["dart"]
    faults = await station.figure('edge_bus_faults_total{bus="dart"}')
    for noise in GARBAGE:
        await line.write(noise)
        sent = await station.figure('edge_bus_bytes_total{bus="dart",direction="sent"}')

        async def polls_on(sent: float = sent) -> bool:
            now = await station.figure('edge_bus_bytes_total{bus="dart",direction="sent"}')
            return now > sent

        await until(polls_on, "the bus is polled after the noise")
    assert await station.figure('edge_bus_faults_total{bus="dart"}') > faults
    assert await station.figure('edge_bus_connected{bus="dart"}') == 1
    assert await station.figure("edge_loop_failures_total") == 0
    await station.selling()
    await station.sell(1)
    await station.sell(3)
    await station.agrees()


async def test_noise_while_fuel_flows_costs_no_drop(station: Station) -> None:
    chance = random.Random(2)
    fuelling = await station.begin(2, 12_000)
    for _ in range(20):
        await station.rig.pumps.lines["dart"].write(chance.randbytes(chance.randint(1, 60)))
        await asyncio.sleep(0.02)
    body = await station.end(2)
    assert (body["fuelling_id"], body["volume_ml"]) == (fuelling, 12_000)
    await station.pay(fuelling)
    await station.agrees()


# --- from the broker -------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stranger(station: Station) -> AsyncIterator[paho.Client]:
    """Somebody at the broker who is not headquarters."""
    client = paho.Client(CallbackAPIVersion.VERSION2, "stranger", protocol=paho.MQTTv5)
    client.connect("127.0.0.1", station.rig.broker.port)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


def forged(key_id: str, dataset: str = "prices") -> bytes:
    """Return a catalogue that sells everything for almost nothing, signed by nobody."""
    sets = [{"id": "cheap", "prices": {"0": 1, "92": 1, "95": 1}, "valid_from_ms": 0}]
    payload = json.dumps({"price_sets": sets}, sort_keys=True, separators=(",", ":"))
    return encode(
        SignedCatalogue(
            dataset="prices" if dataset == "prices" else "policy", version=99, counter=2**52,
            scope=STATION, issued_ms=0, not_before_ms=0, expires_ms=2**52,
            sha256=payload_digest(payload), payload=payload, key_id=key_id, signature="ab" * 64,
        )
    )  # fmt: skip


def trusted_key(station: Station) -> str:
    keys = json.loads(station.rig.paths.key("hq-public-keys.json").read_text(encoding="ascii"))
    return str(next(iter(keys)))


async def refusal(
    station: Station, stranger: paho.Client, topic: str, payload: bytes
) -> dict[str, Any]:
    """Send a message and return the record of its refusal."""
    before = len(await station.records("downlink.refused"))
    stranger.publish(topic, payload, qos=1)

    async def recorded() -> bool:
        return len(await station.records("downlink.refused")) > before

    await until(recorded, f"the refusal of a message on {topic} is recorded")
    found: dict[str, Any] = (await station.records("downlink.refused"))[-1]["body"]
    return found


ALARMS = frozenset({"prices_refused"})
"""What headquarters is told of the catalogues that it never sent."""
BOMB = zlib.compress(bytes(MAX_PLAIN_BYTES + 1))


@pytest.mark.parametrize(
    ("last", "payload", "reason"),
    [
        ("ack", b"\xff\x00 no message", "malformed"),
        ("ack", zlib.compress(b'{"v":1,"station":7}'), "malformed"),
        ("catalogue", zlib.compress(b"[" * 5000), "malformed"),
        ("catalogue", BOMB, "oversized"),
        ("catalogue", bytes(MAX_MESSAGE_BYTES + 1), "oversized"),
        ("nonsense", b"x", "unknown_topic"),
    ],
    ids=["bytes", "types", "nested", "bomb", "too-long", "topic"],
)
async def test_a_bad_message_is_refused_parked_and_recorded(
    station: Station, stranger: paho.Client, last: str, payload: bytes, reason: str
) -> None:
    topic = f"forecourt/v1/{STATION}/down/{last}"
    record = await refusal(station, stranger, topic, payload)
    assert record["reason"] == reason
    assert (record["topic"], record["size_bytes"]) == (topic, len(payload))
    notes = [
        json.loads(note.read_text(encoding="utf-8"))
        for note in station.rig.paths.parked.glob("*.json")
    ]
    assert {"topic": topic, "reason": reason, "size_bytes": len(payload)} in notes


async def test_a_forged_catalogue_changes_nothing(station: Station, stranger: paho.Client) -> None:
    before = await station.view()
    topic = topics.down(STATION, "catalogue")
    strange = await refusal(station, stranger, topic, forged("0" * 16))
    assert strange["reason"] == "unknown_key"
    copied = await refusal(station, stranger, topic, forged(trusted_key(station)))
    assert copied["reason"] == "bad_signature"
    shared = await refusal(station, stranger, topics.SHARED_CATALOGUE, forged(trusted_key(station)))
    assert shared["reason"] == "bad_signature"
    after = await station.view()
    assert after["catalogues"] == before["catalogues"]
    assert after["price_set"] == before["price_set"]
    sold = await station.sell(3)
    assert sold["unit_price_milli"] == 7_500


async def test_the_station_stays_with_headquarters(station: Station) -> None:
    """After all that the uplink stands, and headquarters knows of the forged catalogue."""
    await station.agrees(ALARMS)
    assert (await station.view())["sync"]["connected"] is True
    assert await station.figure("edge_hq_fork_alarm") == 0
    assert await station.figure("edge_loop_failures_total") == 0


# --- from a client ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/fuelling-points/77/authorise", {}, 404, "fp_unknown"),
        ("/v1/fuelling-points/1/authorise", {"presett": 1}, 422, "request_invalid"),
        (
            "/v1/fuelling-points/1/authorise",
            {"preset_volume_ml": 1000, "preset_amount_fen": 1000},
            422,
            "request_invalid",
        ),
        ("/v1/fuelling-points/1/authorise", {"preset_volume_ml": "20"}, 422, "request_invalid"),
        ("/v1/fuelling-points/1/authorise", b"{", 422, "request_invalid"),
        ("/v1/fuelling-points/1/authorise", b"[" * 70_000, 413, "body_too_large"),
        ("/v1/nothing", {}, 404, "not_found"),
        ("/v1/station", {}, 405, "method_not_allowed"),
    ],
    ids=["point", "key", "rule", "type", "cut", "long", "address", "method"],
)
async def test_a_wrong_request_gets_a_code_and_both_languages(
    station: Station, path: str, body: object, status: int, code: str
) -> None:
    answer = await station.ask("POST", path, body)
    assert (answer.status, answer.body["code"]) == (status, code), answer.body
    assert answer.body["text_en"].isascii()
    assert any("\u4e00" <= character <= "\u9fff" for character in answer.body["text_zh"])
    if code == "request_invalid":
        assert answer.body["fields"]
    assert (await station.view())["station"] == STATION


async def test_a_point_in_use_is_not_released_again(station: Station) -> None:
    await station.begin(1, 3_000)
    answer = await station.ask("POST", "/v1/fuelling-points/1/authorise", {})
    assert (answer.status, answer.body["code"]) == (409, "fp_busy")
    assert answer.body["text_zh"]
    body = await station.end(1)
    await station.pay(body["fuelling_id"])
    again = await station.ask(
        "POST",
        f"/v1/fuellings/{body['fuelling_id']}/settle",
        {"tenders": [{"means": "cash"}]},
        {"Idempotency-Key": "another-key"},
    )
    assert (again.status, again.body["code"]) == (409, "sale_already_settled")
    await station.agrees(ALARMS)
