"""One page of one server in a real browser, on which each test puts a station of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast

from fastapi import FastAPI
from playwright.async_api import ViewportSize, expect

from edge_agent.api.feed import StationFeed
from edge_agent.api.server import build_app, serve
from edge_agent.api.sessions import enrolment
from edge_agent.app.station import Station
from tests.api.chromium import Screen, chromium, screen_of
from tests.api.conftest import TOKEN
from tests.api.fake_station import FakeStation, fake_station

SIZES: list[ViewportSize] = [
    {"width": 1280, "height": 800},
    {"width": 1024, "height": 768},
    {"width": 1920, "height": 1080},
]

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


@contextlib.asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """Serve until the end of the context."""
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


async def misfits(screen: Screen) -> list[str]:
    """Return what is faint, too small for a gloved finger, or outside its place."""
    found: list[str] = []
    for script in (FAINT_TEXTS, SMALL_TARGETS, SPILLED):
        found += await screen.page.evaluate(script)
    return found
