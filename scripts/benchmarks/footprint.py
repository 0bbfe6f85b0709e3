"""The daemon: resident memory, processor share and cold start, with 16 points on one line."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from edge_agent.config.paths import StationPaths
from edge_agent.config.station import KeysSection
from edge_agent.model.ids import FpId
from edge_agent.observe.clock import SystemClock, SystemEntropy
from edge_agent.security.sealing import Sealer
from edge_agent.sim.live.broker import free_port
from edge_agent.store.station import StationStore
from scripts.benchmarks.outside import KEYS, folder
from scripts.benchmarks.release import line_process, publish
from scripts.benchmarks.row import Row, Scale, median, say
from scripts.benchmarks.wire import bus_plan

MEMBERS: Final = 1_000
START_S: Final = 60.0
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_POINT: Final = """
[[buses.fuelling_points]]
number = {number}
address = {address}
bay = "bay-{number}"
"""
_NOZZLE: Final = """
[[buses.fuelling_points.nozzles]]
number = {number}
logical = {logical}
grade = "{grade}"
"""
_STATION: Final = """
config_version = 1
[station]
id = "bench-1"
name_zh = "测量站"
name_en = "Bench"
utc_offset_minutes = 480
[[grades]]
id = "92"
name = "92#"
[[grades]]
id = "95"
name = "95#"
[uplink]
host = "127.0.0.1"
port = {port}
insecure = true
[api]
host = "127.0.0.1"
port = 0
[[buses]]
id = "bus"
driver = "dart"
transport = {{ kind = "serial", port = "{device}" }}
[buses.options]
decimals_confirmed = true
"""


def measure(scale: Scale) -> list[Row]:
    """Measure cold starts, then a daemon that polls 16 points."""
    points, starts = scale.of(16, 16, 2), scale.of(5, 2, 1)
    settle_s, watch_s = scale.of(15, 12, 9), scale.of(20, 4, 1)  # first every point is programmed
    with folder() as path:
        start_s, bare_s = _cold_starts(path / "cold", points, starts)
    with folder() as path:
        memory_mib, share, bare_mib = asyncio.run(_watched(path, points, settle_s, watch_s))
        idle = points - _programmed(path, points)
    flaws = (f"{idle} points never took their prices",) if idle else ()
    return [
        Row(
            name="resident_memory", value=memory_mib, unit="MiB", limit=120.0,
            limit_name="promised", sense="at_most", goal_ratio=1.0,
            goal="resident memory without vision, 16 points: at most 120 MiB",
            peers={"a bare Python interpreter": bare_mib}, details={"points": points}, flaws=flaws,
        ),
        Row(
            name="processor_share", value=share * 100, unit="% of a core", limit=10.0,
            limit_name="promised", sense="at_most", goal_ratio=1.0,
            goal="polling 16 idle points on a 9600-baud line: at most 10 % of a core",
            details={"points": points, "seconds": watch_s}, flaws=flaws,
        ),
        Row(
            name="cold_start", value=median(start_s), unit="s", limit=2.0, limit_name="promised",
            sense="at_most", goal_ratio=1.0,
            goal="from the start of the process to the first poll on the line: at most 2 s",
            peers={"a bare Python interpreter, started and ended": median(bare_s)},
            details={"worst_s": max(start_s), "best_s": min(start_s), "starts": starts},
        ),
    ]  # fmt: skip


# --- cold start ---------------------------------------------------------------------------------


def _cold_starts(root: Path, points: int, starts: int) -> tuple[list[float], list[float]]:
    """Start the daemon and a bare interpreter in turn; return the seconds that each took."""
    took_s, bare_s = [], []
    descriptor, near = os.openpty()
    tty.setraw(near)
    paths = _station(root, points, os.ttyname(near))
    for _ in range(starts):
        _drop(descriptor)
        began = time.perf_counter()
        with _daemon(paths):
            if not select.select([descriptor], [], [], START_S)[0]:
                raise RuntimeError(f"no poll within {START_S:.0f} s: {_said(paths)}")
            took_s.append(time.perf_counter() - began)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", ""], check=True)
        bare_s.append(time.perf_counter() - began)
    os.close(descriptor)
    os.close(near)
    return took_s, bare_s


def _drop(descriptor: int) -> None:
    """Drop what an earlier daemon wrote."""
    while select.select([descriptor], [], [], 0)[0]:
        os.read(descriptor, 4096)


# --- memory and processor -----------------------------------------------------------------------


async def _watched(
    root: Path, points: int, settle_s: int, watch_s: int
) -> tuple[float, float, float]:
    """Return memory in MiB, the share of a core, and a bare interpreter's memory."""
    async with line_process(points) as (_, device):
        paths = await asyncio.to_thread(_station, root, points, device)
        with _daemon(paths) as process:
            await asyncio.sleep(settle_s)
            before_s = _processor_s(process.pid)
            await asyncio.sleep(watch_s)
            share = (_processor_s(process.pid) - before_s) / watch_s
            memory_mib = _resident_mib(process.pid)
            if process.poll() is not None:
                raise RuntimeError(f"the daemon ended: {_said(paths)}")
    return memory_mib, share, _bare_mib()


def _programmed(root: Path, points: int) -> int:
    """Return how many points confirmed their prices: those were polled for real."""
    with StationStore.open(
        StationPaths.under(root).ledger, clock=SystemClock(), entropy=SystemEntropy(),
        sealer=_sealer(StationPaths.under(root)), ballast_bytes=0,
    ) as store:  # fmt: skip
        applied = [store.books.applied_prices(FpId(fp)) for fp in range(1, points + 1)]
    return sum(prices is not None for prices in applied)


def _bare_mib() -> float:
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as bare:
        time.sleep(0.5)
        return _resident_mib(bare.pid)


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(kib) / 1024


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S  # utime and stime, proc(5)


# --- the daemon ---------------------------------------------------------------------------------


def _station(root: Path, points: int, device: str) -> StationPaths:
    """Write a station's files: configuration, keys, and books with policy, prices and members."""
    paths = StationPaths.under(root)
    paths.create()
    text = _STATION.format(port=free_port(), device=device)
    for point in bus_plan(points).fuelling_points:
        text += _POINT.format(number=point.fp, address=point.address)
        for nozzle in point.nozzles:
            text += _NOZZLE.format(number=nozzle.number, logical=nozzle.logical, grade=nozzle.grade)
    paths.config.write_text(text, encoding="utf-8")
    made = root / "provisioned"
    KEYS.provision(made)
    (made / "trusted_keys.json").rename(paths.key("hq-public-keys.json"))
    (made / "index.key").rename(paths.key("blind-index.key"))
    with StationStore.open(
        paths.ledger, clock=SystemClock(), entropy=SystemEntropy(), sealer=_sealer(paths),
        ballast_bytes=0,
    ) as store:  # fmt: skip
        asyncio.run(publish(store, MEMBERS))
    say(f"footprint: a station with {points} points on {device}")
    return paths


def _sealer(paths: StationPaths) -> Sealer:
    """Return the station's own sealer, so that the daemon reads what is written here."""
    return Sealer.load_or_create(paths.key(KeysSection().seal))


@contextmanager
def _daemon(paths: StationPaths) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "edge_agent", "--root", str(paths.root), "run"]
    with _log(paths).open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as daemon:
        try:
            yield daemon
        finally:
            daemon.kill()


def _log(paths: StationPaths) -> Path:
    return paths.var / "bench.log"


def _said(paths: StationPaths) -> str:
    return _log(paths).read_text(encoding="utf-8")[-500:]
