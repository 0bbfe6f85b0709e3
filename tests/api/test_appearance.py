"""How the screen looks and what it does in states that a healthy station does not reach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

from edge_agent.model.fuelling import FpState
from tests.api.fake_figures import now_ms
from tests.api.fake_station import FakeStation, fake_station, offline, problem
from tests.api.stage import SIZES, Stage, misfits, open_stage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

LANGUAGES = ("zh", "en")


def busy_station(points: int = 8) -> FakeStation:
    """A station with a fuelling point in every state."""
    station, now = fake_station(points), now_ms()
    station.lift(1)
    station.change_point(1, plate="云A·D**45", member="王**")
    station.lift(2, 2)
    station.flow(2, 123_450)
    station.change_point(2, preset_amount_fen=200_000)
    station.lift(3)
    station.flow(3, 31_870)
    station.change_point(3, state=FpState.SUSPENDED_FUELLING)
    station.change_point(4, state=FpState.AUTHORISED, preset_amount_fen=30_000)
    station.deliver(5, 38_210, logical=2, ended_ms=now - 65_000, member_ref="m-silver")
    station.deliver(6, 25_470, ended_ms=now - 600_000)
    station.deliver(6, 12_030, logical=2, plate_ref="p-1", origin="offline")
    station.change_point(7, state=FpState.OFFLINE, blocked="fp_offline")
    if points > 8:
        station.change_point(9, state=FpState.INOPERATIVE, blocked="fp_inoperative")
        station.change_point(10, state=FpState.CLOSED, blocked="fp_closed")
        station.change_point(11, state=FpState.STARTED, lifted=1)
    return station


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest.mark.parametrize("points", [2, 8, 16])
async def test_every_state_is_legible_and_fits(stage: Stage, points: int) -> None:
    station = busy_station(points) if points >= 8 else fake_station(points)
    async with stage.shows(station) as screen:
        await expect(screen.page.locator(".card")).to_have_count(points)
        for _ in LANGUAGES:
            for size in SIZES:
                await screen.page.set_viewport_size(size)
                assert await misfits(screen) == []
            await screen.touch("#lang")
        await screen.page.set_viewport_size(SIZES[0])


async def test_every_pane_is_legible_and_fits(stage: Stage) -> None:
    async with stage.shows(busy_station()) as screen:
        panes = {
            "idle point": '[data-fp="8"] .open',
            "prepay": ".tabs button >> nth=2",
            "flowing point": '[data-fp="2"] .open',
            "blocked point": '[data-fp="7"] .open',
            "pay": '[data-fp="5"] .act',
            "member": ".member-chip .icon-button",
            "plate": ".search .tabs button >> nth=2",
            "letters": ".plates .key >> nth=0",
            "status": ".health",
        }
        for pane, target in panes.items():
            await screen.touch(target)
            await expect(screen.page.locator("aside .pane")).to_be_visible()
            assert (pane, await misfits(screen)) == (pane, [])


async def test_large_type_and_all_banners_still_fit(stage: Stage) -> None:
    station = busy_station()
    offline(station, now_ms() - 2_530_000, 37)
    station.change(
        demo=True,
        storage_ok=False,
        stop_all=True,
        problems=(problem("storage_unavailable", "磁盘不可写", "the disk cannot be written"),),
    )
    async with stage.shows(station) as screen:
        banners = screen.page.locator(".banners")
        for text in ("磁盘不可写", "全站已停止", "37 笔销售待上传", "42:1", "演示"):
            await expect(banners).to_contain_text(text)
        await screen.touch("#size")
        await expect(screen.page.locator("html")).to_have_attribute("data-size", "l")
        assert await misfits(screen) == []


async def test_a_state_is_never_told_by_colour_alone(stage: Stage) -> None:
    async with stage.shows(busy_station(16)) as screen:
        faces = await screen.page.locator(".card .face").evaluate_all(
            "faces => faces.map((face) => [face.querySelector('use').getAttribute('href'),"
            " face.textContent])"
        )
    icons, texts = {icon for icon, _ in faces}, {text for _, text in faces}
    assert len(texts) == len(icons) == 9


async def test_what_calls_and_what_flows_moves(stage: Stage) -> None:
    async with stage.shows(busy_station()) as screen:
        calling = screen.card(1).locator(".head")
        script = "node => getComputedStyle(node).backgroundColor"
        first = await calling.evaluate(script)
        await screen.page.wait_for_function(
            "first => getComputedStyle(document.querySelector('.calling .head'))"
            ".backgroundColor !== first",
            arg=first,
        )


async def test_an_impatient_finger_pays_once(stage: Stage) -> None:
    station = fake_station()
    station.deliver(1, 20_000)
    station.hang_settle = asyncio.Event()
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        button = screen.page.locator(".settle.go")
        await button.dblclick()
        await expect(button).to_be_disabled()
        station.hang_settle.set()
        await expect(screen.page.locator(".done")).to_be_visible()
    assert [what for what, _ in station.asked].count("settle") == 1


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(stage: Stage) -> None:
    station = fake_station()
    station.deliver(1, 20_000)
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        station.lose_answer = True
        await screen.touch(".settle.go")
        await expect(screen.page.locator(".done")).to_be_visible()
        screen.forgive("500")
    keys = [detail[3] for what, detail in station.asked if what == "settle"]  # type: ignore[index]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert len(station.sold) == 1


async def test_stored_value_that_does_not_suffice_is_joined_by_cash(stage: Stage) -> None:
    station = fake_station()
    station.deliver(1, 20_000)
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        await screen.touch(".member-add")
        for digit in "62000002":
            await screen.touch(screen.page.get_by_role("button", name=digit, exact=True))
        await screen.touch(".search .go")
        await screen.touch(screen.page.get_by_role("button", name="储值＋现金"))
        await expect(screen.page.locator(".done")).to_be_visible()
    (sale,) = station.sold.values()
    tenders = [(tender.means, tender.amount_fen) for tender in sale.settled.tenders]
    assert tenders == [("stored_value", 5_000), ("cash", 10_700)]


async def test_a_fuelling_paid_elsewhere_leaves_the_pane(stage: Stage) -> None:
    station = fake_station()
    fuelling = station.deliver(1, 20_000)
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        await expect(screen.page.locator(".settle.go")).to_be_visible()
        del station.waiting[fuelling]
        station.show_unpaid()
        await expect(screen.page.locator("aside .empty")).to_contain_text("已收款")
