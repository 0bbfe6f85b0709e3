"""One request key, one release, also when it is asked for twice at once."""

from __future__ import annotations

import asyncio

import pytest

from edge_agent.api.wishes import KEPT_S, MAX_WISHES, Wishes
from edge_agent.model.errors import SaleRefused
from edge_agent.model.fuelling import AuthoriseRequest
from edge_agent.model.ids import FpId, FuellingId
from edge_agent.model.units import Money

WISH = AuthoriseRequest(FpId(1), "prepay", prepaid=Money(10_000))


class Pump:
    def __init__(self) -> None:
        self.released = 0
        self.ready = asyncio.Event()
        self.ready.set()

    async def authorise(self, _: AuthoriseRequest) -> FuellingId:
        self.released += 1
        await self.ready.wait()
        return FuellingId(f"f-{self.released}")


async def test_two_at_once_share_one_release_and_outlive_who_asked() -> None:
    pump, wishes = Pump(), Wishes()
    pump.ready.clear()
    gone = asyncio.create_task(wishes.once("key-0001", WISH, pump.authorise))
    waiting = asyncio.create_task(wishes.once("key-0001", WISH, pump.authorise))
    await asyncio.sleep(0)
    gone.cancel()
    pump.ready.set()
    assert await waiting == "f-1"
    assert pump.released == 1


async def test_another_wish_under_the_same_key_is_refused() -> None:
    pump, wishes = Pump(), Wishes()
    await wishes.once("key-0001", WISH, pump.authorise)
    other = AuthoriseRequest(FpId(2), "prepay", prepaid=Money(10_000))
    with pytest.raises(SaleRefused, match="idempotency_conflict"):
        await wishes.once("key-0001", other, pump.authorise)
    assert pump.released == 1


async def test_keys_are_kept_for_long_and_memory_is_bounded() -> None:
    now_s = 0.0
    pump, wishes = Pump(), Wishes(monotonic_s=lambda: now_s)
    for number in range(MAX_WISHES):
        await wishes.once(f"key-{number}", WISH, pump.authorise)
    now_s = KEPT_S - 1
    assert await wishes.once(f"key-{MAX_WISHES - 1}", WISH, pump.authorise) == f"f-{MAX_WISHES}"
    for number in range(10):
        await wishes.once(f"more-{number}", WISH, pump.authorise)
    assert len(wishes._wishes) == MAX_WISHES
    now_s = 3 * KEPT_S
    await wishes.once("key-last", WISH, pump.authorise)
    assert list(wishes._wishes) == ["key-last"]
