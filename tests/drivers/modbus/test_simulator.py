"""The pump's side: the registers tell the pump's truth, and misbehave when asked to."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus import DRIVER
from drivers.modbus.codec import Frame, FrameDecoder, Framing, Listening
from drivers.modbus.image import RegisterImage
from drivers.modbus.pdu import (
    ExceptionCode,
    ExceptionReply,
    Function,
    Pdu,
    ReadReply,
    ReadRequest,
    WriteReply,
    WriteRequest,
    WriteSingle,
)
from drivers.modbus.simulator import ModbusPumpSide
from drivers.pump_model import SimulatedPump
from edge_agent.model.dispenser import DispenserStatus
from edge_agent.model.ids import FpId
from edge_agent.model.units import Volume
from tests.drivers.modbus.bench import ONE, P92, P95, TWO, encode_frame, plan_of

POLL = ReadRequest(Function.READ_INPUT, 0, 19)


def priced_pump() -> SimulatedPump:
    pump = SimulatedPump([ONE, TWO])
    pump.set_prices(0, {ONE: P92, TWO: P95})
    pump.clear(0)
    return pump


def side_of(pump: SimulatedPump) -> tuple[ModbusPumpSide, RegisterImage]:
    images = DRIVER.build_images(plan_of(), {FpId(1): pump})
    return ModbusPumpSide(Framing.RTU, images), images[1]


def ask(side: ModbusPumpSide, pdu: Pdu, *, unit: int = 1, now_ms: int = 0) -> Pdu | None:
    answers = side.on_bytes(now_ms, encode_frame(Framing.RTU, unit, 0, pdu))
    found = FrameDecoder(Framing.RTU, Listening.REPLIES).feed(b"".join(answers))
    frames = [each for each in found if isinstance(each, Frame)]
    return frames[-1].pdu if frames else None


def registers(side: ModbusPumpSide, now_ms: int = 0) -> tuple[int, ...]:
    reply = ask(side, POLL, now_ms=now_ms)
    assert isinstance(reply, ReadReply)
    return reply.registers


def test_the_base_map_is_where_it_should_be() -> None:
    pump = priced_pump()
    side, _ = side_of(pump)
    pump.lift(0, TWO)
    ask(side, WriteSingle(6, 0b10))
    ask(side, WriteRequest(1, (0,)))
    assert ask(side, WriteSingle(0, 1)) == WriteSingle(0, 1)
    pump.squeeze(0, 25_480)
    shown = registers(side, 60_000)
    assert shown[:8] == (4, 0b10, 0, 2_548, 0, 21_301, 836, 1)
    pump.hang(60_000)
    shown = registers(side, 60_000)
    assert shown[0] == 5
    assert shown[8:12] == (0, 2_548, 0, 21_301)
    assert shown[16:] == (1, 2, 836)
    totals = ask(side, ReadRequest(Function.READ_INPUT, 20, 4))
    assert totals == ReadReply(Function.READ_INPUT, (0, 2_548, 0, 21_301))


def test_a_replaced_totaliser_shows_at_once() -> None:
    pump = priced_pump()
    side, _ = side_of(pump)
    pump.sell_offline(ONE, Volume(3_000))
    totals = ReadRequest(Function.READ_INPUT, 12, 2)
    assert ask(side, totals) == ReadReply(Function.READ_INPUT, (0, 300))
    assert ask(side, totals) == ReadReply(Function.READ_INPUT, (0, 300))
    pump.replace_totaliser(ONE)
    assert ask(side, totals) == ReadReply(Function.READ_INPUT, (0, 0))


def test_calling_and_stopped_are_states_of_their_own() -> None:
    pump = priced_pump()
    side, _ = side_of(pump)
    assert registers(side)[0] == 1
    pump.lift(0, ONE)
    assert registers(side)[0] == 2
    ask(side, WriteSingle(6, 1))
    ask(side, WriteSingle(0, 1))
    assert registers(side)[0] == 3
    ask(side, WriteSingle(0, 2))
    assert registers(side)[0] == 6


def test_every_sale_has_a_number_also_one_that_nobody_saw() -> None:
    pump = priced_pump()
    side, _ = side_of(pump)
    pump.lift(0, ONE)
    ask(side, WriteSingle(6, 1))
    ask(side, WriteSingle(0, 1))
    pump.squeeze(0, 1_000)
    pump.hang(10_000)
    pump.sell_offline(TWO, Volume(3_000))
    shown = registers(side, 10_000)
    assert (shown[7], shown[16]) == (2, 2)
    assert shown[8:10] == (0, 300)


def test_an_authorisation_without_a_lift_ends_as_a_sale_of_zero() -> None:
    pump = priced_pump()
    side, _ = side_of(pump)
    ask(side, WriteSingle(6, 1))
    ask(side, WriteSingle(0, 1))
    assert registers(side)[16] == 0
    ask(side, WriteSingle(0, 2))
    shown = registers(side)
    assert (shown[16], shown[8:12]) == (1, (0, 0, 0, 0))


def test_what_the_pump_cannot_do_now_is_refused_and_changes_nothing() -> None:
    pump = priced_pump()
    side, _ = side_of(pump)
    refusal = ExceptionReply(6, ExceptionCode.ILLEGAL_VALUE)
    assert ask(side, WriteSingle(0, 2)) == refusal
    assert ask(side, WriteSingle(0, 5)) == refusal
    assert ask(side, WriteSingle(0, 1)) == refusal  # no nozzle is allowed
    ask(side, WriteSingle(6, 0b11))
    ask(side, WriteSingle(0, 1))
    assert ask(side, WriteSingle(4, 999)) == refusal
    prices = ask(side, ReadRequest(Function.READ_HOLDING, 4, 1))
    assert prices == ReadReply(Function.READ_HOLDING, (785,))
    assert pump.status is DispenserStatus.AUTHORISED
    assert registers(side)[7] == 1


def test_addresses_that_are_none_are_refused() -> None:
    side, _ = side_of(priced_pump())
    wrong = ExceptionReply(4, ExceptionCode.ILLEGAL_ADDRESS)
    assert ask(side, ReadRequest(Function.READ_INPUT, 0, 99)) == wrong
    assert ask(side, ReadRequest(Function.READ_INPUT, 500, 1)) == wrong
    write = WriteRequest(99, (1, 2))
    assert ask(side, write) == ExceptionReply(16, ExceptionCode.ILLEGAL_ADDRESS)
    assert ask(side, WriteRequest(1, (0, 0, 0))) == WriteReply(1, 3)


def test_misbehaviour() -> None:
    side, image = side_of(priced_pump())
    wrong = side.misbehaviour
    wrong.lose_replies = 1
    assert ask(side, WriteSingle(5, 1)) is None
    assert image.beats == 1
    wrong.is_stuck = True
    assert ask(side, WriteSingle(5, 2)) == WriteSingle(5, 2)
    assert image.beats == 1
    wrong.is_stuck = False
    wrong.absent.add(1)
    assert ask(side, POLL) is None
    wrong.absent.clear()
    assert ask(side, POLL, unit=9) is None
    wrong.late_ms = 200
    assert ask(side, POLL, now_ms=1_000) is None
    assert side.next_deadline_ms() == 1_200
    assert side.on_timer(1_199) == []
    assert len(side.on_timer(1_200)) == 1
    assert side.next_deadline_ms() is None


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=60)), max_size=20))
def test_any_bytes_are_borne(received: list[tuple[int, bytes]]) -> None:
    side, _ = side_of(priced_pump())
    now_ms = 0
    for wait_ms, data in received:
        now_ms += wait_ms
        side.on_bytes(now_ms, data)
    assert registers(side, now_ms + 1_000)[0] == 1


@settings(max_examples=30)
@given(st.integers(0, 90), st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=20))
def test_any_writes_are_borne(address: int, values: list[int]) -> None:
    side, _ = side_of(priced_pump())
    assert ask(side, WriteRequest(address, tuple(values))) is not None
    assert len(registers(side)) == 19
