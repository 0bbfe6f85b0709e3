"""The physical pump: what it delivers is what the display says, what the totalisers count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.hose import ROLLOVER_AMOUNT_FEN, ROLLOVER_VOLUME_ML, Delivery
from drivers.pump_model import STEP_ML, SimulatedPump
from edge_agent.model.dispenser import DispenserStatus
from edge_agent.model.ids import LogicalNozzle
from edge_agent.model.units import Money, UnitPrice, Volume, amount_of

ONE, TWO = LogicalNozzle(1), LogicalNozzle(2)
PRICES = {ONE: UnitPrice(7_850), TWO: UnitPrice(8_360)}


def ready(**options: bool | int) -> tuple[SimulatedPump, list[Delivery]]:
    deliveries: list[Delivery] = []
    pump = SimulatedPump(
        [ONE, TWO],
        flow_ml_per_s=int(options.get("flow_ml_per_s", 600)),
        totals_live=bool(options.get("totals_live", False)),
        retains_display=bool(options.get("retains_display", False)),
        on_delivered=deliveries.append,
    )
    assert pump.set_prices(0, PRICES)
    assert pump.clear(0)
    return pump, deliveries


def begin(pump: SimulatedPump, nozzle: LogicalNozzle = ONE, now_ms: int = 0) -> None:
    pump.lift(now_ms, nozzle)
    assert pump.authorise(now_ms)


def test_a_pump_without_prices_sells_nothing() -> None:
    pump = SimulatedPump([ONE])
    assert pump.status is DispenserStatus.NOT_PROGRAMMED
    pump.lift(0, ONE)
    assert not pump.authorise(0)
    assert not pump.clear(0)


def test_prices_come_for_all_hoses_or_not_at_all() -> None:
    pump = SimulatedPump([ONE, TWO])
    assert not pump.set_prices(0, {ONE: PRICES[ONE]})
    assert pump.set_prices(0, PRICES)
    assert pump.status is DispenserStatus.COMPLETE


@given(st.integers(1, 1_000), st.integers(0, 60_000), st.sampled_from([ONE, TWO]))
def test_fuel_flows_in_whole_steps_at_its_rate(
    flow_ml_per_s: int, ms: int, nozzle: LogicalNozzle
) -> None:
    pump, deliveries = ready(flow_ml_per_s=flow_ml_per_s)
    begin(pump, nozzle)
    pump.squeeze(0)
    pump.hang(ms)
    flowed_ml = flow_ml_per_s * ms // 1000
    assert pump.volume_ml == flowed_ml // STEP_ML * STEP_ML
    assert pump.amount_fen == amount_of(Volume(pump.volume_ml), PRICES[nozzle]).fen
    (delivery,) = deliveries
    assert (delivery.nozzle, delivery.volume.ml) == (nozzle, pump.volume_ml)
    assert pump.hoses[nozzle].total_volume_ml == pump.delivered_ml == pump.volume_ml
    assert pump.hoses[nozzle].total_amount_fen == pump.delivered_fen == pump.amount_fen


@given(st.lists(st.integers(1, 997), max_size=40))
def test_how_often_it_is_looked_at_changes_nothing(looks_ms: list[int]) -> None:
    watched, alone = ready()[0], ready()[0]
    for pump in (watched, alone):
        begin(pump)
        pump.squeeze(0, 12_340)
    now_ms = 0
    for pause_ms in looks_ms:
        now_ms += pause_ms
        watched.advance(now_ms)
    for pump in (watched, alone):
        pump.advance(now_ms)
    assert watched.volume_ml == alone.volume_ml


@given(st.integers(1, 100_000), st.integers(1, 20_000))
def test_an_amount_preset_ends_exactly_there(amount_fen: int, price_milli: int) -> None:
    pump, deliveries = ready(flow_ml_per_s=10_000_000)
    pump.set_prices(0, {ONE: UnitPrice(price_milli), TWO: UnitPrice(1)})
    pump.clear(0)
    pump.preset(amount_fen=amount_fen)
    begin(pump)
    pump.squeeze(0)
    pump.advance(10**9)
    assert pump.status is DispenserStatus.COMPLETE
    assert pump.ended_by_limit
    assert deliveries[0].amount == Money(amount_fen)
    step = Volume(deliveries[0].volume.ml - STEP_ML)
    assert amount_of(step, UnitPrice(price_milli)).fen < amount_fen, "not a step more than needed"


def test_the_worked_example() -> None:
    pump, deliveries = ready()
    pump.preset(amount_fen=20_000)
    begin(pump)
    pump.squeeze(0)
    ends_ms = pump.flow_ends_ms()
    assert ends_ms is not None
    pump.advance(ends_ms - 20)
    assert pump.flow_ends_ms() == ends_ms
    pump.advance(ends_ms)
    assert not pump.is_flowing
    assert (deliveries[0].volume, deliveries[0].amount) == (Volume(25_480), Money(20_000))


def test_a_volume_preset_ends_there() -> None:
    pump, deliveries = ready()
    pump.preset(volume_ml=10_000)
    begin(pump)
    pump.squeeze(0)
    pump.advance(10**6)
    assert deliveries[0].volume == Volume(10_000)


def test_a_full_tank_ends_the_flow_and_not_the_fuelling() -> None:
    pump, deliveries = ready()
    begin(pump)
    pump.squeeze(0, 3_000)
    pump.advance(60_000)
    assert pump.status is DispenserStatus.FUELLING
    assert not pump.is_flowing
    assert not deliveries
    pump.squeeze(60_000, 500)
    pump.advance(90_000)
    pump.hang(90_000)
    assert deliveries[0].volume == Volume(3_500)


def test_suspending_pauses_and_resuming_goes_on_to_the_same_wish() -> None:
    pump, deliveries = ready()
    begin(pump)
    pump.squeeze(0, 6_000)
    assert pump.suspend(5_000)
    pump.advance(60_000)
    assert pump.volume_ml == 3_000
    assert not pump.suspend(60_000)
    assert pump.resume(60_000)
    pump.hang(120_000)
    assert deliveries[0].volume == Volume(6_000)


def test_lift_and_hang_is_a_delivery_of_nothing() -> None:
    pump, deliveries = ready()
    begin(pump)
    pump.hang(5_000)
    assert (deliveries[0].volume, pump.status) == (Volume(0), DispenserStatus.COMPLETE)


def test_an_authorisation_without_a_nozzle_delivers_nothing_and_can_be_stopped() -> None:
    pump, deliveries = ready()
    assert pump.authorise(0)
    pump.squeeze(0)
    pump.advance(10_000)
    assert pump.volume_ml == 0
    assert pump.stop(10_000)
    assert not deliveries


def test_only_allowed_nozzles_deliver() -> None:
    pump, deliveries = ready()
    assert pump.authorise(0, [TWO])
    pump.lift(0, ONE)
    pump.squeeze(0)
    pump.advance(10_000)
    pump.hang(10_000)
    assert not deliveries
    pump.lift(11_000, TWO)
    pump.squeeze(11_000)
    pump.hang(12_000)
    assert deliveries[0].nozzle == TWO


def test_one_nozzle_out_at_a_time() -> None:
    pump, _ = ready()
    pump.lift(0, ONE)
    pump.lift(0, TWO)
    assert pump.lifted_nozzle == ONE


def test_stop_while_idle_as_some_pumps_take_it() -> None:
    pump, deliveries = ready()
    assert not pump.stop(0)
    assert pump.stop(0, also_when_idle=True)
    assert pump.status is DispenserStatus.COMPLETE
    assert not deliveries


def test_no_new_prices_in_a_sale() -> None:
    pump, _ = ready()
    begin(pump)
    assert not pump.set_prices(0, {ONE: UnitPrice(1), TWO: UnitPrice(1)})
    assert pump.hoses[ONE].price_milli == 7_850


def test_power_cut_in_a_sale_keeps_what_flowed() -> None:
    pump, deliveries = ready()
    begin(pump)
    pump.squeeze(0)
    pump.power_off(5_000)
    assert not pump.is_powered
    pump.power_on(60_000)
    assert (pump.volume_ml, pump.status) == (3_000, DispenserStatus.COMPLETE)
    assert deliveries[0].volume == Volume(3_000)


def test_a_leak_counts_like_a_sale() -> None:
    pump, deliveries = ready()
    begin(pump)
    pump.leak(1_000, 25)
    assert pump.volume_ml == 20
    pump.hang(2_000)
    assert deliveries[0].volume == Volume(20)


def test_live_totals_move_while_fuel_flows_and_end_the_same() -> None:
    pump, _ = ready(totals_live=True)
    begin(pump)
    pump.squeeze(0)
    pump.advance(5_000)
    assert pump.hoses[ONE].total_volume_ml == 3_000
    pump.hang(10_000)
    assert pump.hoses[ONE].total_volume_ml == pump.delivered_ml == 6_000
    assert pump.hoses[ONE].total_amount_fen == pump.delivered_fen


def test_a_retained_display_stays_until_the_next_fuelling() -> None:
    pump, _ = ready(retains_display=True)
    begin(pump)
    pump.squeeze(0)
    pump.hang(5_000)
    pump.clear(6_000)
    assert pump.volume_ml == 3_000
    begin(pump, now_ms=7_000)
    assert pump.volume_ml == 0


def test_stand_alone_sales_show_in_display_and_totals() -> None:
    pump, deliveries = ready()
    sold = pump.sell_offline(TWO, Volume(7_770))
    assert deliveries == [sold]
    assert sold.is_stand_alone
    assert pump.hoses[TWO].total_volume_ml == 7_770
    assert (pump.volume_ml, pump.status) == (7_770, DispenserStatus.COMPLETE)
    with pytest.raises(ValueError, match="centilitres"):
        pump.sell_offline(TWO, Volume(1))


def test_totalisers_roll_over_and_are_replaced() -> None:
    pump, _ = ready()
    hose = pump.hoses[ONE]
    hose.total_volume_ml, hose.total_amount_fen = ROLLOVER_VOLUME_ML - 10, ROLLOVER_AMOUNT_FEN - 1
    pump.sell_offline(ONE, Volume(1_000))
    assert (hose.total_volume_ml, hose.total_amount_fen) == (990, 784)
    assert hose.delivered_ml == 1_000
    pump.replace_totaliser(ONE)
    assert (hose.total_volume_ml, hose.delivered_ml) == (0, 1_000)


def test_every_visible_change_is_counted() -> None:
    pump, _ = ready()
    seen = pump.revision
    pump.advance(1_000)
    assert pump.revision == seen
    pump.lift(1_000, ONE)
    assert pump.revision > seen
    shown = pump.display_revision
    pump.authorise(1_000)
    pump.squeeze(1_000)
    pump.advance(2_000)
    assert pump.display_revision > shown


def test_losing_prices_needs_new_ones() -> None:
    pump, _ = ready()
    pump.lose_prices()
    assert pump.status is DispenserStatus.NOT_PROGRAMMED
    assert pump.set_prices(0, PRICES)
    assert pump.clear(0)
