"""The till's routes."""

from __future__ import annotations

import logging

import httpx
import pytest

from tests.api.fake_station import FakeStation

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
    assert sale["tenders"] == [{"means": "cash", "amount_fen": 31_400, "account_ref": None}]


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
        {"tenders": [{"means": "cash"}] * 5},
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


async def test_what_a_customer_shows_is_written_nowhere(
    screen: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [
        await screen.post(
            "/v1/members/lookup", json={"kind": "plate", "identifier": "云B·CANARY7"}
        ),
        await screen.post(
            "/v1/members/lookup", json={"kind": "email", "identifier": "云B·CANARY7"}
        ),
        await screen.post(
            "/v1/members/lookup", json={"kind": "plate", "identifier": "云B·CANARY7" * 9}
        ),
    ]
    assert [answer.status_code for answer in answers] == [404, 422, 422]
    assert "CANARY" not in "".join(answer.text for answer in answers)
    assert "CANARY" not in caplog.text
