"""The peer of the backlog: mosquitto's own bridge between two mosquittos, read by a paho client."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge_agent.sim.live.broker import free_port, mosquitto_path, takes_connections
from scripts.benchmarks.row import say

IN_FLIGHT: Final = 100
"""Of paho: it becomes slower with each more."""
QUIET_S: Final = 10.0
"""Nothing came for so long: what is missing will not come any more."""
START_S: Final = 10.0
_COMMON: Final = """
allow_anonymous true
set_tcp_nodelay true
persistence true
persistence_location {folder}/
max_queued_messages 0
max_inflight_messages 1000
listener {port} 127.0.0.1
"""
_BRIDGE: Final = """
connection bridge
address 127.0.0.1:{to}
topic # out 1
cleansession false
notifications false
restart_timeout 1
"""


@dataclass(frozen=True, slots=True)
class Bridged:
    """How quickly the messages came over, from the first to the last, and how many did not."""

    rate: float
    missing: int
    twice: int


def bridged(path: Path, payloads: Sequence[bytes]) -> Bridged | None:
    """Queue messages on one mosquitto while the other is down, then let the bridge drain.

    The time before the first message, in which the bridge connects, is not counted against it, and
    it never has to write to disk. None where mosquitto is not installed.
    """
    if mosquitto_path() is None:
        return None
    near, far = free_port(), free_port()
    with ExitStack() as held:
        _subscribe_and_leave(path, far)
        _start(held, path / "near", near, _BRIDGE.format(to=far))
        _publish(near, payloads)
        say(f"backlog: {len(payloads)} messages wait at the bridge")
        _start(held, path / "far", far)
        return _received(far, len(payloads))


def _subscribe_and_leave(path: Path, port: int) -> None:
    """Make the reader's session at the far broker, which keeps it over a restart."""
    with ExitStack() as once:
        _start(once, path / "far", port)
        client = _client(port, "reader")
        ready: list[bool] = []
        client.on_subscribe = lambda *_: ready.append(True)
        client.subscribe("bench/#", qos=1)
        _loop_until(client, lambda: bool(ready))
        client.disconnect()
        client.loop(0.1)


def _start(held: ExitStack, folder: Path, port: int, more: str = "") -> None:
    folder.mkdir(exist_ok=True)
    config = folder / "mosquitto.conf"
    # Started by root it would give its rights up, and could not reach the folder any more.
    user = f"user {getuser()}\n"
    config.write_text(user + _COMMON.format(folder=folder, port=port) + more, encoding="utf-8")
    process = subprocess.Popen(
        [str(mosquitto_path()), "-c", str(config)], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def end() -> None:
        process.terminate()
        process.wait(timeout=60)

    held.callback(end)
    deadline = time.monotonic() + START_S
    while not takes_connections(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("mosquitto does not start")
        time.sleep(0.02)


def _client(port: int, name: str) -> paho.Client:
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id=name, clean_session=False, protocol=paho.MQTTv311
    )
    client.max_inflight_messages_set(IN_FLIGHT)
    client.max_queued_messages_set(0)
    client.connect("127.0.0.1", port)
    _loop_until(client, client.is_connected)
    return client


def _publish(port: int, payloads: Sequence[bytes]) -> None:
    client = _client(port, "writer")
    acked = 0

    def published(*_: Any) -> None:
        nonlocal acked
        acked += 1

    client.on_publish = published
    for sent, payload in enumerate(payloads, start=1):
        client.publish("bench/row", payload, qos=1)
        while sent - acked >= IN_FLIGHT:
            client.loop(0.1)
    _loop_until(client, lambda: acked == len(payloads))
    client.disconnect()


def _received(port: int, expected: int) -> Bridged:
    client = _client(port, "reader")
    hashes: list[int] = []
    times: list[float] = []

    def message(_client: Any, _data: Any, arrived: paho.MQTTMessage) -> None:
        hashes.append(hash(bytes(arrived.payload)))
        times.append(time.perf_counter())

    client.on_message = message
    quiet_since = time.perf_counter()
    while len(hashes) < expected or len(set(hashes)) < expected:
        before = len(hashes)
        client.loop(0.1)
        now = time.perf_counter()
        quiet_since = now if len(hashes) > before else quiet_since
        if now - quiet_since > QUIET_S:
            break
    client.disconnect()
    different = len(set(hashes))
    took_s = times[-1] - times[0] if len(times) > 1 else QUIET_S
    return Bridged(different / took_s, expected - different, len(hashes) - different)


def _loop_until(client: paho.Client, holds: Any) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        client.loop(0.1)
        if time.monotonic() > deadline:
            raise RuntimeError("the broker does not answer")
