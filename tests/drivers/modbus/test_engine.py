"""The controller's side against simulated dispensers, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from drivers.modbus.codec import FrameDecoder, Framing, Listening
from drivers.modbus.commands import ATTEMPTS
from drivers.modbus.pdu import (
    ExceptionCode,
    Function,
    ReadReply,
    ReadRequest,
    WriteRequest,
    WriteSingle,
)
from drivers.modbus.point import COMMANDS_WAITING_MAX
from edge_agent.model.dispenser import (
    AlarmRaised,
    Authorise,
    Clear,
    CommandDone,
    CommandFailed,
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
from edge_agent.model.ids import FpId
from edge_agent.model.units import Money, UnitPrice, Volume
from tests.drivers.modbus.bench import ONE, P92, P95, TWO, Bench, encode_frame

AUTHORISE = Authorise(FpId(1), (ONE,))


def sell(bench: Bench, volume_ml: int, command: Authorise = AUTHORISE) -> None:
    """Lift, authorise, fuel and hang up; leave the display uncleared."""
    nozzle = command.nozzles[0]
    bench.pump.lift(bench.now_ms, nozzle)
    bench.run(1_000)
    bench.submit(command)
    bench.run(500)
    bench.pump.squeeze(bench.now_ms, volume_ml)
    bench.run(1_000 * volume_ml // bench.pump.flow_ml_per_s + 2_000)
    bench.pump.hang(bench.now_ms)
    bench.run(1_500)


def writes(bench: Bench) -> list[WriteSingle | WriteRequest]:
    """Return the writes that the engine sent."""
    framing = Framing(str(bench.plan.options.get("framing", "rtu")))
    frames = FrameDecoder(framing, Listening.REQUESTS).feed(b"".join(bench.sent))
    pdus = [frame.pdu for frame in frames if hasattr(frame, "pdu")]
    return [pdu for pdu in pdus if isinstance(pdu, WriteSingle | WriteRequest)]


def commands(bench: Bench) -> list[int]:
    """Return what was written to the command register."""
    return [w.value for w in writes(bench) if isinstance(w, WriteSingle) and w.address == 0]


# ---- sales --------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["rtu", "tcp"])
def test_a_whole_fuelling(framing: str) -> None:
    bench = Bench(framing=framing).ready()
    sell(bench, 12_340)
    bench.submit(ReadTotals(bench.fp, ONE))
    bench.submit(Clear(bench.fp))
    bench.run(1_000)
    assert [event.status for event in bench.of(StatusChanged)] == [
        DispenserStatus.IDLE,  # cleared on the way: prices had left the point complete
        DispenserStatus.AUTHORISED,
        DispenserStatus.FUELLING,
        DispenserStatus.COMPLETE,
        DispenserStatus.IDLE,
    ]
    assert [event.lifted for event in bench.of(NozzleChanged)] == [True, False]
    assert bench.of(FuellingEnded) == [
        FuellingEnded(bench.fp, ONE, Volume(12_340), Money(9_687), P92)
    ]
    assert bench.of(TotalsRead) == [TotalsRead(bench.fp, ONE, Volume(12_340), Money(9_687))]
    assert [event.command for event in bench.of(CommandDone)] == [
        AUTHORISE,
        ReadTotals(bench.fp, ONE),
        Clear(bench.fp),
    ]
    volumes = [event.volume.ml for event in bench.of(Progress)]
    assert len(volumes) > 20
    assert volumes == sorted(volumes)
    assert not bench.faults
    assert not bench.of(AlarmRaised)


@pytest.mark.parametrize(
    ("preset", "volume", "amount"),
    [
        (Preset(amount=Money(20_000)), Volume(25_480), Money(20_000)),
        (Preset(volume=Volume(3_000)), Volume(3_000), Money(2_355)),
    ],
)
def test_presets(preset: Preset, volume: Volume, amount: Money) -> None:
    bench = Bench().ready()
    sell(bench, 40_000, Authorise(bench.fp, (ONE,), preset))
    (ended,) = bench.of(FuellingEnded)
    assert (ended.volume, ended.amount) == (volume, amount)


def test_a_preset_that_cannot_be_written_exactly_is_refused() -> None:
    bench = Bench().ready()
    bench.submit(Authorise(bench.fp, (ONE,), Preset(volume=Volume(10_005))))
    bench.run(1_000)
    assert [event.reason for event in bench.of(CommandFailed)] == ["preset_not_representable"]
    assert not writes(bench)


def test_a_preset_does_not_outlive_its_fuelling() -> None:
    bench = Bench().ready()
    sell(bench, 9_000, Authorise(bench.fp, (ONE,), Preset(volume=Volume(1_000))))
    bench.submit(Clear(bench.fp))
    sell(bench, 9_000)
    assert [event.volume.ml for event in bench.of(FuellingEnded)] == [1_000, 9_000]


def test_only_the_named_nozzle_is_released() -> None:
    bench = Bench().ready()
    bench.submit(Authorise(bench.fp, (TWO,)))
    bench.run(500)
    assert bench.pump.allowed == {TWO}
    bench.pump.lift(bench.now_ms, TWO)
    bench.pump.squeeze(bench.now_ms, 5_000)
    bench.run(15_000)
    bench.pump.hang(bench.now_ms)
    bench.run(1_000)
    (ended,) = bench.of(FuellingEnded)
    assert (ended.nozzle, ended.unit_price, ended.amount) == (TWO, P95, Money(4_180))


def test_note_13_two_equal_sales_in_a_row_are_two() -> None:
    bench = Bench().ready()
    for _ in range(2):
        sell(bench, 5_000)
        bench.submit(Clear(bench.fp))
        bench.run(500)
    first, second = bench.of(FuellingEnded)
    assert first == second


def test_lift_and_hang_without_fuel_is_a_sale_of_zero() -> None:
    bench = Bench().ready()
    bench.pump.lift(bench.now_ms, ONE)
    bench.run(500)
    bench.submit(AUTHORISE)
    bench.run(500)
    bench.pump.hang(bench.now_ms)
    bench.run(1_000)
    (ended,) = bench.of(FuellingEnded)
    assert (ended.volume, ended.amount) == (Volume(0), Money(0))


def test_read_transaction_tells_the_last_sale_again() -> None:
    bench = Bench().ready()
    bench.submit(ReadTransaction(bench.fp))
    bench.run(500)
    sell(bench, 5_000)
    bench.submit(ReadTransaction(bench.fp))
    bench.run(500)
    nothing, told, again = bench.of(FuellingEnded)
    assert nothing.volume == Volume(0)
    assert told == again


def test_note_07_a_retained_sale_is_no_new_one() -> None:
    bench = Bench().ready()
    sell(bench, 5_000)
    bench.submit(Clear(bench.fp))
    bench.run(500)
    bench.engine = Bench().engine  # the agent starts anew
    bench.events.clear()
    bench.connect()
    bench.run(5_000)
    assert bench.of(LinkChanged) == [LinkChanged(bench.fp, online=True)]
    assert not bench.of(FuellingEnded)


def test_a_sale_that_waits_on_the_display_is_told_to_a_new_agent() -> None:
    bench = Bench().ready()
    sell(bench, 5_000)
    bench.engine = Bench().engine
    bench.events.clear()
    bench.connect()
    bench.run(5_000)
    assert [event.volume.ml for event in bench.of(FuellingEnded)] == [5_000]


def test_a_sale_that_ends_while_the_link_is_down_is_told_once() -> None:
    bench = Bench().ready()
    bench.pump.lift(bench.now_ms, ONE)
    bench.run(1_000)
    bench.submit(AUTHORISE)
    bench.run(500)
    bench.pump.squeeze(bench.now_ms, 30_000)
    bench.run(5_000)
    bench.disconnect()
    bench.run(60_000)
    bench.pump.hang(bench.now_ms)
    bench.connect()
    bench.run(3_000)
    bench.disconnect()
    bench.connect()
    bench.run(3_000)
    assert [event.online for event in bench.of(LinkChanged)] == [False, True, False, True]
    assert [event.volume.ml for event in bench.of(FuellingEnded)] == [30_000]


# ---- commands -----------------------------------------------------------------------------------


def test_stop_ends_a_fuelling() -> None:
    bench = Bench().ready()
    bench.pump.lift(bench.now_ms, ONE)
    bench.run(1_000)
    bench.submit(AUTHORISE)
    bench.run(500)
    bench.pump.squeeze(bench.now_ms)
    bench.run(5_000)
    bench.submit(Stop(bench.fp))
    bench.run(1_000)
    assert CommandDone(bench.fp, Stop(bench.fp)) in bench.events
    (ended,) = bench.of(FuellingEnded)
    assert ended.volume.ml == bench.pump.delivered_ml > 2_000


def test_stop_takes_an_authorisation_back() -> None:
    bench = Bench().ready()
    bench.submit(AUTHORISE)
    bench.run(500)
    bench.submit(Stop(bench.fp))
    bench.run(1_000)
    assert CommandDone(bench.fp, Stop(bench.fp)) in bench.events
    assert bench.pump.status is DispenserStatus.COMPLETE


def test_stop_of_an_idle_point_is_done_though_the_pump_refuses_it() -> None:
    bench = Bench().ready()
    bench.submit(Stop(bench.fp))
    bench.run(500)
    assert bench.of(CommandDone) == [CommandDone(bench.fp, Stop(bench.fp))]


def test_stop_overtakes_what_waits_and_withdraws_authorisations() -> None:
    bench = Bench().ready()
    bench.submit(ReadTotals(bench.fp, ONE))
    bench.submit(AUTHORISE)
    bench.submit(ReadTotals(bench.fp, TWO))
    bench.submit(Stop(bench.fp))
    bench.run(3_000)
    assert CommandFailed(bench.fp, AUTHORISE, "stopped") in bench.events
    done = [event.command for event in bench.of(CommandDone)]
    assert done == [ReadTotals(bench.fp, ONE), Stop(bench.fp), ReadTotals(bench.fp, TWO)]
    assert bench.pump.status not in {DispenserStatus.AUTHORISED, DispenserStatus.FUELLING}


def test_a_stop_is_taken_however_much_waits() -> None:
    bench = Bench().ready()
    read, stop = ReadTotals(bench.fp, ONE), Stop(bench.fp)
    for _ in range(COMMANDS_WAITING_MAX + 1):
        bench.submit(read)
    for command in (AUTHORISE, read, stop):
        bench.submit(command)
    bench.run(30_000)
    assert bench.of(CommandFailed) == [
        CommandFailed(bench.fp, read, "busy"),
        CommandFailed(bench.fp, AUTHORISE, "stopped"),
    ]
    done = [event.command for event in bench.of(CommandDone)]
    assert done[:3] == [read, read, stop], "one was done at once, one was under way"
    assert len(done) == COMMANDS_WAITING_MAX + 2
    assert bench.pump.status is not DispenserStatus.AUTHORISED


def test_stops_in_plenty_are_all_answered_by_two() -> None:
    bench = Bench().ready()
    bench.submit(AUTHORISE)
    bench.run(500)
    bench.events.clear()
    bench.sent.clear()
    for _ in range(2 * COMMANDS_WAITING_MAX):
        bench.submit(Stop(bench.fp))
    bench.submit(AUTHORISE)
    bench.submit(Stop(bench.fp))
    bench.run(10_000)
    assert len(bench.of(CommandDone)) == 2 * COMMANDS_WAITING_MAX + 1
    assert bench.of(CommandFailed) == [CommandFailed(bench.fp, AUTHORISE, "stopped")]
    assert len(commands(bench)) <= 2 * ATTEMPTS, "the one under way and the one behind it"
    assert bench.pump.status is DispenserStatus.COMPLETE


def test_stops_that_wait_fail_with_the_link() -> None:
    bench = Bench().ready()
    for _ in range(5):
        bench.submit(Stop(bench.fp))
    bench.disconnect()
    assert bench.of(CommandFailed) == [CommandFailed(bench.fp, Stop(bench.fp), "offline")] * 5


def test_stop_ends_an_authorisation_that_is_being_verified() -> None:
    bench = Bench().ready()
    bench.wrong.is_stuck = True
    bench.submit(AUTHORISE)
    bench.run(300)
    bench.wrong.is_stuck = False
    bench.submit(Stop(bench.fp))
    bench.run(3_000)
    assert bench.of(CommandFailed) == [CommandFailed(bench.fp, AUTHORISE, "stopped")]
    assert bench.of(CommandDone) == [CommandDone(bench.fp, Stop(bench.fp))]
    assert bench.pump.status is not DispenserStatus.AUTHORISED


def test_suspend_and_resume() -> None:
    bench = Bench().ready()
    bench.pump.lift(bench.now_ms, ONE)
    bench.run(1_000)
    bench.submit(AUTHORISE)
    bench.run(500)
    bench.pump.squeeze(bench.now_ms, 20_000)
    bench.run(5_000)
    bench.submit(Suspend(bench.fp))
    bench.run(10_000)
    paused_ml = bench.pump.volume_ml
    assert 0 < paused_ml < 6_000
    bench.submit(Resume(bench.fp))
    bench.run(40_000)
    bench.pump.hang(bench.now_ms)
    bench.run(1_000)
    assert [event.volume.ml for event in bench.of(FuellingEnded)] == [20_000]
    assert not bench.of(CommandFailed)
    bench.submit(Resume(bench.fp))
    bench.submit(Suspend(bench.fp))
    bench.run(500)
    reasons = [event.reason for event in bench.of(CommandFailed)]
    assert reasons == ["not_suspended", "not_fuelling"]


def test_authorise_and_clear_are_refused_while_fuel_flows() -> None:
    bench = Bench().ready()
    bench.pump.lift(bench.now_ms, ONE)
    bench.run(1_000)
    bench.submit(AUTHORISE)
    bench.run(500)
    bench.pump.squeeze(bench.now_ms)
    bench.run(1_000)
    for command in (AUTHORISE, Clear(bench.fp), ReadTransaction(bench.fp)):
        bench.submit(command)
    bench.run(1_000)
    assert [event.reason for event in bench.of(CommandFailed)] == [
        "fuelling",
        "fuelling",
        "fuelling",
    ]
    assert bench.pump.status is DispenserStatus.FUELLING


def test_prices_are_changed_and_read_back() -> None:
    bench = Bench().ready()
    change = SetPrices(bench.fp, ((ONE, UnitPrice(7_900)), (TWO, UnitPrice(8_400))))
    bench.submit(change)
    bench.run(1_000)
    assert bench.of(CommandDone) == [CommandDone(bench.fp, change)]
    assert [hose.price_milli for hose in bench.pump.hoses.values()] == [7_900, 8_400]


def test_prices_are_never_changed_while_fuel_flows() -> None:
    bench = Bench().ready()
    bench.submit(AUTHORISE)
    bench.run(500)
    bench.sent.clear()
    bench.submit(SetPrices(bench.fp, ((ONE, UnitPrice(7_900)), (TWO, P95))))
    bench.run(1_000)
    assert [event.reason for event in bench.of(CommandFailed)] == ["fuelling"]
    assert not writes(bench)


@pytest.mark.parametrize(
    ("prices", "reason"),
    [
        (((ONE, P92),), "prices_incomplete"),
        (((ONE, UnitPrice(7_855)), (TWO, P95)), "price_not_representable"),
    ],
)
def test_prices_that_cannot_be_right_are_not_written(
    prices: tuple[tuple[int, UnitPrice], ...], reason: str
) -> None:
    bench = Bench().ready()
    bench.submit(SetPrices(bench.fp, prices))  # type: ignore[arg-type]
    bench.run(1_000)
    assert [event.reason for event in bench.of(CommandFailed)] == [reason]
    assert not writes(bench)


def test_prices_that_the_pump_acknowledges_and_ignores_are_not_confirmed() -> None:
    bench = Bench().ready()
    bench.wrong.is_stuck = True
    bench.submit(SetPrices(bench.fp, ((ONE, UnitPrice(7_900)), (TWO, P95))))
    bench.run(5_000)
    assert [event.reason for event in bench.of(CommandFailed)] == ["not_confirmed"]


def test_unknown_nozzle_and_too_many_commands_are_refused() -> None:
    bench = Bench().ready()
    bench.submit(ReadTotals(bench.fp, type(ONE)(9)))
    bench.mute = True
    for _ in range(40):
        bench.submit(ReadTotals(bench.fp, ONE))
    reasons = [event.reason for event in bench.of(CommandFailed)]
    assert reasons.count("no_such_nozzle") == 1
    assert reasons.count("busy") >= 7
    bench.run(20_000)
    answered = len(bench.of(CommandFailed)) + len(bench.of(CommandDone))
    assert answered == 41


def test_nothing_is_sold_before_a_person_confirmed_the_scales() -> None:
    bench = Bench(scales_confirmed=False).ready()
    bench.submit(AUTHORISE)
    bench.run(500)
    assert [event.reason for event in bench.of(CommandFailed)] == ["decimals_unconfirmed"]
    assert not writes(bench)


def test_note_08_a_scale_that_the_figures_contradict_stops_the_selling(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[3] / "config/registers/reference.toml").read_text()
    wrong = tmp_path / "wrong.toml"
    volume = 'register = 30003\ntype = "u32"\nscale = 10'
    assert volume in text
    wrong.write_text(text.replace(volume, volume.removesuffix("0")))
    bench = Bench().ready()
    bench.engine = Bench(profile=str(wrong)).engine
    bench.connect()
    bench.run(1_000)
    sell(bench, 10_000)
    assert AlarmRaised(bench.fp, "decimals_suspect") in bench.events
    bench.submit(Clear(bench.fp))
    bench.submit(AUTHORISE)
    bench.run(500)
    assert [event.reason for event in bench.of(CommandFailed)] == ["decimals_suspect"]


# ---- dispensers that misbehave ------------------------------------------------------------------


def test_note_01_acknowledged_but_not_done_raises_an_alarm_and_is_not_spammed() -> None:
    bench = Bench().ready()
    bench.submit(Clear(bench.fp))
    bench.run(1_000)
    bench.sent.clear()
    bench.wrong.is_stuck = True
    bench.submit(AUTHORISE)
    bench.run(10_000)
    assert CommandFailed(bench.fp, AUTHORISE, "not_confirmed") in bench.events
    assert AlarmRaised(bench.fp, "command_not_done") in bench.events
    assert commands(bench) == [1]


def spoil_first_command(bench: Bench, *, obeyed: bool) -> None:
    """Lose the first write to the command register, or only its acknowledgement."""
    obey = bench.side.on_bytes
    is_first = True

    def spoilt(now_ms: int, data: bytes) -> list[bytes]:
        nonlocal is_first
        if not is_first or data[1:4] != b"\x06\x00\x00":
            return obey(now_ms, data)
        is_first = False
        if obeyed:
            obey(now_ms, data)
        return []

    bench.side.on_bytes = spoilt  # type: ignore[method-assign]


@pytest.mark.parametrize(("obeyed", "given"), [(True, [1]), (False, [1, 1])])
def test_a_command_without_acknowledgement_is_given_again_only_if_it_did_nothing(
    obeyed: bool, given: list[int]
) -> None:
    bench = Bench().ready()
    bench.submit(Clear(bench.fp))
    bench.run(1_000)
    bench.events.clear()
    bench.sent.clear()
    spoil_first_command(bench, obeyed=obeyed)
    bench.submit(AUTHORISE)
    bench.run(3_000)
    assert bench.of(CommandDone) == [CommandDone(bench.fp, AUTHORISE)]
    assert commands(bench) == given
    assert bench.pump.status is DispenserStatus.AUTHORISED


def test_a_refusal_is_reported_with_its_code() -> None:
    bench = Bench().ready()
    bench.submit(Clear(bench.fp))
    bench.run(1_000)
    bench.wrong.refuse.append(ExceptionCode.DEVICE_FAILURE)
    bench.submit(ReadTotals(bench.fp, ONE))
    bench.run(500)
    assert bench.of(CommandFailed)[-1].reason == "exception_04"
    assert [fault.reason for fault in bench.faults] == ["exception_04"]


def test_a_busy_unit_is_asked_again() -> None:
    bench = Bench().ready()
    bench.submit(Clear(bench.fp))
    bench.run(1_000)
    bench.wrong.refuse.extend([ExceptionCode.BUSY] * 3)
    bench.submit(AUTHORISE)
    bench.run(3_000)
    assert bench.of(CommandDone)[-1].command == AUTHORISE


def test_silence_takes_a_point_offline_after_three_polls_each_asked_twice() -> None:
    bench = Bench().ready()
    bench.wrong.absent.add(1)
    bench.sent.clear()
    bench.run_until(lambda: bool(bench.of(LinkChanged)))
    assert bench.of(LinkChanged) == [LinkChanged(bench.fp, online=False)]
    assert len(bench.sent) == 6
    bench.submit(AUTHORISE)
    assert bench.of(CommandFailed) == [CommandFailed(bench.fp, AUTHORISE, "offline")]
    bench.wrong.absent.clear()
    bench.run(10_000)
    assert bench.of(LinkChanged)[-1] == LinkChanged(bench.fp, online=True)
    assert bench.of(StatusChanged)[-1] == StatusChanged(bench.fp, DispenserStatus.COMPLETE)


def test_a_command_in_hand_fails_when_its_point_goes_silent() -> None:
    bench = Bench().ready()
    bench.wrong.absent.add(1)
    bench.submit(AUTHORISE)
    bench.submit(ReadTotals(bench.fp, ONE))
    bench.run(10_000)
    assert [event.reason for event in bench.of(CommandFailed)] == ["offline", "offline"]


def test_a_dead_unit_costs_the_living_little() -> None:
    bench = Bench(points=2).ready()
    bench.run(10_000)
    alone = sum(sent[0] == 1 for sent in bench.sent)
    bench.wrong.absent.add(2)
    bench.run(60_000)
    bench.sent.clear()
    bench.run(10_000)
    beside_dead = sum(sent[0] == 1 for sent in bench.sent)
    assert sum(sent[0] == 2 for sent in bench.sent) <= 2
    assert beside_dead >= 0.85 * alone


def test_a_lost_reply_is_asked_for_again_without_a_word() -> None:
    bench = Bench().ready()
    bench.wrong.lose_replies = 1
    bench.run(3_000)
    assert not bench.events
    assert not bench.faults


@pytest.mark.parametrize("option", ["auto", "on"])
def test_an_adapter_that_echoes(option: str) -> None:
    bench = Bench(echo=option)
    bench.wrong.echoes = True
    bench.ready()
    sell(bench, 5_000)
    bench.submit(Clear(bench.fp))
    bench.run(1_000)
    assert [event.volume.ml for event in bench.of(FuellingEnded)] == [5_000]
    assert not bench.of(CommandFailed)
    assert not bench.faults


def test_an_echo_that_begins_later_is_noticed() -> None:
    bench = Bench().ready()
    bench.wrong.echoes = True
    sell(bench, 5_000)
    assert [event.volume.ml for event in bench.of(FuellingEnded)] == [5_000]
    assert not bench.of(CommandFailed)


@pytest.mark.parametrize("late_ms", [310, 350, 449, 455, 500, 560, 620, 700, 900, 1000, 1040])
@pytest.mark.parametrize("framing", ["rtu", "tcp"])
def test_late_replies_are_never_taken_for_others(framing: str, late_ms: int) -> None:
    bench = Bench(framing=framing).ready()
    sell(bench, 5_000)
    sell(bench, 7_000, Authorise(bench.fp, (TWO,)))
    bench.events.clear()
    bench.wrong.late_ms = late_ms  # beyond the time-out of 300
    for nozzle in (ONE, TWO, ONE, TWO):
        bench.submit(ReadTotals(bench.fp, nozzle))
    bench.run(10_000)
    assert len(bench.of(CommandDone) + bench.of(CommandFailed)) == 4
    for event in bench.of(TotalsRead):
        assert event.volume == (Volume(5_000) if event.nozzle == ONE else Volume(7_000))
    assert {fault.reason for fault in bench.faults} <= {"unexpected_reply"}


def test_a_stop_goes_before_everything_that_waits_on_the_bus() -> None:
    bench = Bench(points=4).ready()
    for unit in (1, 2, 3):
        bench.submit(ReadTotals(FpId(unit), ONE))
    bench.sent.clear()
    bench.submit(Stop(FpId(4)))
    bench.run(20)
    assert bench.sent[0][0] == 4
    bench.run(1_000)
    assert len(bench.of(CommandDone)) == 4


def test_noise_is_counted_and_never_stops_polling() -> None:
    bench = Bench().ready()
    bench.garble = lambda reply: b"\xff\x00\x55" + reply
    sell(bench, 5_000)
    assert [event.volume.ml for event in bench.of(FuellingEnded)] == [5_000]
    assert {fault.reason for fault in bench.faults} == {"noise"}
    bench.garble = lambda reply: reply[:-1] + bytes([reply[-1] ^ 1])
    bench.run(5_000)
    assert bench.of(LinkChanged) == [LinkChanged(bench.fp, online=False)]
    assert "crc" in {fault.reason for fault in bench.faults}
    bench.garble = lambda reply: reply
    bench.run(10_000)
    assert bench.of(LinkChanged)[-1] == LinkChanged(bench.fp, online=True)


def showing(address: int, value: int) -> Callable[[bytes], bytes]:
    """Return what makes every poll show `value` in one register."""

    def alter(reply: bytes) -> bytes:
        (frame,) = FrameDecoder(Framing.RTU, Listening.REPLIES).feed(reply)
        pdu = getattr(frame, "pdu", None)
        if not isinstance(pdu, ReadReply) or len(pdu.registers) != 19:
            return reply
        registers = (*pdu.registers[:address], value, *pdu.registers[address + 1 :])
        return encode_frame(Framing.RTU, 1, 0, ReadReply(pdu.function, registers))

    return alter


def test_a_board_that_has_lost_its_pump_is_offline() -> None:
    bench = Bench().ready()
    bench.garble = showing(0, 0)
    bench.submit(ReadTotals(bench.fp, ONE))
    bench.submit(ReadTransaction(bench.fp))
    bench.run(3_000)
    assert bench.of(LinkChanged) == [LinkChanged(bench.fp, online=False)]
    assert [event.reason for event in bench.of(CommandFailed)] == ["offline"]
    bench.garble = lambda reply: reply
    bench.run(1_000)
    assert bench.of(LinkChanged)[-1] == LinkChanged(bench.fp, online=True)


def test_a_point_in_a_state_that_the_map_does_not_know_is_not_authorised() -> None:
    bench = Bench().ready()
    bench.garble = showing(0, 77)
    bench.run(1_000)
    bench.submit(AUTHORISE)
    bench.run(1_000)
    assert AlarmRaised(bench.fp, "unknown_state") in bench.events
    assert [event.reason for event in bench.of(CommandFailed)] == ["not_idle"]


def test_an_acknowledgement_of_long_work_counts_as_one() -> None:
    bench = Bench().ready()
    bench.submit(Clear(bench.fp))
    bench.run(1_000)
    bench.wrong.refuse.append(ExceptionCode.ACKNOWLEDGE)  # to the nozzles; the rest is obeyed
    bench.submit(AUTHORISE)
    bench.run(3_000)
    assert bench.of(CommandFailed)[-1].reason == "exception_03"  # the pump heard of no nozzle


def test_power_cut_in_a_fuelling() -> None:
    bench = Bench().ready()
    bench.pump.lift(bench.now_ms, ONE)
    bench.run(1_000)
    bench.submit(AUTHORISE)
    bench.run(500)
    bench.pump.squeeze(bench.now_ms)
    bench.run(5_000)
    bench.pump.power_off(bench.now_ms)
    bench.run(20_000)
    bench.pump.power_on(bench.now_ms)
    bench.run(10_000)
    assert [event.volume.ml for event in bench.of(FuellingEnded)] == [bench.pump.delivered_ml]


def test_the_heartbeat_beats() -> None:
    bench = Bench(heartbeat_ms=1_000).ready()
    bench.run(10_000)
    beats = [w.value for w in writes(bench) if isinstance(w, WriteSingle) and w.address == 5]
    assert len(beats) >= 8
    assert len(set(beats)) == len(beats)


def test_a_point_with_nothing_to_do_is_only_polled() -> None:
    bench = Bench(heartbeat_ms=0).ready()
    bench.run(10_000)
    frames = FrameDecoder(Framing.RTU, Listening.REQUESTS).feed(b"".join(bench.sent))
    poll = ReadRequest(Function.READ_INPUT, 0, 19)
    assert {getattr(frame, "pdu", None) for frame in frames} == {poll}
    assert 30 <= len(frames) <= 35
    assert not bench.events
