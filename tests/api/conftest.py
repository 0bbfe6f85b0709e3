"""A station that tests move by hand, and clients of its API: a screen, a program, a stranger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

import httpx
import pytest
from fastapi import FastAPI

from edge_agent.api.admission import Admission
from edge_agent.api.feed import StationFeed
from edge_agent.api.gate import House
from edge_agent.api.rate import ALLOWANCES, Allowance, RateLimit
from edge_agent.api.server import build_app
from edge_agent.api.wishes import Wishes
from edge_agent.app.station import Station
from tests.api.fake_station import FakeStation, fake_station

TOKEN = "token-of-the-tests-0123456789"
UNHURRIED = dict.fromkeys(ALLOWANCES, Allowance(1e6, 1_000_000))
ADDRESS = "http://127.0.0.1:8080"


_app = build_app(cast("Station", fake_station()), token=TOKEN, demo=False)


def app_of(
    station: FakeStation, *, token: str | None = TOKEN, rate_limit: RateLimit | None = None
) -> FastAPI:
    """Give the one app of this process another station: building an app takes its time."""
    _app.state.station = station
    _app.state.feed = StationFeed(cast("Station", station))
    _app.state.wishes = Wishes()
    _app.state.house = House(Admission(token), rate_limit or RateLimit(UNHURRIED))
    return _app


def client_of(app: FastAPI, **headers: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=ADDRESS, headers=headers)


@pytest.fixture
def station() -> FakeStation:
    return fake_station()


@pytest.fixture
def app(station: FakeStation) -> FastAPI:
    return app_of(station)


@pytest.fixture
async def stranger(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def cli(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, Authorization=f"Bearer {TOKEN}") as client:
        yield client


@pytest.fixture
async def screen(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """An enrolled screen, as a browser would behave on its own page."""
    async with client_of(app, Origin=ADDRESS, **{"X-Edge-Agent": "screen"}) as client:
        await client.get("/enrol", params={"code": app.state.house.admission.enrolment_code()})
        yield client
