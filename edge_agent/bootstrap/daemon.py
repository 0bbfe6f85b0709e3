"""The daemon: real adapters, real devices, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import edge_agent
from edge_agent.api.gate import LOOPBACK_NAMES
from edge_agent.api.server import build_app, serve
from edge_agent.app.station import StationFacts
from edge_agent.app.supervisor import Loop, LoopFailed, Supervisor
from edge_agent.bootstrap.buses import open_bus
from edge_agent.bootstrap.eyes import Eyes
from edge_agent.bootstrap.wiring import Agent, Outside, assemble
from edge_agent.config.loading import load_config
from edge_agent.config.paths import StationPaths
from edge_agent.config.station import StationConfig
from edge_agent.model import topics
from edge_agent.model.errors import ConfigRefused, Problem, StorageUnavailable
from edge_agent.model.ids import CameraId
from edge_agent.model.records import RecordBody, StationStarted, StationStopped
from edge_agent.model.station import StationPlan
from edge_agent.model.wire import Death, encode
from edge_agent.observe.clock import SystemClock, SystemEntropy
from edge_agent.observe.metrics import AgentFigures
from edge_agent.observe.systemd import Notifier, Watchdog
from edge_agent.observe.time_service import synchronisation
from edge_agent.ports import Books
from edge_agent.security.blind_index import KeyedIndex
from edge_agent.security.key_files import read_secret
from edge_agent.security.member_codes import SignedMemberCodes
from edge_agent.security.pins import GuardedPins
from edge_agent.security.sealing import Sealer
from edge_agent.security.signatures import TrustedKeys
from edge_agent.security.staff import load_staff
from edge_agent.store.station import StationStore
from edge_agent.uplink.mqtt import MqttUplink
from edge_agent.uplink.parking import ParkingFolder
from edge_agent.uplink.settings import MqttSettings, TlsSettings

logger = logging.getLogger(__name__)

NO_SEAL_KEY = Problem(
    "seal_key_missing",
    "缺少数据加密密钥且无法生成，请按安装文档创建",
    "the key that seals personal data is missing and cannot be made here: see docs/install.md",
)
READY_LOOK_S = 0.05
REST_WITHIN_S = 20.0
"""How long a stop waits for running fuellings; systemd kills after 30 s."""


def run(paths: StationPaths, *, demo: bool = False) -> None:
    """Run the agent until SIGTERM or SIGINT.

    Raises:
        ConfigRefused: the configuration or a key is wrong; nothing was started.
        StorageUnavailable: the books cannot be opened, or another agent holds them.
        LoopFailed: a part failed for good; start afresh.
    """
    asyncio.run(_Daemon(paths, demo=demo).run())


@dataclass(frozen=True, slots=True)
class _Daemon:
    paths: StationPaths
    demo: bool

    async def run(self) -> None:
        self.paths.create()
        config = load_config(self.paths.config).config
        plan = config.plan(self.paths)
        async with self._open(config, plan) as (agent, eyes, uplink):
            await self._serve(config, agent, eyes, uplink)

    @contextlib.asynccontextmanager
    async def _open(
        self, config: StationConfig, plan: StationPlan
    ) -> AsyncIterator[tuple[Agent, Eyes, MqttUplink]]:
        clock, entropy = SystemClock(), SystemEntropy()
        boot_id = entropy.token(8).hex()
        uplink = self._uplink(config, plan, boot_id, entropy)
        verifier = TrustedKeys.load(self.paths.key(config.keys.hq_public_keys))
        index = KeyedIndex.load(self.paths.key(config.keys.blind_index))
        sealer = self._sealer(self.paths.key(config.keys.seal))
        staff = load_staff(self.paths.key(config.keys.staff))
        with StationStore.open(
            self.paths.ledger, clock=clock, entropy=entropy, sealer=sealer,
            ballast_bytes=config.storage.reserve_mib * 1024 * 1024,
        ) as store:  # fmt: skip
            eyes = Eyes(plan.cameras, lambda camera: self._camera_address(config, camera), clock)
            agent = assemble(
                Outside(
                    facts=StationFacts(
                        plan, edge_agent.__version__, self.demo, config.station.utc_offset_minutes
                    ),
                    boot_id=boot_id, clock=clock, entropy=entropy, store=store,
                    transports=lambda bus: open_bus(config.transport(bus.bus), bus, self.paths),
                    uplink=uplink,
                    index=index, verifier=verifier, codes=SignedMemberCodes(verifier),
                    pins=GuardedPins(clock), staff=staff,
                    parking=ParkingFolder(self.paths.parked, clock),
                    utc_offset_minutes=config.station.utc_offset_minutes, cameras=eyes.views,
                )
            )  # fmt: skip
            eyes.subscribe(agent.station.self_service.on_sighting)
            eyes.on_change(agent.station.touch)
            yield agent, eyes, uplink

    async def _serve(
        self, config: StationConfig, agent: Agent, eyes: Eyes, uplink: MqttUplink
    ) -> None:
        supervisor = Supervisor(agent.outside.clock)
        books = agent.outside.store.books
        await _noted(books, self._started(agent))
        self.paths.address.unlink(missing_ok=True)
        self.paths.pid.write_text(f"{os.getpid()}\n", encoding="ascii")
        loops = [
            *agent.loops(),
            Loop("uplink", uplink.run),
            Loop("cameras", eyes.run),
            Loop("watchdog", lambda: self._watch(agent)),
            self._api(config, agent, uplink, supervisor),
        ]
        running = asyncio.create_task(supervisor.run(loops))
        try:
            await self._until_stopped(running)
            Notifier().stopping()
            if not await agent.station.forecourt.come_to_rest(REST_WITHIN_S):
                logger.warning("stopping while fuel flows; the next start takes it up")
            await _noted(books, StationStopped(boot_id=agent.outside.boot_id))
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError, LoopFailed):
                await running
            self.paths.pid.unlink(missing_ok=True)
            self.paths.address.unlink(missing_ok=True)

    def _api(
        self, config: StationConfig, agent: Agent, uplink: MqttUplink, supervisor: Supervisor
    ) -> Loop:
        figures = AgentFigures(
            buses=agent.dispensers.runners,
            writer=agent.outside.store.writer,
            books=agent.outside.store.books,
            clock=agent.outside.clock,
            loop_failures=supervisor.failures,
            clock_error_ms=lambda: synchronisation().max_error_ms,
            downlinks_dropped=lambda: uplink.dropped,
            takeovers=lambda: uplink.takeovers,
        )
        app = build_app(
            agent.station, token=self._token(), demo=self.demo, collectors=[figures],
            names=[*LOOPBACK_NAMES, *config.api.names],
        )  # fmt: skip

        async def serving() -> None:
            await serve(
                app, host=config.api.host, port=config.api.port,
                uds=self.paths.socket if config.api.socket else None,
                on_listening=lambda port: self._listening(config.api.host, port),
            )  # fmt: skip

        return Loop("api", serving)

    async def _watch(self, agent: Agent) -> None:
        """Report READY once the API answers and each bus was tried; then feed the watchdog."""
        runners = agent.dispensers.runners
        while not (  # noqa: ASYNC110 - a look now and then spares four parts a callback
            self.paths.address.exists() and all(r.counters.was_tried for r in runners)
        ):
            await asyncio.sleep(READY_LOOK_S)
        Notifier().ready()
        writer = agent.outside.store.writer
        await Watchdog(Notifier(), agent.ticked_ms, agent.outside.clock, writer.beat).run()

    async def _until_stopped(self, running: asyncio.Task[None]) -> None:
        """Return on SIGTERM or SIGINT. Raises what ended `running`."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if running.done():
            running.result()

    def _listening(self, host: str, port: int) -> None:
        name = f"[{host}]" if ":" in host else host
        self.paths.address.write_text(f"http://{name}:{port}\n", encoding="ascii")
        logger.info("the screen is ready", extra={"address": f"http://{name}:{port}/"})

    def _token(self) -> str:
        """Return the API token of this root, made at the first start, for its owner alone."""
        path = self.paths.token
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(SystemEntropy().token(24).hex())
        return path.read_text(encoding="ascii").strip()

    def _started(self, agent: Agent) -> StationStarted:
        return StationStarted(
            version=edge_agent.__version__,
            boot_id=agent.outside.boot_id,
            config_sha256=hashlib.sha256(self.paths.config.read_bytes()).hexdigest(),
            clock_trusted=agent.outside.clock.trusted,
        )

    def _sealer(self, path: Path) -> Sealer:
        try:
            return Sealer.load_or_create(path)
        except OSError as error:
            raise ConfigRefused(NO_SEAL_KEY, f"{path}: {error.strerror}") from error

    def _camera_address(self, config: StationConfig, camera: CameraId) -> str:
        def secret(file: str) -> bytes:
            return read_secret(self.paths.key(file))

        return config.camera_address(camera, self.paths, secret)

    def _uplink(
        self, config: StationConfig, plan: StationPlan, boot_id: str, entropy: SystemEntropy
    ) -> MqttUplink:
        tls = config.uplink.tls
        files = None
        if tls is not None:
            ca, certificate, key = (self.paths.key(n) for n in (tls.ca, tls.certificate, tls.key))
            files = TlsSettings(ca, certificate, key)
        settings = MqttSettings(config.uplink.host, config.uplink.port, plan.station, files)
        will = encode(Death(station=plan.station, boot_id=boot_id))
        return MqttUplink(
            settings, topics.station_filters(plan.station),
            (topics.up(plan.station, "birth"), will), entropy,
        )  # fmt: skip


async def _noted(books: Books, body: RecordBody) -> None:
    """Record a start or stop; a full disk prevents neither."""
    try:
        await books.append([body])
    except StorageUnavailable as error:
        logger.warning("not recorded", extra={"kind": body.kind, "code": error.problem.code})
