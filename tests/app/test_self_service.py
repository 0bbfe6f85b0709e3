"""A plate pays for its own car, once, and never beyond what its account holds."""

from __future__ import annotations

from edge_agent.app.self_service import FRESH_MS
from edge_agent.model.dispenser import (
    Authorise,
    CommandFailed,
)
from edge_agent.model.ids import PlateRef
from tests.app.lane import MINE, ONE_FP, OURS, STRANGERS, TWO_FP, Lane
from tests.app.shop import (
    index_of,
)


async def test_a_known_plate_releases_its_nozzle_within_its_limit(lane: Lane) -> None:
    lane.sees(MINE)
    lane.lifts()
    (body,) = await lane.released()
    assert (body.by, body.member_ref, body.preset_amount_fen) == ("plate", "mine", 50_000)
    assert body.plate_ref == index_of("plate", MINE)


async def test_a_plate_read_after_the_lift_releases_as_well(lane: Lane) -> None:
    lane.lifts()
    lane.sees(MINE)
    assert len(await lane.released()) == 1


async def test_an_unsure_or_strange_plate_releases_nothing(lane: Lane) -> None:
    lane.sees(MINE, confirmed=False)
    lane.sees(MINE, votes=1)
    lane.sees(STRANGERS)
    lane.lifts()
    assert await lane.released() == []


async def test_a_plate_that_may_have_driven_off_does_not_pay_for_the_next_car(lane: Lane) -> None:
    lane.sees(MINE)
    lane.clock.pass_by(FRESH_MS + 1)
    lane.lifts()
    assert await lane.released() == []


async def test_s27_a_clock_set_back_keeps_no_plate_fresh(lane: Lane) -> None:
    lane.sees(MINE)
    lane.clock.pass_by(FRESH_MS + 1)
    lane.clock.wall -= 3_600_000
    lane.lifts()
    assert await lane.released() == []


async def test_one_account_in_two_bays_is_promised_once(lane: Lane) -> None:
    lane.sees(MINE, "A")
    lane.sees(OURS, "B")
    lane.lifts(ONE_FP)
    lane.lifts(TWO_FP)
    bodies = await lane.released()
    assert sum(body.preset_amount_fen or 0 for body in bodies) == 50_000


async def test_a_pump_that_refuses_is_asked_once_a_lift(lane: Lane) -> None:
    lane.pumps.refuse = Authorise
    lane.sees(MINE)
    lane.lifts()
    assert len(await lane.released()) == 1
    assert sum(isinstance(command, Authorise) for command in lane.pumps.sent) == 1
    assert any(isinstance(event, CommandFailed) for event in lane.pumps.emitted)


async def test_a_plate_that_stands_there_is_shown_by_its_mask_alone(lane: Lane) -> None:
    lane.sees(MINE)
    masked = lane.service.masked(PlateRef(index_of("plate", MINE)))
    assert masked is not None
    assert masked != MINE
    assert lane.service.masked(PlateRef(index_of("plate", STRANGERS))) is None
