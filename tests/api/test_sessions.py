"""Letting a screen in."""

from __future__ import annotations

import httpx
from fastapi import FastAPI

from edge_agent.api.sessions import enrolment
from tests.api.conftest import ADDRESS, client_of


async def test_the_printed_link_enrols_a_screen_once(
    app: FastAPI, stranger: httpx.AsyncClient
) -> None:
    link = enrolment(app.state.house.admission).path
    answer = await stranger.get(link)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert (await stranger.get("/v1/session")).json() == {"enrolled": True, "demo": False}
    assert (await stranger.get("/v1/station")).status_code == 200

    async with client_of(app) as another:
        answer = await another.get(link)
        assert answer.headers["Location"] == "/#code-wrong"
        assert (await another.get("/v1/session")).json()["enrolled"] is False


async def test_a_code_can_be_typed(app: FastAPI) -> None:
    async with client_of(app, Origin=ADDRESS, **{"X-Edge-Agent": "screen"}) as screen:
        wrong = await screen.post("/v1/session", json={"code": "WRONG"})
        assert (wrong.status_code, wrong.json()["code"]) == (403, "code_wrong")
        code = app.state.house.admission.enrolment_code()
        right = await screen.post("/v1/session", json={"code": code})
        assert right.json() == {"enrolled": True, "demo": False}
        assert (await screen.get("/v1/station")).status_code == 200


async def test_a_cookie_over_tls_is_marked_secure(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://127.0.0.1") as client:
        answer = await client.get(enrolment(app.state.house.admission).path)
    assert "secure" in answer.headers["Set-Cookie"].lower()


async def test_only_the_token_makes_codes(
    cli: httpx.AsyncClient, screen: httpx.AsyncClient, app: FastAPI
) -> None:
    assert (await screen.post("/v1/enrolments")).json()["code"] == "token_only"
    made = (await cli.post("/v1/enrolments")).json()
    async with client_of(app) as fresh:
        assert (await fresh.get(made["path"])).headers["Location"] == "/"
    assert made["valid_s"] == 900
