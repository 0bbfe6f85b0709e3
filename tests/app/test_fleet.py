"""A fleet's rules hold before fuel flows: at the lift, by the attendant, and at the till."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from edge_agent.app.self_service import LEAST_LIMIT
from edge_agent.app.station import Station, StationFacts
from edge_agent.model.catalogues import UsageRulesEntry
from edge_agent.model.dispenser import Preset
from edge_agent.model.errors import CommandRefused, RefusedError
from edge_agent.model.fuelling import AuthoriseRequest
from edge_agent.model.ids import FpId, MemberRef
from edge_agent.model.units import Money, Volume
from edge_agent.model.wishes import SecondFactor
from tests.app.lane import MINE, ONE_FP, Lane
from tests.app.shop import (
    HOUR_MS,
    PLAN,
    STORED,
    Shop,
    by_code,
    by_pin,
    index_of,
    member,
    refused,
)

TRUCK = "truck"


def truck(rules: dict[str, Any], **more: Any) -> Any:
    return member(
        TRUCK,
        "regular",
        account_kind="fleet",
        limit_class="standard",
        pin_hash="pin:123456",
        rules=UsageRulesEntry.model_validate(rules),
        indexes={"plate": [index_of("plate", MINE)]},
        **more,
    )


async def enrolled(lane: Lane, **rules: Any) -> None:
    await lane.shop.enrol(truck(rules))
    await lane.shop.grant("balance", "acc-truck", 60_000)


# --- at the lift --------------------------------------------------------------------------------


async def test_row_l1_a_vehicle_within_its_rules_is_released_up_to_them(lane: Lane) -> None:
    await enrolled(lane, grades=["92"], max_volume_ml=30_000, hours=[(360, 1200)])
    lane.sees(MINE)
    lane.lifts()
    (body,) = await lane.released()
    assert (body.member_ref, body.preset_amount_fen) == (TRUCK, 30_000 * 7_850 // 10_000)


@pytest.mark.parametrize(
    "rules",
    [
        {"grades": ["0"]},
        {"stations": ["elsewhere"]},
        {"hours": [(0, 360)]},
        {"visits_per_day": 0},
        {"amount_per_day_fen": 0},
        {"amount_per_week_fen": 0},
        {"amount_per_month_fen": 0},
        {"volume_per_day_ml": 0},
        {"volume_per_week_ml": 0},
        {"volume_per_month_ml": 0},
        {"max_amount_fen": LEAST_LIMIT.fen - 1},
        {"pin": True},
        {"odometer": True},
    ],
    ids=lambda rules: next(iter(rules)),
)
async def test_row_l1_row_l2_row_c6_what_the_rules_forbid_is_the_attendants(
    lane: Lane, rules: dict[str, Any]
) -> None:
    await enrolled(lane, **rules)
    lane.sees(MINE)
    lane.lifts()
    assert await lane.released() == []


async def test_row_l1_visits_count_what_was_fuelled_and_not_paid_yet(lane: Lane) -> None:
    await enrolled(lane, visits_per_day=1)
    await lane.shop.deliver(5_000, member_ref=TRUCK)
    lane.sees(MINE)
    lane.lifts()
    assert await lane.released() == []


async def test_row_r5_a_locked_members_plate_releases_nothing(lane: Lane) -> None:
    await lane.shop.enrol(truck({}, locked="risk"))
    await lane.shop.grant("balance", "acc-truck", 60_000)
    lane.sees(MINE)
    lane.lifts()
    assert await lane.released() == []


async def test_s06_after_the_grace_period_no_plate_releases_anything(lane: Lane) -> None:
    await enrolled(lane)
    lane.hq.heard_ago_ms = 4 * 24 * HOUR_MS
    lane.sees(MINE)
    lane.lifts()
    assert await lane.released() == []


async def test_s26_the_floor_adds_to_the_limit_only_while_nobody_can_be_asked(lane: Lane) -> None:
    await lane.shop.enrol(truck({}))
    await lane.shop.grant("balance", "acc-truck", 5_000)
    lane.hq.answer = None
    lane.sees(MINE)
    lane.lifts()
    (body,) = await lane.released()
    assert body.preset_amount_fen == 5_000 + 30_000


async def test_headquarters_is_asked_while_the_car_parks(lane: Lane) -> None:
    await lane.shop.enrol(truck({}))
    await lane.shop.grant("balance", "acc-truck", 5_000)
    for _ in range(3):
        lane.sees(MINE)
        lane.clock.pass_by(1_000)
    await lane.released()
    assert lane.hq.asked == [("balance", "acc-truck", 45_000)], "once a visit"


async def test_the_colour_of_the_plate_is_on_the_fuelling(lane: Lane) -> None:
    await enrolled(lane)
    lane.sees(MINE)
    lane.lifts()
    (body,) = await lane.released()
    assert body.plate_colour == "unknown"


# --- by the attendant ---------------------------------------------------------------------------


def station(lane: Lane) -> Station:
    class NoSync:
        def subscribe(self, _: Any) -> None: ...

    sync: Any = NoSync()
    return Station(
        facts=StationFacts(PLAN, "test", demo=False),
        forecourt=lane.forecourt,
        pos=lane.pos,
        self_service=lane.service,
        sync=sync,
        books=lane.store.books,
        catalogues=lane.store.catalogues,
        clock=lane.clock,
        cameras=lambda: (),
    )


WISH = AuthoriseRequest(ONE_FP, "attendant", member=MemberRef(TRUCK))


async def code_of_refusal(wish: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        await wish
    return caught.value.problem.code


async def test_row_l2_the_driver_says_the_odometer_and_proves_who_it_is(lane: Lane) -> None:
    await enrolled(lane, odometer=True, pin=True, max_volume_ml=40_000)
    at = station(lane)
    assert await code_of_refusal(at.authorise(WISH)) == "fleet_odometer_missing"
    said = replace(WISH, odometer_km=120_000)
    assert await code_of_refusal(at.authorise(said)) == "second_factor_required"
    assert await code_of_refusal(at.authorise(said, by_pin("000000"))) == "pin_wrong"
    await at.authorise(said, by_code(TRUCK))
    (body,) = await lane.released()
    assert (body.odometer_km, body.preset_volume_ml) == (120_000, 40_000)
    assert len(lane.shop.bodies("member.code_used")) == 1


async def test_row_l2_an_odometer_does_not_run_backwards(lane: Lane) -> None:
    await enrolled(lane, odometer=True)
    await lane.shop.deliver(5_000, member_ref=TRUCK, odometer_km=120_000)
    back = replace(WISH, odometer_km=119_000)
    assert await code_of_refusal(station(lane).authorise(back)) == "fleet_odometer_backwards"


async def test_row_c6_row_l1_a_named_member_is_held_to_the_grade(lane: Lane) -> None:
    await enrolled(lane, grades=["0"])
    with pytest.raises(CommandRefused) as caught:
        await station(lane).authorise(WISH)
    assert caught.value.problem.code == "fleet_grade"


async def test_row_l1_the_tighter_of_wish_and_rules_is_preset(lane: Lane) -> None:
    await enrolled(lane, max_amount_fen=20_000)
    at = station(lane)
    await at.authorise(replace(WISH, preset=Preset(amount=Money(15_000))))
    await at.authorise(replace(WISH, fp=FpId(2), preset=Preset(volume=Volume(60_000))))
    first, second = await lane.released()
    assert (first.preset_amount_fen, second.preset_amount_fen) == (15_000, 20_000)


@pytest.mark.parametrize(
    ("window", "left_ml"), [("day", 40_000), ("week", 34_000), ("month", 22_000)]
)
async def test_row_l1_what_the_day_the_week_and_the_month_leave_is_preset(
    lane: Lane, window: str, left_ml: int
) -> None:
    await enrolled(lane, **{f"volume_per_{window}_ml": 50_000})
    for day, volume_ml in ((5, 12_000), (11, 6_000), (12, 4_000)):
        noon = datetime(2027, 1, day, 4, tzinfo=UTC)
        lane.clock.wall = int(noon.timestamp() * 1000)
        await paid_by_truck(lane, volume_ml, f"k-{day}")
    await lane.shop.deliver(4_710, volume_ml=6_000, member_ref=TRUCK)
    await station(lane).authorise(WISH)
    (body,) = await lane.released()
    assert body.preset_volume_ml == left_ml


async def paid_by_truck(lane: Lane, volume_ml: int, key: str) -> None:
    fuelling = await lane.shop.deliver(
        volume_ml * 7_850 // 10_000, volume_ml=volume_ml, member_ref=TRUCK
    )
    await lane.shop.settle(fuelling, by=TRUCK, key=key)


@pytest.mark.parametrize(
    ("rules", "wished", "left"),
    [
        ({"volume_per_day_ml": 50_000}, Preset(volume=Volume(30_000)), (20_000, None)),
        ({"amount_per_day_fen": 50_000}, Preset(amount=Money(30_000)), (None, 20_000)),
        ({"volume_per_day_ml": 50_000}, Preset(amount=Money(7_850)), (40_000, None)),
    ],
)
async def test_row_l1_what_flows_at_one_pump_is_not_left_for_the_other(
    lane: Lane, rules: dict[str, Any], wished: Preset, left: tuple[int | None, int | None]
) -> None:
    await enrolled(lane, **rules)
    at = station(lane)
    await at.authorise(replace(WISH, preset=wished))
    await lane.released()
    await at.authorise(replace(WISH, fp=FpId(2)))
    _, second = await lane.released()
    assert (second.preset_volume_ml, second.preset_amount_fen) == left


DRIVER = "driver"


async def driven(lane: Lane, driver: dict[str, Any], vehicle: dict[str, Any]) -> None:
    """A fleet's driver is named while one of its vehicles stands at the pump."""
    await lane.shop.enrol(
        truck(vehicle),
        member(
            DRIVER,
            "regular",
            account="acc-truck",
            account_kind="fleet",
            pin_hash="pin:123456",
            rules=UsageRulesEntry.model_validate(driver),
        ),
    )
    lane.sees(MINE)


@pytest.mark.parametrize(
    ("driver", "vehicle", "code"),
    [
        ({}, {"grades": ["0"]}, "fleet_grade"),
        ({"visits_per_day": 0}, {}, "fleet_visits_day"),
        ({}, {"volume_per_week_ml": 0}, "fleet_volume_week"),
        ({}, {"odometer": True}, "fleet_odometer_missing"),
        ({}, {"pin": True}, "second_factor_required"),
    ],
)
async def test_row_l1_row_l2_the_drivers_and_the_vehicles_rules_are_both_judged(
    lane: Lane, driver: dict[str, Any], vehicle: dict[str, Any], code: str
) -> None:
    await driven(lane, driver, vehicle)
    named = replace(WISH, member=MemberRef(DRIVER))
    assert await code_of_refusal(station(lane).authorise(named)) == code


async def test_row_l1_the_tighter_of_the_drivers_and_the_vehicles_rules_is_preset(
    lane: Lane,
) -> None:
    await driven(lane, {"max_volume_ml": 40_000}, {"max_volume_ml": 30_000})
    await station(lane).authorise(replace(WISH, member=MemberRef(DRIVER)))
    (body,) = await lane.released()
    assert (body.member_ref, body.preset_volume_ml) == (DRIVER, 30_000)


async def test_row_l2_the_odometer_is_the_vehicles_not_the_drivers(lane: Lane) -> None:
    await driven(lane, {"odometer": True}, {})
    other_truck = await lane.shop.deliver(5_000, member_ref=DRIVER, odometer_km=300_000)
    await lane.shop.settle(other_truck, by=DRIVER)
    await lane.shop.deliver(5_000, member_ref=TRUCK, odometer_km=120_000)
    named = replace(WISH, member=MemberRef(DRIVER))
    back = replace(named, odometer_km=119_999)
    assert await code_of_refusal(station(lane).authorise(back)) == "fleet_odometer_backwards"
    await station(lane).authorise(replace(named, odometer_km=120_001))
    (body,) = await lane.released()
    assert body.odometer_km == 120_001


async def test_row_l1_a_strangers_car_at_the_pump_does_not_bind_who_is_named(lane: Lane) -> None:
    await lane.shop.enrol(truck({"grades": ["0"]}), member("other", "regular"))
    lane.sees(MINE)
    await station(lane).authorise(replace(WISH, member=MemberRef("other")))
    (body,) = await lane.released()
    assert body.member_ref == "other"


async def test_a_car_that_only_stands_there_is_served_as_anybody_where_rules_forbid(
    lane: Lane,
) -> None:
    await enrolled(lane, grades=["0"])
    lane.sees(MINE)
    await station(lane).authorise(AuthoriseRequest(ONE_FP, "attendant"))
    (body,) = await lane.released()
    assert (body.member_ref, body.plate_colour) == (None, "unknown")


async def test_a_car_that_stands_there_is_bound_where_its_rules_allow(lane: Lane) -> None:
    await enrolled(lane, grades=["92"], max_amount_fen=20_000)
    lane.sees(MINE)
    await station(lane).authorise(AuthoriseRequest(ONE_FP, "attendant"))
    (body,) = await lane.released()
    assert (body.member_ref, body.preset_amount_fen) == (TRUCK, 20_000)


# --- at the till --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ({"grades": ["0"]}, "fleet_grade"),
        ({"max_amount_fen": 9_000}, "fleet_above_limit"),
        ({"max_volume_ml": 9_000}, "fleet_above_limit"),
        ({"volume_per_day_ml": 9_000}, "fleet_above_limit"),
        ({"amount_per_week_fen": 9_000}, "fleet_above_limit"),
        ({"odometer": True}, "fleet_odometer_missing"),
        ({"pin": True}, "second_factor_required"),
    ],
)
async def test_row_l1_row_l2_fuel_of_nobody_meets_the_rules_when_it_is_charged(
    shop: Shop, rules: dict[str, Any], code: str
) -> None:
    await shop.enrol(truck(rules))
    await shop.grant("balance", "acc-truck", 60_000)
    fuelling = await shop.deliver(10_000)
    assert await refused(shop.settle(fuelling, STORED, by=TRUCK)) == code
    bound = await shop.deliver(10_000, member_ref=TRUCK)
    await shop.settle(bound, STORED, by=TRUCK, key="k2")


async def test_row_l2_the_driver_proves_it_at_the_till(shop: Shop) -> None:
    await shop.enrol(truck({"pin": True}))
    await shop.grant("balance", "acc-truck", 60_000)
    fuelling = await shop.deliver(10_000)
    nobody = SecondFactor(operator="李", operator_pin="654321")
    wish = shop.settle(fuelling, STORED, by=TRUCK, second=nobody)
    assert await refused(wish) == "second_factor_not_allowed", "nobody signs for a driver"
    await shop.settle(fuelling, STORED, by=TRUCK, second=by_pin())
