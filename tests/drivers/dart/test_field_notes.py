"""How real DART pumps misbehave, one test a lesson; numbered as the lessons are."""

from __future__ import annotations

import itertools

import pytest

from drivers.dart.codec import LAST_ADDRESS, ControlFrame, ControlKind, DataFrame
from drivers.dart.orders import Ask, Command, UpdatePrices
from drivers.dart.reports import NozzleReport, PumpStatus, Status, TotalByMeter
from edge_agent.model.dispenser import (
    AlarmRaised,
    Authorise,
    Clear,
    CommandFailed,
    DispenserStatus,
    FuellingEnded,
    LinkChanged,
    NozzleChanged,
    Progress,
    ReadTotals,
    ReadTransaction,
    SetPrices,
    StatusChanged,
    TotalsRead,
)
from edge_agent.model.ids import FpId
from edge_agent.model.units import UnitPrice, Volume
from tests.drivers.dart.bench import FP, ONE, PRICES, TWO, Bench


def test_note_01_acknowledged_is_not_done() -> None:
    bench = Bench().ready()
    bench.sell(5_000)
    bench.forget()
    bench.manners.ignores[Ask.RESET] = 1_000
    answer = bench.ask(Clear(FP))
    assert isinstance(answer, CommandFailed)
    assert answer.reason == "not_confirmed"
    assert bench.alarms == ["command_not_done"]
    assert bench.count(Ask.RESET) == 2, "tried once more, never spammed"


def test_note_01_an_authorisation_that_does_not_happen_fails() -> None:
    bench = Bench().ready()
    bench.lift()
    bench.manners.ignores[Ask.AUTHORIZE] = 1_000
    answer = bench.ask(Authorise(FP, (ONE,)))
    assert isinstance(answer, CommandFailed)
    assert bench.count(Ask.AUTHORIZE) == 1
    assert not bench.of(FuellingEnded)


def test_note_02_a_lost_acknowledgement_does_not_execute_twice() -> None:
    bench = Bench().ready()
    bench.lift()
    lost: list[bytes] = []

    def lose_one_of_each(data: bytes) -> bytes:
        if data[1] & 0xF0 == 0xC0 and data not in lost:
            lost.append(data)
            return b""
        return data

    executed = len(bench.executed)
    bench.back = lose_one_of_each
    bench.do(Authorise(FP, (ONE,)))
    sent_twice = [raw for raw in bench.sent if len(raw) > 3 and bench.sent.count(raw) == 2]
    assert lost
    assert sent_twice
    fresh = bench.executed[executed:]
    assert len(fresh) == len([*dict.fromkeys(map(str, fresh))]), "each order was executed once"


def test_note_02_every_new_command_takes_the_next_number() -> None:
    bench = Bench().ready()
    for _ in range(40):
        bench.do(ReadTotals(FP, ONE))
    numbers = [frame.number for frame in bench.frames() if isinstance(frame, DataFrame)]
    for before, after in itertools.pairwise(numbers):
        assert after == (1 if before == 15 else before + 1)


def test_note_02_also_after_a_refused_command() -> None:
    bench = Bench().ready()
    bench.sell(5_000)
    bench.manners.ignores[Ask.RESET] = 1_000
    bench.ask(Clear(FP))
    bench.manners.ignores.clear()
    bench.do(Clear(FP))
    assert bench.last_status == "idle"


def test_note_03_slow_prices_are_waited_for_and_not_sent_again() -> None:
    bench = Bench()
    bench.connect()
    bench.run(1_500)
    bench.manners.price_lag_ms = 3_500
    assert bench.last_status == "not_programmed"
    bench.do(SetPrices(FP, PRICES))
    assert bench.now_ms >= 5_000
    assert [type(order) for order in bench.told()].count(UpdatePrices) == 1
    assert bench.last_status == "complete", "a zeroised pump goes to complete, not to reset"
    assert not bench.of(FuellingEnded), "which is no fuelling"


def test_note_03_too_slow_prices_fail() -> None:
    bench = Bench().ready()
    bench.manners.price_lag_ms = 60_000
    answer = bench.ask(SetPrices(FP, ((ONE, UnitPrice(8_000)), (TWO, UnitPrice(8_500)))))
    assert isinstance(answer, CommandFailed)
    assert bench.alarms == ["command_not_done"]


def test_note_03_all_nozzles_are_priced_in_one_block() -> None:
    bench = Bench().ready()
    bench.do(SetPrices(FP, ((TWO, UnitPrice(8_500)), (ONE, UnitPrice(8_000)))))
    assert UpdatePrices((800, 850)) in bench.told()
    refused = bench.ask(SetPrices(FP, ((ONE, UnitPrice(8_000)),)))
    assert isinstance(refused, CommandFailed)
    assert refused.reason == "prices_incomplete"


def test_note_04_reset_is_announced_by_return_status() -> None:
    bench = Bench().ready()
    bench.manners.reset_wants_status = True
    bench.sell(5_000)
    bench.forget()
    bench.do(Clear(FP))
    told = bench.told()
    reset = told.index(Command(Ask.RESET))
    assert told[reset - 1] == Command(Ask.RETURN_STATUS)


def test_note_04_falling_back_to_not_programmed() -> None:
    bench = Bench().ready()
    bench.sell(5_000)
    bench.forget()
    bench.pump.lose_prices()
    bench.run(1_000)
    assert bench.last_status == "not_programmed"
    assert not bench.of(FuellingEnded), "the fuelling was told already"
    refused = bench.ask(Authorise(FP, (ONE,)))
    assert isinstance(refused, CommandFailed)
    assert refused.reason == "not_programmed"
    bench.do(SetPrices(FP, PRICES))
    bench.do(Clear(FP))
    assert bench.sell(1_000).volume == Volume(1_000)


def test_note_05_intermittent_nozzle() -> None:
    bench = Bench().ready()
    bench.manners.nozzle_flickers = True
    bench.lift()
    bench.run(5_000)
    assert [event.lifted for event in bench.of(NozzleChanged)] == [True]
    bench.do(Authorise(FP, (ONE,)))
    bench.fuel(6_000)
    assert [event.lifted for event in bench.of(NozzleChanged)] == [True]
    assert not bench.of(FuellingEnded), "one missing glimpse ends no fuelling"
    bench.hang()
    assert [event.lifted for event in bench.of(NozzleChanged)] == [True, False]
    assert bench.of(FuellingEnded)[-1].volume == Volume(6_000)


def test_note_05_one_glimpse_is_not_a_customer() -> None:
    bench = Bench().ready()
    glimpse = NozzleReport(785, 1, is_out=True).encode()
    denial = NozzleReport(785, 1, is_out=False).encode()
    reports = [glimpse, denial]

    def deceive(data: bytes) -> bytes:
        if data == bytes.fromhex("50 70 FA") and reports:
            return DataFrame(0x50, 5 + len(reports), (reports.pop(0),)).encode()
        return data

    bench.back = deceive
    bench.run(5_000)
    assert not reports
    assert not bench.of(NozzleChanged)


def test_note_05_a_nozzle_that_only_a_question_for_totals_brings_out() -> None:
    bench = Bench().ready()
    bench.manners.nozzle_out_only_after_totals = True
    bench.lift()
    assert not bench.of(NozzleChanged)
    bench.do(ReadTotals(FP, ONE))
    bench.pump.revision += 1
    bench.run(1_000)
    assert [event.lifted for event in bench.of(NozzleChanged)] == [True]


def test_note_06_phantom_flow_is_shown_and_not_lost() -> None:
    bench = Bench().ready()
    bench.lift()
    assert not bench.count(Ask.AUTHORIZE), "a lifted nozzle alone authorises nothing"
    bench.do(Authorise(FP, (ONE,)))
    for _ in range(4):
        bench.pump.leak(bench.now_ms, 20)
        bench.run(300)
    assert bench.of(Progress)[-1].volume == Volume(80)
    bench.hang()
    assert bench.of(FuellingEnded)[-1].volume == Volume(80)
    bench.do(ReadTotals(FP, ONE))
    assert bench.of(TotalsRead)[-1].volume == Volume(80)


def test_note_07_a_retained_display_is_no_new_sale() -> None:
    bench = Bench().ready()
    bench.pump.retains_display = True
    bench.sell(5_000)
    bench.do(Clear(FP))
    bench.disconnect()
    bench.engine = type(bench)().engine  # the agent starts anew; the pump does not
    bench.forget()
    bench.connect()
    bench.run(5_000)
    assert bench.pump.volume_ml == 5_000
    assert not bench.of(FuellingEnded)
    bench.do(ReadTransaction(FP))
    assert bench.of(FuellingEnded)[-1].volume == Volume(5_000)


def test_note_07_a_retained_display_is_not_the_zero_sale_after_it() -> None:
    bench = Bench().ready()
    bench.pump.retains_display = True
    bench.sell(5_000)
    bench.do(Clear(FP))
    bench.lift()
    bench.do(Authorise(FP, (ONE,)))
    bench.pump.volume_ml, bench.pump.amount_fen = 5_000, 3_925  # shown until fuel flows
    bench.hang()
    assert [event.volume.ml for event in bench.of(FuellingEnded)] == [5_000, 0]


def test_note_07_an_equal_sale_is_not_hidden_by_it() -> None:
    bench = Bench().ready()
    bench.pump.retains_display = True
    first = bench.sell(5_000)
    bench.do(Clear(FP))
    assert bench.sell(5_000) == first
    assert len(bench.of(FuellingEnded)) == 2


def test_note_08_nothing_is_sold_before_the_decimals_are_confirmed() -> None:
    bench = Bench(decimals_confirmed=False).ready()
    bench.lift()
    refused = bench.ask(Authorise(FP, (ONE,)))
    assert isinstance(refused, CommandFailed)
    assert refused.reason == "decimals_unconfirmed"
    assert not bench.count(Ask.AUTHORIZE)


@pytest.mark.parametrize("key", ["volume_decimals", "amount_decimals", "price_decimals"])
def test_note_08_figures_that_do_not_agree_raise_an_alarm_and_stop_selling(key: str) -> None:
    bench = Bench()
    bench.engine = Bench(**{key: 1}).engine
    bench.connect()
    bench.run(1_500)
    bench.pump.set_prices(bench.now_ms, dict(PRICES))
    bench.pump.clear(bench.now_ms)
    bench.run(1_000)
    bench.sell(6_000)
    assert "decimals_suspect" in bench.alarms
    bench.forget()
    bench.do(Clear(FP))
    bench.lift()
    refused = bench.ask(Authorise(FP, (ONE,)))
    assert isinstance(refused, CommandFailed)
    assert refused.reason == "decimals_suspect"


def test_note_09_a_status_inside_other_data_is_not_a_status() -> None:
    bench = Bench().ready()
    bench.lift()
    bench.do(Authorise(FP, (ONE,)))
    bench.pump.squeeze(bench.now_ms)
    bench.run(2_000)
    looks_like_reset = PumpStatus(Status.RESET).encode().encode()
    hidden = TotalByMeter(9, int(looks_like_reset.hex()), 0, 0).encode()
    assert looks_like_reset in hidden.encode()
    told = [DataFrame(0x50, 14, (hidden,)).encode()]

    def smuggle(data: bytes) -> bytes:
        return told.pop() if data[1] & 0xF0 == 0x30 and told else data

    bench.back = smuggle
    bench.run(2_000)
    assert not told
    assert bench.last_status == "fuelling"


def test_note_09_a_repeated_report_is_taken_once() -> None:
    bench = Bench().ready()
    bench.manners.deaf_to_acks = 3
    bench.pump.lift(bench.now_ms, ONE)
    bench.run(60)
    assert not bench.of(NozzleChanged), "the same block again is no second glimpse"
    bench.run(2_000)
    assert [event.lifted for event in bench.of(NozzleChanged)] == [True]


def test_note_10_an_echo_is_dropped() -> None:
    bench = Bench()
    bench.manners.echoes = True
    bench.ready()
    assert bench.sell(3_000).volume == Volume(3_000)
    assert not bench.faults


def test_note_10_an_echo_that_comes_and_goes_is_found_out() -> None:
    bench = Bench().ready()
    bench.manners.echoes = True
    bench.run(2_000)
    bench.forget()
    assert bench.sell(3_000).volume == Volume(3_000)
    bench.manners.echoes = False
    bench.do(Clear(FP))
    bench.run(2_000)
    assert bench.sell(4_000).volume == Volume(4_000)
    assert not bench.of(LinkChanged)


def test_note_10_a_second_controller_silences_us() -> None:
    bench = Bench(points=2).ready()
    bench.submit(ReadTotals(FpId(2), ONE))
    bench.begin_foreign(every_ms=150)
    bench.run(2_000)
    assert [type(event) for event in bench.events if event.fp == FP] == [AlarmRaised, LinkChanged]
    assert bench.alarms == ["foreign_master"]
    assert not bench.of(LinkChanged)[0].online
    assert "foreign_master" in [fault.reason for fault in bench.faults]
    sent = len(bench.sent)
    bench.run(60_000)
    assert len(bench.sent) == sent, "the bus is left to it"
    assert bench.failures == [] or bench.failures[0][1] == "offline"


def test_note_10_after_it_has_gone_the_bus_is_taken_up_again() -> None:
    bench = Bench().ready()
    bench.begin_foreign(every_ms=150)
    bench.run(2_000)
    bench.begin_foreign(every_ms=0)
    bench.run(20_000)
    assert [event.online for event in bench.of(LinkChanged)] == [False, True]
    assert bench.of(StatusChanged)[-1].status is DispenserStatus.IDLE
    assert bench.sell(2_000).volume == Volume(2_000)


def test_note_10_one_stray_poll_is_only_counted() -> None:
    bench = Bench().ready()
    bench.receive(ControlFrame(LAST_ADDRESS, ControlKind.POLL).encode())
    bench.run(2_000)
    assert [fault.reason for fault in bench.faults] == ["foreign_poll"]
    assert not bench.of(LinkChanged)


@pytest.mark.parametrize("late_ms", [25, 41, 90])
def test_note_11_late_answers_within_bounds(late_ms: int) -> None:
    bench = Bench()
    bench.manners.late_ms = late_ms
    bench.connect()
    bench.run(5_000)
    bench.do(SetPrices(FP, PRICES))
    bench.do(Clear(FP))
    bench.lift()
    assert bench.sell(3_000).volume == Volume(3_000)
    assert not bench.faults


def test_note_11_a_head_that_is_later_still_is_given_more_time() -> None:
    bench = Bench(response_timeout_ms=50)
    bench.manners.late_ms = 120
    bench.connect()
    bench.run(20_000)
    assert bench.of(LinkChanged)[-1].online
    bench.forget()
    bench.do(SetPrices(FP, PRICES))
    bench.do(Clear(FP))
    assert bench.sell(3_000).volume == Volume(3_000)
    assert not bench.of(LinkChanged)
