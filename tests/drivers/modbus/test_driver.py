"""The driver's border: options, recordings, maps of other makers, and any bytes from the wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import registry
from drivers.contract import SerialLine
from drivers.framing.crc import crc16_modbus
from drivers.modbus import DRIVER
from drivers.modbus.codec import Framing
from drivers.modbus.pdu import Function, Pdu, ReadReply, WriteReply, WriteRequest, WriteSingle
from edge_agent.model.canonical import Json
from edge_agent.model.dispenser import (
    Authorise,
    Clear,
    CommandDone,
    CommandFailed,
    DispenserCommand,
    FuellingEnded,
    LinkChanged,
    Preset,
    ReadTotals,
    ReadTransaction,
    Resume,
    SetPrices,
    Stop,
    Suspend,
    TotalsRead,
)
from edge_agent.model.errors import ConfigRefused
from edge_agent.model.ids import FpId
from edge_agent.model.units import Money, Volume
from tests.drivers.modbus.bench import ONE, P92, P95, TWO, Bench, encode_frame, plan_of

FP = FpId(1)

# A board with one nozzle: holding registers only, counted from 0, low word first, BCD amounts; its
# number advances when a sale has ended, and it clears itself.
VENDOR = """
name = "a small board"
word_order = "low_first"
transaction_advances = "end"
numbering = { input = 0, holding = 0 }
[states]
idle = [16, 32]
authorised = 48
fuelling = 64
complete = 80
closed = 96
[status]
state = { function = 3, register = 100, type = "u16" }
nozzle_mask = { function = 3, register = 101, type = "u16" }
transaction = { function = 3, register = 102, type = "bcd4" }
live_volume = { function = 3, register = 103, type = "u32" }
live_amount = { function = 3, register = 105, type = "bcd8" }
price = { function = 3, register = 107, type = "bcd4", scale = 10 }
sale_volume = { function = 3, register = 108, type = "u32" }
sale_amount = { function = 3, register = 110, type = "bcd8" }
[nozzle]
total_volume = { function = 3, register = 120, type = "bcd12", scale = 10 }
[write]
control = { function = 16, register = 200, type = "u16" }
volume = { function = 16, register = 201, type = "bcd8", scale = 10 }
amount = { function = 16, register = 203, type = "bcd8" }
price = { function = 16, register = 107, type = "bcd4", scale = 10 }
[commands]
authorise = [
    { to = "volume", value = "preset", when = "preset_volume" },
    { to = "amount", value = "preset", when = "preset_amount" },
    { to = "control", value = 1, when = "no_preset" },
    { to = "control", value = 2, when = "preset_volume" },
    { to = "control", value = 3, when = "preset_amount" },
]
stop = [{ to = "control", value = 4 }]
clear = [{ to = "control", value = 5 }]
set_price = [{ to = "price", value = "unit_price" }]
"""


def test_the_registry_finds_it() -> None:
    assert registry.load("modbus") is DRIVER


def test_serial_line_follows_the_options() -> None:
    assert DRIVER.serial_line(plan_of()) == SerialLine(9600, "even")
    line = DRIVER.serial_line(plan_of(baud=19_200, parity="none", stop_bits=2))
    assert line == SerialLine(19_200, "none", stop_bits=2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"framming": "rtu"}, "key 'framming': unknown key; did you mean 'framing'?"),
        ({"framing": "ascii"}, "key 'framing'"),
        ({"idle_poll_ms": 5}, "key 'idle_poll_ms'"),
        ({"probe_ms": 9_000}, "probe_cap_ms must not be below probe_ms"),
        ({"profile": "nowhere"}, "key 'profile': nowhere.toml cannot be read"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Json], said: str) -> None:
    with pytest.raises(ConfigRefused) as refused:
        DRIVER.build_engine(replace(plan_of(), options=options))
    assert "table [buses.options]" in refused.value.detail
    assert said in refused.value.detail


def test_more_nozzles_than_the_map_has_are_refused() -> None:
    with pytest.raises(ConfigRefused, match="no register for nozzle 5"):
        DRIVER.build_engine(plan_of(nozzles=5))


def test_units_are_distinct_and_in_range() -> None:
    plan = plan_of()
    twice = replace(plan, fuelling_points=plan.fuelling_points * 2)
    with pytest.raises(ConfigRefused, match="unit 1 is used twice"):
        DRIVER.build_engine(twice)


def test_recording_names_every_field() -> None:
    request = bytes.fromhex("01 03 00 00 00 0A C5 CD")
    (frame,) = registry.decode_frames("modbus-rtu", request)
    assert frame.ok
    fields: dict[str, Json] = {"unit": 1, "message": "read_request", "function": 3}
    assert frame.fields == {**fields, "address": 0, "count": 10}
    (noise, again) = registry.decode_frames("modbus-rtu", b"\xff" + request)
    assert (noise.ok, noise.error, noise.raw) == (False, "no Modbus frame", b"\xff")
    assert again == frame
    tcp = bytes.fromhex("00 07 00 00 00 03 11 83 02")
    (refusal,) = registry.decode_frames("modbus-tcp", tcp)
    assert refusal.fields["meaning"] == "illegal_address"
    assert refusal.fields["transaction"] == 7
    with pytest.raises(ConfigRefused, match="not 'ascii'"):
        registry.decode_frames("modbus-ascii", request)


def test_recording_of_a_conversation() -> None:
    pdus: list[Pdu] = [
        ReadReply(Function.READ_INPUT, (1, 2)),
        WriteSingle(4, 785),
        WriteRequest(1, (2, 0, 20_000)),
        WriteReply(1, 3),
    ]
    raw = b"".join(encode_frame(Framing.RTU, 9, 0, pdu) for pdu in pdus)
    frames = registry.decode_frames("modbus", raw)
    assert [frame.fields.get("message") for frame in frames] == [
        "read_reply",
        "write_single",
        "write_request",
        "write_reply",
    ]
    assert frames[0].fields["registers"] == [1, 2]
    assert frames[1].fields["value"] == 785
    assert frames[2].fields["registers"] == [2, 0, 20_000]
    assert frames[3].fields["count"] == 3


def vendor_bench(folder: Path) -> Bench:
    map_file = folder / "board.toml"
    map_file.write_text(VENDOR, encoding="utf-8")
    bench = Bench(nozzles=1, profile=str(map_file))
    bench.connect()
    bench.run(1_000)
    bench.submit(SetPrices(FP, ((ONE, P92),)))
    bench.run(2_000)
    return bench


def test_what_a_map_lacks_is_not_supported(tmp_path: Path) -> None:
    bench = vendor_bench(tmp_path)
    bench.submit(Clear(FP))
    bench.submit(Authorise(FP, (ONE,)))
    bench.run(1_000)
    bench.submit(Suspend(FP))
    bench.submit(Resume(FP))
    bench.run(1_000)
    reasons = [event.reason for event in bench.of(CommandFailed)]
    assert reasons == ["not_supported", "not_supported"]


def test_digits_that_are_no_bcd_are_faults_and_no_figures(tmp_path: Path) -> None:
    bench = vendor_bench(tmp_path)
    bench.garble = garbled_register(7, 0x0A00)  # the transaction number
    bench.run(5_000)
    assert {fault.reason for fault in bench.faults} == {"not_bcd"}
    assert bench.of(LinkChanged)[-1] == LinkChanged(FP, online=False)
    bench.garble = lambda reply: reply
    bench.run(10_000)
    bench.garble = garbled_register(3, 0xFFFF)
    bench.submit(ReadTotals(FP, ONE))
    bench.run(1_000)
    assert bench.of(CommandFailed)[-1].reason == "not_bcd"


def garbled_register(at: int, value: int) -> Callable[[bytes], bytes]:
    """Return what puts a value into a read reply at a byte, with a right CRC."""

    def garble(reply: bytes) -> bytes:
        if reply[1] != Function.READ_HOLDING or len(reply) < at + 4:
            return reply
        body = reply[:at] + value.to_bytes(2) + reply[at + 2 : -2]
        return body + crc16_modbus(body).to_bytes(2, "little")

    return garble


@pytest.mark.parametrize(
    ("preset", "volume", "amount"),
    [
        (None, Volume(12_340), Money(9_687)),
        (Preset(volume=Volume(5_000)), Volume(5_000), Money(3_925)),
        (Preset(amount=Money(5_000)), Volume(6_370), Money(5_000)),
    ],
)
def test_a_map_unlike_ours(
    tmp_path: Path, preset: Preset | None, volume: Volume, amount: Money
) -> None:
    bench = vendor_bench(tmp_path)
    for _ in range(2):
        bench.pump.lift(bench.now_ms, ONE)
        bench.run(1_000)
        bench.submit(Authorise(FP, (ONE,), preset))
        bench.run(1_000)
        bench.pump.squeeze(bench.now_ms, 12_340)
        bench.run(30_000)
        bench.pump.hang(bench.now_ms)
        bench.run(1_000)
        bench.submit(Clear(FP))
        bench.run(1_000)
    bench.submit(ReadTotals(FP, ONE))
    bench.run(1_000)
    assert not bench.of(CommandFailed)
    sale = FuellingEnded(FP, ONE, volume, amount, P92)
    assert bench.of(FuellingEnded) == [sale, sale]
    assert bench.of(TotalsRead) == [TotalsRead(FP, ONE, volume + volume, None)]
    assert not bench.faults


# ---- any bytes ----------------------------------------------------------------------------------

COMMANDS: list[DispenserCommand] = [
    Authorise(FP, (ONE,)),
    Authorise(FP, (TWO,), Preset(amount=Money(5_000))),
    Stop(FP),
    Clear(FP),
    ReadTotals(FP, TWO),
    ReadTransaction(FP),
    SetPrices(FP, ((ONE, P95), (TWO, P92))),
]
happenings = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=40),
        st.sampled_from(COMMANDS),
        st.sampled_from(["cut", "join", "lift", "hang", "flip", "lose", "heal"]),
        st.integers(1, 3_000),
    ),
    max_size=25,
)


@settings(max_examples=25)
@given(happenings)
def test_whatever_happens_each_command_is_answered_once_and_each_sale_told_once(
    happened: list[object],
) -> None:
    bench = Bench().ready()
    submitted: list[DispenserCommand] = []
    for each in [*happened, "heal", "join", 30_000]:
        match each:
            case bytes():
                bench.receive(each)
            case int():
                bench.run(each)
            case "cut":
                bench.disconnect()
            case "join":
                bench.connect()
            case "lift":
                bench.pump.lift(bench.now_ms, ONE)
                bench.pump.squeeze(bench.now_ms, 2_000)
            case "hang":
                bench.pump.hang(bench.now_ms)
            case "flip":
                bench.garble = lambda reply: reply[:-1] + bytes([reply[-1] ^ 0x10])
            case "lose":
                bench.wrong.lose_replies = 3
            case "heal":
                bench.garble = lambda reply: reply
                bench.wrong.lose_replies = 0
            case _:
                command = COMMANDS[COMMANDS.index(each)]  # type: ignore[arg-type]
                submitted.append(command)
                bench.submit(command)
    answers = [event.command for event in bench.of(CommandDone) + bench.of(CommandFailed)]
    assert sorted(map(repr, answers)) == sorted(map(repr, submitted))
    told = sum(event.volume.ml for event in bench.of(FuellingEnded))
    if not any(isinstance(each, ReadTransaction) for each in submitted):
        assert told == sum(hose.delivered_ml for hose in bench.pump.hoses.values())
