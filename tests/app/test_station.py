"""The station as its clients see it: who stands at a bay, what fuel would cost before it flows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import pytest

from edge_agent.app.station import Station, StationFacts
from edge_agent.app.sync import Sync
from edge_agent.model.errors import SaleRefused
from edge_agent.model.ids import FpId, GradeId
from edge_agent.model.station import Grade, StationPlan
from edge_agent.model.units import Money
from edge_agent.model.views import SyncView
from edge_agent.model.wishes import SaleWish
from tests.app.lane import MINE, ONE_FP, STRANGERS, Lane, opened
from tests.app.shop import index_of, member
from tests.sync_kit import STATION


class NoSync:
    """A link to headquarters of which nothing is asked."""

    def subscribe(self, listener: Callable[[], None]) -> None:
        pass

    def view(self) -> SyncView:
        return SyncView(False, 0, 0, 0, 0, 0, 1, None, False)


@pytest.fixture
async def lane(tmp_path: Path) -> AsyncIterator[Lane]:
    async with opened(tmp_path) as made:
        yield made


def station_of(lane: Lane) -> Station:
    plan = StationPlan(STATION, "演示站", "Demo", (Grade(GradeId("92"), "92#"),), ())
    return Station(
        facts=StationFacts(plan, "test", demo=False), forecourt=lane.forecourt, pos=lane.pos,
        self_service=lane.service, sync=cast("Sync", NoSync()), books=lane.store.books,
        catalogues=lane.store.catalogues, clock=lane.clock, cameras=tuple,
    )  # fmt: skip


async def test_row_m11_a_members_tier_stands_at_the_bay(lane: Lane) -> None:
    station = station_of(lane)
    assert station.view().fuelling_points[0].tier_zh is None
    lane.sees(MINE)
    here, there = station.view().fuelling_points
    tier = lane.pos.policy().tier("gold")
    assert tier is not None
    assert (here.tier_zh, here.tier_en) == (tier.label_zh, tier.label_en)
    assert (here.priority, there.tier_zh, there.priority) == (False, None, False)


async def test_row_m3_the_highest_tier_goes_first(lane: Lane) -> None:
    await lane.shop.enrol(member("mine", "diamond", indexes={"plate": [index_of("plate", MINE)]}))
    lane.sees(MINE)
    here, there = station_of(lane).view().fuelling_points
    assert (here.tier_en, here.priority, there.priority) == ("Diamond", True, False)


async def test_fuel_is_priced_before_it_flows_for_who_stands_there(lane: Lane) -> None:
    station = station_of(lane)
    stranger = station.estimate(ONE_FP, 1, Money(10_000), SaleWish())
    assert (stranger.member_ref, stranger.fuel_amount_fen) == (None, 10_000)
    assert stranger.volume_ml == pytest.approx(10_000 * 10_000 / 7_850, abs=1)
    lane.sees(MINE)
    mine = station.estimate(ONE_FP, 1, Money(10_000), SaleWish())
    assert mine.member_ref == "mine"
    assert mine.payable_fen < stranger.payable_fen
    assert lane.store.books.unpaid() == []


async def test_a_strangers_plate_changes_no_price(lane: Lane) -> None:
    station = station_of(lane)
    lane.sees(STRANGERS)
    assert station.estimate(ONE_FP, 1, Money(10_000), SaleWish()).member_ref is None
    assert station.view().fuelling_points[0].tier_zh is None


async def test_a_nozzle_without_a_price_cannot_be_estimated(lane: Lane) -> None:
    station = station_of(lane)
    with pytest.raises(SaleRefused, match="nozzle_unpriced"):
        station.estimate(ONE_FP, 9, Money(10_000), SaleWish())
    with pytest.raises(KeyError):
        station.estimate(FpId(77), 1, Money(10_000), SaleWish())
