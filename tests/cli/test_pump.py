"""The forecourt from the command line, through the real API."""

from __future__ import annotations

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.cli.pump import whole
from edge_agent.cli.tables import WIDTH, width
from edge_agent.model.dispenser import Preset
from edge_agent.model.fuelling import FpState
from edge_agent.model.units import Money, Volume
from tests.api.fake_station import FakeStation
from tests.cli.conftest import CommandLine


def test_list_shows_every_point_within_80_columns(
    running: CommandLine, station: FakeStation, chinese: None
) -> None:
    station.change_point(
        2, state=FpState.FUELLING, volume_ml=12_340, amount_fen=9_687, blocked="fp_busy"
    )
    ran = running("pump", "list")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 9
    assert all(width(line) <= WIDTH for line in ran.out.splitlines())
    row = ran.out.splitlines()[2]
    assert "加油中" in row
    assert "12.34" in row
    assert "96.87" in row
    assert "该油枪正在使用中" in row


def test_list_as_json_is_what_the_screen_gets(running: CommandLine) -> None:
    points = running("pump", "list", "--json").json["fuelling_points"]
    assert [point["fp"] for point in points] == list(range(1, 9))
    assert points[0]["nozzles"][0]["unit_price_milli"] == 7_850


@pytest.mark.parametrize(
    ("words", "preset"),
    [
        ((), None),
        (("--litres", "20.5"), Preset(volume=Volume(20_500))),
        (("--yuan", "200"), Preset(amount=Money(20_000))),
    ],
)
def test_authorise_asks_for_exactly_what_was_typed(
    running: CommandLine, station: FakeStation, words: tuple[str, ...], preset: Preset | None
) -> None:
    ran = running("pump", "authorise", "3", *words, "--json")
    assert ran.code == 0
    assert ran.json["fuelling_id"]
    name, request = station.asked[-1]
    assert (name, request.fp, request.preset) == ("authorise", 3, preset)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "words",
    [
        ("--litres", "20", "--yuan", "100"),
        ("--litres", "0"),
        ("--litres", "-1"),
        ("--litres", "1.2345"),
        ("--yuan", "nan"),
        ("--yuan", "1e999999999"),
        ("--yuan", "twenty"),
    ],
)
def test_authorise_refuses_what_is_no_preset(
    running: CommandLine, station: FakeStation, words: tuple[str, ...]
) -> None:
    assert running("pump", "authorise", "3", *words).code == 2
    assert not station.asked


def test_a_refusal_keeps_the_agents_own_code_and_words(
    running: CommandLine, station: FakeStation
) -> None:
    ran = running("pump", "stop", "99")
    assert ran.code == 1
    assert ran.out == ""
    assert ran.err.splitlines()[0].split(":")[0] == "fp_unknown"
    assert len(ran.err.splitlines()) >= 2


def test_stop_all_needs_no_confirmation_and_can_be_lifted(
    running: CommandLine, station: FakeStation
) -> None:
    assert running("pump", "stop-all").code == 0
    assert running("pump", "stop-all", "--release").code == 0
    assert [name for name, _ in station.asked] == ["stop_all", "release_stop_all"]
    assert {operator for _, operator in station.asked} == {"cli"}


def test_totals_by_the_number_on_the_label(running: CommandLine) -> None:
    totals = running("pump", "totals", "--json").json["totals"]
    assert totals == [
        {"fp": 1, "nozzle_number": 2, "logical": 2, "volume_ml": 5_000, "amount_fen": 4_000},
        {"fp": 2, "nozzle_number": 3, "logical": 1, "volume_ml": 7_000, "amount_fen": None},
    ]
    assert running("pump", "totals").out.splitlines()[1].split() == ["2", "1", "5.00", "40.00"]


def test_prices_nozzle_by_nozzle(running: CommandLine) -> None:
    prices = running("pump", "price", "--json").json["prices"]
    assert prices[0] == {
        "fp": 1,
        "nozzle_number": 1,
        "grade": "92",
        "grade_name": "92#",
        "unit_price_milli": 7_850,
        "price_set": prices[0]["price_set"],
    }
    assert "7.85" in running("pump", "price").out


@given(st.integers(1, 999_999_999))
def test_typed_figures_are_read_without_rounding(units: int) -> None:
    assert whole(f"{units // 1000}.{units % 1000:03}", 1000, "--litres") == units


@given(st.text(max_size=12))
def test_any_text_is_a_figure_or_refused(typed: str) -> None:
    try:
        assert whole(typed, 100, "--yuan") > 0
    except typer.BadParameter:
        return
