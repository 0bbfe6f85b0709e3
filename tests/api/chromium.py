"""Debian's Chromium, started so that it speaks to nobody but the test, and a page in it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from playwright.async_api import Browser, Locator, Page, async_playwright, expect

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 15_000

expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Screen:
    """A page, everything it asked for and complained about, and how often it was touched."""

    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    touches: int = 0

    async def touch(self, what: str | Locator) -> None:
        target = self.page.locator(what) if isinstance(what, str) else what
        await target.click(timeout=PATIENCE_MS)
        self.touches += 1

    def card(self, fp: int) -> Locator:
        return self.page.locator(f'[data-fp="{fp}"]')

    def action(self, fp: int) -> Locator:
        return self.card(fp).locator(".act")

    async def state_becomes(self, fp: int, state: str) -> None:
        await expect(self.card(fp)).to_have_attribute("data-state", state)

    def forgive(self, word: str) -> None:
        """Drop complaints that the test itself provoked."""
        self.complaints = [text for text in self.complaints if word not in text]

    def has_no_complaints(self) -> None:
        assert self.complaints == []

    def page_asked_only(self, address: str) -> None:
        assert [url for url in self.asked if not url.startswith(f"{address}/")] == []


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def screen_of(browser: Browser, link: str) -> AsyncIterator[Screen]:
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    screen = Screen(await context.new_page())
    screen.page.on("request", lambda request: screen.asked.append(request.url))
    screen.page.on("console", lambda message: screen.complaints.append(message.text))
    screen.page.on("pageerror", lambda error: screen.complaints.append(str(error)))
    try:
        await screen.page.goto(link)
        yield screen
    finally:
        await context.close()
