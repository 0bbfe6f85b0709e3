"""The till's routes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from edge_agent.model.units import Money
from tests.api.fake_station import FakeStation
from tests.api.fake_wallets import GOLD_CODE, GOLD_PIN, STAFF, STAFF_PIN

KEY = {"Idempotency-Key": "wish-0001"}


@pytest.fixture
def fuelling(station: FakeStation) -> str:
    return station.deliver(1, 40_000)  # 314.00


async def test_unpaid(screen: httpx.AsyncClient, station: FakeStation, fuelling: str) -> None:
    (item,) = (await screen.get("/v1/unpaid")).json()
    assert (item["fuelling_id"], item["amount_fen"], item["volume_ml"]) == (
        fuelling,
        31_400,
        40_000,
    )


async def test_a_quote_explains_itself(screen: httpx.AsyncClient, fuelling: str) -> None:
    plain = (await screen.get(f"/v1/fuellings/{fuelling}/quote")).json()
    assert plain["payable_fen"] == plain["list_amount_fen"] == 31_400
    assert plain["member"] is None

    member = (await screen.get(f"/v1/fuellings/{fuelling}/quote?member=m-silver")).json()
    assert member["payable_fen"] == 31_400 - 628
    assert member["payable_fen"] == member["list_amount_fen"] - sum(
        offer["amount_fen"] for offer in member["applied"]
    )
    assert member["rejected"][0]["text_zh"]
    assert member["member"]["available_fen"] == 90_000
    assert member["member"]["tier_zh"] == "银牌会员"


async def test_settle_needs_a_key_and_happens_once(
    screen: httpx.AsyncClient, station: FakeStation, fuelling: str
) -> None:
    path, body = f"/v1/fuellings/{fuelling}/settle", {"tenders": [{"means": "cash"}]}
    without = await screen.post(path, json=body)
    assert without.status_code == 422
    assert without.json()["fields"][0]["field"] == "Idempotency-Key"

    once = await screen.post(path, json=body, headers=KEY)
    again = await screen.post(path, json=body, headers=KEY)
    assert once.status_code == again.status_code == 200
    assert once.json() == again.json()
    assert len(station.sold) == 1
    assert once.json()["operator"] == "till"


async def test_change_is_told(screen: httpx.AsyncClient, fuelling: str) -> None:
    body = {"tenders": [{"means": "cash", "amount_fen": 40_000}]}
    sale = (await screen.post(f"/v1/fuellings/{fuelling}/settle", json=body, headers=KEY)).json()
    assert (sale["payable_fen"], sale["change_fen"]) == (31_400, 8_600)
    (tender,) = sale["tenders"]
    assert (tender["means"], tender["amount_fen"]) == ("cash", 31_400)


async def test_too_little_stored_value_asks_for_payment(
    screen: httpx.AsyncClient, fuelling: str
) -> None:
    body = {"tenders": [{"means": "stored_value"}], "member": "m-poor"}
    answer = await screen.post(f"/v1/fuellings/{fuelling}/settle", json=body, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (402, "stored_value_insufficient")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tenders": [{"means": "gold"}]},
        {"tenders": [{"means": "cash", "amount_fen": -1}]},
        {"tenders": [{"means": "cash", "amount_fen": 1.5}]},
        {"tenders": [{"means": "cash"}] * 7},
        {"tenders": [{"means": "bank_card", "reference": "x" * 65}]},
        {"tenders": [{"means": "bank_card", "reference": "\u4e00"}]},
        {"tenders": [], "redeem_points": -100},
        {"tenders": [], "goods": [{"good": "washer", "pieces": 0}]},
        {"tenders": [], "coupons": ["not a serial!"]},
        {"tenders": [], "shown_fen": "31400"},
        {"tenders": [], "second": {}},
        {"tenders": [], "second": {"member_pin": "12345x"}},
        {"tenders": [], "second": {"member_pin": 123456}},
        {"tenders": [], "second": {"operator": "lin"}},
        {"tenders": [], "second": {"member_pin": "123456", "member_code": "FM1.x"}},
        {"tenders": [], "tip_fen": 100},
    ],
    ids=str,
)
async def test_malformed_tenders_are_refused(
    screen: httpx.AsyncClient, station: FakeStation, fuelling: str, body: dict[str, object]
) -> None:
    answer = await screen.post(f"/v1/fuellings/{fuelling}/settle", json=body, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")
    assert station.sold == {}


@pytest.mark.parametrize("key", ["short", "x" * 65, "with space!", "ключ-ключ"])
async def test_keys_have_a_form(screen: httpx.AsyncClient, fuelling: str, key: str) -> None:
    answer = await screen.post(
        f"/v1/fuellings/{fuelling}/settle",
        json={"tenders": [{"means": "cash"}]},
        headers={b"Idempotency-Key": key.encode()},
    )
    assert answer.json()["code"] == "request_invalid"


async def test_unknown_things_are_not_found(screen: httpx.AsyncClient) -> None:
    body = {"reason": "mistake"}
    answers = [
        await screen.get("/v1/fuellings/f-none/quote"),
        await screen.get("/v1/sales/s-none/receipt"),
        await screen.post("/v1/sales/s-none/refund", json=body, headers=KEY),
        await screen.post("/v1/members/lookup", json={"kind": "card", "identifier": "0"}),
    ]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert [answer.json()["code"] for answer in answers] == [
        "fuelling_unknown", "sale_unknown", "sale_unknown", "member_unknown",
    ]  # fmt: skip


async def test_sales_receipt_and_refund(
    screen: httpx.AsyncClient, station: FakeStation, fuelling: str
) -> None:
    body = {"tenders": [{"means": "cash"}]}
    sale = (await screen.post(f"/v1/fuellings/{fuelling}/settle", json=body, headers=KEY)).json()
    path = f"/v1/sales/{sale['sale_id']}"

    receipt = await screen.get(f"{path}/receipt")
    assert receipt.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "重打" not in receipt.text
    assert "重打" in (await screen.get(f"{path}/receipt?reprint=true")).text

    refund = {"reason": "收错款 Paid wrongly"}
    back = await screen.post(
        f"{path}/refund", json=refund, headers={"Idempotency-Key": "wish-0002"}
    )
    assert back.json()["refunded"] is True
    assert back.json()["refund_reason"] == refund["reason"]
    twice = await screen.post(
        f"{path}/refund", json=refund, headers={"Idempotency-Key": "wish-0003"}
    )
    assert twice.status_code == 409

    (listed,) = (await screen.get("/v1/sales")).json()
    assert listed["sale_id"] == sale["sale_id"]
    assert listed["refunded"] is True


async def test_sales_come_newest_first_and_are_limited(
    screen: httpx.AsyncClient, station: FakeStation
) -> None:
    for number in range(3):
        fuelling = station.deliver(number + 1, 10_000)
        await screen.post(
            f"/v1/fuellings/{fuelling}/settle",
            json={"tenders": [{"means": "cash"}]},
            headers={"Idempotency-Key": f"wish-{number:04d}"},
        )
    sales = (await screen.get("/v1/sales?limit=2")).json()
    assert [sale["fp"] for sale in sales] == [3, 2]
    assert (await screen.get("/v1/sales?limit=0")).status_code == 422
    assert (await screen.get("/v1/sales?limit=201")).status_code == 422


# --- wishes: goods, coupons, points, means --------------------------------------------------------


async def _quote(screen: httpx.AsyncClient, fuelling: str, **wish: object) -> dict[str, Any]:
    answer = await screen.post(f"/v1/fuellings/{fuelling}/quote", json=wish)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    assert told["payable_fen"] == told["list_amount_fen"] - sum(
        line["amount_fen"] for line in told["applied"]
    )
    return told


async def test_row_c1_row_c16_coupons_are_used_or_left_out_by_serial(
    screen: httpx.AsyncClient, fuelling: str
) -> None:
    every = await _quote(screen, fuelling, member="m-gold")
    used = [line["coupon"] for line in every["applied"] + every["benefits"] if line["coupon"]]
    assert used == ["C-1001", "C-1002"]
    (refused,) = [line for line in every["rejected"] if line["coupon"]]
    assert (refused["coupon"], refused["reason"], refused["missing"]) == ("C-1003", "spend", 18_600)

    none = await _quote(screen, fuelling, member="m-gold", coupons=[])
    assert none["payable_fen"] == every["payable_fen"] + 1_000
    one = await _quote(screen, fuelling, member="m-gold", coupons=["C-1002"])
    assert [line["serial"] for line in one["coupons"]] == ["C-1002"]


async def test_row_c20_each_means_has_its_own_price(
    screen: httpx.AsyncClient, fuelling: str
) -> None:
    told = await _quote(screen, fuelling, member="m-silver")
    by = {each["means"]: each["payable_fen"] for each in told["payable_by"]}
    assert by == {
        "stored_value": 30_772, "bank_card": 30_272, "wallet": 30_772, "cash": 30_772,
    }  # fmt: skip
    card = await _quote(screen, fuelling, member="m-silver", paying="bank_card")
    assert card["payable_fen"] == by["bank_card"]
    split = await _quote(
        screen, fuelling, member="m-silver", paying="bank_card", paid_otherwise_fen=100
    )
    assert split["payable_fen"] == by["cash"]
    assert "stored_value" not in {
        each["means"] for each in (await _quote(screen, fuelling))["payable_by"]
    }


async def test_row_v4_the_plan_takes_the_balance_first(
    screen: httpx.AsyncClient, fuelling: str
) -> None:
    plans = {
        member: (await _quote(screen, fuelling, member=member))["plan"]
        for member in ("m-silver", "m-poor", "m-guest")
    }
    assert plans == {
        "m-silver": [{"means": "stored_value", "amount_fen": 30_772}],
        "m-poor": [
            {"means": "stored_value", "amount_fen": 5_000},
            {"means": "cash", "amount_fen": 26_400},
        ],
        "m-guest": [{"means": "cash", "amount_fen": 31_400}],
    }


async def test_row_p6_points_pay_whole_yuan_and_lower_no_price(
    screen: httpx.AsyncClient, fuelling: str
) -> None:
    told = await _quote(screen, fuelling, member="m-gold")
    assert told["redeemable"] == {"points": 1_200, "amount_fen": 1_200}
    with_points = await _quote(screen, fuelling, member="m-gold", redeem_points=1_200)
    assert with_points["payable_fen"] == told["payable_fen"]
    assert with_points["points_pay_fen"] == 1_200
    assert with_points["points_earned"] == told["points_earned"] - 12
    assert (await _quote(screen, fuelling, member="m-silver"))["redeemable"] is None


async def test_row_c28_diesel_suggests_urea_until_it_is_bought(
    screen: httpx.AsyncClient, station: FakeStation
) -> None:
    diesel = station.deliver(4, 100_000)
    assert (await _quote(screen, diesel))["suggested_goods"] == ["adblue-10"]
    bought = await _quote(screen, diesel, goods=[{"good": "adblue-10", "pieces": 2}])
    assert bought["suggested_goods"] == []
    assert bought["goods"] == [{"good": "adblue-10", "pieces": 2, "amount_fen": 9_000}]
    assert bought["list_amount_fen"] == bought["fuel_amount_fen"] + 9_000


async def test_row_m12_row_p14_the_quote_tells_what_the_member_has(
    screen: httpx.AsyncClient, fuelling: str
) -> None:
    wallet = (await _quote(screen, fuelling, member="m-gold"))["wallet"]
    assert wallet["greeting_zh"] == "金牌会员，欢迎回来"
    assert [each["days"] for each in wallet["expiring"]] == [2, 2]
    assert (await _quote(screen, fuelling, member="m-silver"))["wallet"]["progress_zh"]
    assert (await _quote(screen, fuelling))["wallet"] is None


async def test_several_tenders_and_their_references(
    screen: httpx.AsyncClient, station: FakeStation, fuelling: str
) -> None:
    body = {
        "member": "m-gold", "redeem_points": 1_200, "paying": "stored_value",
        "paid_otherwise_fen": 20_000, "shown_fen": 29_458,
        "tenders": [
            {"means": "points"},
            {"means": "cash", "amount_fen": 10_000},
            {"means": "bank_card", "amount_fen": 10_000, "reference": "POS 00123"},
            {"means": "stored_value"},
        ],
    }  # fmt: skip
    sale = (await screen.post(f"/v1/fuellings/{fuelling}/settle", json=body, headers=KEY)).json()
    paid = {tender["means"]: tender["amount_fen"] for tender in sale["tenders"]}
    assert paid == {
        "points": 1_200, "stored_value": 8_258, "bank_card": 10_000, "cash": 10_000,
    }  # fmt: skip
    assert sum(paid.values()) == sale["payable_fen"] == 29_458
    references = {tender["means"]: tender["reference"] for tender in sale["tenders"]}
    assert references["bank_card"] == "POS 00123"
    (detail,) = [detail for what, detail in station.asked if what == "settle"]
    assert detail[1].shown == Money(29_458)  # type: ignore[index]


async def test_another_price_than_was_shown_charges_nothing(
    screen: httpx.AsyncClient, station: FakeStation, fuelling: str
) -> None:
    body = {"tenders": [{"means": "cash"}], "shown_fen": 31_399}
    answer = await screen.post(f"/v1/fuellings/{fuelling}/settle", json=body, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (409, "price_changed")
    assert station.sold == {}


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (None, "second_factor_required"),
        ({"member_pin": "999999"}, "pin_wrong"),
        ({"operator": STAFF, "operator_pin": "111111"}, "pin_wrong"),
        ({"member_code": "FM1.forged"}, "member_code_used"),
        ({"member_pin": GOLD_PIN}, None),
        ({"member_code": GOLD_CODE}, None),
        ({"operator": STAFF, "operator_pin": STAFF_PIN}, None),
    ],
    ids=str,
)
async def test_row_v8_a_large_charge_needs_a_second_factor(
    screen: httpx.AsyncClient,
    station: FakeStation,
    fuelling: str,
    second: dict[str, str] | None,
    code: str | None,
) -> None:
    station.second_above_fen = 10_000
    body = {"member": "m-gold", "tenders": [{"means": "stored_value"}], "second": second}
    answer = await screen.post(f"/v1/fuellings/{fuelling}/settle", json=body, headers=KEY)
    if code is None:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, code)
        assert station.sold == {}


async def test_a_fuelling_that_has_not_begun_is_estimated(
    screen: httpx.AsyncClient, station: FakeStation
) -> None:
    body = {"nozzle": 1, "amount_fen": 10_000, "member": "m-silver"}
    told = (await screen.post("/v1/fuelling-points/1/estimate", json=body)).json()
    assert told["fuel_amount_fen"] == 10_000
    assert told["next_step"]["preset_amount_fen"] == 20_000
    assert told["member"]["tier"] == "silver"
    assert (await screen.post("/v1/fuelling-points/77/estimate", json=body)).status_code == 404
    assert station.waiting == {}
