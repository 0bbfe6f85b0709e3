"""Puts the API and the screen together, and serves them inside the agent's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client.registry import Collector

from edge_agent.api import forecourt, members, sales, sessions
from edge_agent.api import station as station_routes
from edge_agent.api.admission import Admission
from edge_agent.api.connections import Connection
from edge_agent.api.feed import StationFeed
from edge_agent.api.gate import LOOPBACK_NAMES, Gate, House
from edge_agent.api.problems import answer_errors
from edge_agent.api.rate import RateLimit
from edge_agent.api.wishes import Wishes
from edge_agent.app.station import Station
from edge_agent.model.errors import ConfigRefused, Problem

MAX_HEADER_BYTES = 16 * 1024
STOP_WITHIN_S = 2

STATIC = Path(__file__).parent / "static"

UNSAFE_ADDRESS = Problem(
    "api_address_unsafe",
    "接口只能绑定本机地址，或设置访问令牌后使用其他地址；演示模式只能用本机地址",
    "without a token, and in a demonstration, the API binds to a loopback address only",
)


def build_app(
    station: Station,
    *,
    token: str | None,
    demo: bool,
    collectors: Sequence[Collector] = (),
    names: Collection[str] = LOOPBACK_NAMES,
) -> FastAPI:
    """Return the API and the screen of a station.

    Args:
        station: The station that they show and command.
        token: What clients have to know; None lets everybody in who reaches the socket.
        demo: Whether the screen shows that nothing here is real.
        collectors: Further figures for `/v1/metrics`, beside those of the station's view.
        names: The host names that the agent answers to, besides which it refuses (DNS rebinding).

    The app's `state.house.admission` makes the one-time codes that enrol screens.
    """
    app = bare_app()
    app.state.station = station
    app.state.demo = demo
    app.state.house = House(Admission(token), RateLimit(), frozenset(names))
    app.state.feed = StationFeed(station)
    app.state.wishes = Wishes()
    app.state.collectors = tuple(collectors)
    _warm_up(app)
    return app


def bare_app() -> FastAPI:
    """Return the routes and the gate alone, bound to no station: enough to describe them."""
    app = FastAPI(
        title="Forecourt edge agent",
        description="The local API of a petrol station: fuelling points, sales, books.",
        version="1",
        openapi_url="/v1/openapi.json",
        # FastAPI's own pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.add_middleware(Gate)
    answer_errors(app)
    for routes in (station_routes, forecourt, sales, members, sessions):
        app.include_router(routes.router)
    app.add_api_route("/", _screen, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def _warm_up(app: FastAPI) -> None:
    """Build what FastAPI would build at the first request, while the buses would wait for it."""
    nowhere = {"type": "http", "method": "GET", "path": "/nowhere", "headers": []}
    for route in app.routes:
        route.matches(nowhere)


async def _screen() -> FileResponse:
    return FileResponse(STATIC / "index.html")


async def serve(
    app: FastAPI,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    uds: Path | None = None,
    on_listening: Callable[[int], None] | None = None,
) -> None:
    """Serve an app on a TCP port, and on a Unix socket where one is named, until cancelled.

    Signals are left alone: they belong to whoever runs the loop. When cancelled it stops taking
    connections, ends the event streams and gives running requests two seconds.

    Args:
        app: What `build_app` returned.
        host: Address to bind; the token and demo rules of `require_safe_address` hold.
        port: TCP port; 0 takes a free one.
        uds: Path of a Unix socket (mode 0660), or None.
        on_listening: Called with the TCP port once connections are accepted.

    Raises:
        ConfigRefused: the address is not safe for this app.
        OSError: the port or path is taken or not permitted.
    """
    require_safe_address(app, host)
    sockets = _listen(host, port, uds)
    config = uvicorn.Config(
        app,
        loop="none",
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=STOP_WITHIN_S,
    )
    server = _Server(config, on_started=on_listening, port=sockets[0].getsockname()[1])
    serving = asyncio.create_task(server.serve(sockets=sockets), name="api server")
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        app.state.feed.close()
        server.should_exit = True
        await serving
        raise
    finally:
        _forget(uds)


def require_safe_address(app: FastAPI, host: str) -> None:
    """Check that an app may listen on an address.

    Raises:
        ConfigRefused: the address is not loopback, and there is no token or it is a demonstration.
    """
    loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    if not loopback and (app.state.demo or app.state.house.admission.open_to_all):
        raise ConfigRefused(UNSAFE_ADDRESS, host)


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, *, on_started: Callable[[int], None] | None, port: int
    ) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._port = port

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._on_started is not None:
            self._on_started(self._port)


def _listen(host: str, port: int, uds: Path | None) -> list[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sockets = [socket.create_server((host, port), family=family)]
    if uds is not None:
        _forget(uds)
        unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sockets.append(unix)
        # Narrowed before anybody can connect: a socket file is reachable as soon as it is bound.
        before = os.umask(0o117)
        try:
            unix.bind(str(uds))
        finally:
            os.umask(before)
    return sockets


def _forget(uds: Path | None) -> None:
    if uds is not None:
        uds.unlink(missing_ok=True)
