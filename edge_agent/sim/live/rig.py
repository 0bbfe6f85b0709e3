"""What the demo station needs around it: broker, headquarters, pumps, files, processes."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, cast

from edge_agent.config.loading import parse_config
from edge_agent.config.paths import StationPaths
from edge_agent.model.canonical import Json
from edge_agent.model.station import StationPlan
from edge_agent.observe.clock import SystemClock
from edge_agent.security.sealing import Sealer
from edge_agent.sim.live.broker import LocalBroker
from edge_agent.sim.live.camera import BayCamera
from edge_agent.sim.live.people import DemoMember
from edge_agent.sim.live.pumps import LivePumps, Wiring
from edge_agent.sim.live.till import TillClient, TillError

CONFIG: Final = Path(__file__).parents[3] / "config"
FLOW_ML_PER_S: Final = 4_000
"""The demo's pumps are about six times as quick as real ones, to spare the watcher's time."""
READY_S: Final = 30.0
PRICES: Final[dict[str, int]] = {"92": 7_850, "95": 8_350, "0": 7_500}
TIERS: Final = ("silver", "gold", "diamond")
OPENING_FEN: Final = 500_000
"""What each demo member has on the account: as much as the law allows."""
COUPONS: Final = ("come-back-5", "points-500")
"""Templates of the demo's policy of which every member has one coupon."""
POINTS_UNTIL_MS: Final = 4_102_444_800_000
"""2100-01-01: demo points do not expire."""
MEMBERS: Final = tuple(
    DemoMember(f"m-{n:03d}", f"900{n:05d}", plate)
    for n, plate in enumerate(
        ("云A27K68", "云AD20617", "云A9M153", "云A38Q52", "云AF71926", "云A6T480"), start=1
    )
)
"""Invented people with invented plates."""


class RigFailed(RuntimeError):
    """A part of the demo did not come up; the text says which and what it said."""


class Rig:
    """The demo's machinery, under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = StationPaths.under(root / "station")
        self.clock = SystemClock()
        self.broker = LocalBroker()
        self.till = TillClient(self.paths)
        template = (CONFIG / "station.toml").read_text(encoding="utf-8")
        self.plan: StationPlan = parse_config(template, "station.toml").config.plan(self.paths)
        self.pumps = LivePumps(self.plan, self.clock, FLOW_ML_PER_S)
        self.cameras = {camera.bay: BayCamera(Path(camera.source)) for camera in self.plan.cameras}
        self._template = template
        self._hq: subprocess.Popen[bytes] | None = None
        self._agent: subprocess.Popen[bytes] | None = None
        self._shooting: list[asyncio.Task[None]] = []

    # --- up and down ------------------------------------------------------------------------

    async def start(self) -> None:
        """Start everything and wait until the station can sell."""
        self.paths.create()
        self.broker.start()
        wiring = await self.pumps.start(self.paths.run)
        self._write_config(wiring)
        await asyncio.to_thread(self._open_headquarters)
        self._shooting = [asyncio.create_task(camera.run()) for camera in self.cameras.values()]
        await self.start_agent()
        await self._until_selling()

    async def stop(self) -> None:
        """Stop everything, the agent first and in good order."""
        for task in self._shooting:
            task.cancel()
        await asyncio.gather(*self._shooting, return_exceptions=True)
        await self.stop_agent()
        await asyncio.to_thread(_end, self._hq)
        await self.pumps.stop()
        await asyncio.to_thread(self.broker.stop)

    async def start_agent(self) -> None:
        """Start the agent's process and wait until its API answers."""
        self._agent = await asyncio.to_thread(
            self._spawn, "agent", "edge_agent", "--root", str(self.paths.root), "run", "--demo"
        )
        await self._until_answering()

    def kill_agent(self) -> None:
        """End the agent as a power cut would."""
        if self._agent is not None:
            self._agent.send_signal(signal.SIGKILL)
            self._agent.wait()
            self._agent = None
            self.paths.address.unlink(missing_ok=True)

    @property
    def agent(self) -> subprocess.Popen[bytes] | None:
        """The agent's process, while there is one that was not asked to end."""
        return self._agent

    async def stop_agent(self) -> None:
        """Ask the agent to stop, and wait for it."""
        agent, self._agent = self._agent, None
        await asyncio.to_thread(_end, agent)

    def sealer(self) -> Sealer:
        """Return what opens the station's sealed members. Raises `ConfigRefused`."""
        config = parse_config(self._template, "station.toml").config
        return Sealer.load(self.paths.key(config.keys.seal))

    def hq_summary(self) -> dict[str, Json]:
        """Return what HQ says about the station."""
        answer = json.loads(self._hq_command("summary", "--json"))
        return cast("dict[str, dict[str, dict[str, Json]]]", answer)["stations"][self.plan.station]

    async def watch(self) -> None:
        """Notice when a process of the station ends that nobody ended.

        Raises:
            RigFailed: the agent or headquarters is gone.
        """
        while True:
            for name, process in (("agent", self._agent), ("hq", self._hq)):
                if process is not None and process.poll() is not None:
                    raise RigFailed(f"{name} ended by itself; it said:\n{self._said(name)}")
            await asyncio.sleep(0.2)

    # --- inside -----------------------------------------------------------------------------

    def _write_config(self, wiring: dict[str, Wiring]) -> None:
        """Write the commented demo station with the ports that were free on this machine."""
        text = re.sub(r"(?m)^port = 18830$", f"port = {self.broker.port}", self._template)
        text = re.sub(r"(?m)^port = 8470$", "port = 0", text)
        text = text.replace("port = 15020", f"port = {wiring['modbus'].port}")
        self.paths.config.write_text(text, encoding="utf-8")

    def _open_headquarters(self) -> None:
        hq = self.root / "hq"
        people: list[Json] = [
            {
                "ref": member.ref, "name": "演示会员", "tier": TIERS[n % len(TIERS)],
                "account": f"acc-{member.ref}", "plate_pay": True, "cards": [member.card],
                "plates": [member.plate], "opening_fen": OPENING_FEN,
                "opening_points": [{"expires_ms": POINTS_UNTIL_MS, "points": 2_000}],
                "stations": [self.plan.station],
                "set_aside_fen": {self.plan.station: OPENING_FEN},
            }
            for n, member in enumerate(MEMBERS)
        ]  # fmt: skip
        prices = {"id": "demo-1", "valid_from_ms": 0, "prices": PRICES}
        content = self.root / "import.json"
        content.write_text(
            json.dumps({"members": people, "price_sets": [prices]}), encoding="utf-8"
        )
        self._hq_command("import", str(content))
        content.unlink()
        self._hq_command("policy", str(CONFIG / "policy.json"))
        for template in COUPONS:
            to = [word for member in MEMBERS for word in ("--member", member.ref)]
            self._hq_command("issue-coupon", "--template", template, *to)
        self._hq_command("provision", "--out", str(self.root / "provisioned"))
        self._provision()
        broker = f"127.0.0.1:{self.broker.port}"
        self._hq = self._spawn("hq", "hq", "serve", "--root", str(hq), "--broker", broker)

    def _spawn(self, name: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.root / f"{name}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", module, *arguments], stdout=log, stderr=log
            )

    def _provision(self) -> None:
        """Bring the keys that HQ made for the station to where its configuration wants them."""
        keys = parse_config(self._template, "station.toml").config.keys
        made = self.root / "provisioned"
        (made / "trusted_keys.json").rename(self.paths.key(keys.hq_public_keys))
        (made / "index.key").rename(self.paths.key(keys.blind_index))
        made.rmdir()

    def _hq_command(self, command: str, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "hq", command, "--root", str(self.root / "hq"), *arguments],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise RigFailed(f"hq {command}: {done.stderr.strip()}")
        return done.stdout

    async def _until_answering(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_S
        while loop.time() < deadline:
            if self._agent is not None and self._agent.poll() is not None:
                break
            try:
                await self.till.view()
            except TillError:
                await asyncio.sleep(0.05)
            else:
                return
        raise RigFailed(f"the agent does not answer; it said:\n{self._said('agent')}")

    def _said(self, name: str) -> str:
        text = (self.root / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return text[-2000:]

    async def _until_selling(self) -> None:
        """Wait until every point is online, priced and free, and its cameras see."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_S
        blocked: object = None
        while loop.time() < deadline:
            try:
                view = await self.till.view()
            except TillError as error:
                raise RigFailed(
                    f"the agent is gone ({error.code}); {self._said('agent')}"
                ) from error
            points = cast("list[dict[str, Json]]", view["fuelling_points"])
            cameras = cast("list[dict[str, Json]]", view["cameras"])
            blocked = [point["blocked"] for point in points]
            seeing = all(camera["health"] == "ok" for camera in cameras)
            if not any(blocked) and seeing and view["policy_version"] is not None:
                return
            await asyncio.sleep(0.1)
        raise RigFailed(f"the station does not come to sell: {blocked}")


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def new_root() -> Path:
    """Return a fresh folder for one demo."""
    return Path(tempfile.mkdtemp(prefix="forecourt-demo-"))
