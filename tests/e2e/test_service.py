"""The agent as a service: told to stop, started again, started twice, watched by systemd."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_agent.model.dispenser import DispenserStatus
from edge_agent.model.ids import LogicalNozzle
from edge_agent.model.units import Volume
from edge_agent.sim.live.broker import takes_connections
from tests.e2e.station import Station, command, until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.broker,
    pytest.mark.timeout(240),
]

FIRST = LogicalNozzle(1)
BOTH = (1, 3)
"""A point on DART over a pty, and one on Modbus TCP."""


async def started_again(station: Station) -> None:
    await station.rig.start_agent()
    await station.selling()


async def stopped(station: Station) -> None:
    agent = station.agent
    agent.send_signal(signal.SIGTERM)
    assert await station.ended(agent) == 0


def count_stops(station: Station, fp: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note each time that a pump is told to stop."""
    stops: list[int] = []
    pump = station.pump(fp)
    really = pump.stop

    def stop(now_ms: int, *, also_when_idle: bool = False) -> bool:
        stops.append(now_ms)
        return really(now_ms, also_when_idle=also_when_idle)

    monkeypatch.setattr(pump, "stop", stop)
    return stops


async def completed(station: Station) -> list[dict[str, Any]]:
    return [record["body"] for record in await station.records("fuelling.completed")]


async def test_a_stop_waits_for_the_fuel_that_flows(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops = [count_stops(station, fp, monkeypatch) for fp in BOTH]
    fuellings = {await station.begin(fp): station.pump(fp) for fp in BOTH}
    agent = station.agent
    agent.send_signal(signal.SIGTERM)

    async def told() -> bool:
        return bool((await station.point(4))["blocked"] == "agent_stopping")

    await until(told, "the screen says that the agent is stopping")
    refused = await station.ask("POST", "/v1/fuelling-points/4/authorise", {})
    assert (refused.status, refused.body["code"]) == (409, "agent_stopping")
    delivered = {}
    for fuelling, pump in fuellings.items():
        pump.advance(station.now_ms())
        assert pump.is_flowing
        pump.hang(station.now_ms())
        delivered[fuelling] = ("observed", pump.volume_ml, pump.amount_fen)
        assert agent.poll() is None
    assert await station.ended(agent) == 0
    assert stops == [[], []]

    await started_again(station)
    last = (await completed(station))[-2:]
    assert delivered == {
        body["fuelling_id"]: (body["origin"], body["volume_ml"], body["amount_fen"])
        for body in last
    }
    kinds = ("station.started", "fuelling.completed", "station.stopped")
    order = [record["kind"] for record in await station.records(*kinds)]
    assert order[-3:] == ["fuelling.completed", "station.stopped", "station.started"]
    for fuelling in fuellings:
        await station.pay(fuelling)
    await station.agrees()


async def test_what_still_flows_at_the_end_is_taken_up_by_the_next_start(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops = count_stops(station, 1, monkeypatch)
    carried = await station.begin(2)
    fuelling = await station.begin(1)
    await stopped(station)
    for fp in (1, 2):
        station.pump(fp).advance(station.now_ms())
        assert station.pump(fp).is_flowing
    station.pump(1).hang(station.now_ms())

    await station.rig.start_agent()

    async def recovered() -> bool:
        return any(body["fuelling_id"] == fuelling for body in await completed(station))

    await until(recovered, "the fuelling that ended meanwhile is recorded")
    assert station.pump(2).is_flowing
    assert (await station.point(2))["fuelling_id"] == carried
    second = await station.hang(2)
    assert second["fuelling_id"] == carried
    assert stops == []
    found = [body for body in await completed(station) if body["fuelling_id"] == fuelling]
    assert [body["origin"] for body in found] == ["recovered"]
    await station.pay(fuelling)
    await station.pay(carried)
    await station.selling()
    await station.agrees()


async def test_a_restart_tells_a_retained_display_from_an_equal_sale(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four pumps show the same three litres: two still do, two sold them again by themselves."""
    sold_alone = (2, 4)
    for fp in (*BOTH, *sold_alone):
        monkeypatch.setattr(station.pump(fp), "retains_display", True)
        await station.sell(fp, 3_000)
    before = await completed(station)
    await stopped(station)
    for fp in sold_alone:
        station.pump(fp).sell_offline(FIRST, Volume(3_000))
    assert [station.pump(fp).volume_ml for fp in (1, 2, 3, 4)] == [3_000] * 4

    await started_again(station)
    found = (await completed(station))[len(before) :]
    assert sorted((body["fp"], body["origin"], body["volume_ml"]) for body in found) == [
        (2, "offline", 3_000),
        (4, "offline", 3_000),
    ]
    assert {body["fuelling_id"] for body in found}.isdisjoint(b["fuelling_id"] for b in before)
    for body in found:
        await station.pay(body["fuelling_id"])
    await station.agrees()


async def test_an_authorisation_that_a_crash_left_behind_ends(station: Station) -> None:
    """Released, never lifted, killed: the pump is free again and nothing was sold."""
    answer = await station.ask("POST", "/v1/fuelling-points/1/authorise", {})
    assert answer.status == 200
    station.rig.kill_agent()
    await started_again(station)
    assert station.pump(1).status is DispenserStatus.IDLE
    cancelled = [record["body"] for record in await station.records("fuelling.cancelled")]
    assert cancelled[-1]["fuelling_id"] == answer.body["fuelling_id"]
    await station.sell(1)
    await station.agrees()


async def test_a_second_agent_is_refused_and_the_first_goes_on(station: Station) -> None:
    first = station.agent
    second = await command("run", "--demo", root=station.rig.paths.root)
    assert second.code == 1
    assert "agent_already_running" in second.err
    assert f"process {first.pid}" in second.err
    assert "已有一个加油站程序" in second.err
    assert "Traceback" not in second.err
    assert first.poll() is None
    assert station.rig.paths.pid.read_text(encoding="ascii").strip() == str(first.pid)
    await station.sell(1)
    await station.sell(3)
    await station.agrees()


# --- systemd ---------------------------------------------------------------------------------


@contextmanager
def service_manager(path: Path, station: Station) -> Iterator[list[str]]:
    """Listen as systemd does; each notification is noted with whether the API took connections."""
    heard: list[str] = []
    loop = asyncio.get_running_loop()

    def hear() -> None:
        said = manager.recv(4096).decode()
        if "READY=1" in said:
            address = station.rig.paths.address.read_text(encoding="ascii").strip()
            said += f"\nopen={takes_connections(int(address.rpartition(':')[2]))}"
        heard.append(said)

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as manager:
        manager.bind(str(path))
        loop.add_reader(manager, hear)
        try:
            yield heard
        finally:
            loop.remove_reader(manager)


async def test_systemd_is_told_of_start_life_and_stop(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stopped(station)
    with service_manager(tmp_path / "notify", station) as heard:
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "4000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        await started_again(station)
        ready = [said for said in heard if "READY=1" in said]
        assert len(ready) == 1
        assert "open=True" in ready[0]

        async def fed() -> bool:
            return sum("WATCHDOG=1" in said for said in heard) >= 4

        await until(fed, "the watchdog is fed again and again")
        assert not any("STOPPING=1" in said for said in heard)
        await stopped(station)

        async def told() -> bool:
            return any("STOPPING=1" in said for said in heard)

        await until(told, "systemd hears that the agent stops")
