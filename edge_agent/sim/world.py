"""A station in virtual time: pumps, broker, headquarters, and an agent that may die."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from edge_agent.app.station import Station, StationFacts
from edge_agent.app.supervisor import LoopFailed, Supervisor
from edge_agent.bootstrap.wiring import Agent, Outside, assemble
from edge_agent.core.point import Phase
from edge_agent.model import topics
from edge_agent.model.errors import Problem, RefusedError, SaleRefused, StorageUnavailable
from edge_agent.model.ledger import LedgerRecord
from edge_agent.model.records import StationStarted
from edge_agent.model.station import StationPlan
from edge_agent.security.blind_index import KeyedIndex
from edge_agent.security.member_codes import SignedMemberCodes
from edge_agent.security.sealing import SEAL_KEY_BYTES, Sealer
from edge_agent.security.signatures import TrustedKeys
from edge_agent.sim.headquarters import SimHeadquarters
from edge_agent.sim.held_checks import OpenLease
from edge_agent.sim.memory_broker import MemoryBroker, MemoryUplink
from edge_agent.sim.process import Process
from edge_agent.sim.virtual_time import VirtualClock
from edge_agent.sim.yard import Yard
from edge_agent.store.station import StationStore

T = TypeVar("T")

ANSWER_S: Final = 30.0
"""How long people wait for the agent's answer."""
REST_MS: Final = 6 * 3_600_000
"""How long a station may take to come to rest once the faults are over."""

STAFF: Final = {"second": "135790"}
"""Who may confirm beside the attendant, and by which PIN."""
PIN_WRONG: Final = Problem("pin_wrong", "密码错误", "the PIN is wrong")


class SeededEntropy:
    """`ports.Entropy` from a seed."""

    def __init__(self, seed: str) -> None:
        self._chance = random.Random(seed)

    def token(self, bytes_count: int) -> bytes:
        """Return repeatable bytes."""
        return self._chance.randbytes(bytes_count)

    def uniform(self) -> float:
        """Return a repeatable number in [0, 1)."""
        return self._chance.random()


class PlainPins:
    """`ports.Pins` that compares a PIN with itself: hashing in a thread knows no virtual time."""

    async def check(self, subject: str, pin_hash: str, pin: str) -> None:
        """Return when the PIN is right. Raises `SaleRefused`: `pin_wrong`."""
        if pin_hash != pin:
            raise SaleRefused(PIN_WRONG, subject)


class NoParking:
    """`ports.Parking` that only counts."""

    def __init__(self) -> None:
        self.parked = 0

    def park(self, topic: str, reason: str, payload: bytes) -> None:
        """Count what was refused."""
        del topic, reason, payload
        self.parked += 1


@dataclass(slots=True)
class World:
    """Everything around the agent, and the agent's present incarnation."""

    plan: StationPlan
    seed: int
    folder: Path
    clock: VirtualClock
    broker: MemoryBroker
    hq: SimHeadquarters
    yard: Yard
    faults: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """How often what was refused, by its code."""
    failures: list[str] = field(default_factory=list)
    starts: int = 0
    process: Process | None = None
    agent: Agent | None = None
    _store: StationStore | None = None
    _client: MemoryUplink | None = None

    # --- the agent's life -------------------------------------------------------------------

    async def start_agent(self) -> None:
        """Start the agent on what its last incarnation left on disk."""
        self.starts += 1
        entropy = SeededEntropy(f"{self.seed}:agent:{self.starts}")
        seal_key = random.Random(f"{self.seed}:seal").randbytes(SEAL_KEY_BYTES)
        store = StationStore.open(
            self.folder / "ledger.db", clock=self.clock, entropy=entropy, sealer=Sealer(seal_key),
            inline=True, durable=False, ballast_bytes=0,
        )  # fmt: skip
        boot_id = entropy.token(8).hex()
        verifier = TrustedKeys({self.hq.keys.key_id: self.hq.keys.public})
        outside = Outside(
            facts=StationFacts(self.plan, "simulated", demo=True),
            boot_id=boot_id,
            clock=self.clock,
            entropy=entropy,
            store=store,
            transports=self.yard.open_bus,
            uplink=self._uplink(),
            index=KeyedIndex(self.hq.keys.index),
            verifier=verifier,
            codes=SignedMemberCodes(verifier),
            pins=PlainPins(),
            staff=STAFF,
            parking=NoParking(),
            utc_offset_minutes=480,
            cameras=tuple,
        )
        self._store = store
        self.process = Process(f"agent-{self.starts}", on_death=self._buried)
        self.agent = assemble(outside)
        self.process.spawn(self._live(self.agent))

    async def _live(self, agent: Agent) -> None:
        started = StationStarted(
            version="simulated", boot_id=agent.outside.boot_id, config_sha256="0" * 64,
            clock_trusted=self.clock.trusted,
        )  # fmt: skip
        await agent.outside.store.books.append([started])
        try:
            await Supervisor(self.clock).run(agent.loops())
        except LoopFailed as error:
            cause = error.__cause__ or error
            self.failures.append(f"agent: {type(cause).__name__}: {cause}")
            raise

    def kill_agent(self, after_steps: int) -> None:
        """Kill the agent a number of awaits from now."""
        if self.process is not None and self.process.alive:
            self.process.dies_at = self.process.steps + after_steps

    def _buried(self) -> None:
        if self._store is not None:
            self._store.close()
        self.agent = None

    async def ask(self, work: Callable[[Station], Awaitable[T]]) -> T | None:
        """Ask the agent as a client would: no answer when it refuses, is down or dies over it."""
        process, agent = self.process, self.agent
        if process is None or agent is None or not process.alive:
            return None

        async def answered() -> T | None:
            try:
                return await work(agent.station)
            except (RefusedError, StorageUnavailable) as error:
                self.refused[error.problem.code] += 1
                return None

        task = process.spawn(answered())
        await asyncio.wait({task}, timeout=ANSWER_S)
        if not task.done() or task.cancelled():
            return None
        trouble = task.exception()
        if trouble is not None:  # nothing that people ask may fail but by being refused
            self.failures.append(f"agent: {type(trouble).__name__}: {trouble}")
            return None
        return task.result()

    def _uplink(self) -> MemoryUplink:
        if self._client is not None:
            self.broker.forget(self._client)
        self._client = self.broker.client(
            self.plan.station, topics.station_filters(self.plan.station)
        )
        return self._client

    # --- coming to rest ---------------------------------------------------------------------

    async def come_to_rest(self) -> bool:
        """Mend everything, keep an agent alive, and wait until nothing is left to do."""
        self.yard.mend_all()
        self.yard.faults.clear()
        self.broker.faults.lost = self.broker.faults.doubled = self.broker.faults.reordered = 0.0
        self.broker.start()
        self.hq.up = True
        until_ms = self.clock.monotonic_ms() + REST_MS
        while self.clock.monotonic_ms() < until_ms:
            for pump in self.yard.pumps.values():
                pump.hang(self.clock.monotonic_ms())
            if self.agent is None:
                await self.start_agent()
            await asyncio.sleep(30)
            if self.agent is not None and self._rests(self.agent):
                return True
        return False

    def _rests(self, agent: Agent) -> bool:
        books = agent.outside.store.books
        points = agent.station.forecourt.points().values()
        idle = all(p.phase is Phase.READY and p.due is None and p.lifted is None for p in points)
        return idle and not books.open_fuellings() and books.acked_seq() == books.head().seq

    def ledger(self) -> list[LedgerRecord]:
        """Return every record of the station's books."""
        if self._store is None:
            return []
        books = self._store.books
        return books.records_after(0, books.head().seq)

    def open_leases(self) -> dict[str, OpenLease]:
        """Return the leases that the station may draw from, by id."""
        if self._store is None:
            return {}
        return {
            lease.terms.lease_id: OpenLease(
                (lease.terms.asset, lease.terms.holder), lease.terms.amount, lease.spent
            )
            for lease in self._store.books.open_leases()
        }

    def end(self) -> None:
        """Put the agent away; nothing of it runs any more."""
        if self.process is not None:
            self.process.kill()
