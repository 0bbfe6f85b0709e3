"""Serving on real sockets, inside a loop that belongs to somebody else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

import httpx
import pytest
from starlette.types import Message

from edge_agent.api import connections, feed
from edge_agent.api.connections import MAX_CONNECTIONS, MAX_STRANGERS
from edge_agent.api.feed import MAX_LISTENERS
from edge_agent.api.server import require_safe_address, serve
from edge_agent.model.errors import ConfigRefused
from tests.api.conftest import TOKEN, app_of
from tests.api.fake_station import FakeStation

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@contextlib.asynccontextmanager
async def _served(station: FakeStation, uds: Path | None = None) -> AsyncIterator[str]:
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(app_of(station), uds=uds, on_listening=listening.set_result)
    )
    try:
        async with asyncio.timeout(20):
            yield f"http://127.0.0.1:{await listening}"
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


async def test_events_flow_over_a_real_connection(station: FakeStation) -> None:
    async with (
        _served(station) as address,
        httpx.AsyncClient(base_url=address, headers=BEARER, trust_env=False) as client,
        client.stream("GET", "/v1/events") as response,
    ):
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        states = []
        async for line in response.aiter_lines():
            if not line.startswith('data: {"station"'):
                continue
            states.append(json.loads(line[6:])["fuelling_points"][0]["state"])
            if states[-1] == "calling":
                break
            station.lift(1)
    assert states[0] == "idle"


async def test_too_many_screens_are_asked_to_wait(station: FakeStation) -> None:
    async with (
        _served(station) as address,
        httpx.AsyncClient(base_url=address, headers=BEARER, trust_env=False) as client,
        contextlib.AsyncExitStack() as streams,
    ):
        open_lines = []
        for _ in range(MAX_LISTENERS):
            response = await streams.enter_async_context(client.stream("GET", "/v1/events"))
            open_lines.append(response.aiter_lines())
            await anext(open_lines[-1])
        refused = await client.get("/v1/events")
    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_screens")
    assert refused.headers["Retry-After"] == "5"


class Lines:
    """Connections of strangers to one server."""

    def __init__(self, address: str) -> None:
        self._port = int(address.rsplit(":", 1)[1])
        self._open: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __aenter__(self) -> Lines:
        return self

    async def __aexit__(self, *_error: object) -> None:
        for _reader, writer in self._open:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def open(self, sent: str = "") -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(sent.encode())
        self._open.append((reader, writer))

    async def all_cut_off(self, but_last: int = 0) -> None:
        for reader, _writer in self._open[: len(self._open) - but_last]:
            with contextlib.suppress(ConnectionResetError):
                while await reader.read(4096):
                    pass


async def test_idle_strangers_cannot_keep_an_order_to_stop_out(station: FakeStation) -> None:
    async with (
        _served(station) as address,
        httpx.AsyncClient(base_url=address, headers=BEARER, trust_env=False) as known,
        Lines(address) as strangers,
    ):
        assert (await known.get("/v1/station")).status_code == 200
        for _ in range(MAX_CONNECTIONS + 20):
            await strangers.open()
        await strangers.all_cut_off(but_last=MAX_STRANGERS)
        assert (await known.post("/v1/stop-all")).status_code == 204
        async with httpx.AsyncClient(base_url=address, headers=BEARER, trust_env=False) as fresh:
            assert (await fresh.post("/v1/stop-all")).status_code == 204
    assert station.asked == [("stop_all", "cli")] * 2


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "GET /v1/hea",
        "POST /v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{",
        "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /v1/hea",
    ],
    ids=["nothing", "half a line", "half a body", "half a second request"],
)
async def test_who_does_not_finish_a_request_is_cut_off(
    station: FakeStation, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    monkeypatch.setattr(connections, "WHOLE_REQUEST_S", 0.05)
    async with _served(station) as address, Lines(address) as strangers:
        await strangers.open(sent)
        await strangers.all_cut_off()


async def test_a_whole_request_is_answered_for_as_long_as_it_takes(
    station: FakeStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "WHOLE_REQUEST_S", 0.1)
    monkeypatch.setattr(feed, "HEARTBEAT_S", 0.1)
    async with (
        _served(station) as address,
        httpx.AsyncClient(base_url=address, headers=BEARER, trust_env=False) as client,
        client.stream("GET", "/v1/events") as response,
    ):
        beats = 0
        async for line in response.aiter_lines():
            beats += line == "event: beat"
            if beats == 3:
                break
    assert beats == 3


async def test_a_hundred_screens_at_once_get_no_more_places_than_there_are(
    station: FakeStation,
) -> None:
    app = app_of(station)
    answered: asyncio.Queue[int] = asyncio.Queue()

    async def receive() -> NoReturn:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered.put_nowait(message["status"])

    headers = [(b"host", b"localhost"), (b"authorization", BEARER["Authorization"].encode())]
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": "/v1/events", "raw_path": b"/v1/events", "query_string": b"",
        "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    async with asyncio.timeout(20):
        asking = [asyncio.create_task(app(dict(scope), receive, send)) for _ in range(100)]
        statuses = [await answered.get() for _ in asking]
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    assert statuses.count(200) == MAX_LISTENERS
    assert statuses.count(503) == 100 - MAX_LISTENERS
    with app.state.feed.listening() as place:
        assert place is not None, "whoever left gave the place back"


async def test_a_cancelled_server_ends_open_streams_and_frees_its_port(
    station: FakeStation,
) -> None:
    async with httpx.AsyncClient(headers=BEARER, trust_env=False) as client:
        async with _served(station) as address:
            stream = client.stream("GET", f"{address}/v1/events")
            response = await stream.__aenter__()
            lines = response.aiter_lines()
            await anext(lines)
        assert [line async for line in lines if line.startswith("id: 99")] == []
        await stream.__aexit__(None, None, None)
        port = int(address.rsplit(":", 1)[1])
        with socket.create_server(("127.0.0.1", port)):
            pass


async def test_signals_are_left_alone(station: FakeStation) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with _served(station):
        during = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert during == before


async def test_a_unix_socket_is_for_its_group_only(station: FakeStation, tmp_path: Path) -> None:
    uds = tmp_path / "api.sock"
    uds.touch()
    async with _served(station, uds):
        assert uds.stat().st_mode & 0o777 == 0o660
        transport = httpx.AsyncHTTPTransport(uds=str(uds))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=BEARER
        ) as client:
            assert (await client.get("/v1/station")).status_code == 200
    assert not uds.exists()


@pytest.mark.parametrize(
    ("host", "token", "demo", "safe"),
    [
        ("127.0.0.1", None, True, True),
        ("localhost", None, False, True),
        ("::1", TOKEN, True, True),
        ("0.0.0.0", TOKEN, False, True),
        ("0.0.0.0", None, False, False),
        ("0.0.0.0", TOKEN, True, False),
        ("192.168.1.5", None, False, False),
        ("::", TOKEN, True, False),
    ],
)
async def test_only_a_guarded_station_is_reached_from_outside(
    station: FakeStation, host: str, token: str | None, demo: bool, safe: bool
) -> None:
    app = app_of(station, token=token)
    app.state.demo = demo
    try:
        if safe:
            require_safe_address(app, host)
        else:
            with pytest.raises(ConfigRefused, match="api_address_unsafe"):
                await serve(app, host=host)
    finally:
        app.state.demo = False
