"""What a poll shows, and what follows from it: nothing twice, nothing on one glimpse."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from drivers.modbus.register_map import UNKNOWN_STATE, Reading
from drivers.modbus.watch import SETTLING_POLLS, Watch
from edge_agent.model.dispenser import (
    AlarmRaised,
    DispenserEvent,
    DispenserStatus,
    FuellingEnded,
    NozzleChanged,
    StatusChanged,
)
from edge_agent.model.units import Money, Volume
from tests.drivers.modbus.bench import TWO, plan_of

IDLE = Reading("idle", 0, 0, 0, 7_850, 7, 0, 0, 7, 1, 7_850)


def watch(*, advances_at_authorise: bool = True) -> Watch:
    return Watch(plan_of().fuelling_points[0], advances_at_authorise=advances_at_authorise)


def seen(point: Watch, readings: Iterable[Reading]) -> list[DispenserEvent]:
    return [event for reading in readings for event in point.take(reading)]


def ended(events: list[DispenserEvent]) -> list[int]:
    return [event.volume.ml for event in events if isinstance(event, FuellingEnded)]


def complete(number: int, volume_ml: int) -> Reading:
    return replace(
        IDLE,
        state="complete",
        transaction=number,
        sale_transaction=number,
        sale_volume_ml=volume_ml,
        sale_amount_fen=volume_ml * 785 // 1000,
        sale_nozzle=2,
    )


def base(reading: Reading) -> Reading:
    """Return the reading as a map without the extension shows it."""
    return replace(reading, sale_transaction=None, sale_nozzle=None, sale_price_milli=None)


def test_a_nozzle_counts_once_two_polls_agree() -> None:
    point = watch()
    lifted = replace(IDLE, nozzle_mask=0b10)
    assert seen(point, [IDLE, IDLE]) == [StatusChanged(point.fp, DispenserStatus.IDLE)]
    assert seen(point, [lifted, IDLE, lifted]) == []
    hurried = point.hurries
    assert seen(point, [lifted]) == [NozzleChanged(point.fp, TWO, lifted=True)]
    assert (hurried, point.hurries) == (True, False)
    assert seen(point, [IDLE, lifted]) == []
    assert seen(point, [IDLE, IDLE]) == [NozzleChanged(point.fp, TWO, lifted=False)]


def test_a_bit_without_a_nozzle_means_nothing() -> None:
    point = watch()
    stray = replace(IDLE, nozzle_mask=0b1000)
    assert seen(point, [IDLE, stray, stray]) == [StatusChanged(point.fp, DispenserStatus.IDLE)]


def test_final_figures_count_once_they_stand_still() -> None:
    point = watch()
    seen(point, [IDLE])
    events = seen(point, [complete(8, 990), complete(8, 1_000), complete(8, 1_000)])
    assert ended(events) == [1_000]
    assert not point.hurries
    assert ended(seen(point, [complete(8, 1_000)] * 3)) == []


def test_figures_that_never_stand_still_are_told_with_an_alarm() -> None:
    point = watch()
    seen(point, [IDLE])
    events = seen(point, [complete(8, 1_000 + n) for n in range(SETTLING_POLLS + 1)])
    assert ended(events) == [1_000 + SETTLING_POLLS]
    assert AlarmRaised(point.fp, "figures_unsettled") in events


def test_note_13_the_number_tells_equal_sales_apart() -> None:
    point = watch()
    readings = [IDLE, *[complete(8, 500)] * 2, *[complete(9, 500)] * 2, *[complete(8, 500)] * 2]
    assert ended(seen(point, readings)) == [500, 500, 500]


def test_a_lost_link_does_not_tell_a_sale_again() -> None:
    point = watch()
    seen(point, [IDLE, *[complete(8, 500)] * 2])
    point.forget()
    events = seen(point, [complete(8, 500)] * 3)
    assert events == [StatusChanged(point.fp, DispenserStatus.COMPLETE)]


def test_a_point_that_never_sold_has_no_sale_to_tell() -> None:
    assert ended(seen(watch(), [complete(0, 0)] * 4)) == []


@pytest.mark.parametrize("state", ["idle", "closed", "fuelling"])
def test_what_was_sold_before_the_first_sight_is_no_news(state: str) -> None:
    point = watch()
    seen(point, [replace(IDLE, state=state)] * 3)
    assert ended(seen(point, [complete(7, 500)] * 3)) == []
    assert ended(seen(point, [complete(8, 500)] * 3)) == [500]


def test_base_map_a_new_number_is_no_sale_before_fuel_was_released() -> None:
    """The number advances at authorisation, a moment before the state does."""
    point = watch()
    released = base(replace(IDLE, transaction=8))
    seen(point, [base(IDLE)])
    assert ended(seen(point, [released] * 3)) == []
    assert ended(seen(point, [replace(released, state="authorised")] * 3)) == []
    assert ended(seen(point, [base(complete(8, 500))] * 3)) == [500]


def test_base_map_a_fuelling_that_clears_itself_is_told() -> None:
    point = watch()
    flowing = base(replace(IDLE, transaction=8, state="fuelling", live_volume_ml=500))
    seen(point, [base(IDLE), flowing, flowing])
    gone = base(replace(complete(8, 500), state="idle"))
    assert ended(seen(point, [gone] * 3)) == [500]


def test_base_map_what_flows_at_first_sight_is_a_new_sale() -> None:
    point = watch()
    seen(point, [base(replace(IDLE, transaction=8, state="fuelling"))])
    assert ended(seen(point, [base(complete(8, 500))] * 3)) == [500]


def sold_and_released_again(point: Watch) -> Reading:
    """Sell 30 L as number 8, release number 9; return what is shown then."""
    flowing = base(replace(IDLE, transaction=8, state="fuelling"))
    seen(point, [base(IDLE), flowing, *[base(complete(8, 30_000))] * 2])
    released = base(replace(complete(9, 30_000), state="authorised"))
    assert ended(seen(point, [released] * 2)) == []
    return released


@pytest.mark.parametrize("state", ["complete", "stopped", "idle"])
def test_base_map_a_release_that_was_stopped_dry_is_a_sale_of_nothing(state: str) -> None:
    """The registers go on showing the sale before: it is not billed twice."""
    point = watch()
    released = sold_and_released_again(point)
    events = seen(point, [replace(released, state=state)] * 4)
    (sale,) = [event for event in events if isinstance(event, FuellingEnded)]
    assert (sale.volume, sale.amount) == (Volume(0), Money(0))


def test_base_map_an_equal_sale_that_was_seen_to_flow_is_told() -> None:
    point = watch()
    released = sold_and_released_again(point)
    seen(point, [replace(released, state="fuelling")])
    assert ended(seen(point, [base(complete(9, 30_000))] * 3)) == [30_000]


def test_base_map_an_equal_sale_that_was_cleared_before_is_told() -> None:
    point = watch()
    released = sold_and_released_again(point)
    seen(point, [replace(released, sale_volume_ml=0, sale_amount_fen=0)])
    assert ended(seen(point, [base(complete(9, 30_000))] * 3)) == [30_000]


def test_base_map_what_flowed_while_the_link_was_down_is_not_known() -> None:
    """What is shown then is told; the totalisers decide."""
    point = watch()
    sold_and_released_again(point)
    point.forget()
    assert ended(seen(point, [base(complete(9, 30_000))] * 3)) == [30_000]


def test_base_map_that_counts_at_the_end() -> None:
    point = watch(advances_at_authorise=False)
    seen(point, [base(replace(IDLE, state="fuelling"))])
    assert ended(seen(point, [base(complete(7, 400))] * 3)) == []
    assert ended(seen(point, [base(replace(complete(8, 500), state="idle"))] * 3)) == [500]


def test_base_map_the_nozzle_is_the_one_that_was_lifted() -> None:
    point = watch()
    lifted = base(replace(IDLE, nozzle_mask=0b10))
    seen(point, [base(IDLE), lifted, lifted])
    events = seen(point, [base(complete(8, 500))] * 2)
    (sale,) = [event for event in events if isinstance(event, FuellingEnded)]
    assert (sale.nozzle, sale.unit_price.milli, sale.volume) == (TWO, 7_850, Volume(500))


def test_a_state_that_the_map_does_not_know_is_an_alarm_once() -> None:
    point = watch()
    events = seen(point, [IDLE, *[replace(IDLE, state=UNKNOWN_STATE)] * 3])
    assert events[1:] == [
        StatusChanged(point.fp, DispenserStatus.INOPERATIVE),
        AlarmRaised(point.fp, "unknown_state"),
    ]
