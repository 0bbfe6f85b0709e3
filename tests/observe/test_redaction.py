"""Whatever looks like a plate, a phone number, a login or a secret is masked; the rest is left."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model.plates import PROVINCES, SERIAL_SYMBOLS
from edge_agent.observe.redaction import redact

provinces = st.sampled_from(PROVINCES)
offices = st.sampled_from("ABCDEFGHJKLMNPQRSTUVWXYZ")
serials = st.text(st.sampled_from(SERIAL_SYMBOLS), min_size=5, max_size=6)
gaps = st.sampled_from(["", "·", " ", "-"])
FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
around = st.sampled_from(["", " ", "，", '"', "'", "=", ":", "/", "\n", "车牌", "(", "x"])


@given(around, provinces, offices, gaps, gaps, serials, around)
def test_no_plate_stays_whole(
    before: str, province: str, office: str, early: str, gap: str, serial: str, after: str
) -> None:
    plate = f"{province}{early}{office}{gap}{serial}"
    for written in (plate, plate.translate(FULL_WIDTH)):
        shown = redact(f"{before}{written}{after}")
        assert written not in shown
        assert serial not in shown
        assert f"{province}{early}{office}"[:2] in shown


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
        "phone13812345678",
        "13812345678abc",
        "电话１３８１２３４５６７８",
        "x138-1234-5678 138-1234-5678",
    ],
)
def test_phone_numbers_beside_letters(text: str) -> None:
    shown = redact(text)
    assert "12345678" not in shown
    assert " 138-1234-5678" not in shown
    assert "138****5678" in shown


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://admin:hunter2@10.0.0.1/stream",
        "Authorization: Bearer hunter2",
        '"password": "hunter2"',
        "token=hunter2",
        'token="hunter2"',
        "password='hunter2'",
        "access_token=hunter2",
        "secret_key = hunter2",
        '{"refresh_token_v2": "hunter2"}',
        "mqttPassword:hunter2",
        "rtsp://admin:p@ss@hunter2@10.0.0.1/stream",
        "rtsp://admin:hunter2@more@10.0.0.1/stream",
        "Authorization: Basic hunter2==",
        "ｐａｓｓｗｏｒｄ＝hunter2",
        "Cookie: a=1; edge_agent_0a1b2c3d=hunter2.hunter2",
        "{'cookie': 'b=hunter2', 'host': 'localhost'}",
        "[(b'cookie', b'edge_agent_0a1b2c3d=hunter2'), (b'host', b'x')]",
        "set-cookie: edge_agent_0a1b2c3d=hunter2; HttpOnly",
        "sent edge_agent_0a1b2c3d=hunter2; back",
    ],
)
def test_logins_and_secrets(text: str) -> None:
    assert "hunter2" not in redact(text)
    line = redact(json.dumps({"message": text, "more": 1}, ensure_ascii=False))
    assert "hunter2" not in line
    assert json.loads(line)["more"] == 1


PIECES = (
    "token", "cookie", "secret_key", "Basic", "://u:p", "@", "=", ":", " ", "\\", '"', "'", "\n",
    ",", "}", "＂", "＼", "１", "138", "12345678", "云A", "12345", "ab", "edge_agent_0a1b2c3d=",
)  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=16).map("".join))
def test_a_line_of_json_stays_one(text: str) -> None:
    line = json.dumps({"message": text, "more": 1, "last": text}, ensure_ascii=False)
    assert set(json.loads(redact(line))) == {"message", "more", "last"}


@pytest.mark.parametrize(
    "text",
    [
        "1795292852673",  # milliseconds
        "0b5f9698903b794c5d1887e9251d45ea20022e2084c63816da8ae2ae602abbea",
        "019ab138-1234-7123-8aaa-0123456789ab",
        "云南昆明，５号油机：全角文字原样保留",
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
