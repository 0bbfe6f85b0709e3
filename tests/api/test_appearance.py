"""How the screen looks and what it does in states that a healthy station does not reach."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast

import pytest
import pytest_asyncio
from fastapi import FastAPI
from playwright.async_api import ViewportSize, expect

from edge_agent.api.feed import StationFeed
from edge_agent.api.server import build_app, serve
from edge_agent.api.sessions import enrolment
from edge_agent.app.station import Station
from edge_agent.model.fuelling import FpState
from tests.api.chromium import Screen, chromium, screen_of
from tests.api.conftest import TOKEN
from tests.api.fake_figures import now_ms
from tests.api.fake_station import FakeStation, fake_station, offline, problem

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

SIZES: list[ViewportSize] = [{"width": 1280, "height": 800}, {"width": 1920, "height": 1080}]
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


@dataclass
class Stage:
    """One page of one server, on which each test puts a station of its own."""

    screen: Screen
    app: FastAPI

    @contextlib.asynccontextmanager
    async def shows(self, station: FakeStation) -> AsyncIterator[Screen]:
        self.app.state.feed.close()
        self.app.state.station = station
        self.app.state.feed = StationFeed(cast("Station", station))
        await self.screen.page.evaluate("localStorage.clear()")
        await self.screen.page.reload()
        await expect(self.screen.card(1)).to_be_visible()
        self.screen.forgive("")
        yield self.screen
        self.screen.has_no_complaints()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    station = fake_station()
    app = build_app(cast("Station", station), token=TOKEN, demo=False)
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(app, on_listening=listening.set_result))
    link = f"http://127.0.0.1:{await listening}{enrolment(app.state.house.admission).path}"
    async with chromium() as browser, screen_of(browser, link) as screen:
        yield Stage(screen, app)
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


# Contrast after WCAG 2: text against the nearest opaque ground behind it.
FAINT_TEXTS = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const over = (top, alpha, ground) => top.map((c, i) => c * alpha + ground[i] * (1 - alpha));
  const groundOf = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== "none") {
        return style.backgroundImage.match(/rgb\\([^)]*\\)/g).map(parts);
      }
      const [r, g, b, a = 1] = parts(style.backgroundColor);
      if (a === 1) return [[r, g, b]];
    }
    return [[255, 255, 255]];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.getElementById("screen"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    const text = walker.currentNode.data.trim();
    const box = node.getBoundingClientRect();
    if (!text || box.width === 0 || node.closest(":disabled")) continue;
    let opacity = 1;
    for (let at = node; at; at = at.parentElement) opacity *= getComputedStyle(at).opacity;
    for (const ground of groundOf(node)) {
      const ink = over(parts(getComputedStyle(node).color).slice(0, 3), opacity, ground);
      const [one, other] = [light(ink), light(ground)];
      const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      if (contrast < 4.5) faint.push(`${text}: ${contrast.toFixed(2)}`);
    }
  }
  return [...new Set(faint)];
}"""

SMALL_TARGETS = """() => [...document.querySelectorAll("button, input")]
  .map((node) => [node, node.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.width < 47.5 || box.height < 47.5))
  .map(([node, box]) => `${node.className} ${node.textContent}: ${box.width}x${box.height}`)"""

SPILLED = """() => {
  const root = document.documentElement;
  const found = root.scrollWidth > innerWidth || root.scrollHeight > innerHeight ? ["page"] : [];
  for (const card of document.querySelectorAll(".card, aside, .topbar")) {
    const outer = card.getBoundingClientRect();
    if (outer.right > innerWidth + 1 || outer.bottom > innerHeight + 1) found.push(card.className);
    const figures = card.querySelector(".figures")?.getBoundingClientRect();
    for (const note of card.querySelectorAll(".foot .note")) {
      const box = note.getBoundingClientRect();
      if (figures && box.top < figures.bottom - 2) found.push(`over figures: ${note.textContent}`);
    }
    for (const part of card.querySelectorAll(".number, .figure b, .act, .sum, .timer, .grade")) {
      const box = part.getBoundingClientRect();
      if (!box.width || part.closest(".scroll")) continue;
      if (box.right > outer.right + 1 || box.bottom > outer.bottom + 1) {
        found.push(`${part.className} ${part.textContent}`);
      }
    }
  }
  const aside = document.querySelector("aside").getBoundingClientRect();
  for (const button of document.querySelectorAll("aside button")) {
    const box = button.getBoundingClientRect();
    const within = button.scrollWidth <= button.clientWidth + 1;
    if (box.width && (!within || box.left < aside.left - 1 || box.right > aside.right + 1)) {
      found.push(`button: ${button.textContent}`);
    }
  }
  return found;
}"""


async def _is_fit(screen: Screen) -> None:
    assert await screen.page.evaluate(FAINT_TEXTS) == []
    assert await screen.page.evaluate(SMALL_TARGETS) == []
    assert await screen.page.evaluate(SPILLED) == []


@pytest.mark.parametrize("points", [2, 8, 16])
async def test_every_state_is_legible_and_fits(stage: Stage, points: int) -> None:
    station = busy_station(points) if points >= 8 else fake_station(points)
    async with stage.shows(station) as screen:
        await expect(screen.page.locator(".card")).to_have_count(points)
        for _ in LANGUAGES:
            for size in SIZES:
                await screen.page.set_viewport_size(size)
                await _is_fit(screen)
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
            assert (pane, await screen.page.evaluate(FAINT_TEXTS)) == (pane, [])
            assert (pane, await screen.page.evaluate(SMALL_TARGETS)) == (pane, [])
            assert (pane, await screen.page.evaluate(SPILLED)) == (pane, [])


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
        await _is_fit(screen)


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
