"""The pump's side against the annotated sale, byte by byte."""

from __future__ import annotations

from drivers.dart import DRIVER
from drivers.dart.codec import ControlFrame, ControlKind
from drivers.framing.crc import crc16_arc
from drivers.pump_model import SimulatedPump
from edge_agent.model.units import UnitPrice
from tests.drivers.dart.bench import FP, ONE, Bench, plan_of

POLL = "50 20 FA"


class Wire:
    """A master that says exactly what it is told to, to one pump with one nozzle at 7.85."""

    def __init__(self) -> None:
        plan = plan_of(nozzles=1)
        self.pump = SimulatedPump([ONE])
        self.side = DRIVER.build_simulator(plan, {FP: self.pump})
        self.now_ms = 0
        self.pump.set_prices(0, {ONE: UnitPrice(7_850)})
        self.pump.clear(0)
        self.side.points[FP].manners.lifts_reported_unasked = True

    def say(self, text: str) -> str:
        answers = self.side.on_bytes(self.now_ms, bytes.fromhex(text))
        return b"".join(answers).hex(" ").upper()


def test_the_annotated_sale() -> None:
    wire = Wire()
    hose = wire.pump.hoses[ONE]
    hose.total_volume_ml = 1_234_567_890 - 25_480
    wire.pump.lift(0, ONE)
    assert wire.say(POLL) == "50 31 03 04 00 07 85 11 01 01 01 1D FD 03 FA"
    assert wire.say("50 C1 FA") == ""
    assert wire.say("50 30 01 01 05 5F 5F 03 FA") == "50 C0 FA"
    assert wire.say("50 31 02 01 01 AF 60 03 FA") == "50 C1 FA"
    assert wire.say("50 32 04 04 00 02 00 00 47 7B 03 FA") == "50 C2 FA"
    assert wire.say("50 33 01 01 06 1F 1A 03 FA") == "50 C3 FA"
    assert wire.say(POLL) == "50 32 01 01 02 1F 25 03 FA"
    wire.say("50 C2 FA")
    wire.pump.squeeze(0)
    wire.now_ms = 12_340 * 1000 // 600 + 1
    assert wire.say(POLL) == "50 33 01 01 04 02 08 00 00 12 34 00 00 96 87 D2 03 03 FA"
    wire.say("50 C3 FA")
    wire.now_ms = 60_000
    wire.pump.advance(wire.now_ms)
    wire.pump.hang(wire.now_ms)
    ended = "50 34 02 08 00 00 25 48 00 02 00 00 03 04 00 07 85 01 01 01 05 0F AE 03 FA"
    assert wire.say(POLL) == ended
    assert wire.say(POLL) == ended, "again, until it is acknowledged"
    wire.say("50 C4 FA")
    assert wire.say("50 34 01 01 04 9F AF 03 FA") == "50 C4 FA"
    assert wire.say(POLL) == "50 35 02 08 00 00 25 48 00 02 00 00 AE FD 03 FA"
    wire.say("50 C5 FA")
    assert wire.say("50 35 65 01 01 1F 8F 03 FA") == "50 C5 FA"
    totals = "50 36 65 10 01 01 23 45 67 89 01 23 45 67 89 00 00 00 00 00 3B 01 03 FA"
    assert wire.say(POLL) == totals
    wire.say("50 C6 FA")
    assert wire.say("50 36 01 01 05 5F D7 03 FA") == "50 C6 FA"


def test_totals_of_chinese_card_dispensers() -> None:
    wire = Wire()
    wire.side.points[FP].manners.totals_layout = 13
    hose = wire.pump.hoses[ONE]
    hose.total_volume_ml, hose.total_amount_fen = 1_234_567_890, 987_654_321
    wire.say(POLL)
    wire.say("50 C1 FA")
    wire.say("50 30 65 01 01 1F 43 03 FA")
    wire.side.points[FP]._number = 5
    assert wire.say(POLL) == "50 36 65 0D 01 00 01 23 45 67 89 00 09 87 65 43 21 B1 4E 03 FA"


def test_the_same_number_again_is_acknowledged_and_not_executed() -> None:
    wire = Wire()
    wire.pump.lift(0, ONE)
    authorise = "50 30 01 01 06 1F 5E 03 FA"
    assert wire.say(authorise) == "50 C0 FA"
    wire.pump.stop(0)
    wire.pump.clear(0)
    assert wire.say(authorise) == "50 C0 FA"
    assert wire.pump.status.value == "idle"


def test_what_is_broken_is_not_answered_and_what_is_senseless_is_refused() -> None:
    wire = Wire()
    assert wire.say("50 30 01 01 06 1F 5F 03 FA") == "", "a wrong checksum"
    assert wire.say("52 20 FA") == "", "another address"
    assert wire.say("50 30 03 01 55 AA BB") == ""
    bench = Bench()
    nak = ControlFrame(0x50, ControlKind.NAK, 0).encode()
    senseless = bytes.fromhex("50 30 01 01 7E")  # an unknown command, with its checksum
    raw = senseless + crc16_arc(senseless).to_bytes(2, "little") + b"\x03\xfa"
    assert bench.side.on_bytes(0, raw) == [nak]


def test_a_pump_without_power_says_nothing() -> None:
    wire = Wire()
    wire.pump.power_off(0)
    assert wire.say(POLL) == ""
    wire.pump.power_on(1_000)
    assert wire.say(POLL) != ""
