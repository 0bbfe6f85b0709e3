"""A member's wallet on the screen: topped up within three touches, and asked for at the pump."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

from edge_agent.model.fuelling import AuthoriseRequest
from tests.api.chromium import Screen
from tests.api.fake_figures import now_ms
from tests.api.fake_station import FakeStation, fake_station, offline
from tests.api.fake_wallets import GOLD_CODE, GOLD_PIN, STAFF, STAFF_PIN
from tests.api.stage import SIZES, Stage, misfits, open_stage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

MOST_TOUCHES = 3
"""Rows V10, V11, Z14."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


def _poor() -> FakeStation:
    station = fake_station(2)
    station.deliver(1, 20_000, member_ref="m-poor")
    return station


async def _type(screen: Screen, field: str, text: str) -> None:
    """Type into the field that is ready for it, and press Enter, as a scanner does."""
    await expect(screen.page.locator(field).first).to_be_focused()
    await screen.page.keyboard.type(text)
    await screen.page.keyboard.press("Enter")


async def _find(screen: Screen, card: str) -> None:
    await screen.touch(screen.page.get_by_role("tab", name="会员 Members"))
    await _type(screen, ".search input", card)
    await expect(screen.page.locator("#top-up")).to_be_visible()


async def test_row_v10_row_v11_row_v15_row_z14_a_low_balance_is_topped_up_in_three_touches(
    stage: Stage,
) -> None:
    station = _poor()
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        await expect(screen.page.locator("#wallet")).to_contain_text("余额低，充值")
        screen.touches = 0
        await screen.touch("#wallet")
        await screen.touch('[data-fen="50000"]')
        await expect(screen.page.locator(".factor input")).to_be_focused()
        await screen.page.keyboard.type(GOLD_CODE)  # the member shows it to the scanner
        await screen.touch(screen.page.get_by_role("button", name="充值"))
        await expect(screen.page.locator(".done")).to_contain_text("¥550.00")
        assert screen.touches <= MOST_TOUCHES
        await screen.touch(screen.page.get_by_role("button", name="返回账单"))
        await expect(screen.page.locator(".balance-after")).to_contain_text("¥550.00")
        await expect(screen.page.locator("#wallet")).not_to_contain_text("余额低")
    (record,) = station.topped_up.values()
    assert (record.amount_fen, record.means, record.confirmed_by) == (
        50_000, "cash", "member_code",
    )  # fmt: skip


async def test_row_v11_the_last_amount_comes_first(stage: Stage) -> None:
    async with stage.shows(fake_station(2)) as screen:
        await _find(screen, "62000003")
        await screen.touch('[data-fen="100000"]')
        await screen.touch(screen.page.get_by_role("tab", name="第二名员工"))
        await screen.touch(screen.page.get_by_role("button", name=STAFF))
        await _type(screen, ".factor input", STAFF_PIN)
        await expect(screen.page.locator(".done")).to_contain_text("¥1000.00")
        await screen.touch(screen.page.get_by_role("button", name="完成"))
        await _find(screen, "62000003")
        first = screen.page.locator("#top-up .choice").first
        await expect(first).to_contain_text("与上次相同")
        await expect(first).to_have_attribute("data-fen", "100000")
        assert await misfits(screen) == []


async def test_a_member_found_by_code_needs_nothing_more(stage: Stage) -> None:
    station = fake_station(2)
    async with stage.shows(station) as screen:
        await screen.touch(screen.page.get_by_role("tab", name="会员 Members"))
        await screen.touch(screen.page.get_by_role("tab", name="会员码"))
        await _type(screen, ".search input.secret", GOLD_CODE)
        screen.touches = 0
        await screen.touch('[data-fen="20000"]')
        await expect(screen.page.locator(".proved")).to_be_visible()
        await screen.touch(screen.page.get_by_role("button", name="充值"))
        await expect(screen.page.locator(".done")).to_contain_text("¥512.00")
        assert screen.touches == 2
    (record,) = station.topped_up.values()
    assert record.confirmed_by == "member_code"


async def test_a_wrong_pin_is_told_and_forgotten(stage: Stage) -> None:
    station = fake_station(2)
    async with stage.shows(station) as screen:
        await _find(screen, "62000003")
        await screen.touch('[data-fen="20000"]')
        await screen.touch(screen.page.get_by_role("tab", name="会员密码"))
        await _type(screen, ".factor input", "111111")
        await expect(screen.page.get_by_role("alert")).to_contain_text("密码错误")
        await expect(screen.page.locator(".factor input")).to_have_value("")
        assert station.topped_up == {}
        await _type(screen, ".factor input", GOLD_PIN)
        await expect(screen.page.locator(".done")).to_be_visible()
        screen.forgive("403")


async def test_the_wallet_is_legible_and_fits(stage: Stage) -> None:
    steps = {
        "wallet": None, "code": '[data-fen="50000"]', "pin": ".factor .tabs button >> nth=1",
        "staff": ".factor .tabs button >> nth=2", "card": ".confirming .tabs button >> nth=1",
    }  # fmt: skip
    async with stage.shows(fake_station(8)) as screen:
        await _find(screen, "62000003")
        for _ in ("zh", "en"):
            for step, target in steps.items():
                if target is not None:
                    await screen.touch(target)
                for size in SIZES[:2]:
                    await screen.page.set_viewport_size(size)
                    assert (step, await misfits(screen)) == (step, [])
                await screen.page.set_viewport_size(SIZES[0])
            await screen.touch(screen.page.get_by_role("button", name="Back").last)
            await screen.touch("#lang")


async def test_row_x14_offline_tells_how_old_members_are_and_what_is_left(stage: Stage) -> None:
    station = _poor()
    async with stage.shows(station) as screen:
        offline(station, now_ms() - 2_530_000, 37)
        banner = screen.page.locator("#offline")
        await expect(banner.locator("#cache-age")).to_contain_text("9 分钟前")
        await expect(banner.locator("#leased")).to_contain_text("¥812.00")
        await screen.touch("#unpaid .row")
        await expect(screen.page.locator(".member-card .age")).to_contain_text("0 分钟前")
        for size in SIZES[:2]:
            await screen.page.set_viewport_size(size)
            assert await misfits(screen) == []
        await screen.page.set_viewport_size(SIZES[0])


async def test_the_next_best_step_is_told_before_fuel_flows(stage: Stage) -> None:
    station = fake_station(2)
    station.lift(1)
    async with stage.shows(station) as screen:
        await screen.touch(screen.card(1).locator(".open"))
        await expect(screen.page.locator(".next-step")).to_contain_text("每升便宜0.79元")
        await screen.touch("#take-step")
        await screen.state_becomes(1, "started")
    (*_, (what, request)) = station.asked
    assert what == "authorise"
    assert isinstance(request, AuthoriseRequest)
    assert request.preset is not None
    assert request.preset.amount is not None
    assert request.preset.amount.fen == 20_000


async def test_row_l2_a_fleets_driver_is_asked_at_the_pump(stage: Stage) -> None:
    station = fake_station(2)
    station.fleet_asks = True
    station.lift(1)
    async with stage.shows(station) as screen:
        await screen.touch(screen.card(1).locator(".open"))
        await screen.touch(".member-add")
        await _type(screen, ".search input", "62000003")
        await expect(screen.page.locator(".member-chip")).to_be_visible()
        await screen.touch(".choice.fill")
        dialog = screen.page.get_by_role("dialog")
        await expect(dialog).to_contain_text("里程表")
        assert await misfits(screen) == []
        for digit in "120000":
            await screen.touch(dialog.get_by_role("button", name=digit, exact=True))
        await screen.touch(dialog.locator(".go"))
        await expect(dialog).to_contain_text("需要会员确认")
        await screen.touch(dialog.get_by_role("tab", name="会员密码"))
        await _type(screen, ".dialog input", GOLD_PIN)
        await screen.state_becomes(1, "started")
        screen.forgive("409")
        screen.forgive("403")
    (*_, (_, request)) = station.asked
    assert isinstance(request, AuthoriseRequest)
    assert (request.odometer_km, request.member) == (120_000, "m-gold")
