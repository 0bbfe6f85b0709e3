"""Recordings of a bus, in which nobody says who spoke."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dart import DRIVER
from drivers.dart.reading import read_frames
from tests.drivers.dart.vectors import CAPTURED, SALE_ORDERS, SALE_REPORTS, WORKED


@pytest.mark.parametrize("vector", [*CAPTURED, *WORKED, *SALE_ORDERS, *SALE_REPORTS])
def test_every_known_frame_is_read(vector: tuple[str, int, int, object]) -> None:
    (frame,) = read_frames(bytes.fromhex(vector[0]))
    assert frame.ok
    assert frame.fields["address"] == f"{vector[1]:02X}"
    assert frame.fields["number"] == vector[2]
    json.dumps(frame.fields)


def test_fields_have_names() -> None:
    (frame,) = DRIVER.decode_frames(bytes.fromhex(SALE_REPORTS[2][0]))
    assert frame.fields["direction"] == "report"
    assert frame.fields["transactions"] == [
        {"name": "DC1", "kind": "PumpStatus", "status": "FILLING"},
        {"name": "DC2", "kind": "Filled", "volume": 1234, "amount": 9687},
    ]


def test_a_status_alone_may_be_a_command() -> None:
    (frame,) = read_frames(bytes.fromhex("50 30 01 01 05 5F 5F 03 FA"))
    assert frame.fields["direction"] == "either"
    assert frame.fields["transactions"] == [
        {
            "either": [
                {"name": "CD1", "kind": "Command", "ask": "RESET"},
                {"name": "DC1", "kind": "PumpStatus", "status": "FILLING_COMPLETED"},
            ]
        }
    ]


def test_a_poll_before_it_settles_the_direction() -> None:
    frames = read_frames(bytes.fromhex("50 20 FA 50 30 01 01 05 5F 5F 03 FA 50 C0 FA"))
    assert [frame.fields["frame"] for frame in frames] == ["POLL", "DATA", "ACK"]
    assert frames[1].fields["direction"] == "report"


def test_what_is_no_frame_is_shown_with_the_reason() -> None:
    frames = read_frames(bytes.fromhex("00 FA 50 20 FA 50 30"))
    assert [(frame.ok, frame.error) for frame in frames] == [
        (False, "short"),
        (True, ""),
        (False, "unfinished"),
    ]
    assert frames[2].raw == bytes.fromhex("50 30")


@given(st.binary(max_size=300))
def test_any_recording_is_read_without_an_error(data: bytes) -> None:
    frames = read_frames(data)
    assert b"".join(frame.raw for frame in frames) == data
    for frame in frames:
        json.dumps(frame.fields)
