"""Notification and watchdog: fed while everything ticks, and only then."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.observe.clock import SystemClock
from edge_agent.observe.systemd import Notifier, Watchdog
from edge_agent.observe.time_service import Synchronisation


class Systemd:
    """The service manager's end of the notification socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def told(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    abstract = f"@edge-agent-test-{os.getpid()}-{tmp_path.name}"
    manager = Systemd(str(tmp_path / "notify") if request.param == "path" else abstract)
    yield manager
    manager.close()


class Hand(SystemClock):
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now_ms = 0
        super().__init__(ask=lambda: Synchronisation(True, 0, "test"))

    def monotonic_ms(self) -> int:
        return self.now_ms


def test_the_life_of_a_service(systemd: Systemd) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": systemd.address})
    notifier.ready("running")
    notifier.status("two\nlines")
    notifier.watchdog()
    notifier.stopping()
    assert systemd.told() == [
        "READY=1\nSTATUS=running",
        "STATUS=two lines",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=stopping",
    ]


def test_outside_systemd_nothing_happens(tmp_path: Path) -> None:
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()


@pytest.mark.parametrize(
    ("environ", "period_ms"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "30000000"}, 30_000),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30_000),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 0),
    ],
)
def test_the_watchdogs_period(environ: dict[str, str], period_ms: int) -> None:
    assert Notifier(environ).watchdog_ms == period_ms


@pytest.fixture
def fed(systemd: Systemd) -> tuple[Watchdog, Hand, dict[str, int], list[int]]:
    clock, ticks, beats = Hand(), {"bus dart": 0, "writer": 0}, [0]
    notifier = Notifier({"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "30000000"})

    def beat() -> None:
        beats[0] += 1

    return Watchdog(notifier, lambda: ticks, clock, beat), clock, ticks, beats


def test_the_watchdog_is_fed_only_while_every_part_ticks(
    systemd: Systemd, fed: tuple[Watchdog, Hand, dict[str, int], list[int]]
) -> None:
    watchdog, clock, ticks, beats = fed
    watchdog.look()
    assert systemd.told() == ["WATCHDOG=1"]
    clock.now_ms = 15_001
    ticks["bus dart"] = 15_000
    watchdog.look()
    watchdog.look()
    assert systemd.told() == ["STATUS=no sign of life from writer"]
    ticks["writer"] = 15_001
    watchdog.look()
    assert systemd.told() == ["STATUS=running", "WATCHDOG=1"]
    assert beats == [4]


async def test_it_looks_several_times_a_period(systemd: Systemd) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "40000"})
    watchdog = Watchdog(notifier, dict, SystemClock(), lambda: None)
    running = asyncio.create_task(watchdog.run())
    fed = 0
    async with asyncio.timeout(20):
        while fed < 3:
            await asyncio.sleep(0.005)
            fed += systemd.told().count("WATCHDOG=1")
    running.cancel()
