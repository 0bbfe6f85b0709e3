"""Any bytes as a request's body are answered, never with an internal error."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROUTES = (
    "/v1/fuelling-points/1/authorise",
    "/v1/fuelling-points/1/estimate",
    "/v1/fuellings/f-0001/quote",
    "/v1/fuellings/f-0001/settle",
    "/v1/top-ups",
    "/v1/sales/s-f-0001/refund",
    "/v1/members/lookup",
    "/v1/sync/drain",
    "/v1/session",
)
NAMES = st.sampled_from(
    ["preset_volume_ml", "preset_amount_fen", "prepaid_fen", "member", "tenders", "means", "reason",
     "amount_fen", "kind", "identifier", "timeout_s", "code", "goods", "good", "pieces", "coupons",
     "redeem_points", "paying", "paid_otherwise_fen", "shown_fen", "second", "member_pin",
     "member_code", "operator", "operator_pin", "odometer_km", "reference", "nozzle"]
)  # fmt: skip
FIGURES = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | FIGURES | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
FUZZ = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(route=st.sampled_from(ROUTES), body=VALUES)
async def test_any_json(cli: httpx.AsyncClient, route: str, body: object) -> None:
    answer = await cli.post(route, json=body, headers={"Idempotency-Key": "fuzz-0001"})
    assert answer.status_code < 500


@FUZZ
@given(route=st.sampled_from(ROUTES), body=st.binary(max_size=200))
async def test_any_bytes(cli: httpx.AsyncClient, route: str, body: bytes) -> None:
    json = {"Content-Type": "application/json", "Idempotency-Key": "fuzz-0002"}
    answer = await cli.post(route, content=body, headers=json)
    assert answer.status_code < 500
    assert answer.json()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"[" * 60_000, "body_unreadable"),
        (b'{"a":' * 10_000, "body_unreadable"),
        (b"{", "request_invalid"),
        (b'"\xff"', "body_unreadable"),
        (b'{"kind":"card","identifier":"\\ud800"}', "request_invalid"),
        (b'{"kind":"card","identifier":NaN}', "request_invalid"),
        (b"", "request_invalid"),
    ],
    ids=["deep list", "deep object", "cut off", "no UTF-8", "half a character", "NaN", "empty"],
)
async def test_malformed_bodies(cli: httpx.AsyncClient, content: bytes, code: str) -> None:
    answer = await cli.post(
        "/v1/members/lookup", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.json()["code"] == code


async def test_a_body_has_to_say_that_it_is_json(cli: httpx.AsyncClient) -> None:
    body = b'{"kind":"card","identifier":"62000001"}'
    for content_type in ("text/plain", "application/x-www-form-urlencoded"):
        answer = await cli.post(
            "/v1/members/lookup", content=body, headers={"Content-Type": content_type}
        )
        assert answer.status_code == 422
