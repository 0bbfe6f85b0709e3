"""From the first byte that says "nozzle out" to the first byte of AUTHORIZE, on a full bus."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from drivers.contract import SerialLine
from drivers.transport.serial import SerialTransport
from edge_agent.app.forecourt import Forecourt
from edge_agent.app.station import StationFacts
from edge_agent.app.supervisor import Supervisor
from edge_agent.bootstrap.wiring import Agent, Outside, assemble
from edge_agent.core.point import Phase
from edge_agent.model.ids import BayId, CameraId, FpId, StationId
from edge_agent.model.plates import PlateSighting, parse_plate
from edge_agent.model.station import BusPlan, StationPlan
from edge_agent.observe.clock import SystemClock, SystemEntropy
from edge_agent.security.member_codes import SignedMemberCodes
from edge_agent.security.pins import GuardedPins
from edge_agent.security.signatures import TrustedKeys
from edge_agent.store.station import StationStore
from scripts.benchmarks.outside import (
    GRADES,
    INDEX,
    KEYS,
    NO_DIGEST,
    PRICES,
    NoParking,
    NoUplink,
    folder,
    lease,
    member,
    open_store,
    plate,
    policy_text,
)
from scripts.benchmarks.row import Row, Scale, median, percentile, say
from scripts.benchmarks.wire import bus_plan

BAUD: Final = 9600
READY_S: Final = 60.0
ANSWER_S: Final = 20.0


def measure(scale: Scale) -> list[Row]:
    """Measure releases of members by plate with 16 points on one line."""
    points, lifted, lifts = scale.of(16, 16, 2), scale.of(16, 2, 1), scale.of(48, 8, 2)
    with folder() as path, open_store(path) as store:
        found = asyncio.run(_releases(store, points, lifted, lifts))
    took = [release["took_ms"] for release in found]
    needed = median([release["needed_ms"] for release in found])
    ratios = [release["took_ms"] / release["needed_ms"] for release in found]
    confirming = median([release["confirming_ms"] for release in found])
    others = Counter(frame for release in found for frame in release["frames"])
    strange = others["POLL of another"] / len(found)
    return [
        Row(
            name="lift_to_authorise", value=median(ratios) * needed, unit="ms median",
            limit=needed, limit_name=f"bytes of the necessary exchanges at {BAUD} baud 8O1, ms",
            sense="at_most", goal_ratio=1.3,
            goal="nozzle out to AUTHORIZE, both first bytes on the wire: at most 1.3 x the wire",
            peers={"everything that was on the line meanwhile": median(
                [release["on_the_line_ms"] for release in found])},
            details={"p99_ms": percentile(took, 0.99), "ratio_p90": percentile(ratios, 0.9),
                     "ratio_worst": max(ratios), "ratio_best": min(ratios),
                     "confirming_the_lift_on_the_wire_ms": confirming,
                     "polls_of_others_between_mean": strange, "points": points,
                     "lifts": len(found)},
        )
    ]  # fmt: skip


async def publish(store: StationStore, members: int) -> None:
    """Bring policy, prices and members into force, as headquarters would."""
    catalogues = store.catalogues
    await catalogues.accept_policy(1, 1, policy_text(), sha256=NO_DIGEST)
    await catalogues.accept_prices(1, 1, [PRICES], sha256=NO_DIGEST)
    people = [member(number) for number in range(members)]
    await catalogues.accept_members(1, 1, people, replaced=False, sha256=NO_DIGEST)
    leases = [lease(number) for number in range(members)]
    await catalogues.accept_leases(1, 1, leases, [], sha256=NO_DIGEST)
    # Who never heard of headquarters charges nobody by plate.
    await store.books.note_heard(SystemClock().wall_ms())


def station(store: StationStore, bus: BusPlan, device: str) -> Agent:
    """Wire the real agent over a serial device."""
    plan = StationPlan(StationId("bench-1"), "测量站", "Bench", GRADES, (bus,))
    clock, verifier = SystemClock(), TrustedKeys({KEYS.key_id: KEYS.public})
    return assemble(
        Outside(
            facts=StationFacts(plan, "bench", demo=False), boot_id="bench", clock=clock,
            entropy=SystemEntropy(), store=store,
            transports=lambda _: SerialTransport(device, SerialLine(BAUD, "odd")),
            uplink=NoUplink(), index=INDEX, verifier=verifier,
            codes=SignedMemberCodes(verifier), pins=GuardedPins(clock), parking=NoParking(),
            utc_offset_minutes=480, cameras=tuple,
        )
    )  # fmt: skip


@asynccontextmanager
async def line_process(points: int) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run the line with its pumps in a process of its own; yields it and the serial device."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scripts.benchmarks.wire", str(points), str(BAUD),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process, (await _line_of(process)).strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _releases(
    store: StationStore, points: int, lifted: int, lifts: int
) -> list[dict[str, Any]]:
    """Release members at the first `lifted` points in turn, once unmeasured and then `lifts` times.

    The first release after a start has to reset the dispenser; each later one finds it reset.
    """
    await publish(store, lifted + lifts)
    async with line_process(points) as (process, device):
        agent = station(store, bus_plan(points, BAUD), device)
        running = asyncio.create_task(Supervisor(agent.outside.clock).run(agent.loops()))
        try:
            await _until_free(agent, range(1, points + 1))
            say(f"release: {points} points are ready on {device}")
            found = [
                await _release(agent, process, number % lifted + 1, number)
                for number in range(lifted + lifts)
            ]
            return found[lifted:]
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def _release(
    agent: Agent, process: asyncio.subprocess.Process, fp: int, number: int
) -> dict[str, Any]:
    """Let a member's car come, lift, be released, and hang up again."""
    await _until_free(agent, [fp])
    sighting = PlateSighting(
        CameraId("cam"), BayId(f"bay-{fp}"), parse_plate(plate(number)), 0.99, 3, True,
        agent.outside.clock.wall_ms(),
    )  # fmt: skip
    agent.station.self_service.on_sighting(sighting)
    await asyncio.sleep(random.uniform(0.05, 0.3))
    _order(process, f"lift {fp}")
    async with asyncio.timeout(ANSWER_S):
        release: dict[str, Any] = json.loads(await _line_of(process))
    await asyncio.sleep(0.3)
    body = agent.station.forecourt.point(FpId(fp)).current
    if body is None or body.body.member_ref != f"m-{number:07d}":
        raise RuntimeError(f"point {fp} was released to somebody else")
    _order(process, f"hang {fp}")
    return release


async def _until_free(agent: Agent, fps: Iterable[int]) -> None:
    forecourt = agent.station.forecourt
    async with asyncio.timeout(READY_S):
        for fp in fps:
            # Nobody tells when nothing blocks a point any more.
            while not _is_free(forecourt, FpId(fp)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)


def _is_free(forecourt: Forecourt, fp: FpId) -> bool:
    return forecourt.point(fp).phase is Phase.READY and forecourt.blocked(fp) is None


def _order(process: asyncio.subprocess.Process, order: str) -> None:
    if process.stdin is None:
        raise RuntimeError("the line's process has no input")
    process.stdin.write(f"{order}\n".encode())


async def _line_of(process: asyncio.subprocess.Process) -> str:
    if process.stdout is None:
        raise RuntimeError("the line's process has no output")
    line = await process.stdout.readline()
    if not line:
        raise RuntimeError("the line's process is gone")
    return line.decode()
