"""The demo: a whole station for real, with customers who come by themselves."""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import time
from collections import deque
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from edge_agent.model.canonical import Json
from edge_agent.model.ids import FpId
from edge_agent.sim.live.people import Customer, Lane, Manner
from edge_agent.sim.live.rig import MEMBERS, Rig, RigFailed, new_root
from edge_agent.sim.live.summary import Run, Summary, summarise

MIX: Final[tuple[Manner, ...]] = (
    "plate", "card", "cash", "amount", "card", "plate", "prepay", "card", "volume", "plate",
    "card", "cash", "card", "amount", "prepay", "card", "cash", "volume", "card", "cash",
)  # fmt: skip
"""Who comes to a twenty-sale demo: three plates, seven member cards, the rest at the list price."""
DRAIN_S: Final = 60.0
KILL_AFTER_ML: Final = 1_500


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller of the demo asked for."""

    sales: int | None = None
    """End after so many sales; None: go on until interrupted."""
    broker_down_for: int = 0
    """The broker is stopped before the first sale and started again after this many."""
    kill: bool = False
    """The agent is killed with SIGKILL in the middle of a fuelling, and started again."""
    seed: int = 1
    keep: bool = False
    hands_on: bool = False
    """No automatic attendant: whoever watches serves the customers at the screen."""


class Show:
    """One run of the demo."""

    def __init__(self, wishes: Wishes, root: Path | None = None) -> None:
        self._wishes = wishes
        self._root = root or new_root()
        self._rig = Rig(self._root)
        self._chance = random.Random(wishes.seed)
        self._sales = 0
        self._starts = 1
        self._broker_is_down = False

    async def run(self) -> Summary:
        """Play it, and return what it came to.

        Raises:
            RigFailed: a part did not come up, or the books did not reach headquarters.
        """
        began = time.monotonic()
        try:
            await self._rig.start()
            await self._announce()
            if self._wishes.broker_down_for:
                await asyncio.to_thread(self._rig.broker.stop)
                self._broker_is_down = True
            await self._customers()
            run = await self._drained(began)
            hq = await asyncio.to_thread(self._rig.hq_summary)
        finally:
            await self._rig.stop()
        summary = summarise(
            self._rig.paths.ledger, self._rig.sealer(), self._rig.pumps.delivered(), hq, run
        )
        if self._root.exists() and not self._wishes.keep and summary.ok:
            shutil.rmtree(self._root, ignore_errors=True)
        return summary

    # --- customers --------------------------------------------------------------------------

    async def _customers(self) -> None:
        lanes = {fp: self._lane(fp) for fp in self._rig.pumps.pumps}
        if self._wishes.sales is None:
            works = [self._endless(lane) for lane in lanes.values()]
        else:
            waiting = self._queue(self._wishes.sales)
            works = [self._serve(lane, waiting) for lane in lanes.values()]
        if self._wishes.kill:
            works.append(self._kill_in_the_middle())
        serving = asyncio.create_task(_all(works))
        watching = asyncio.create_task(self._rig.watch())
        done, _ = await asyncio.wait({serving, watching}, return_when=asyncio.FIRST_COMPLETED)
        serving.cancel()
        watching.cancel()
        for task in done:
            task.result()

    def _lane(self, fp: FpId) -> Lane:
        bay = next(point.bay for point in self._rig.plan.fuelling_points() if point.fp == fp)
        camera = None if bay is None else self._rig.cameras.get(bay)
        return Lane(
            fp, self._rig.pumps.pumps[fp], self._rig.till, self._rig.clock, self._chance, camera,
            self._sold, 20.0 if self._wishes.hands_on else 0.2,
        )  # fmt: skip

    def _queue(self, sales: int) -> deque[Customer]:
        return deque(self._customer(number) for number in range(sales))

    def _customer(self, number: int) -> Customer:
        manner = MIX[number % len(MIX)]
        member = MEMBERS[number % len(MEMBERS)] if manner in ("card", "plate") else None
        return Customer(number, manner, self._chance.randint(400, 1_600) * 10, member)

    async def _serve(self, lane: Lane, waiting: deque[Customer]) -> None:
        """Serve customers; those who pay by plate only queue where a camera sees them."""
        while True:
            by_plate = [c for c in waiting if c.manner == "plate" and lane.camera is not None]
            mine = by_plate + [c for c in waiting if c.manner != "plate"]
            if not mine:
                return
            waiting.remove(mine[0])
            await lane.serve(mine[0])

    async def _endless(self, lane: Lane) -> None:
        number = int(lane.fp)
        while True:
            customer = self._customer(number)
            number += len(self._rig.pumps.pumps)
            if customer.manner == "plate" and lane.camera is None:
                continue
            await lane.serve(customer)
            await asyncio.sleep(self._chance.uniform(2, 12))

    def _sold(self) -> None:
        self._sales += 1
        say(f"sale {self._sales}")
        if self._broker_is_down and self._sales >= self._wishes.broker_down_for:
            self._broker_is_down = False
            say("the broker is back")
            self._rig.broker.start(port=self._rig.broker.port)

    async def _kill_in_the_middle(self) -> None:
        """Wait for a fuelling that flows, once a few sales are made; then kill the agent."""
        pumps = self._rig.pumps.pumps.values()
        while True:
            flowing = [p for p in pumps if p.is_flowing and p.volume_ml >= KILL_AFTER_ML]
            if flowing and self._sales >= 3:
                break
            await asyncio.sleep(0.02)
        say("the agent is killed in the middle of a fuelling")
        self._rig.kill_agent()
        await asyncio.sleep(1.0)
        self._starts += 1
        await self._rig.start_agent()
        say("the agent is back")

    # --- the end ----------------------------------------------------------------------------

    async def _announce(self) -> None:
        answer = cast("dict[str, Json]", await self._rig.till.post("/v1/enrolments", {}))
        address = self._rig.paths.address.read_text(encoding="ascii").strip()
        say(f"the station runs under {self._root} ({self._rig.broker.kind} as broker)")
        say(f"the attendants' screen: {address}{answer['path']}")

    async def _drained(self, began: float) -> Run:
        """Wait until headquarters has everything."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DRAIN_S
        while loop.time() < deadline:
            view = await self._rig.till.view()
            sync = cast("dict[str, int]", view["sync"])
            if sync["waiting"] == 0 and not view["unpaid"]:
                return Run(
                    seconds=time.monotonic() - began,
                    wanted_sales=self._wishes.sales or 0,
                    agent_starts=self._starts,
                    broker=self._rig.broker.kind,
                    head_seq=sync["head_seq"],
                    acked_seq=sync["acked_seq"],
                )
            await asyncio.sleep(0.1)
        raise RigFailed(f"the books did not reach headquarters within {DRAIN_S:.0f} s")


async def _all(works: Iterable[Coroutine[None, None, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)


def say(text: str) -> None:
    """Talk on stderr; stdout is for the summary."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - talk
