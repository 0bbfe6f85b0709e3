"""The attendants' screen in a real browser, on a whole station with real buses and books."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Route, expect

from edge_agent.model.ids import MemberRef
from tests.api.chromium import Screen, chromium, screen_of
from tests.api.live_station import LiveStation, live_station

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

expect.set_options(timeout=15_000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveStation]:
    folder: Path = tmp_path_factory.mktemp("station")
    async with live_station(folder) as station:
        yield station


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(live: LiveStation, browser: Browser) -> AsyncIterator[Screen]:
    async with screen_of(browser, live.enrolment_link()) as shown:
        await expect(shown.page.locator(".card")).to_have_count(4)
        yield shown


@pytest_asyncio.fixture(loop_scope="module")
async def screen(opened: Screen, live: LiveStation) -> AsyncIterator[Screen]:
    """The one screen of this station, back at its beginning."""
    await opened.page.keyboard.press("Escape")
    await expect(opened.page.locator(".home")).to_be_visible()
    yield opened
    opened.page_asked_only(live.address)
    opened.has_no_complaints()


async def _settled(live: LiveStation) -> list[str]:
    return [sale.settled.sale_id for sale in live.station.books.recent_sales(50)]


async def test_a_fuelling_from_lifted_nozzle_to_receipt(live: LiveStation, screen: Screen) -> None:
    live.lift(1)
    await screen.state_becomes(1, "calling")
    await screen.touch(screen.action(1))
    await screen.state_becomes(1, "started")

    live.squeeze(1, 25_470)
    await screen.state_becomes(1, "fuelling")
    await expect(screen.card(1).locator(".figure.amount b")).to_have_text("199.94")
    await expect(screen.card(1).locator(".figure.litres b")).to_have_text("25.47")
    live.hang(1)

    row = screen.page.locator("#unpaid .row")
    await expect(row).to_have_count(1)
    await expect(row.locator(".sum")).to_have_text("¥199.94")
    screen.touches = 0
    await screen.touch(row)
    await screen.touch(".settle.go")
    await expect(screen.page.locator(".done .sum")).to_have_text("¥199.94")
    assert screen.touches <= 3

    await expect(screen.page.locator(".receipt")).to_contain_text("25.47")
    (sale,) = live.station.books.recent_sales(1)
    assert sale.settled.quote.payable_fen == 19_994
    assert sale.settled.operator == "till"
    assert sale.completed.volume_ml == 25_470
    await screen.touch(".pane-buttons .go")
    await expect(screen.page.locator(".empty")).to_be_visible()


async def test_a_preset_stops_the_pump_at_the_amount(live: LiveStation, screen: Screen) -> None:
    live.lift(2)
    await screen.state_becomes(2, "calling")
    await screen.touch(screen.card(2).locator(".open"))
    await screen.touch(screen.page.get_by_role("button", name="¥100", exact=True))
    await screen.state_becomes(2, "started")
    live.squeeze(2)
    await expect(screen.page.locator("#unpaid .row .sum")).to_have_text("¥100.00")
    live.hang(2)
    await screen.touch("#unpaid .row")
    await screen.touch(".settle.go")
    await expect(screen.page.locator(".done")).to_be_visible()


async def test_a_prepayment_that_was_too_large_is_paid_back(
    live: LiveStation, screen: Screen
) -> None:
    before = len(await _settled(live))
    live.lift(3)
    await screen.state_becomes(3, "calling")
    await screen.touch(screen.card(3).locator(".open"))
    await screen.touch(screen.page.get_by_role("tab", name="预付现金"))
    await screen.touch(screen.page.get_by_role("button", name="¥200"))
    await screen.state_becomes(3, "started")
    live.squeeze(3, 10_000)
    await expect(screen.card(3).locator(".figure.litres b")).to_have_text("10.00")
    live.hang(3)
    await screen.state_becomes(3, "idle")
    await live.until(lambda: len(live.station.books.recent_sales(50)) > before)
    (sale,) = live.station.books.recent_sales(1)
    assert sale.settled.change_fen == 20_000 - 7_850
    await screen.touch(screen.page.get_by_role("tab", name="近期销售"))
    await expect(screen.page.locator("#sales .row").first.locator(".sum")).to_have_text("¥78.50")


async def test_a_member_is_found_by_plate_and_pays_with_stored_value(
    live: LiveStation, screen: Screen
) -> None:
    await live.deliver(1, 20_000)
    await screen.touch("#unpaid .row")
    await screen.touch(".member-add")
    await screen.touch(screen.page.get_by_role("tab", name="车牌"))
    for key in "云AD12345":
        await screen.touch(screen.page.locator(".plates .key", has_text=re.compile(f"^{key}$")))
    await screen.touch(".search .go")
    await expect(screen.page.locator(".who")).to_contain_text("银牌会员")
    await expect(screen.page.locator(".line.due dd")).to_have_text("153.86")
    assert "王小明" not in await screen.page.content()
    await screen.touch(screen.page.get_by_role("button", name="扣储值"))
    await expect(screen.page.locator(".done")).to_be_visible()
    (sale,) = live.station.books.recent_sales(1)
    assert [tender.means for tender in sale.settled.tenders] == ["stored_value"]
    assert sale.settled.member_ref == "m-silver"


async def _find_silver(screen: Screen) -> None:
    await expect(screen.page.locator(".search input")).to_be_focused()
    await screen.page.keyboard.type("62000001")
    await screen.page.keyboard.press("Enter")


async def test_a_coupon_points_and_the_balance_pay_together(
    live: LiveStation, screen: Screen
) -> None:
    """What headquarters set aside here is spent in one sale, to the fen that the screen showed."""
    silver = MemberRef("m-silver")
    await live.until(lambda: bool(live.station.pos.wallet(silver).coupons))
    await live.deliver(3, 40_000)  # 314.00
    await screen.touch("#unpaid .row")
    await screen.touch(".member-add")
    await _find_silver(screen)
    await expect(screen.page.get_by_role("button", name="优惠券 Coupons 1/1")).to_be_visible()
    await screen.touch(screen.page.get_by_role("button", name="积分抵"))
    await expect(screen.page.locator(".lines")).to_contain_text("积分 3000")
    shown = await screen.page.locator(".line.due dd").inner_text()
    await screen.touch(".settle.go")
    await expect(screen.page.locator(".done")).to_be_visible()
    (sale,) = live.station.books.recent_sales(1)
    paid = {tender.means: tender.amount_fen for tender in sale.settled.tenders}
    assert paid == {"points": 3_000, "stored_value": round(float(shown) * 100)}
    assert sum(paid.values()) == sale.settled.quote.payable_fen
    assert any(line.coupon for line in sale.settled.quote.applied)
    left = live.station.pos.wallet(silver)
    assert (left.coupons, left.points_here) == ((), 0)
    await expect(screen.page.locator(".receipt")).to_contain_text("积分")


async def test_row_v8_row_v10_an_account_is_topped_up_with_the_members_pin(
    live: LiveStation, screen: Screen
) -> None:
    before = live.station.pos.wallet(MemberRef("m-silver")).balance_here_fen
    await screen.touch(screen.page.get_by_role("tab", name="会员 Members"))
    await _find_silver(screen)
    await screen.touch('[data-fen="20000"]')
    await screen.touch(screen.page.get_by_role("tab", name="会员密码"))
    await expect(screen.page.locator(".factor input")).to_be_focused()
    await screen.page.keyboard.type("246810")
    await screen.page.keyboard.press("Enter")
    await expect(screen.page.locator(".done")).to_contain_text("¥200.00")
    after = live.station.pos.wallet(MemberRef("m-silver")).balance_here_fen
    assert after == before + 20_000
    assert "246810" not in await screen.page.content()


async def test_change_is_counted_and_a_sale_refunded(live: LiveStation, screen: Screen) -> None:
    await live.deliver(2, 12_000)  # 94.20
    await screen.touch("#unpaid .row")
    await screen.touch(screen.page.get_by_role("button", name="¥100", exact=True))
    await expect(screen.page.locator(".change b")).to_have_text("¥5.80")
    await screen.touch(".settle.go")
    await expect(screen.page.locator(".hand-back .sum")).to_have_text("¥5.80")
    await screen.touch(".pane-buttons .go")

    await screen.touch(screen.page.get_by_role("tab", name="近期销售"))
    await screen.touch(screen.page.locator("#sales .row").first)
    await expect(screen.page.locator(".receipt")).to_contain_text("重打")
    await screen.touch(screen.page.get_by_role("button", name="退款"))
    await screen.touch(screen.page.get_by_role("button", name="收错款"))
    await screen.touch(screen.page.locator(".refund .halt"))
    await expect(screen.page.locator(".sale header")).to_contain_text("已退款")
    (sale,) = live.station.books.recent_sales(1)
    assert sale.refunded is not None
    assert sale.refunded.reason == "收错款 Paid wrongly"


async def test_suspend_resume_and_stop(live: LiveStation, screen: Screen) -> None:
    live.lift(4)
    await screen.state_becomes(4, "calling")
    await screen.touch(screen.action(4))
    live.squeeze(4)
    await screen.state_becomes(4, "fuelling")
    await screen.touch(screen.card(4).locator(".open"))
    await screen.touch(screen.page.get_by_role("button", name="暂停"))
    await screen.state_becomes(4, "suspended_fuelling")
    await screen.touch(screen.action(4))
    await screen.state_becomes(4, "fuelling")
    await screen.touch(screen.action(4))
    live.hang(4)
    await screen.state_becomes(4, "idle")
    await expect(screen.action(4)).to_contain_text("收款")
    await screen.touch(screen.action(4))
    await screen.touch(".settle.go")
    await expect(screen.page.locator(".done")).to_be_visible()


async def test_the_keyboard_does_it_all(live: LiveStation, screen: Screen) -> None:
    keyboard = screen.page.keyboard
    live.lift(2)
    await screen.state_becomes(2, "calling")
    live.lift(1)
    await screen.state_becomes(1, "calling")
    await keyboard.press(" ")
    await screen.state_becomes(2, "started")
    await expect(screen.card(1)).to_have_attribute("data-state", "calling")

    await keyboard.press("F1")
    await expect(screen.card(1)).to_have_class(re.compile("chosen"))
    await keyboard.type("50.5")
    await keyboard.press("Enter")
    await screen.state_becomes(1, "started")
    await expect(screen.card(1).locator(".limit")).to_contain_text("¥50.50")

    await keyboard.press("F2")
    await keyboard.press("Escape")
    await expect(screen.page.locator(".home")).to_be_visible()

    await keyboard.press("Control+Shift+S")
    await expect(screen.page.locator(".banner.stopped")).to_be_visible()
    live.hang(1)
    live.hang(2)
    await screen.state_becomes(1, "idle")
    await screen.state_becomes(2, "idle")
    await screen.touch("#release")
    await expect(screen.page.locator(".banner.stopped")).to_be_visible()
    assert live.station.forecourt.stop_all_active
    await screen.touch("#release")
    await expect(screen.page.locator(".banner.stopped")).to_have_count(0)


async def test_one_touch_stops_everything(live: LiveStation, screen: Screen) -> None:
    for fp in (1, 2):
        live.lift(fp)
        await screen.state_becomes(fp, "calling")
        await screen.touch(screen.action(fp))
        live.squeeze(fp)
        await screen.state_becomes(fp, "fuelling")
    await screen.touch("#stop-all")
    await live.until(lambda: not any(pump.is_flowing for pump in live.yard.pumps.values()))
    await expect(screen.page.locator(".banner.stopped")).to_be_visible()
    for fp in (1, 2):
        live.hang(fp)
        await screen.state_becomes(fp, "idle")
    live.lift(3)
    await screen.state_becomes(3, "calling")
    await expect(screen.action(3)).to_be_disabled()
    live.hang(3)
    await screen.touch("#release")
    await screen.touch("#release")
    await expect(screen.page.locator("#unpaid .row")).to_have_count(2)
    for _ in range(2):
        await screen.touch(screen.page.locator("#unpaid .row").first)
        await screen.touch(".settle.go")
        await screen.touch(".pane-buttons .go")
    await expect(screen.page.locator("#unpaid .row")).to_have_count(0)


async def test_offline_says_since_when_what_waits_and_what_works(
    live: LiveStation, screen: Screen
) -> None:
    await live.until(lambda: live.station.view().sync.waiting == 0)
    live.broker.stop()
    banner = screen.page.locator("#offline")
    await expect(banner).to_be_visible()
    await live.deliver(1, 5_000)
    await screen.touch("#unpaid .row")
    await screen.touch(".settle.go")
    await expect(screen.page.locator(".done")).to_be_visible()
    await expect(banner).to_contain_text(re.compile(r"与总部断开.*\d\d:\d\d.*1 笔销售待上传"))
    await expect(banner).to_contain_text("会员价")
    await expect(banner).to_contain_text("新会员")
    live.broker.start()
    await expect(banner).to_have_count(0)
    await live.until(lambda: live.station.view().sync.waiting == 0)


async def test_languages_change_and_are_kept(screen: Screen) -> None:
    page = screen.page
    zh, en = page.locator("#stop-all .zh"), page.locator("#stop-all .en")

    async def sizes() -> tuple[float, float]:
        script = "node => parseFloat(getComputedStyle(node).fontSize)"
        return await zh.evaluate(script), await en.evaluate(script)

    chinese, english = await sizes()
    assert chinese > english
    await screen.touch("#lang")
    await expect(page.locator("html")).to_have_attribute("data-lang", "en")
    chinese, english = await sizes()
    assert english > chinese
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-lang", "en")
    await screen.touch("#lang")
    await expect(page.locator("html")).to_have_attribute("data-lang", "zh")


async def test_a_refusal_is_told_in_both_languages(live: LiveStation, screen: Screen) -> None:
    live.lift(1)
    await screen.state_becomes(1, "calling")
    await screen.touch(screen.card(1).locator(".open"))
    # Somebody else is faster: the pane still offers what the station then refuses.
    await screen.page.route("**/v1/fuelling-points/1/authorise", _refuse)
    await screen.touch(".choice.fill")
    notice = screen.page.get_by_role("alert")
    await expect(notice).to_contain_text("该油枪正在使用中")
    await expect(notice).to_contain_text("a fuelling is in hand")
    await screen.page.unroute("**/v1/fuelling-points/1/authorise")
    live.hang(1)
    await screen.state_becomes(1, "idle")
    screen.forgive("409")


async def _refuse(route: Route) -> None:
    body = {
        "code": "fp_busy",
        "text_zh": "该油枪正在使用中",
        "text_en": "a fuelling is in hand on this fuelling point",
    }
    await route.fulfill(status=409, json=body)


async def test_a_screen_that_is_not_enrolled_asks_for_its_code(
    live: LiveStation, browser: Browser
) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(live.address)
    await expect(page.locator(".enrol")).to_be_visible()
    code = live.enrolment_link().rsplit("=", 1)[1]
    await page.locator(".enrol input").fill(code)
    await page.locator(".enrol button").click()
    await expect(page.locator(".card")).to_have_count(4)
    await context.close()


async def test_a_page_of_another_origin_can_do_nothing(live: LiveStation, browser: Browser) -> None:
    """The session cookie is there, yet neither a form nor a script of another page gets through."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(live.enrolment_link())
    await expect(page.locator(".card")).to_have_count(4)
    foreign = await context.new_page()
    other = live.address.replace("127.0.0.1", "localhost")
    await foreign.goto(f"{other}/static/favicon.svg")
    script = """async (address) => {
      try { await fetch(address + "/v1/stop-all", {method: "POST", mode: "no-cors",
                                                   credentials: "include"}); } catch {}
    }"""
    await foreign.evaluate(script, live.address)
    assert not live.station.forecourt.stop_all_active
    await context.close()


async def test_when_the_agent_is_gone_the_screen_says_so_and_comes_back(
    live: LiveStation, screen: Screen
) -> None:
    await live.stop_serving()
    await expect(screen.page.locator(".lost")).to_contain_text("与本机服务的连接中断")
    await expect(screen.page.locator("#stop-all")).to_be_disabled()
    assert await screen.page.locator("body").get_attribute("data-lost") == "true"
    await live.start_serving()
    await expect(screen.page.locator(".lost")).to_have_count(0)
    await expect(screen.page.locator("#stop-all")).to_be_enabled()
    screen.forgive("ERR_")
