"""Orders to fuelling points."""

from __future__ import annotations

import httpx
import pytest

from edge_agent.model.dispenser import Preset
from edge_agent.model.errors import Problem, StorageUnavailable
from edge_agent.model.fuelling import AuthoriseRequest, FpState
from edge_agent.model.ids import FpId, MemberRef
from edge_agent.model.units import Money, Volume
from tests.api.fake_station import FakeStation
from tests.api.fake_wallets import GOLD_PIN

AUTHORISE = "/v1/fuelling-points/1/authorise"
KEY = {"Idempotency-Key": "wish-0001"}


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({}, AuthoriseRequest(FpId(1), "attendant")),
        (
            {"preset_amount_fen": 20_000, "member": "m-silver"},
            AuthoriseRequest(
                FpId(1), "attendant", Preset(amount=Money(20_000)), MemberRef("m-silver")
            ),
        ),
        (
            {"preset_volume_ml": 30_000},
            AuthoriseRequest(FpId(1), "attendant", Preset(volume=Volume(30_000))),
        ),
        (
            {"prepaid_fen": 10_000},
            AuthoriseRequest(
                FpId(1), "prepay", Preset(amount=Money(10_000)), prepaid=Money(10_000)
            ),
        ),
        (
            {"prepaid_fen": 10_000, "preset_amount_fen": 5_000},
            AuthoriseRequest(FpId(1), "prepay", Preset(amount=Money(5_000)), prepaid=Money(10_000)),
        ),
    ],
    ids=["postpay", "amount", "volume", "prepaid", "prepaid less"],
)
async def test_authorise(
    screen: httpx.AsyncClient,
    station: FakeStation,
    body: dict[str, object],
    asked: AuthoriseRequest,
) -> None:
    response = await screen.post(AUTHORISE, json=body, headers=KEY)
    assert response.json() == {"fuelling_id": "f-open"}
    assert station.asked == [("authorise", asked)]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"preset_volume_ml": 1000, "preset_amount_fen": 1000}, "body"),
        ({"prepaid_fen": 1000, "preset_volume_ml": 1000}, "body"),
        ({"prepaid_fen": 1000, "preset_amount_fen": 1001}, "body"),
        ({"prepaid_fen": -1}, "prepaid_fen"),
        ({"preset_amount_fen": 0}, "preset_amount_fen"),
        ({"preset_amount_fen": "20000"}, "preset_amount_fen"),
        ({"preset_amount_fen": 200.0}, "preset_amount_fen"),
        ({"preset_amount_fen": True}, "preset_amount_fen"),
        ({"preset_amount_fen": 10**9}, "preset_amount_fen"),
        ({"member": "王先生"}, "member"),
        ({"preset": 1}, "preset"),
        ([], "body"),
        (None, "body"),
    ],
    ids=str,
)
async def test_a_senseless_wish_names_its_field(
    screen: httpx.AsyncClient, station: FakeStation, body: object, field: str
) -> None:
    response = await screen.post(AUTHORISE, json=body, headers=KEY)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "request_invalid")
    assert [found["field"] for found in problem["fields"]] == [field]
    assert station.asked == []


async def test_a_refused_command_says_why_in_both_languages(
    screen: httpx.AsyncClient, station: FakeStation
) -> None:
    station.change_point(1, blocked="unpaid_limit")
    response = await screen.post(AUTHORISE, json={})
    problem = response.json()
    assert response.status_code == 409
    assert response.headers["Content-Type"] == "application/problem+json"
    assert problem["code"] == "unpaid_limit"
    assert problem["type"] == "urn:edge-agent:problem:unpaid_limit"
    assert problem["text_zh"]
    assert problem["text_en"]
    assert problem["detail"] == "FP 1"


async def test_a_full_disk_is_unavailable_not_refused(
    screen: httpx.AsyncClient, station: FakeStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_: AuthoriseRequest, **_more: object) -> None:
        raise StorageUnavailable(Problem("storage_unavailable", "磁盘已满", "the disk is full"))

    monkeypatch.setattr(station, "authorise", full)
    response = await screen.post(AUTHORISE, json={})
    assert (response.status_code, response.json()["code"]) == (503, "storage_unavailable")


@pytest.mark.parametrize("verb", ["stop", "suspend", "resume"])
async def test_orders_to_one_point(
    screen: httpx.AsyncClient, station: FakeStation, verb: str
) -> None:
    assert (await screen.post(f"/v1/fuelling-points/2/{verb}")).status_code == 204
    assert station.asked == [(verb, (2, "till"))]


@pytest.mark.parametrize("verb", ["authorise", "stop", "suspend", "resume"])
async def test_an_unknown_point(screen: httpx.AsyncClient, station: FakeStation, verb: str) -> None:
    body: dict[str, object] | None = {} if verb == "authorise" else None
    unknown = await screen.post(f"/v1/fuelling-points/99/{verb}", json=body)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "fp_unknown")
    for wrong in ("0", "-1", "x", "1.5"):
        answer = await screen.post(f"/v1/fuelling-points/{wrong}/{verb}", json=body)
        assert answer.json()["fields"][0]["field"] == "fp"
    assert station.asked == []


async def test_a_prepayment_needs_a_key(screen: httpx.AsyncClient, station: FakeStation) -> None:
    for headers in ({}, {"Idempotency-Key": "short"}):
        answer = await screen.post(AUTHORISE, json={"prepaid_fen": 10_000}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")
        assert answer.json()["fields"][0]["field"] == "Idempotency-Key"
    assert station.asked == []


async def test_a_prepayment_asked_for_again_after_its_end_releases_nothing(
    screen: httpx.AsyncClient, station: FakeStation
) -> None:
    first = await screen.post(AUTHORISE, json={"prepaid_fen": 10_000}, headers=KEY)
    await screen.post("/v1/fuelling-points/1/stop")
    station.change_point(1, state=FpState.IDLE)
    again = await screen.post(AUTHORISE, json={"prepaid_fen": 10_000}, headers=KEY)
    assert (again.status_code, again.json()) == (200, first.json())
    other = await screen.post(AUTHORISE, json={"prepaid_fen": 20_000}, headers=KEY)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert [asked for asked, _ in station.asked] == ["authorise", "stop"]
    anew = {"Idempotency-Key": "wish-0002"}
    await screen.post(AUTHORISE, json={"prepaid_fen": 10_000}, headers=anew)
    assert [asked for asked, _ in station.asked] == ["authorise", "stop", "authorise"]


async def test_a_prepayment_that_was_refused_may_be_tried_again(
    screen: httpx.AsyncClient, station: FakeStation
) -> None:
    station.change_point(1, blocked="unpaid_limit")
    refused = await screen.post(AUTHORISE, json={"prepaid_fen": 10_000}, headers=KEY)
    assert refused.status_code == 409
    station.change_point(1, blocked=None)
    answer = await screen.post(AUTHORISE, json={"prepaid_fen": 10_000}, headers=KEY)
    assert answer.status_code == 200


async def test_row_l2_a_fleet_asks_for_the_odometer_and_who_drives(
    screen: httpx.AsyncClient, station: FakeStation
) -> None:
    station.fleet_asks = True
    body: dict[str, object] = {"member": "m-gold"}
    answer = await screen.post(AUTHORISE, json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "fleet_odometer_missing")
    body["odometer_km"] = 120_000
    answer = await screen.post(AUTHORISE, json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_required")
    body["second"] = {"member_pin": GOLD_PIN}
    answer = await screen.post(AUTHORISE, json=body)
    assert answer.json() == {"fuelling_id": "f-open"}
    (*_, (_, request)) = station.asked
    assert isinstance(request, AuthoriseRequest)
    assert request.odometer_km == 120_000
    assert GOLD_PIN not in repr(station.asked)
