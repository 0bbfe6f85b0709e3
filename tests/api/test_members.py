"""The routes of members: who somebody is, what they have, topping an account up."""

from __future__ import annotations

import logging

import httpx
import pytest

from tests.api.fake_station import FakeStation
from tests.api.fake_wallets import GOLD_CODE, GOLD_PIN, STAFF, STAFF_PIN

KEY = {"Idempotency-Key": "wish-0001"}
TOP_UP = {"member": "m-gold", "amount_fen": 50_000, "means": "cash"}


@pytest.mark.parametrize(
    ("kind", "identifier"),
    [("card", "62000001"), ("phone", "13900000001"), ("plate", "云A·D12345")],
)
async def test_a_member_is_found_by_what_a_customer_shows(
    screen: httpx.AsyncClient, kind: str, identifier: str
) -> None:
    body = {"kind": kind, "identifier": identifier}
    member = (await screen.post("/v1/members/lookup", json=body)).json()
    assert member == {
        "ref": "m-silver", "tier": "silver", "tier_zh": "银牌会员", "tier_en": "Silver",
        "masked_name": "王**", "plate_pay": True, "available_fen": 90_000,
    }  # fmt: skip


async def test_a_code_identifies_once(screen: httpx.AsyncClient) -> None:
    body = {"kind": "code", "identifier": GOLD_CODE}
    assert (await screen.post("/v1/members/lookup", json=body)).json()["ref"] == "m-gold"
    again = await screen.post("/v1/members/lookup", json=body)
    assert (again.status_code, again.json()["code"]) == (403, "member_code_used")


async def test_only_a_code_may_be_long(screen: httpx.AsyncClient) -> None:
    for kind, status in (("card", 422), ("phone", 422), ("plate", 422), ("code", 404)):
        body = {"kind": kind, "identifier": "7" * 200}
        assert (await screen.post("/v1/members/lookup", json=body)).status_code == status
    endless = {"kind": "code", "identifier": "7" * 257}
    assert (await screen.post("/v1/members/lookup", json=endless)).status_code == 422


async def test_what_a_customer_shows_is_written_nowhere(
    screen: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [
        await screen.post("/v1/members/lookup", json={"kind": kind, "identifier": shown})
        for kind, shown in (
            ("plate", "云B·CANARY7"), ("email", "云B·CANARY7"), ("plate", "云B·CANARY7" * 9),
            ("code", "FM1.CANARY"),
        )
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [404, 422, 422, 404]
    assert "CANARY" not in "".join(answer.text for answer in answers)
    assert "CANARY" not in caplog.text


async def test_a_wallet_tells_balance_points_coupons_and_what_expires(
    screen: httpx.AsyncClient,
) -> None:
    wallet = (await screen.get("/v1/members/m-gold/wallet")).json()
    assert (wallet["balance_here_fen"], wallet["balance_known_fen"]) == (31_200, 80_000)
    assert (wallet["points_here"], wallet["points_value_fen"]) == (1_200, 1_200)
    assert [coupon["serial"] for coupon in wallet["coupons"]] == ["C-1001", "C-1002", "C-1003"]
    assert {each["what"] for each in wallet["expiring"]} == {"points", "coupon"}
    assert wallet["member"] == "赵**"
    unknown = await screen.get("/v1/members/m-nobody/wallet")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "member_unknown")


async def test_row_v10_a_top_up_is_spendable_here_at_once_and_happens_once(
    screen: httpx.AsyncClient, station: FakeStation
) -> None:
    body = TOP_UP | {"second": {"member_pin": GOLD_PIN}}
    once = await screen.post("/v1/top-ups", json=body, headers=KEY)
    again = await screen.post("/v1/top-ups", json=body, headers=KEY)
    assert once.status_code == again.status_code == 200
    assert once.json()["top_up_id"] == again.json()["top_up_id"]
    assert once.json()["wallet"]["balance_here_fen"] == 81_200
    assert once.json()["confirmed_by"] == "member_pin"
    assert once.json()["operator"] == "till"
    assert len(station.topped_up) == 1
    without_key = await screen.post("/v1/top-ups", json=body)
    assert without_key.json()["fields"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (None, "second_factor_required"),
        ({"member_pin": "000000"}, "pin_wrong"),
        ({"operator": STAFF, "operator_pin": STAFF_PIN}, None),
        ({"member_code": GOLD_CODE}, None),
    ],
    ids=str,
)
async def test_row_v8_a_top_up_takes_two(
    screen: httpx.AsyncClient,
    station: FakeStation,
    second: dict[str, str] | None,
    code: str | None,
) -> None:
    answer = await screen.post("/v1/top-ups", json=TOP_UP | {"second": second}, headers=KEY)
    if code is None:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, code)
        assert station.topped_up == {}


async def test_a_code_that_found_its_member_confirms_a_top_up(
    screen: httpx.AsyncClient, station: FakeStation
) -> None:
    found = {"kind": "code", "identifier": GOLD_CODE}
    await screen.post("/v1/members/lookup", json=found)
    answer = await screen.post("/v1/top-ups", json=TOP_UP, headers=KEY)
    assert answer.json()["confirmed_by"] == "member_code"


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount_fen": 0}, {"amount_fen": 1.5}, {"means": "stored_value"}, {"means": "points"},
        {"member": None}, {"reference": "x" * 65}, {"tip_fen": 1},
    ],
    ids=str,
)  # fmt: skip
async def test_malformed_top_ups_are_refused(
    screen: httpx.AsyncClient, station: FakeStation, wrong: dict[str, object]
) -> None:
    body = TOP_UP | {"second": {"member_pin": GOLD_PIN}} | wrong
    answer = await screen.post("/v1/top-ups", json=body, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")
    assert station.topped_up == {}


async def test_an_account_is_needed_for_a_top_up(screen: httpx.AsyncClient) -> None:
    body = {"member": "m-guest", "amount_fen": 20_000, "means": "cash"}
    answer = await screen.post("/v1/top-ups", json=body, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (402, "stored_value_no_account")


async def test_row_c28_the_till_is_told_what_the_policy_lets_it_do(
    screen: httpx.AsyncClient,
) -> None:
    till = (await screen.get("/v1/till")).json()
    goods = {good["good"]: good for good in till["goods"]}
    assert goods["adblue-10"]["suggest_with"] == ["0"]
    assert goods["adblue-10"]["price_fen"] == 4_500
    assert till["top_up"] == {
        "amounts_fen": [20_000, 50_000, 100_000], "max_fen": 500_000, "confirm": "either",
    }  # fmt: skip
    assert (till["points_per_yuan"], till["warn_days"]) == (100, 3)
    assert till["staff"] == [STAFF, "赵六"]


async def test_row_v19_what_may_be_spent_without_headquarters_is_told(
    screen: httpx.AsyncClient,
) -> None:
    lending = (await screen.get("/v1/lending")).json()
    assert lending == {
        "cache_age_s": 540, "balance_fen": 81_200, "points": 1_200, "coupons": 1,
    }  # fmt: skip
