"""The station's view, its books, its health, its figures."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from edge_agent.model.fuelling import FpState
from tests.api.conftest import app_of, client_of
from tests.api.fake_station import FakeStation, offline, problem


async def test_the_view_is_told_whole(cli: httpx.AsyncClient, station: FakeStation) -> None:
    station.lift(3)
    view = (await cli.get("/v1/station")).json()
    assert view["name_zh"] == "昆明北站加油站"
    assert [point["state"] for point in view["fuelling_points"]][:4] == [
        "idle", "idle", "calling", "idle",
    ]  # fmt: skip
    assert view["fuelling_points"][0]["nozzles"][0] == {
        "number": 1, "logical": 1, "grade": "92", "grade_name": "92#", "unit_price_milli": 7850,
    }  # fmt: skip


async def test_codes_in_a_view_have_texts(cli: httpx.AsyncClient) -> None:
    reasons = {reason["code"]: reason for reason in (await cli.get("/v1/problems")).json()}
    assert reasons["unpaid_limit"]["text_zh"]
    assert reasons["unpaid_limit"]["text_en"]


async def test_totals_stand_under_the_numbers_on_the_nozzles(cli: httpx.AsyncClient) -> None:
    """What a nozzle that is no longer there once sold is not shown."""
    totals = (await cli.get("/v1/totals")).json()
    assert [(total["nozzle_number"], total["volume_ml"]) for total in totals] == [
        (2, 5_000), (3, 7_000),
    ]  # fmt: skip
    assert [total["amount_fen"] for total in totals] == [4_000, None]


async def test_ledger_tail(cli: httpx.AsyncClient) -> None:
    tail = (await cli.get("/v1/ledger/tail?limit=3")).json()
    assert [record["seq"] for record in tail["records"]] == [28, 29, 30]
    assert tail["head"] == {"epoch": 1, "seq": 30, "hash": "e" * 64}
    assert tail["acked_seq"] == 12
    assert len((await cli.get("/v1/ledger/tail?limit=500")).json()["records"]) == 30


async def test_sync_and_drain(cli: httpx.AsyncClient, station: FakeStation) -> None:
    assert (await cli.post("/v1/sync/drain", json={})).json() == {"drained": True, "waiting": 0}
    offline(station, 0, 2)
    assert (await cli.get("/v1/sync")).json()["waiting_sales"] == 2
    still = await cli.post("/v1/sync/drain", json={"timeout_s": 0})
    assert still.json() == {"drained": False, "waiting": 8}
    assert (await cli.post("/v1/sync/drain", json={"timeout_s": 61})).status_code == 422


async def test_health_names_what_is_wrong(
    stranger: httpx.AsyncClient, station: FakeStation
) -> None:
    good = (await stranger.get("/v1/health")).json()
    assert good == {"status": "ok", "version": "0.1.0", "problems": []}
    station.change(problems=(problem("clock_untrusted", "时钟", "clock"),))
    bad = (await stranger.get("/v1/health")).json()
    assert (bad["status"], bad["problems"]) == ("degraded", ["clock_untrusted"])


async def test_metrics(cli: httpx.AsyncClient, station: FakeStation) -> None:
    station.change_point(2, state=FpState.FUELLING)
    cameras = station.view().cameras
    station.change(cameras=(replace(cameras[0], health="lost"), *cameras[1:]))
    response = await cli.get("/v1/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = set(response.text.splitlines())
    assert {
        'edge_pump_state{pump="2",state="fuelling"} 1.0',
        'edge_pump_state{pump="2",state="idle"} 0.0',
        'edge_camera_healthy{camera="cam-1"} 0.0',
        'edge_camera_healthy{camera="cam-2"} 1.0',
        "edge_outbox_records 0.0",
        "edge_fuel_dispensed_millilitres_total 45000.0",
        "edge_sales_total 2.0",
        'edge_build_info{station="km-001",version="0.1.0"} 1.0',
    } <= lines
    for personal in ("云A", "王"):
        assert personal not in response.text


@pytest.mark.parametrize("path", ["/v1/nothing", "/nothing", "/static/nothing.js", "/docs"])
async def test_nothing_there(cli: httpx.AsyncClient, path: str) -> None:
    answer = await cli.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_another_method(cli: httpx.AsyncClient) -> None:
    answer = await cli.delete("/v1/station")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET"


async def test_a_bug_is_told_without_its_insides(
    station: FakeStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("secret insides")

    monkeypatch.setattr(station, "view", broken)
    async with client_of(app_of(station, token=None)) as client:
        answer = await client.get("/v1/station")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
