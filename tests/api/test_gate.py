"""The gate: names, origins, sizes, rates, who is let in, and the headers of every answer."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from edge_agent.api.gate import SAFE_HEADERS
from edge_agent.api.rate import ALLOWANCES, Allowance, RateLimit
from edge_agent.api.server import bare_app
from tests.api.conftest import ADDRESS, TOKEN, app_of, client_of
from tests.api.fake_station import FakeStation

OPEN = {("get", "/v1/health"), ("get", "/v1/session"), ("post", "/v1/session"), ("get", "/enrol")}


def _routes() -> list[tuple[str, str]]:
    paths = bare_app().openapi()["paths"]
    return [(method, path) for path, methods in paths.items() for method in methods]


def _filled(path: str) -> str:
    return (
        path.replace("{fp}", "1")
        .replace("{fuelling}", "f-1")
        .replace("{sale}", "s-1")
        .replace("{member}", "m-1")
    )


@pytest.mark.parametrize(("method", "path"), _routes())
async def test_every_route_asks_who_is_there(
    method: str, path: str, stranger: httpx.AsyncClient, station: FakeStation
) -> None:
    response = await stranger.request(method, _filled(path))
    if (method, path) in OPEN:
        assert response.status_code != 401
    else:
        assert response.status_code == 401
        assert response.json()["code"] == "not_enrolled"
    assert station.asked == []


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost:x"])
async def test_other_host_names_are_misdirected(app: FastAPI, host: str) -> None:
    async with client_of(app, Authorization=f"Bearer {TOKEN}", Host=host) as client:
        for path in ("/", "/v1/station", "/static/screen.js"):
            response = await client.get(path)
            assert response.status_code == 421
            assert response.json()["code"] == "host_refused"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:80", "localhost:8080", "[::1]:8080"])
async def test_loopback_names_are_answered(app: FastAPI, host: str) -> None:
    async with client_of(app, Authorization=f"Bearer {TOKEN}", Host=host) as client:
        assert (await client.get("/v1/station")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "https://127.0.0.1:8080"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
async def test_other_pages_may_ask_nothing(
    screen: httpx.AsyncClient, station: FakeStation, headers: dict[str, str]
) -> None:
    for method, path in (("POST", "/v1/stop-all"), ("GET", "/v1/station")):
        response = await screen.request(method, path, headers=headers)
        assert response.status_code == 403
        assert response.json()["code"] == "origin_refused"
    assert station.asked == []


async def test_a_form_cannot_name_the_client(app: FastAPI, station: FakeStation) -> None:
    async with client_of(app, Origin=ADDRESS) as browser:
        await browser.get("/enrol", params={"code": app.state.house.admission.enrolment_code()})
        response = await browser.post("/v1/stop-all")
    assert response.status_code == 403
    assert response.json()["code"] == "header_missing"
    assert station.asked == []


async def test_a_large_body_is_refused_by_its_length_and_by_its_size(
    cli: httpx.AsyncClient,
) -> None:
    async def dribble() -> object:
        for _ in range(70):
            yield b" " * 1024

    json = {"Content-Type": "application/json"}
    for content in (b" " * 70_000, dribble()):
        response = await cli.post("/v1/members/lookup", content=content, headers=json)  # type: ignore[arg-type]
        assert response.status_code == 413
        assert response.json()["code"] == "body_too_large"


def _slow(**kinds: Allowance) -> RateLimit:
    return RateLimit({**ALLOWANCES, **kinds}, monotonic_s=float)


async def test_a_stranger_uses_up_nothing_of_a_program(station: FakeStation) -> None:
    app = app_of(station, rate_limit=_slow(client=Allowance(0.1, 1), stranger=Allowance(0.1, 1)))
    async with client_of(app) as stranger, client_of(app, Authorization=f"Bearer {TOKEN}") as cli:
        answers = [(await stranger.get("/v1/station")).status_code for _ in range(3)]
        assert answers == [401, 429, 429]
        assert (await cli.get("/v1/station")).status_code == 200


async def test_codes_are_tried_slowly_and_by_address(station: FakeStation) -> None:
    app = app_of(station, rate_limit=RateLimit(monotonic_s=float))
    code = app.state.house.admission.enrolment_code()
    elsewhere = httpx.ASGITransport(app, client=("192.0.2.7", 4711))
    async with httpx.AsyncClient(transport=elsewhere, base_url=ADDRESS) as guesser:
        tries = [await guesser.get("/enrol", params={"code": "A"}) for _ in range(3)]
        tries += [
            await guesser.post("/v1/session", json={"code": "A"}, headers={"X-Edge-Agent": "x"})
            for _ in range(3)
        ]
        assert [answer.status_code for answer in tries] == [303, 303, 303, 403, 403, 429]
        assert (await guesser.get("/enrol", params={"code": code})).status_code == 429
    async with client_of(app) as screen:
        await screen.get("/enrol", params={"code": code})
        assert (await screen.get("/v1/session")).json()["enrolled"] is True


async def test_programs_are_slowed_down_and_told_when_to_come_back(station: FakeStation) -> None:
    app = app_of(station, rate_limit=_slow(client=Allowance(0.1, 3)))
    async with client_of(app, Authorization=f"Bearer {TOKEN}") as client:
        answers = [await client.get("/v1/sync") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert int(answers[-1].headers["Retry-After"]) == 10
        for stop in ("/v1/stop-all", "/v1/fuelling-points/1/stop"):
            assert (await client.post(stop)).status_code == 204, "stopping is never limited"
        for other in ("/v1/fuelling-points/1/suspend", "/v1/stop-all/release"):
            assert (await client.post(other)).status_code == 429
        assert (await client.get("/static/screen.js")).status_code == 200


async def test_a_screen_has_room_of_its_own(station: FakeStation) -> None:
    app = app_of(station, rate_limit=_slow(client=Allowance(0.1, 1)))
    async with client_of(app, Origin=ADDRESS, **{"X-Edge-Agent": "screen"}) as screen:
        await screen.get("/enrol", params={"code": app.state.house.admission.enrolment_code()})
        answers = [await screen.get("/v1/sync") for _ in range(40)]
    assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize(
    "path", ["/", "/static/screen.js", "/v1/health", "/v1/station", "/nothing"]
)
async def test_every_answer_carries_the_safe_headers(
    stranger: httpx.AsyncClient, path: str
) -> None:
    headers = (await stranger.get(path)).headers
    assert {name: headers.get(name) for name in SAFE_HEADERS} == SAFE_HEADERS
    assert headers["Cache-Control"] == ("no-store" if path.startswith("/v1") else "no-cache")


async def test_an_empty_answer_claims_no_content(cli: httpx.AsyncClient) -> None:
    answer = await cli.post("/v1/stop-all")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "Content-Type" not in answer.headers


def test_the_policy_lets_nothing_in_from_outside() -> None:
    policy = SAFE_HEADERS["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    for loose in ("unsafe-inline", "unsafe-eval", "http:", "https:", "data:", "*"):
        assert loose not in policy


async def test_orders_are_booked_on_who_gave_them(
    screen: httpx.AsyncClient, cli: httpx.AsyncClient, station: FakeStation
) -> None:
    await screen.post("/v1/stop-all")
    await cli.post("/v1/stop-all/release")
    assert station.asked == [("stop_all", "till"), ("release_stop_all", "cli")]


async def test_without_a_token_the_socket_decides(station: FakeStation) -> None:
    async with client_of(app_of(station, token=None)) as client:
        assert (await client.get("/v1/station")).status_code == 200
        assert (await client.post("/v1/stop-all")).json()["code"] == "header_missing"
        await client.post("/v1/stop-all", headers={"X-Edge-Agent": "cli"})
        await client.post("/v1/stop-all/release", headers={"X-Edge-Agent": "screen"})
    assert station.asked == [("stop_all", "cli"), ("release_stop_all", "till")]
