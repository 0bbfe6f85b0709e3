"""Whatever looks like a plate, a phone number, a login or a secret is masked; the rest is left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model.plates import PROVINCES, SERIAL_SYMBOLS
from edge_agent.observe.redaction import redact

provinces = st.sampled_from(PROVINCES)
offices = st.sampled_from("ABCDEFGHJKLMNPQRSTUVWXYZ")
serials = st.text(st.sampled_from(SERIAL_SYMBOLS), min_size=5, max_size=6)
around = st.sampled_from(["", " ", "，", '"', "'", "=", ":", "/", "\n", "车牌", "(", "x"])


@given(around, provinces, offices, st.sampled_from(["", "·", " ", "-"]), serials, around)
def test_no_plate_stays_whole(
    before: str, province: str, office: str, gap: str, serial: str, after: str
) -> None:
    plate = f"{province}{office}{gap}{serial}"
    shown = redact(f"{before}{plate}{after}")
    assert plate not in shown
    assert serial not in shown
    assert f"{province}{office}" in shown


@pytest.mark.parametrize(
    "plate",
    [
        "云A1234学",
        "粤Z1234港",
        "京A1234警",
        "使012345",
        "012345使",
        "民航A1234",
        "WJ云12345",
        "AB12345",
    ],
)
def test_other_kinds_of_plates(plate: str) -> None:
    assert plate not in redact(f"seen {plate} at bay A")
    assert "bay A" in redact(f"seen {plate} at bay A")


@given(
    st.sampled_from(["", "86", "+86", "+86-", "86 "]),
    st.integers(13_000_000_000, 19_999_999_999),
    st.sampled_from(["", ",", '"', "。", "\n"]),
)
def test_no_phone_number_stays_whole(code: str, number: int, after: str) -> None:
    shown = redact(f"to {code}{number}{after}")
    assert str(number) not in shown
    assert str(number)[:3] in shown
    assert str(number)[-4:] in shown


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://admin:hunter2@10.0.0.1/stream",
        "Authorization: Bearer hunter2",
        '"password": "hunter2"',
        "token=hunter2",
    ],
)
def test_logins_and_secrets(text: str) -> None:
    assert "hunter2" not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "1795292852673",  # milliseconds
        "0b5f9698903b794c5d1887e9251d45ea20022e2084c63816da8ae2ae602abbea",
        "5020fa13812345678aa",  # hexadecimal digits of a frame
        "FP 12 volume_ml=12340 amount_fen=9687",
        "km-001 92# 云南昆明",
        "/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0-port0",
        "F-20261118-000123",
        "2026-11-21T20:49:04.367Z",
    ],
)
def test_what_is_not_personal_is_left_as_it_is(text: str) -> None:
    assert redact(text) == text


@given(st.text(max_size=60))
def test_redaction_is_stable(text: str) -> None:
    assert redact(redact(text)) == redact(text)
