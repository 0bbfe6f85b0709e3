"""Fuel is conserved: what the totalisers moved by is what the books say, whatever went wrong."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from edge_agent.core.fuelling import ANYWHERE, TABLE, step
from edge_agent.core.point import (
    AuthoriseAsked,
    Current,
    Guards,
    Input,
    Moment,
    Phase,
    Point,
    PricesDue,
    PriceTable,
    StopAsked,
    Tick,
    fp_state,
)
from edge_agent.model.dispenser import (
    Authorise,
    Clear,
    DispenserCommand,
    DispenserStatus,
    FuellingEnded,
    LinkChanged,
    NozzleChanged,
    Preset,
    ReadTotals,
    SetPrices,
    StatusChanged,
    Stop,
)
from edge_agent.model.errors import CommandRefused
from edge_agent.model.fuelling import AuthoriseRequest, FpState
from edge_agent.model.ids import FpId, GradeId, LogicalNozzle, NozzleNumber, PriceSetId
from edge_agent.model.records import (
    AlarmRecorded,
    FuellingAuthorised,
    FuellingCancelled,
    FuellingCompleted,
    FuellingDisputed,
    NozzleTotals,
    PriceApplied,
    RecordBody,
    TotaliserBaseline,
    TotaliserJumped,
)
from edge_agent.model.station import FpPlan, NozzlePlan
from edge_agent.model.units import Money, UnitPrice, Volume
from tests.core.dispenser_model import DispenserModel

ONE, TWO = LogicalNozzle(1), LogicalNozzle(2)
PLAN = FpPlan(
    FpId(1),
    0x50,
    (
        NozzlePlan(NozzleNumber(1), ONE, GradeId("92")),
        NozzlePlan(NozzleNumber(2), TWO, GradeId("95")),
    ),
)
PRICES = PriceTable(
    PriceSetId("ps1"), MappingProxyType({ONE: UnitPrice(7850), TWO: UnitPrice(8350)})
)
NEW_PRICES = PriceTable(
    PriceSetId("ps2"), MappingProxyType({ONE: UnitPrice(8000), TWO: UnitPrice(8500)})
)
FREE = Guards(storage_ok=True, stop_all=False, stopping=False, unpaid=0, unpaid_limit=9)


class Rig:
    """A point, its dispenser, and a ledger that survives restarts."""

    def __init__(self) -> None:
        self.pump = DispenserModel()
        self.point = Point(PLAN)
        self.ledger: list[RecordBody] = []
        self.now_ms = 1_000_000
        self.ids = 0
        self.refusals = 0

    def give(self, given: Input) -> None:
        waiting = deque([given])
        while waiting or self.pump.outbox:
            while self.pump.outbox:
                waiting.append(self.pump.outbox.pop(0))
            self.ids += 1
            at = Moment(self.now_ms, self.now_ms, f"id{self.ids}")
            taken = step(self.point, waiting.popleft(), at)
            self.ledger.extend(taken.writes)
            self.point = taken.point
            for command in taken.commands:
                self.pump.take(command)

    def settle(self) -> None:
        """Let the pump's news arrive."""
        while self.pump.outbox:
            self.give(self.pump.outbox.pop(0))

    def wait(self, ms: int) -> None:
        self.now_ms += ms
        self.give(Tick())

    def authorise(self, by: str = "attendant", **wish: object) -> None:
        request = AuthoriseRequest(FpId(1), **{"by": by, **wish})  # type: ignore[arg-type]
        self.give(AuthoriseAsked(request, FREE))

    def start(self) -> None:
        self.pump.connect()
        self.settle()
        self.give(PricesDue(PRICES))

    def restart(self) -> None:
        """Kill the agent and start it from what the ledger says."""
        self.pump.outbox.clear()
        open_: dict[str, FuellingAuthorised] = {}
        totals: dict[LogicalNozzle, NozzleTotals] = {}
        applied: PriceTable | None = None
        for body in self.ledger:
            match body:
                case FuellingAuthorised():
                    open_[body.fuelling_id] = body
                case FuellingCancelled():
                    del open_[body.fuelling_id]
                case FuellingCompleted():
                    open_.pop(body.fuelling_id, None)
                    if body.totals_after is not None:
                        totals[LogicalNozzle(body.nozzle)] = body.totals_after
                case TotaliserBaseline():
                    totals[LogicalNozzle(body.totals.nozzle)] = body.totals
                case TotaliserJumped():
                    totals[LogicalNozzle(body.nozzle)] = body.after
                case PriceApplied():
                    applied = PRICES
        current = [Current(body, watched=False) for body in open_.values()]
        assert len(current) <= 1
        self.point = replace(
            Point(PLAN), totals=MappingProxyType(totals),
            current=current[0] if current else None, applied=applied,
        )  # fmt: skip
        if self.pump.online:
            self.pump.connect()
            self.settle()

    def of(self, kind: type[RecordBody]) -> list[RecordBody]:
        return [body for body in self.ledger if isinstance(body, kind)]

    def completed(self) -> list[FuellingCompleted]:
        return [body for body in self.ledger if isinstance(body, FuellingCompleted)]


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.start()
    return rig


def fuel(rig: Rig, ml: int, nozzle: LogicalNozzle = ONE) -> None:
    rig.pump.lift(nozzle)
    rig.settle()
    if rig.point.phase is Phase.READY:
        rig.authorise()
    rig.pump.flow(ml)
    rig.settle()
    rig.pump.hang()
    rig.settle()


def test_a_postpay_fuelling_goes_through_the_ifsf_states(rig: Rig) -> None:
    states = [fp_state(rig.point)]
    rig.pump.lift(ONE)
    rig.settle()
    states.append(fp_state(rig.point))
    rig.authorise()
    states.append(fp_state(rig.point))
    rig.pump.flow(10)
    rig.settle()
    states.append(fp_state(rig.point))
    rig.pump.hang()
    rig.settle()
    states.append(fp_state(rig.point))
    assert states == [
        FpState.IDLE, FpState.CALLING, FpState.STARTED, FpState.FUELLING, FpState.IDLE
    ]  # fmt: skip


def test_the_authorisation_is_written_before_the_dispenser_is_told(rig: Rig) -> None:
    rig.pump.lift(ONE)
    rig.settle()
    asked = AuthoriseAsked(AuthoriseRequest(FpId(1), "attendant"), FREE)
    taken = step(rig.point, asked, Moment(1, 1, "f"))
    assert isinstance(taken.writes[0], FuellingAuthorised)
    assert taken.commands == (Authorise(FpId(1), (ONE,), None),)


def test_the_fuelling_is_written_before_the_display_is_cleared(rig: Rig) -> None:
    rig.pump.refuse.add(Clear)
    fuel(rig, 12_340)
    (body,) = rig.completed()
    assert (body.volume_ml, body.amount_fen, body.origin) == (12_340, 9_687, "observed")
    assert body.totals_before is not None
    assert body.totals_after is not None
    assert body.totals_after.volume_ml - body.totals_before.volume_ml == 12_340
    assert rig.of(AlarmRecorded)


def test_an_authorisation_before_the_lift_waits_for_a_nozzle(rig: Rig) -> None:
    rig.authorise(preset=Preset(volume=Volume(10_000)))
    assert fp_state(rig.point) is FpState.AUTHORISED
    assert rig.pump.status is DispenserStatus.IDLE
    fuel(rig, 50_000, TWO)
    (body,) = rig.completed()
    assert (body.nozzle, body.volume_ml) == (2, 10_000)


def test_a_preset_that_ends_with_the_nozzle_out_is_no_new_call(rig: Rig) -> None:
    rig.pump.lift(ONE)
    rig.settle()
    rig.authorise(preset=Preset(volume=Volume(10_000)))
    rig.pump.flow(20_000)
    rig.settle()
    assert [body.volume_ml for body in rig.completed()] == [10_000]
    assert (rig.point.phase, fp_state(rig.point)) == (Phase.READY, FpState.IDLE)
    with pytest.raises(CommandRefused) as refused:
        rig.authorise()
    assert refused.value.problem.code == "nozzle_not_hung"
    rig.pump.hang()
    rig.settle()
    fuel(rig, 1_000)
    assert [body.volume_ml for body in rig.completed()] == [10_000, 1_000]


def phase_of(rig: Rig) -> Phase:
    return rig.point.phase


def test_a_link_lost_while_clearing_does_not_end_the_fuelling_twice(rig: Rig) -> None:
    rig.pump.lift(ONE)
    rig.settle()
    rig.authorise()
    rig.pump.flow(5_000)
    rig.settle()
    rig.pump.unheard = {Clear}
    rig.pump.hang()
    rig.settle()
    assert phase_of(rig) is Phase.CLEARING
    rig.pump.disconnect()
    rig.give(LinkChanged(FpId(1), False))
    rig.pump.unheard = set()
    rig.pump.connect()
    rig.settle()
    assert len(rig.completed()) == 1
    assert not rig.of(FuellingCancelled)
    assert rig.point.phase is Phase.READY


def test_an_authorisation_that_nobody_uses_ends(rig: Rig) -> None:
    rig.authorise("prepay", prepaid=Money(20_000))
    rig.wait(180_000)
    (body,) = rig.of(FuellingCancelled)
    assert isinstance(body, FuellingCancelled)
    assert (body.reason, body.prepaid_fen) == ("not_lifted", 20_000)
    assert rig.point.phase is Phase.READY


def test_a_zero_sale_is_cancelled_and_not_payable(rig: Rig) -> None:
    fuel(rig, 0)
    assert not rig.completed()
    assert [body.reason for body in rig.ledger if isinstance(body, FuellingCancelled)] == [
        "no_fuel"
    ]
    assert rig.point.phase is Phase.READY


def test_note_13_two_equal_sales_are_two_sales(rig: Rig) -> None:
    fuel(rig, 10_000)
    fuel(rig, 10_000)
    first, second = rig.completed()
    assert first.fuelling_id != second.fuelling_id
    assert first.volume_ml == second.volume_ml


def test_note_07_a_retained_display_is_no_new_sale(rig: Rig) -> None:
    fuel(rig, 10_000)
    rig.restart()
    rig.restart()
    assert len(rig.completed()) == 1


def test_note_07_an_equal_sale_made_while_down_is_found(rig: Rig) -> None:
    fuel(rig, 10_000)
    rig.pump.online = False
    rig.pump.sell_alone(ONE, 10_000)
    rig.pump.online = True
    rig.restart()
    found = rig.completed()[1]
    assert (found.origin, found.volume_ml, found.amount_fen) == ("offline", 10_000, 7_850)


def test_a_fuelling_interrupted_by_a_restart_is_settled_from_the_totalisers(rig: Rig) -> None:
    rig.pump.lift(ONE)
    rig.settle()
    rig.authorise()
    rig.pump.flow(5_000)
    rig.settle()
    rig.pump.online = False
    rig.pump.flow(7_000)
    rig.pump.hang()
    rig.pump.online = True
    rig.restart()
    (body,) = rig.completed()
    assert (body.origin, body.volume_ml, body.amount_fen) == ("recovered", 12_000, 9_420)


def test_a_fuelling_still_flowing_after_a_restart_is_carried_on(rig: Rig) -> None:
    rig.pump.lift(ONE)
    rig.settle()
    rig.authorise()
    rig.pump.flow(5_000)
    rig.restart()
    assert rig.point.phase is Phase.DELIVERING
    rig.pump.flow(5_000)
    rig.pump.hang()
    rig.settle()
    assert [body.volume_ml for body in rig.completed()] == [10_000]


def test_s20_a_pump_cannot_authorise_itself(rig: Rig) -> None:
    rig.pump.lift(ONE)
    rig.settle()
    rig.pump.set_status(DispenserStatus.AUTHORISED)
    rig.pump.flow(300)
    rig.settle()
    assert rig.pump.status is not DispenserStatus.FUELLING
    assert [b.code for b in rig.ledger if isinstance(b, AlarmRecorded)] == [
        "delivery_without_authorise"
    ]
    assert sum(body.volume_ml for body in rig.completed()) == (rig.pump.total_ml[ONE] - 123_450)


def test_note_06_a_few_centilitres_are_an_event_and_still_a_sale(rig: Rig) -> None:
    fuel(rig, 40)
    assert [body.volume_ml for body in rig.completed()] == [40]
    assert [b.code for b in rig.ledger if isinstance(b, AlarmRecorded)] == ["phantom_flow"]


def test_note_26_a_released_pump_that_nobody_uses_is_stopped(rig: Rig) -> None:
    rig.pump.lift(ONE)
    rig.settle()
    rig.authorise()
    rig.wait(300_000)
    assert rig.pump.status is DispenserStatus.IDLE
    assert [b.reason for b in rig.ledger if isinstance(b, FuellingCancelled)] == ["no_fuel"]
    assert fp_state(rig.point) is FpState.IDLE, "the nozzle that lies there does not call again"


def test_note_27_a_car_that_leaves_unpaid_does_not_hold_up_the_next(rig: Rig) -> None:
    fuel(rig, 10_000)
    rig.pump.lift(ONE)
    rig.settle()
    one_waits = replace(FREE, unpaid=1, unpaid_limit=2)
    rig.give(AuthoriseAsked(AuthoriseRequest(FpId(1), "attendant"), one_waits))
    assert rig.pump.status is DispenserStatus.AUTHORISED


def test_note_28_a_refused_price_keeps_the_old_set_and_is_asked_again(rig: Rig) -> None:
    rig.pump.refuse.add(SetPrices)
    rig.give(PricesDue(NEW_PRICES))
    fuel(rig, 1_000)
    assert rig.completed()[0].price_set == "ps1"
    rig.pump.refuse.clear()
    rig.wait(30_000)
    fuel(rig, 1_000)
    assert rig.completed()[1].price_set == "ps2"
    assert rig.completed()[1].unit_price_milli == 8_000


def test_prices_never_change_under_a_lifted_nozzle(rig: Rig) -> None:
    rig.pump.lift(ONE)
    rig.settle()
    rig.give(PricesDue(NEW_PRICES))
    assert rig.pump.prices[ONE] == UnitPrice(7850)
    rig.pump.hang()
    rig.settle()
    assert rig.pump.prices[ONE] == UnitPrice(8000)


def test_note_30_a_replaced_totaliser_is_recorded_and_sells_nothing(rig: Rig) -> None:
    fuel(rig, 10_000)
    rig.pump.total_ml[ONE] = 0
    rig.pump.total_fen[ONE] = 0
    rig.restart()
    assert len(rig.of(TotaliserJumped)) == 1
    fuel(rig, 2_000)
    assert [body.volume_ml for body in rig.completed()] == [10_000, 2_000]
    assert not rig.of(FuellingDisputed)


def test_unreadable_totalisers_do_not_lose_a_watched_fuelling(rig: Rig) -> None:
    rig.pump.refuse.add(ReadTotals)
    fuel(rig, 10_000)
    for _ in range(8):
        rig.wait(60_000)
    (body,) = rig.completed()
    assert (body.volume_ml, body.totals_after) == (10_000, None)
    rig.pump.refuse.clear()
    fuel(rig, 5_000)
    assert [b.volume_ml for b in rig.completed()] == [10_000, 5_000]
    assert not rig.of(FuellingDisputed)


def test_a_lying_display_is_disputed(rig: Rig) -> None:
    rig.pump.lift(ONE)
    rig.settle()
    rig.authorise()
    rig.pump.flow(10_000)
    rig.pump.total_ml[ONE] += 500
    rig.pump.hang()
    rig.settle()
    assert rig.completed()[0].volume_ml == 10_000
    disputes = [b for b in rig.ledger if isinstance(b, FuellingDisputed)]
    assert [(b.reason, b.expected, b.found) for b in disputes] == [("volume", 10_500, 10_000)]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (replace(FREE, stop_all=True), "stop_all"),
        (replace(FREE, stopping=True), "agent_stopping"),
        (replace(FREE, storage_ok=False), "storage_unavailable"),
        (replace(FREE, unpaid=2, unpaid_limit=2), "unpaid_limit"),
    ],
)
def test_the_station_can_forbid_authorising(rig: Rig, change: Guards, code: str) -> None:
    with pytest.raises(CommandRefused) as refused:
        rig.give(AuthoriseAsked(AuthoriseRequest(FpId(1), "attendant"), change))
    assert refused.value.problem.code == code


def test_note_25_a_button_pressed_twice_authorises_once(rig: Rig) -> None:
    rig.pump.lift(ONE)
    rig.settle()
    rig.authorise()
    with pytest.raises(CommandRefused) as refused:
        rig.authorise()
    assert refused.value.problem.code == "fp_busy"
    assert len(rig.of(FuellingAuthorised)) == 1


def test_a_failed_authorisation_is_stopped_and_checked(rig: Rig) -> None:
    rig.pump.refuse.add(Authorise)
    fuel(rig, 1_000)
    rig.wait(10_000)
    rig.wait(10_000)
    rig.wait(10_000)
    assert not rig.completed()
    assert rig.point.phase is Phase.READY
    (body,) = [b for b in rig.ledger if isinstance(b, FuellingCancelled)]
    assert body.reason == "authorise_refused"


# --- orders of events that bite -----------------------------------------------------------------


def test_a_stop_while_the_dispenser_is_being_authorised_ends_it(rig: Rig) -> None:
    rig.pump.lift(ONE)
    rig.settle()
    at = Moment(rig.now_ms, rig.now_ms, "f")
    asked = AuthoriseAsked(AuthoriseRequest(FpId(1), "attendant"), FREE)
    taken = step(step(rig.point, asked, at).point, StopAsked("stop_all"), at)
    assert Stop(FpId(1)) in taken.commands
    assert taken.point.phase is Phase.ENDING


@pytest.mark.parametrize("phase", [Phase.RELEASED, Phase.DELIVERING])
def test_a_stop_is_told_to_the_dispenser_in_every_phase_of_flow(rig: Rig, phase: Phase) -> None:
    taken = step(replace(rig.point, phase=phase), StopAsked("stopped"), Moment(1, 1, "s"))
    assert taken.commands == (Stop(FpId(1)),)


def test_a_stop_ordered_while_the_link_is_lost_takes_an_armed_point_back(rig: Rig) -> None:
    rig.authorise("prepay", prepaid=Money(10_000))
    rig.pump.disconnect()
    rig.give(LinkChanged(FpId(1), False))
    rig.give(StopAsked("stop_all"))
    rig.pump.connect()
    rig.settle()
    rig.pump.lift(ONE)
    rig.settle()
    assert rig.pump.status is DispenserStatus.IDLE
    assert [b.reason for b in rig.ledger if isinstance(b, FuellingCancelled)] == ["stop_all"]


def test_a_nozzle_that_has_no_price_yet_is_not_authorised(rig: Rig) -> None:
    only_one = PriceTable(PRICES.price_set, MappingProxyType({ONE: UnitPrice(7850)}))
    rig.point = replace(rig.point, applied=only_one)
    with pytest.raises(CommandRefused) as refused:
        rig.authorise()
    assert refused.value.problem.code == "no_price"
    rig.give(PricesDue(PRICES))
    assert rig.point.applied == PRICES


def test_a_fuelling_that_ends_before_its_authorisation_is_confirmed_is_recorded(rig: Rig) -> None:
    rig.pump.lift(ONE)
    rig.settle()
    rig.pump.deaf = True
    rig.authorise()
    rig.pump.deaf = False
    rig.pump.status = DispenserStatus.AUTHORISED
    rig.pump.flow(1_000)
    rig.pump.hang()
    rig.pump.outbox = [e for e in rig.pump.outbox if isinstance(e, FuellingEnded | NozzleChanged)]
    rig.settle()
    assert [body.volume_ml for body in rig.completed()] == [1_000]
    assert rig.point.phase is Phase.READY


def test_fuel_after_an_authorisation_that_seemed_to_fail_is_not_lost(rig: Rig) -> None:
    rig.pump.lift(ONE)
    rig.settle()
    rig.pump.refuse |= {Authorise, Stop, Clear}
    rig.authorise()
    rig.pump.status = DispenserStatus.AUTHORISED
    rig.pump.flow(1_500)
    rig.settle()
    rig.pump.refuse.clear()
    rig.wait(10_000)
    rig.settle()
    rig.pump.hang()
    rig.settle()
    for _ in range(4):
        rig.wait(10_000)
    assert sum(body.volume_ml for body in rig.completed()) == 1_500
    assert rig.point.phase is Phase.READY


def test_note_07_a_retained_display_is_not_billed_to_a_stopped_authorisation(rig: Rig) -> None:
    fuel(rig, 12_010)
    rig.pump.lift(ONE)
    rig.settle()
    rig.pump.unheard = {Authorise, ReadTotals}
    rig.authorise()
    rig.give(StopAsked("stopped"))
    rig.wait(3_000)  # the figures are asked for: the display still shows the sale before
    rig.pump.unheard = set()
    rig.wait(10_000)
    assert [body.volume_ml for body in rig.completed()] == [12_010]
    assert [b.reason for b in rig.ledger if isinstance(b, FuellingCancelled)] == ["stopped"]
    assert not rig.of(FuellingDisputed)
    assert rig.point.phase is Phase.READY


def test_note_07_a_retained_display_is_no_sale_while_totalisers_are_unreadable(rig: Rig) -> None:
    fuel(rig, 12_010, TWO)
    rig.pump.lift(ONE)
    rig.settle()
    rig.pump.unheard = {Authorise, ReadTotals}
    rig.authorise()
    for _ in range(12):
        rig.wait(60_000)
    assert [body.volume_ml for body in rig.completed()] == [12_010]
    rig.pump.unheard = set()
    rig.wait(60_000)
    assert [body.volume_ml for body in rig.completed()] == [12_010]
    assert [b.reason for b in rig.ledger if isinstance(b, FuellingCancelled)] == [
        "authorise_no_answer"
    ]
    assert rig.point.phase is Phase.READY


@pytest.mark.parametrize("before_ml", [0, 2_000])
def test_note_07_a_retained_display_does_not_end_what_a_restart_carries_on(
    rig: Rig, before_ml: int
) -> None:
    fuel(rig, 9_000)
    rig.pump.lift(ONE)
    rig.settle()
    rig.authorise()
    rig.pump.flow(before_ml)
    rig.settle()
    rig.restart()
    assert rig.point.phase in (Phase.RELEASED, Phase.DELIVERING)
    rig.pump.flow(5_000)
    rig.settle()
    rig.wait(10_000)
    assert rig.pump.status is DispenserStatus.FUELLING, "a restart stops nobody"
    rig.pump.hang()
    rig.settle()
    assert [body.volume_ml for body in rig.completed()] == [9_000, before_ml + 5_000]


def test_totalisers_read_before_a_stop_took_effect_are_read_again(rig: Rig) -> None:
    rig.pump.lift(ONE)
    rig.settle()
    rig.authorise()
    rig.pump.unheard = {Stop}
    rig.wait(300_000)
    rig.wait(15_000)
    assert phase_of(rig) is Phase.ENDING
    rig.pump.flow(4_000)
    rig.settle()
    rig.pump.hang()
    rig.settle()
    for _ in range(3):
        rig.wait(10_000)
    assert [body.volume_ml for body in rig.completed()] == [4_000]
    assert phase_of(rig) is Phase.READY


def test_recovery_never_concludes_while_fuel_flows(rig: Rig) -> None:
    rig.pump.lift(ONE)
    rig.settle()
    rig.authorise()
    rig.pump.flow(5_000)
    rig.settle()
    rig.point = replace(
        rig.point, phase=Phase.RECONCILING, status=None, deadline_ms=rig.now_ms - 1,
        readings=rig.point.totals, awaiting=frozenset(),
    )  # fmt: skip
    rig.give(StatusChanged(FpId(1), DispenserStatus.FUELLING))
    assert rig.point.phase is Phase.DELIVERING
    assert not rig.of(FuellingCancelled)


def test_s20_flow_at_an_armed_point_is_stopped_and_recorded(rig: Rig) -> None:
    rig.authorise(preset=Preset(volume=Volume(5_000)))
    rig.pump.status = DispenserStatus.AUTHORISED
    rig.pump.lifted = ONE
    rig.pump.flow(700)
    rig.settle()
    rig.pump.hang()
    rig.settle()
    assert [b.code for b in rig.ledger if isinstance(b, AlarmRecorded)] == [
        "delivery_without_authorise"
    ]
    assert [body.volume_ml for body in rig.completed()] == [700]


def test_note_03_a_pump_zeroised_in_a_power_cut_is_priced_again(rig: Rig) -> None:
    rig.pump.lift(ONE)
    rig.settle()
    rig.authorise()
    rig.pump.flow(3_000)
    rig.settle()
    rig.pump.disconnect()
    rig.give(LinkChanged(FpId(1), False))
    rig.pump.hang()
    rig.pump.status, rig.pump.prices = DispenserStatus.NOT_PROGRAMMED, {}
    rig.pump.refuse.add(Clear)
    rig.pump.connect()
    rig.settle()
    assert [body.volume_ml for body in rig.completed()] == [3_000]
    assert rig.pump.prices == dict(PRICES.prices)
    assert rig.point.applied == PRICES


def test_prices_taken_back_while_they_are_being_programmed_end_with_the_first(rig: Rig) -> None:
    rig.pump.deaf = True
    rig.give(PricesDue(NEW_PRICES))
    rig.give(PricesDue(PRICES))
    rig.pump.deaf = False
    rig.pump.take(SetPrices(FpId(1), tuple(sorted(NEW_PRICES.prices.items()))))
    rig.settle()
    assert rig.pump.prices == dict(PRICES.prices)
    assert (rig.point.applied, rig.point.programming) == (PRICES, False)


def test_note_29_swapped_dispensers_sell_no_phantom_fuel(rig: Rig) -> None:
    rig.pump.disconnect()
    rig.give(LinkChanged(FpId(1), False))
    rig.pump.total_ml[ONE] += 20_000_000
    rig.pump.connect()
    rig.settle()
    assert not rig.completed()
    assert len(rig.of(TotaliserJumped)) == 1


def test_note_30_a_board_replaced_in_mid_fuelling_leaves_the_display(rig: Rig) -> None:
    rig.pump.lift(ONE)
    rig.settle()
    rig.authorise()
    rig.pump.flow(30_000)
    rig.settle()
    rig.pump.disconnect()
    rig.give(LinkChanged(FpId(1), False))
    rig.pump.online = True
    rig.pump.hang()
    rig.pump.outbox.clear()
    rig.pump.total_ml[ONE] = 0
    rig.pump.connect()
    rig.settle()
    assert [body.volume_ml for body in rig.completed()] == [30_000]
    assert rig.of(FuellingDisputed)


def test_prices_wait_until_the_last_of_two_lifted_nozzles_is_hung_up(rig: Rig) -> None:
    for nozzle in (ONE, TWO):
        rig.give(NozzleChanged(FpId(1), nozzle, True))
    rig.give(NozzleChanged(FpId(1), TWO, False))
    rig.give(PricesDue(NEW_PRICES))
    assert rig.pump.prices[ONE] == UnitPrice(7850)
    rig.give(NozzleChanged(FpId(1), ONE, False))
    assert rig.pump.prices[ONE] == UnitPrice(8000)


def test_a_recovered_sale_has_the_price_it_was_authorised_under(rig: Rig) -> None:
    fuel(rig, 1_000, TWO)
    rig.pump.lift(ONE)
    rig.settle()
    rig.authorise()
    rig.pump.online = False
    rig.pump.status = DispenserStatus.COMPLETE
    rig.pump.total_ml[ONE] += 10_000
    rig.pump.total_fen[ONE] += 7_850
    rig.pump.lifted = None
    rig.pump.online = True
    rig.restart()
    assert (rig.completed()[-1].unit_price_milli, rig.completed()[-1].volume_ml) == (7850, 10_000)


def test_unreadable_totalisers_raise_one_alarm(rig: Rig) -> None:
    rig.pump.refuse.add(ReadTotals)
    rig.restart()
    for _ in range(12):
        rig.wait(60_000)
    assert [b.code for b in rig.ledger if isinstance(b, AlarmRecorded)] == ["totals_unreadable"]
    assert rig.point.phase is Phase.RECONCILING


def test_every_row_of_the_table_is_a_phase_and_an_input() -> None:
    for phase, given in TABLE:
        assert phase in Phase
        assert given not in ANYWHERE or TABLE[(phase, given)] is not ANYWHERE[given]


class Forecourt(RuleBasedStateMachine):
    """Anything, in any order: lifts, flow, lost links, restarts, sales made alone."""

    @initialize()
    def begin(self) -> None:
        self.rig = Rig()
        self.rig.start()

    @rule(nozzle=st.sampled_from([ONE, TWO]))
    @precondition(lambda self: self.rig.pump.lifted is None)
    def lift(self, nozzle: LogicalNozzle) -> None:
        self.rig.pump.lift(nozzle)
        self.rig.settle()

    @rule(litres=st.integers(0, 30))
    def flow(self, litres: int) -> None:
        self.rig.pump.flow(litres * 1000 + 10)
        self.rig.settle()

    @rule()
    def hang(self) -> None:
        self.rig.pump.hang()
        self.rig.settle()

    @rule(preset=st.sampled_from([None, Preset(volume=Volume(7_000))]))
    def authorise(self, preset: Preset | None) -> None:
        try:
            self.rig.authorise(preset=preset)
        except CommandRefused:
            self.rig.refusals += 1

    @rule()
    def stop(self) -> None:
        self.rig.pump.take(Stop(FpId(1)))
        self.rig.settle()
        self.rig.give(StopAsked("stopped"))

    @rule()
    def lose_the_link(self) -> None:
        if self.rig.pump.online:
            self.rig.pump.disconnect()
            self.rig.give(LinkChanged(FpId(1), False))

    @rule()
    def get_the_link_back(self) -> None:
        if not self.rig.pump.online:
            self.rig.pump.connect()
            self.rig.settle()

    @rule()
    def kill(self) -> None:
        self.rig.restart()

    @rule(nozzle=st.sampled_from([ONE, TWO]), litres=st.integers(1, 40))
    def sell_alone(self, nozzle: LogicalNozzle, litres: int) -> None:
        pump = self.rig.pump
        if not pump.online and pump.status not in (
            DispenserStatus.AUTHORISED, DispenserStatus.FUELLING
        ):  # fmt: skip
            pump.sell_alone(nozzle, litres * 1000)

    @rule(kinds=st.sets(st.sampled_from([Authorise, Clear, Stop, ReadTotals]), max_size=2))
    def stop_hearing(self, kinds: set[type[DispenserCommand]]) -> None:
        self.rig.pump.unheard = kinds

    @rule(ms=st.sampled_from([100, 3_000, 60_000, 400_000]))
    def wait(self, ms: int) -> None:
        self.rig.wait(ms)

    @invariant()
    def a_fuelling_ends_once(self) -> None:
        ended = [
            body.fuelling_id
            for body in self.rig.ledger
            if isinstance(body, FuellingCompleted | FuellingCancelled)
        ]
        assert len(ended) == len(set(ended))

    def teardown(self) -> None:
        """Bring everything to rest: then litres and money agree, nozzle by nozzle."""
        if not hasattr(self, "rig"):
            return
        rig = self.rig
        rig.pump.unheard = set()
        self.get_the_link_back()
        self.hang()
        for _ in range(12):
            rig.wait(400_000)
        assert rig.point.phase is Phase.READY, rig.point
        for nozzle, begin_ml, begin_fen in ((ONE, 123_450, 96_900), (TWO, 0, 0)):
            mine = [body for body in rig.completed() if body.nozzle == nozzle]
            assert sum(b.volume_ml for b in mine) == rig.pump.total_ml[nozzle] - begin_ml
            assert sum(b.amount_fen for b in mine) == rig.pump.total_fen[nozzle] - begin_fen


TestForecourt = Forecourt.TestCase
TestForecourt.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)
