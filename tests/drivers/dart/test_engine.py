"""Who is spoken to when, and that every command has one answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.dart import DRIVER
from drivers.dart.codec import ControlFrame, ControlKind, DataFrame
from drivers.dart.engine import LIFT_HOLD_MS
from drivers.dart.orders import Ask
from drivers.dart.point import JOBS_MAX
from drivers.dart.reports import PumpAlarm
from edge_agent.model.canonical import Json
from edge_agent.model.dispenser import (
    Authorise,
    Clear,
    CommandDone,
    CommandFailed,
    DispenserCommand,
    DispenserStatus,
    FuellingEnded,
    LinkChanged,
    NozzleChanged,
    Preset,
    Progress,
    ReadTotals,
    ReadTransaction,
    Resume,
    SetPrices,
    StatusChanged,
    Stop,
    Suspend,
    TotalsRead,
)
from edge_agent.model.errors import ConfigRefused
from edge_agent.model.ids import FpId
from edge_agent.model.units import Money, Volume
from edge_agent.ports import Send
from tests.drivers.dart.bench import FP, ONE, PRICES, TWO, Bench, plan_of

EVERY_COMMAND: list[DispenserCommand] = [
    Authorise(FP, (ONE,)),
    Stop(FP),
    Suspend(FP),
    Resume(FP),
    Clear(FP),
    ReadTotals(FP, ONE),
    ReadTransaction(FP),
    SetPrices(FP, PRICES),
]


def test_the_first_poll_follows_the_connection_at_once() -> None:
    engine = DRIVER.build_engine(plan_of())
    assert engine.next_deadline_ms() is None
    engine.on_connected(1_000)
    assert engine.next_deadline_ms() == 1_000
    assert engine.on_timer(1_000) == [Send(bytes.fromhex("50 20 FA"))]


def test_every_report_is_acknowledged_before_it_is_told() -> None:
    engine = DRIVER.build_engine(plan_of())
    engine.on_connected(0)
    engine.on_timer(0)
    outputs = engine.on_bytes(5, bytes.fromhex("50 31 03 04 00 07 85 11 01 01 01 1D FD 03 FA"))
    assert outputs[0] == Send(bytes.fromhex("50 C1 FA"))
    assert len(outputs) > 1


def test_a_point_comes_up_with_link_and_status() -> None:
    bench = Bench()
    bench.connect()
    bench.run(1_000)
    assert [type(event) for event in bench.events] == [LinkChanged, StatusChanged]
    assert bench.last_status == "not_programmed"


def test_a_nozzle_that_is_already_out_is_told() -> None:
    bench = Bench().ready()
    bench.disconnect()
    bench.pump.lift(bench.now_ms, ONE)
    bench.connect()
    bench.run(2_000)
    assert [(event.nozzle, event.lifted) for event in bench.of(NozzleChanged)] == [(ONE, True)]


def test_a_lift_is_believed_at_once_not_in_the_next_round() -> None:
    bench = Bench(points=16, idle_poll_ms=500).ready()
    bench.pump.lift(bench.now_ms, ONE)
    first_glimpse = len(bench.sent)
    bench.run_until(lambda: bool(bench.of(NozzleChanged)))
    heard = [raw for raw in bench.sent[first_glimpse:] if raw[1] & 0xF0 == 0xC0]
    confirmed_by = bench.sent[bench.sent.index(heard[0]) :]
    assert all(raw[0] == 0x50 for raw in confirmed_by), "no other address was asked in between"
    assert len(confirmed_by) <= 4


def test_the_bus_waits_for_the_authorisation_of_a_lift_but_not_for_long() -> None:
    bench = Bench(points=16, idle_poll_ms=20).ready()
    bench.pump.lift(bench.now_ms, ONE)
    bench.run_until(lambda: bool(bench.of(NozzleChanged)))
    sent = len(bench.sent)
    bench.run(LIFT_HOLD_MS)  # other points are due
    assert len(bench.sent) == sent
    bench.run(2 * LIFT_HOLD_MS)  # nobody releases it: the round goes on
    assert len(bench.sent) > sent


def test_an_authorisation_within_that_wait_goes_out_as_soon_as_the_wire_allows() -> None:
    bench = Bench(points=16, idle_poll_ms=20).ready()
    bench.pump.lift(bench.now_ms, ONE)
    bench.run_until(lambda: bool(bench.of(NozzleChanged)))
    sent = len(bench.sent)
    bench.submit(Authorise(FP, (ONE,)))
    bench.run(LIFT_HOLD_MS - 1)
    assert bench.sent[sent][0] == 0x50


def test_a_dead_pump_costs_the_bus_little() -> None:
    bench = Bench(points=4)
    bench.pumps[FpId(4)].is_powered = False
    bench.connect()
    bench.run(2_000)
    assert bench.of(LinkChanged, FpId(4)) == [LinkChanged(FpId(4), online=False)]
    bench.forget()
    bench.run(60_000)
    assert bench.polls(0x53) <= 10
    for address in (0x50, 0x51, 0x52):
        assert bench.polls(address) >= 60_000 // 200 * 0.9
    assert not bench.events


def test_a_pump_that_comes_back_is_found() -> None:
    bench = Bench().ready()
    bench.pump.power_off(bench.now_ms)
    bench.run(2_000)
    assert bench.of(LinkChanged) == [LinkChanged(FP, online=False)]
    bench.run(60_000)
    bench.pump.power_on(bench.now_ms)
    bench.run(11_000)
    assert bench.of(LinkChanged) == [LinkChanged(FP, online=False), LinkChanged(FP, online=True)]
    assert bench.of(StatusChanged)


def test_two_silent_polls_are_no_loss() -> None:
    bench = Bench().ready()
    swallow = 2

    def lose(data: bytes) -> bytes:
        nonlocal swallow
        swallow -= 1
        return b"" if swallow >= 0 else data

    bench.back = lose
    bench.run(5_000)
    assert not bench.events


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=lambda command: type(command).__name__)
def test_commands_to_a_dead_pump_fail_at_once(command: DispenserCommand) -> None:
    bench = Bench()
    bench.submit(command)
    assert bench.events == [CommandFailed(FP, command, "offline")]


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=lambda command: type(command).__name__)
def test_a_command_under_way_fails_with_the_link(command: DispenserCommand) -> None:
    bench = Bench().ready()
    bench.back = lambda _: b""
    bench.submit(command)
    bench.run(20)
    bench.disconnect()
    answers = [e for e in bench.events if isinstance(e, CommandDone | CommandFailed)]
    assert len(answers) == 1
    links = [index for index, e in enumerate(bench.events) if isinstance(e, LinkChanged)]
    assert links
    if answers[0] == CommandFailed(FP, command, "link_lost"):
        assert bench.events.index(answers[0]) > links[0], "offline first, then what came of it"


def test_the_queue_is_bounded() -> None:
    bench = Bench().ready()
    commands = [ReadTotals(FP, ONE) for _ in range(JOBS_MAX + 5)]
    for command in commands:
        bench.submit(command)
    assert len(bench.failures) == 5
    bench.run(60_000)
    assert len(bench.of(TotalsRead)) == JOBS_MAX
    answers = [e for e in bench.events if isinstance(e, CommandDone | CommandFailed)]
    assert len(answers) == len(commands)


def test_stop_overtakes_everything_and_takes_the_authorisation_with_it() -> None:
    bench = Bench().ready()
    bench.lift()
    for command in (ReadTotals(FP, ONE), ReadTotals(FP, TWO), Authorise(FP, (ONE,)), Stop(FP)):
        bench.submit(command)
    bench.run(5_000)
    assert bench.failures == [(Authorise, "stopped")]
    done = [type(event.command) for event in bench.of(CommandDone)]
    assert done == [Stop, ReadTotals, ReadTotals]
    assert not bench.count(Ask.AUTHORIZE)


def test_a_stop_is_taken_however_much_waits() -> None:
    bench = Bench().ready()
    bench.lift()
    read, authorise = ReadTotals(FP, ONE), Authorise(FP, (ONE,))
    for _ in range(JOBS_MAX - 1):
        bench.submit(read)
    for command in (authorise, read, Stop(FP)):
        bench.submit(command)
    bench.run(60_000)
    assert bench.failures == [(ReadTotals, "busy"), (Authorise, "stopped")]
    assert bench.of(CommandDone)[0].command == Stop(FP)
    assert not bench.count(Ask.AUTHORIZE)


def test_stops_in_plenty_are_all_answered_by_two() -> None:
    bench = Bench().ready()
    bench.lift()
    bench.do(Authorise(FP, (ONE,)))
    bench.forget()
    for _ in range(2 * JOBS_MAX):
        bench.submit(Stop(FP))
    bench.submit(Authorise(FP, (ONE,)))
    bench.submit(Stop(FP))
    bench.run(10_000)
    assert len(bench.of(CommandDone)) == 2 * JOBS_MAX + 1
    assert bench.failures == [(Authorise, "stopped")]
    assert bench.count(Ask.STOP) == 2, "the one under way and the one behind it"
    assert bench.last_status == "complete"


def test_stops_that_wait_fail_with_the_link() -> None:
    bench = Bench().ready()
    for _ in range(5):
        bench.submit(Stop(FP))
    bench.disconnect()
    assert bench.failures == [(Stop, "link_lost")] * 5


def test_stop_in_the_middle_of_an_authorisation() -> None:
    """Whatever the moment, the pump is not released afterwards."""
    for delay_ms in range(0, 60, 3):
        bench = Bench().ready()
        bench.lift()
        bench.submit(Authorise(FP, (ONE,), Preset(amount=Money(10_000))))
        bench.run(delay_ms)
        bench.submit(Stop(FP))
        bench.run(5_000)
        answers = [e for e in bench.events if isinstance(e, CommandDone | CommandFailed)]
        assert len(answers) == 2
        assert bench.last_status in {None, "idle", "complete"}
        bench.pump.squeeze(bench.now_ms)
        bench.run(2_000)
        assert bench.pump.volume_ml == 0


def test_an_authorisation_behind_a_stop_does_not_clear_the_fuelling_unread() -> None:
    bench = Bench().ready()
    bench.lift()
    bench.do(Authorise(FP, (ONE,)))
    bench.pump.squeeze(bench.now_ms)
    bench.run(3_000)
    bench.submit(Stop(FP))
    bench.submit(Authorise(FP, (ONE,)))
    bench.run(5_000)
    told = [(event.volume.ml, event.amount.fen) for event in bench.of(FuellingEnded)]
    assert told == [(each.volume.ml, each.amount.fen) for each in bench.deliveries]
    assert told[0][0] > 0


def test_an_authorise_lost_with_the_link_still_tells_its_fuelling() -> None:
    """The pump took AUTHORIZE, the answer never came, the customer fuelled meanwhile."""
    bench = Bench().ready()
    bench.lift()

    def is_released() -> bool:
        return bench.pump.status is DispenserStatus.AUTHORISED

    bench.back = lambda data: b"" if is_released() else data
    bench.submit(Authorise(FP, (ONE,)))
    bench.run_until(is_released)
    bench.run(20)
    bench.back = lambda data: data
    bench.disconnect()
    bench.pump.squeeze(bench.now_ms, 4_000)
    bench.now_ms += 60_000
    bench.pump.hang(bench.now_ms)
    bench.connect()
    bench.run(5_000)
    assert [event.volume for event in bench.of(FuellingEnded)] == [Volume(4_000)]


def test_final_figures_come_before_totals_asked_for_at_the_end() -> None:
    """Whoever compares totals with figures never sees totals of a fuelling not told yet."""
    bench = Bench().ready()
    bench.lift()
    bench.do(Authorise(FP, (ONE,)))
    bench.fuel(5_000)
    bench.pump.hang(bench.now_ms)
    bench.run_until(lambda: bench.last_status == "complete")
    bench.submit(ReadTotals(FP, ONE))
    bench.run(3_000)
    order = [type(e) for e in bench.events if isinstance(e, FuellingEnded | TotalsRead)]
    assert order == [FuellingEnded, TotalsRead]


def test_a_preset_amount_beyond_the_display_is_refused() -> None:
    bench = Bench(amount_decimals=0).ready()
    bench.lift()
    answer = bench.ask(Authorise(FP, (ONE,), Preset(amount=Money(10_050))))
    assert isinstance(answer, CommandFailed)
    assert answer.reason == "preset_not_representable"


def test_a_link_lost_while_fuelling_tells_the_fuelling_once() -> None:
    bench = Bench().ready()
    bench.lift()
    bench.do(Authorise(FP, (ONE,)))
    bench.pump.squeeze(bench.now_ms, 9_000)
    bench.run_until(lambda: bool(bench.of(Progress)))
    bench.disconnect()
    bench.now_ms += 30_000
    bench.pump.hang(bench.now_ms)
    bench.connect()
    bench.run(5_000)
    assert [event.volume for event in bench.of(FuellingEnded)] == [Volume(9_000)]


def test_a_fuelling_under_way_when_the_agent_starts_is_told() -> None:
    bench = Bench().ready()
    bench.lift()
    bench.do(Authorise(FP, (ONE,)))
    bench.pump.squeeze(bench.now_ms, 9_000)
    bench.run(3_000)
    bench.engine = Bench().engine
    bench.forget()
    bench.connect()
    bench.run(30_000)
    bench.hang()
    (ended,) = bench.of(FuellingEnded)
    assert (ended.nozzle, ended.volume) == (ONE, Volume(9_000))
    assert ended.unit_price.milli == 7_850


def test_a_pump_alarm_is_passed_on() -> None:
    bench = Bench().ready()
    for code, number in ((0x09, 3), (0x77, 4)):
        bench.submit(ReadTotals(FP, ONE))
        frame = DataFrame(0x50, number, (PumpAlarm(code).encode(),)).encode()
        frames = [frame]
        bench.back = lambda data, frames=frames: (
            frames.pop() if frames and data[1] == 0x70 else data
        )  # type: ignore[misc]
        bench.run(1_000)
    assert bench.alarms == ["pump_emergency_stop", "pump_alarm_77"]


def test_garbage_is_counted_and_polling_goes_on() -> None:
    bench = Bench().ready()
    polls = bench.polls(0x50)
    for _ in range(50):
        bench.receive(bytes(range(256)))
        bench.run(100)
    assert bench.faults
    assert bench.polls(0x50) > polls + 20
    bench.run(5_000)
    bench.do(Clear(FP))


def test_a_line_that_only_garbles_is_lost_after_a_while() -> None:
    bench = Bench().ready()
    bench.back = lambda data: bytes(byte ^ 0x11 for byte in data)
    bench.run(10_000)
    assert bench.of(LinkChanged) == [LinkChanged(FP, online=False)]


def test_an_acknowledge_and_poll_is_another_controllers() -> None:
    bench = Bench().ready()
    for _ in range(3):
        bench.receive(ControlFrame(0x60, ControlKind.ACKPOLL, 1).encode())
    assert bench.alarms == ["foreign_master"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"idle_pol_ms": 100}, "did you mean 'idle_poll_ms'"),
        ({"idle_poll_ms": 1}, "idle_poll_ms"),
        ({"idle_poll_ms": "200"}, "idle_poll_ms"),
        ({"baud": 1200}, "baud"),
        ({"probe_ms": 20_000}, "probe_cap_ms"),
    ],
)
def test_bad_options_are_named(options: dict[str, Json], said: str) -> None:
    with pytest.raises(ConfigRefused, match=said):
        DRIVER.build_engine(replace(plan_of(), options=options))


def test_addresses_are_checked() -> None:
    plan = plan_of(points=33)
    with pytest.raises(ConfigRefused, match="0x70 is outside"):
        DRIVER.build_engine(plan)
