"""No answer and no log carries a PIN, a code, a plate or a phone number, whatever was sent."""

from __future__ import annotations

import logging
import string

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.model.wishes import SecondFactor
from tests.api.fake_station import FakeStation
from tests.api.fake_wallets import GOLD_CODE, GOLD_PIN, STAFF, STAFF_PIN

SECRETS = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

PINS = st.text(string.digits, min_size=9, max_size=12)
"""Of nine digits or more: a shorter one may stand in a time or an amount by chance."""
CODES = st.text(string.ascii_letters + string.digits, min_size=12, max_size=60).map("FM1.".__add__)
PHONES = st.text(string.digits, min_size=9, max_size=9).map("13".__add__)
PLATES = st.text("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", min_size=6, max_size=6).map("云A".__add__)
TOO_LONG = st.text(string.digits, min_size=40, max_size=60)

SECOND = st.one_of(
    PINS.map(lambda pin: ({"member_pin": pin}, pin)),
    CODES.map(lambda code: ({"member_code": code}, code)),
    PINS.map(lambda pin: ({"operator": "lin", "operator_pin": pin}, pin)),
    PINS.map(lambda pin: ({"member_pin": f"{pin}x"}, pin)),
    PINS.map(lambda pin: ({"member_pin": int(pin) + 10**12}, str(int(pin) + 10**12))),
    PINS.map(lambda pin: ({"operator": "lin", "member_pin": pin, "pin": pin}, pin)),
    CODES.map(lambda code: ({"member_code": [code]}, code)),
)
ROUTES = (
    ("/v1/fuellings/f-0001/settle", {"member": "m-gold", "tenders": [{"means": "stored_value"}]}),
    ("/v1/top-ups", {"member": "m-gold", "amount_fen": 50_000, "means": "cash"}),
    ("/v1/fuelling-points/1/authorise", {"member": "m-gold", "odometer_km": 1}),
    ("/v1/fuellings/f-0001/quote", {"member": "m-gold"}),
)


@SECRETS
@given(route=st.sampled_from(ROUTES), factor=SECOND)
async def test_no_second_factor_is_repeated(
    screen: httpx.AsyncClient,
    station: FakeStation,
    caplog: pytest.LogCaptureFixture,
    route: tuple[str, dict[str, object]],
    factor: tuple[dict[str, object], str],
) -> None:
    caplog.set_level(logging.DEBUG)
    station.second_above_fen, station.fleet_asks = 0, True
    if not station.waiting:
        station.deliver(1, 40_000)
    (path, body), (second, secret) = route, factor
    answer = await screen.post(
        path, json=body | {"second": second}, headers={"Idempotency-Key": "wish-0001"}
    )
    assert answer.status_code in {403, 422}
    assert secret not in answer.text
    assert secret not in str(answer.headers)
    assert secret not in caplog.text
    assert secret not in str(answer.request.url)


@SECRETS
@given(
    kind=st.sampled_from(["card", "phone", "plate", "code", "email"]),
    shown=PHONES | PLATES | CODES | TOO_LONG,
)
async def test_nothing_that_identifies_is_repeated(
    screen: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, kind: str, shown: str
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = await screen.post("/v1/members/lookup", json={"kind": kind, "identifier": shown})
    assert answer.status_code in {404, 422}
    assert shown not in answer.text
    assert shown not in caplog.text


async def test_what_succeeds_tells_no_secret_either(
    screen: httpx.AsyncClient, station: FakeStation, caplog: pytest.LogCaptureFixture
) -> None:
    """The whole of a member's visit: found, quoted, paid, topped up, refunded, listed."""
    caplog.set_level(logging.DEBUG)
    station.second_above_fen = 0
    fuelling = station.deliver(1, 20_000, plate_ref="p-1", member_ref="m-gold")
    key = iter(f"wish-{number:04d}" for number in range(9))
    answers = [
        await screen.post("/v1/members/lookup", json={"kind": kind, "identifier": shown})
        for kind, shown in (("phone", "13900000001"), ("plate", "云A·D12345"), ("code", GOLD_CODE))
    ]
    answers += [
        await screen.post(path, json=body, headers={"Idempotency-Key": next(key)})
        for path, body in (
            (f"/v1/fuellings/{fuelling}/quote", {}),
            (
                f"/v1/fuellings/{fuelling}/settle",
                {"tenders": [{"means": "stored_value"}], "second": {"member_pin": GOLD_PIN}},
            ),
            (
                "/v1/top-ups",
                {
                    "member": "m-gold", "amount_fen": 20_000, "means": "cash",
                    "second": {"operator": STAFF, "operator_pin": STAFF_PIN},
                },
            ),
            (f"/v1/sales/s-{fuelling}/refund", {"reason": "mistake"}),
        )
    ]  # fmt: skip
    answers += [
        await screen.get(path)
        for path in (
            "/v1/sales", "/v1/station", "/v1/unpaid", "/v1/members/m-gold/wallet", "/v1/till",
            "/v1/lending", f"/v1/sales/s-{fuelling}/receipt", "/v1/metrics", "/v1/ledger/tail",
        )
    ]  # fmt: skip
    assert {answer.status_code for answer in answers} == {200}
    told = "".join(answer.text + str(answer.headers) for answer in answers) + caplog.text
    for secret in (GOLD_PIN, GOLD_CODE, STAFF_PIN, "13900000001", "D12345", "62000001"):
        assert secret not in told


def test_a_second_factor_shows_nothing_of_itself() -> None:
    factor = SecondFactor("FM1.secret", "123456", "lin", "654321")
    assert "secret" not in repr(factor)
    assert "123456" not in f"{factor} {factor!r}"
    assert "654321" not in str(factor)
