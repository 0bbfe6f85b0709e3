"""A running station as a test handles it: the rig, its customers, its clients, its books."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from drivers.pump_model import SimulatedPump
from edge_agent.model.dispenser import DispenserStatus
from edge_agent.model.ids import FpId, LogicalNozzle
from edge_agent.sim.live.rig import Rig

PATIENCE_S = 60.0
"""How long anything may take on a machine that does ten other things."""
LOOK_S = 0.2
"""Slower than the API's rate limit, whatever a look asks for."""


@dataclass(frozen=True)
class Answer:
    """What the local API answered."""

    status: int
    body: Any


@dataclass(frozen=True)
class Ran:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until something holds; it fails only when it never does."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_S
    while not await holds():
        assert loop.time() < deadline, f"never: {what}"
        await asyncio.sleep(LOOK_S)


async def command(*words: str, root: Path | None = None) -> Ran:
    """Run `edge-agent`, in English, in a process of its own."""
    place = [] if root is None else ["--root", str(root)]
    environ = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "edge_agent", *place, *words],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
        timeout=PATIENCE_S,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


class Station:
    """The rig, and what customers and attendants do there."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    # --- processes --------------------------------------------------------------------------

    @property
    def agent(self) -> subprocess.Popen[bytes]:
        """The agent's process."""
        agent = self.rig.agent
        assert agent is not None
        return agent

    async def ended(self, agent: subprocess.Popen[bytes]) -> int:
        """Wait for the end of an agent that was told to stop; return its exit code."""
        return await asyncio.to_thread(agent.wait, PATIENCE_S)

    async def selling(self) -> None:
        """Wait until every fuelling point may be released."""

        async def free() -> bool:
            return not any(point["blocked"] for point in (await self.view())["fuelling_points"])

        await until(free, "every point is free")

    async def edge_agent(self, *words: str) -> Ran:
        """Run a command against this station."""
        return await command(*words, root=self.rig.paths.root)

    # --- the local API ----------------------------------------------------------------------

    async def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask the local API; `body` is sent as JSON, bytes as they are."""
        return await asyncio.to_thread(self._ask, method, path, body, dict(headers or {}))

    def _ask(self, method: str, path: str, body: object, headers: dict[str, str]) -> Answer:
        address = urlsplit(self.rig.paths.address.read_text(encoding="ascii").strip())
        token = self.rig.paths.token.read_text(encoding="ascii").strip()
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers}
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
        try:
            connection.request(method, path, content, sent)
            response = connection.getresponse()
            said = response.read()
        finally:
            connection.close()
        is_json = "json" in response.headers.get("Content-Type", "")
        return Answer(response.status, json.loads(said) if said and is_json else said.decode())

    async def view(self) -> dict[str, Any]:
        """Return what the screen shows."""
        return dict(await self.rig.till.view())

    async def point(self, fp: int) -> dict[str, Any]:
        """Return one fuelling point of the view."""
        view = await self.view()
        found: dict[str, Any] = next(p for p in view["fuelling_points"] if p["fp"] == fp)
        return found

    async def figure(self, name: str) -> float:
        """Return a figure of /metrics, summed over all labels that `name` leaves open."""
        text = (await self.ask("GET", "/v1/metrics")).body
        bare, _, labels = name.partition("{")
        wanted = [label for label in labels.rstrip("}").split(",") if label]
        lines = re.findall(rf"(?m)^{bare}(\{{.*\}})? (\S+)$", text)
        return sum(float(value) for said, value in lines if all(w in said for w in wanted))

    async def records(self, *kinds: str) -> list[dict[str, Any]]:
        """Return the last 500 records of these kinds, oldest first: `kind`, `body` and the rest."""
        told = (await self.ask("GET", "/v1/ledger/tail?limit=500")).body["records"]
        return [{**r, "body": json.loads(r["body"])} for r in told if r["kind"] in kinds]

    # --- customers --------------------------------------------------------------------------

    def pump(self, fp: int) -> SimulatedPump:
        """Return the pump of a fuelling point."""
        return self.rig.pumps.pumps[FpId(fp)]

    def now_ms(self) -> int:
        """Return the pumps' time."""
        return self.rig.clock.monotonic_ms()

    async def begin(self, fp: int, wish_ml: int | None = None) -> str:
        """Release a point, lift its first nozzle and squeeze until fuel flows."""
        answer = await self.ask("POST", f"/v1/fuelling-points/{fp}/authorise", {})
        assert answer.status == 200, answer.body
        pump = self.pump(fp)
        pump.lift(self.now_ms(), LogicalNozzle(1))
        pump.squeeze(self.now_ms(), wish_ml)

        async def flows() -> bool:
            pump.advance(self.now_ms())
            return pump.status is DispenserStatus.FUELLING and pump.volume_ml > 0

        await until(flows, f"fuel flows at {fp}")
        return str(answer.body["fuelling_id"])

    async def end(self, fp: int) -> dict[str, Any]:
        """Hang up when the tank is full, and return what the books say was delivered."""
        pump = self.pump(fp)

        async def full() -> bool:
            pump.advance(self.now_ms())
            return not pump.is_flowing

        await until(full, f"the tank at {fp} is full")
        return await self.hang(fp)

    async def hang(self, fp: int) -> dict[str, Any]:
        """Hang up now, and return what the books say was delivered."""
        before = len(await self._completed(fp))
        self.pump(fp).hang(self.now_ms())

        async def recorded() -> bool:
            return len(await self._completed(fp)) > before

        await until(recorded, f"the fuelling at {fp} is recorded")
        return (await self._completed(fp))[-1]

    async def _completed(self, fp: int) -> list[dict[str, Any]]:
        found = await self.records("fuelling.completed")
        return [record["body"] for record in found if record["body"]["fp"] == fp]

    async def pay(self, fuelling: str) -> None:
        """Pay a fuelling in cash."""
        key = {"Idempotency-Key": f"pay-{fuelling}"}
        wish = {"tenders": [{"means": "cash"}]}
        answer = await self.ask("POST", f"/v1/fuellings/{fuelling}/settle", wish, key)
        assert answer.status == 200, answer.body

    async def sell(self, fp: int, volume_ml: int = 2_000) -> dict[str, Any]:
        """Serve a customer from release to payment; return what was delivered."""
        await self.begin(fp, volume_ml)
        body = await self.end(fp)
        assert body["volume_ml"] == volume_ml
        await self.pay(body["fuelling_id"])
        return body

    # --- whether it all adds up -------------------------------------------------------------

    async def agrees(self, alarms: frozenset[str] = frozenset()) -> None:
        """Hold pumps, ledger and headquarters against each other; nothing may flow now.

        `alarms` are those that headquarters is right to raise.
        """
        ml, fen = self.rig.pumps.delivered()
        assert await self.figure("edge_fuel_dispensed_millilitres_total") == ml
        assert await self.figure("edge_fuel_amount_fen_total") == fen
        drained = await self.ask("POST", "/v1/sync/drain", {"timeout_s": 15})
        assert drained.body["drained"], drained.body
        told: dict[str, Any] = {}

        async def audited() -> bool:
            told.update(await self.headquarters())
            return bool(told["station"]["audited_seq"] == told["station"]["acked_seq"])

        await until(audited, "headquarters has examined every record")
        hq = told["station"]
        assert (hq["volume_ml"], hq["amount_fen"]) == (ml, fen)
        assert (hq["differences"], hq["unreadable"]) == (0, 0)
        assert {alarm["code"] for alarm in told["alarms"]} == alarms
        verified = await self.edge_agent("ledger", "verify", "--json")
        assert (verified.code, verified.json["ok"]) == (0, True)

    async def headquarters(self) -> dict[str, Any]:
        """Return what headquarters says: `station` and `alarms`."""
        ask = [sys.executable, "-m", "hq", "summary", "--json", "--root", str(self.rig.root / "hq")]
        done = await asyncio.to_thread(subprocess.run, ask, capture_output=True, check=True)
        told = json.loads(done.stdout)
        return {"station": told["stations"]["demo-1"], "alarms": told["alarms"]}


@asynccontextmanager
async def running_station(root: Path) -> AsyncIterator[Station]:
    """Run a station under a folder, from the first process to the last."""
    rig = Rig(root)
    try:
        await rig.start()
        yield Station(rig)
    finally:
        await rig.stop()
