"""Heads of different makes and moods: layouts, missing reports, late figures."""

from __future__ import annotations

from typing import Literal

import pytest

from drivers.dart.orders import Ask
from edge_agent.model.dispenser import (
    Authorise,
    CommandDone,
    CommandFailed,
    FuellingEnded,
    Preset,
    Progress,
    ReadTotals,
    ReadTransaction,
    SetPrices,
    TotalsRead,
)
from edge_agent.model.ids import LogicalNozzle
from edge_agent.model.units import Money, Volume
from tests.drivers.dart.bench import FP, ONE, P92, Bench


def test_both_layouts_of_totals() -> None:
    layouts: tuple[Literal[16, 13], ...] = (16, 13)
    for layout in layouts:
        bench = Bench().ready()
        bench.manners.totals_layout = layout
        bench.sell(5_000)
        bench.do(ReadTotals(FP, ONE))
        assert bench.of(TotalsRead) == [TotalsRead(FP, ONE, Volume(5_000), Money(3_925))]


def test_a_pump_without_amount_totals() -> None:
    bench = Bench().ready()
    bench.manners.has_amount_totals = False
    bench.sell(5_000)
    bench.do(ReadTotals(FP, ONE))
    assert bench.of(TotalsRead) == [TotalsRead(FP, ONE, Volume(5_000), None)]


@pytest.mark.parametrize("readings", [1, 2])
def test_running_figures_after_the_end_are_not_final(readings: int) -> None:
    bench = Bench().ready()
    bench.manners.running_figures_after_end = 7
    bench.manners.running_readings = readings
    ended = bench.sell(5_000)
    assert (ended.volume, ended.amount) == (Volume(5_000), Money(3_925))


def test_figures_that_are_not_volunteered_are_asked_for() -> None:
    bench = Bench().ready()
    bench.manners.volunteers_figures = False
    bench.sell(6_000)
    assert len(bench.of(Progress)) >= 10


def test_preset_only_after_the_lift() -> None:
    bench = Bench().ready()
    bench.manners.preset_wants_lift = True
    preset = Preset(volume=Volume(3_000))
    refused = bench.ask(Authorise(FP, (ONE,), preset))
    assert isinstance(refused, CommandFailed)
    assert refused.reason == "nozzle_not_lifted"
    assert bench.sell(60_000, preset=preset).volume == Volume(3_000)


def test_prices_of_a_pump_that_cannot_tell_them_all() -> None:
    bench = Bench(nozzles=1)
    bench.manners.has_prices_report = False
    bench.pump.nozzle = ONE
    bench.connect()
    bench.run(3_000)
    bench.do(SetPrices(FP, ((ONE, P92),)))


def test_a_nozzle_of_another_side_is_refused() -> None:
    bench = Bench().ready()
    for command in (ReadTotals(FP, LogicalNozzle(5)), Authorise(FP, (LogicalNozzle(5),))):
        answer = bench.ask(command)
        assert isinstance(answer, CommandFailed)
        assert answer.reason == "no_such_nozzle"
    assert not bench.of(CommandDone)


def changing_figures(bench: Bench) -> None:
    """Let the display show something else whenever it is read."""
    bench.manners.running_readings = 1_000

    def change(data: bytes) -> bytes:
        bench.manners.running_figures_after_end += 1
        return data

    bench.wire = change


def test_a_display_that_is_not_told_at_the_end_is_an_alarm() -> None:
    """The last running figures are told, but somebody has to look."""
    bench = Bench().ready()
    bench.lift()
    bench.do(Authorise(FP, (ONE,)))
    bench.fuel(5_000)
    bench.manners.volunteers_figures = False
    bench.manners.ignores[Ask.RETURN_FILLING] = 1_000
    bench.hang()
    bench.run(10_000)
    assert len(bench.of(FuellingEnded)) == 1
    assert bench.alarms == ["figures_unsettled"]


def test_a_display_that_never_stands_still_at_the_end_is_an_alarm() -> None:
    bench = Bench().ready()
    bench.lift()
    bench.do(Authorise(FP, (ONE,)))
    bench.fuel(5_000)
    changing_figures(bench)
    bench.hang()
    bench.run(10_000)
    assert len(bench.of(FuellingEnded)) == 1
    assert bench.alarms == ["figures_unsettled"]


def test_a_display_that_never_stands_still_is_not_told_as_the_last_fuelling() -> None:
    bench = Bench().ready()
    bench.manners.running_readings = 1_000
    bench.sell(5_000)
    bench.forget()
    changing_figures(bench)
    answer = bench.ask(ReadTransaction(FP))
    assert isinstance(answer, CommandFailed)
    assert answer.reason == "figures_unsettled"
    assert not bench.of(FuellingEnded)
