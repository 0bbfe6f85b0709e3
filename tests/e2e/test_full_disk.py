"""The disk is full, or refuses: what flows is finished and recorded, nothing new begins."""

from __future__ import annotations

import asyncio
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.station import Station, running_station, until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.broker,
    pytest.mark.timeout(240),
]

DISK_BYTES = 32 * 1024 * 1024
SLOW_ML_PER_S = 500


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A root whose books lie on a small file system of their own, where one may be mounted."""
    folder = tmp_path_factory.mktemp("station")
    var = folder / "station" / "var"
    var.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(var)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield folder
        return
    yield folder
    subprocess.run(["umount", str(var)], check=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def station(root: Path) -> AsyncIterator[Station]:
    async with running_station(root) as running:
        for fp in (1, 2, 3, 4):
            running.pump(fp).flow_ml_per_s = SLOW_ML_PER_S
        yield running


def fill(file: Path) -> None:
    """Write until the file system takes nothing more, to the last page."""
    with file.open("ab", buffering=0) as filler:
        for piece in (1024 * 1024, 4096, 1):
            try:
                while filler.write(bytes(piece)) == piece:
                    pass
            except OSError:
                continue


async def is_in_trouble(station: Station) -> bool:
    """Let the agent write something harmless, then ask it about its disk."""
    await station.ask("POST", "/v1/fuelling-points/4/stop")
    return not (await station.view())["storage_ok"]


async def refuses_to_release(station: Station) -> None:
    """Hold the screen and the door against each other: nothing new begins."""
    refused = await station.ask("POST", "/v1/fuelling-points/3/authorise", {})
    assert (refused.status, refused.body["code"]) == (409, "storage_unavailable")
    assert "磁盘" in refused.body["text_zh"]
    view = await station.view()
    assert [p["blocked"] for p in view["fuelling_points"] if p["fp"] in {3, 4}] == [
        "storage_unavailable",
        "storage_unavailable",
    ]
    assert "storage_unavailable" in [problem["code"] for problem in view["problems"]]
    assert await station.figure("edge_storage_healthy") == 0
    status = await station.edge_agent("status", "--json")
    assert (status.code, status.json["storage_ok"]) == (5, False)


async def flows_on(station: Station, fp: int) -> bool:
    pump = station.pump(fp)
    before = pump.volume_ml
    await asyncio.sleep(0.1)
    pump.advance(station.now_ms())
    return pump.is_flowing and pump.volume_ml > before


async def is_well(station: Station) -> bool:
    return bool((await station.view())["storage_ok"])


async def test_on_a_full_disk_the_reserve_records_what_flows(station: Station) -> None:
    var = station.rig.paths.var
    if not var.is_mount():
        pytest.skip("no small file system could be mounted: that needs root")
    ballast, filler = var / "ledger.db.ballast", var / "recordings.bin"
    assert ballast.stat().st_size == 8 * 1024 * 1024
    fuelling = await station.begin(1)
    await asyncio.to_thread(fill, filler)

    await until(lambda: is_in_trouble(station), "the agent notices the full disk")
    assert not ballast.exists()
    await refuses_to_release(station)
    assert await flows_on(station, 1)
    body = await station.hang(1)
    assert (body["fuelling_id"], body["origin"]) == (fuelling, "observed")
    await station.pay(fuelling)
    assert not await is_well(station)

    filler.unlink()
    await until(lambda: is_well(station), "the agent notices that there is space again")
    assert ballast.stat().st_size == 8 * 1024 * 1024
    await station.selling()
    await station.sell(3)
    await station.agrees()


async def test_what_a_refusing_disk_could_not_take_is_written_later(station: Station) -> None:
    """No file of the agent may be written at all, as when the kernel remounts a disk read-only."""
    fuelling = await station.begin(1)
    agent = station.agent
    unlimited = resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        await until(lambda: is_in_trouble(station), "the agent notices the broken disk")
        await refuses_to_release(station)
        assert await flows_on(station, 1)
        pump = station.pump(1)
        pump.hang(station.now_ms())
        shown = (pump.volume_ml, pump.amount_fen)
        for _ in range(10):
            await asyncio.sleep(0.2)
            assert (pump.volume_ml, pump.amount_fen) == shown  # not cleared before it is recorded
        assert (await station.records("fuelling.authorised"))[-1]["body"]["fuelling_id"] == fuelling
        assert agent.poll() is None
    finally:
        resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, unlimited)

    async def recorded() -> bool:
        done = await station.records("fuelling.completed")
        return any(record["body"]["fuelling_id"] == fuelling for record in done)

    await until(recorded, "the fuelling is recorded once the disk takes it")
    body = (await station.records("fuelling.completed"))[-1]["body"]
    assert (body["volume_ml"], body["amount_fen"]) == shown
    assert body["origin"] == "observed"
    await until(lambda: is_well(station), "the agent notices that the disk is well")
    await station.pay(fuelling)
    await station.selling()
    await station.sell(3)
    await station.agrees()
