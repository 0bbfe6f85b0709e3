"""Paying as a member on the screen: touches counted, prices explained, what is shown is charged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from playwright.async_api import Locator, expect

from edge_agent.model.tenders import TenderMeans
from edge_agent.model.wishes import SaleWish
from tests.api.chromium import Screen
from tests.api.fake_station import FakeStation, fake_station
from tests.api.fake_wallets import GOLD_CODE, GOLD_PIN
from tests.api.stage import SIZES, Stage, misfits, open_stage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


def station_of(member: str | None, volume_ml: int = 20_000) -> FakeStation:
    """A station where one fuelling of a member waits to be paid: 157.00 unless said otherwise."""
    station = fake_station(2)
    station.deliver(1, volume_ml, member_ref=member)
    return station


def _due(screen: Screen) -> Locator:
    return screen.page.locator(".line.due dd")


def _settled(station: FakeStation) -> tuple[SaleWish, dict[TenderMeans, int]]:
    """Return the wish that was settled, and what each means paid."""
    (sale,) = station.sold.values()
    (*_, detail) = [detail for what, detail in station.asked if what == "settle"]
    paid = {tender.means: tender.amount_fen for tender in sale.settled.tenders}
    return detail[1], paid  # type: ignore[index]


async def _no_dialog(screen: Screen) -> None:
    await screen.touch(".dialog .quiet")
    await expect(screen.page.locator(".dialog")).to_have_count(0)


async def test_row_v18_a_member_pays_from_the_balance_in_two_touches(stage: Stage) -> None:
    station = station_of("m-silver")
    async with stage.shows(station) as screen:
        screen.touches = 0
        await screen.touch("#unpaid .row")
        await expect(_due(screen)).to_have_text("153.86")
        await screen.touch(".settle.go")
        await expect(screen.page.locator(".done")).to_be_visible()
        assert screen.touches == 2
    wish, paid = _settled(station)
    assert paid == {"stored_value": 15_386}
    assert wish.shown is not None
    assert wish.shown.fen == 15_386


async def test_row_m6_row_m11_row_m12_the_member_is_greeted_and_told_the_way_up(
    stage: Stage,
) -> None:
    station = station_of("m-silver")
    station.deliver(2, 10_000, member_ref="m-gold")
    async with stage.shows(station) as screen:
        await screen.touch(screen.action(1))
        card = screen.page.locator(".member-card")
        await expect(card).to_contain_text("银牌会员")
        await expect(card.locator(".progress")).to_contain_text("再消费200元升至金牌会员")
        await screen.touch(screen.action(2))
        await _no_dialog(screen)
        await expect(card.locator(".greeting")).to_contain_text("金牌会员，欢迎回来")


async def test_row_m3_row_m11_a_badge_and_priority_stand_at_the_bay(stage: Stage) -> None:
    station = fake_station(2)
    station.lift(1)
    station.change_point(
        1, member="赵**", tier_zh="金牌会员", tier_en="Gold", priority=True, plate="云A·D**45"
    )
    async with stage.shows(station) as screen:
        await expect(screen.card(1).locator(".note.member")).to_contain_text("金牌会员")
        await expect(screen.card(1).locator(".note.priority")).to_contain_text("优先")
        assert await misfits(screen) == []


async def test_row_p14_what_expires_in_three_days_has_to_be_told_first(stage: Stage) -> None:
    station = station_of("m-gold")
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        warning = screen.page.get_by_role("alertdialog")
        await expect(warning).to_contain_text("800积分将于2天后过期")
        await expect(warning).to_contain_text("10 off from 100 expires in 2 days")
        await screen.page.keyboard.press("Enter")
        await expect(warning).to_have_count(0)
        assert station.sold == {}, "Enter told it, and paid nothing"
        await expect(_due(screen)).to_have_text("142.29")
        await screen.page.keyboard.press("Escape")
        # Another opening is another customer's turn: it is told again. One touch uses the points.
        await screen.touch("#unpaid .row")
        await screen.touch(warning.get_by_role("button", name="积分抵"))
        await expect(_due(screen)).to_have_text("130.29")


async def test_what_expires_later_is_told_and_stops_nobody(stage: Stage) -> None:
    station = station_of("m-gold")
    wallet = station.wallets["m-gold"]
    later = tuple(replace(each, days=15) for each in wallet.expiring)
    station.wallets["m-gold"] = replace(wallet, expiring=later)
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        await expect(screen.page.locator(".expiring").first).to_be_visible()
        await expect(screen.page.locator(".dialog")).to_have_count(0)


async def test_row_c27_refused_offers_are_folded_with_what_is_missing(stage: Stage) -> None:
    station = station_of("m-silver")
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        await expect(screen.page.locator(".line.less")).to_have_count(1)
        refused = screen.page.locator(".not-applied li")
        await expect(refused).to_have_count(0)
        await screen.touch(".fold")
        await expect(refused).to_have_count(2)
        await expect(refused.first).to_contain_text("满200减20：还差43元")
        await expect(screen.page.locator(".next-step")).to_contain_text("加满200元减20元")


async def test_row_c2_a_coupon_is_left_out_and_taken_again(stage: Stage) -> None:
    station = station_of("m-gold")
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        await _no_dialog(screen)
        await expect(_due(screen)).to_have_text("142.29")
        await screen.touch(screen.page.get_by_role("button", name="优惠券 Coupons 2/3"))
        ticket = screen.page.locator('[data-coupon="C-1001"]')
        await expect(ticket).to_have_attribute("aria-checked", "true")
        await expect(screen.page.locator('[data-coupon="C-1003"]')).to_contain_text("还差343元")
        await screen.touch(ticket)
        await expect(ticket).to_have_attribute("aria-checked", "false")
        await screen.touch(".picking .go")
        await expect(_due(screen)).to_have_text("152.29")
        await screen.touch(".settle.go")
        await expect(screen.page.locator(".done")).to_be_visible()
    wish, _ = _settled(station)
    assert wish.coupons == ("C-1002", "C-1003")


async def test_row_c28_what_goes_with_the_grade_is_one_touch_away(stage: Stage) -> None:
    station = fake_station(4)
    station.deliver(4, 20_000)
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        await screen.touch('.suggested[data-good="adblue-10"]')
        await expect(_due(screen)).to_have_text("194.00")
        await expect(screen.page.locator(".lines")).to_contain_text("车用尿素10升")
        await expect(screen.page.locator(".suggested")).to_have_count(0)
        await screen.touch(screen.page.get_by_role("button", name="商品"))
        water = screen.page.locator('[data-good="water"]')
        await screen.touch(water.get_by_role("button", name="增加"))
        await expect(water.locator(".pieces")).to_have_text("1")
        await screen.touch(".picking .go")
        await expect(_due(screen)).to_have_text("196.00")
        await screen.touch(".settle.go")
        await expect(screen.page.locator(".done")).to_be_visible()
    wish, paid = _settled(station)
    assert {each.good: each.pieces for each in wish.goods} == {"adblue-10": 1, "water": 1}
    assert paid == {"cash": 19_600}


async def test_row_p6_points_are_used_by_one_touch_and_given_back_by_another(stage: Stage) -> None:
    station = station_of("m-gold")
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        await _no_dialog(screen)
        button = screen.page.get_by_role("button", name="积分抵")
        await screen.touch(button)
        await expect(_due(screen)).to_have_text("130.29")
        await expect(button).to_have_attribute("aria-pressed", "true")
        await screen.touch(button)
        await expect(_due(screen)).to_have_text("142.29")
        await screen.touch(button)
        await expect(_due(screen)).to_have_text("130.29")
        await screen.touch(".settle.go")
        await expect(screen.page.locator(".done")).to_be_visible()
    wish, paid = _settled(station)
    assert (wish.redeem_points, paid) == (1_200, {"points": 1_200, "stored_value": 13_029})


async def test_a_hundred_in_cash_and_the_rest_from_the_balance(stage: Stage) -> None:
    station = station_of("m-silver")
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        await expect(_due(screen)).to_have_text("153.86")
        await screen.touch(".split-open")
        for digit in "100":
            await screen.touch(screen.page.get_by_role("button", name=digit, exact=True))
        await screen.touch(".split .go")
        await expect(screen.page.locator(".part")).to_contain_text("¥100.00")
        await expect(screen.page.locator(".settle")).to_contain_text("100.00＋53.86")
        await screen.touch(".settle.go")
        await expect(screen.page.locator(".done")).to_be_visible()
    wish, paid = _settled(station)
    assert paid == {"cash": 10_000, "stored_value": 5_386}
    assert (wish.paying, wish.paid_otherwise.fen) == ("stored_value", 10_000)


async def test_row_c20_row_v17_a_card_has_its_own_price_and_needs_its_slip(stage: Stage) -> None:
    station = station_of("m-silver")
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        card = screen.page.locator('[data-means="bank_card"]')
        await expect(card).to_contain_text("−5.00")
        await screen.touch(card)
        await expect(_due(screen)).to_have_text("148.86")
        await expect(screen.page.locator(".line.less")).to_contain_text(["银牌", "银行卡立减5元"])
        await expect(screen.page.locator(".settle")).to_be_disabled()
        await expect(screen.page.locator(".reference input")).to_be_focused()
        await screen.page.keyboard.type("POS 00123")
        await expect(screen.page.locator(".settle")).to_be_enabled()
        await screen.page.keyboard.press("Enter")
        await expect(screen.page.locator(".done .sum").first).to_have_text("¥148.86")
    wish, paid = _settled(station)
    assert paid == {"bank_card": 14_886}
    (sale,) = station.sold.values()
    assert sale.settled.tenders[0].reference == "POS 00123"
    assert wish.shown is not None


async def test_row_v1_a_wallet_is_taken_with_its_order_number(stage: Stage) -> None:
    station = station_of(None)
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        await screen.touch('[data-means="wallet"]')
        await screen.page.locator(".reference input").fill("4200001234202612021234567890")
        await screen.touch(".settle.go")
        await expect(screen.page.locator(".done")).to_be_visible()
    assert _settled(station)[1] == {"wallet": 15_700}


async def test_row_v8_a_dialog_asks_for_the_second_factor(stage: Stage) -> None:
    station = station_of("m-silver")
    station.second_above_fen = 10_000
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        await expect(_due(screen)).to_have_text("153.86")
        await screen.touch(".settle.go")
        dialog = screen.page.get_by_role("dialog")
        await expect(dialog).to_contain_text("需要会员确认")
        await expect(screen.page.locator("#stop-all")).to_be_enabled()
        await screen.touch(dialog.get_by_role("tab", name="会员密码"))
        await expect(dialog.locator("input")).to_be_focused()
        await screen.page.keyboard.type("999999")
        await screen.page.keyboard.press("Enter")
        await expect(screen.page.get_by_role("alert")).to_contain_text("密码错误")
        await expect(dialog.locator("input")).to_have_value("")
        for digit in GOLD_PIN:
            await screen.touch(dialog.get_by_role("button", name=digit, exact=True))
        assert GOLD_PIN not in await dialog.inner_text()
        await screen.touch(dialog.locator(".go"))
        await expect(screen.page.locator(".done")).to_be_visible()
        kept = await screen.page.evaluate("JSON.stringify(localStorage) + document.cookie")
        assert GOLD_PIN not in kept + await screen.page.content() + "".join(screen.asked)
        screen.forgive("403")
    keys = [detail[3] for what, detail in station.asked if what == "settle"]  # type: ignore[index]
    assert len(set(keys)) == 3, "each refused press was a wish of its own"
    assert len(station.sold) == 1


async def test_a_price_that_changed_meanwhile_is_shown_before_it_is_charged(stage: Stage) -> None:
    station = station_of("m-silver")
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        await expect(_due(screen)).to_have_text("153.86")
        station.wallets["m-silver"] = replace(station.wallets["m-silver"], tier="regular")
        await screen.touch(".settle.go")
        await expect(screen.page.get_by_role("alert")).to_contain_text("价格已变化")
        assert station.sold == {}
        await expect(_due(screen)).to_have_text("157.00")
        await screen.touch(".settle.go")
        await expect(screen.page.locator(".done")).to_be_visible()
        screen.forgive("409")
    assert _settled(station)[1] == {"stored_value": 15_700}


async def test_stored_value_beyond_what_is_set_aside_is_asked_of_headquarters(
    stage: Stage,
) -> None:
    station = station_of("m-gold", 60_000)  # 471.00, less tier and coupon: 446.87
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        await _no_dialog(screen)
        await expect(screen.page.locator(".settle")).to_contain_text("312.00＋134.87")
        await screen.touch('[data-means="stored_value"]')
        await expect(screen.page.locator(".tenders")).to_contain_text("不足部分向总部申请")
        await screen.touch(".settle.go")
        await expect(screen.page.locator(".done")).to_be_visible()
    assert _settled(station)[1] == {"stored_value": 44_687}


async def test_every_step_of_paying_is_legible_and_fits(stage: Stage) -> None:
    station = station_of("m-gold", 23_800)
    station.second_above_fen = 0
    page_of = {
        "warning": None, "bill": ".dialog .go", "why": ".fold",
        "coupons": ".extra-buttons button >> nth=0", "bill again": ".picking .go",
        "goods": ".extra-buttons button >> nth=1", "one": '.goods-row >> nth=0 >> button >> nth=1',
        "bill with goods": ".picking .go", "card": '[data-means="bank_card"]',
        "split": ".split-open", "key": ".key >> nth=0", "two parts": ".split .go",
        "stored": '[data-means="stored_value"]', "factor": ".settle.go",
        "pin": ".dialog .tabs button >> nth=1", "staff": ".dialog .tabs button >> nth=2",
    }  # fmt: skip
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        await expect(screen.page.locator(".dialog")).to_be_visible()
        for step, target in page_of.items():
            if target is not None:
                await screen.touch(target)
                await screen.page.wait_for_function("() => !document.querySelector('.lines.stale')")
            for size in SIZES[:2]:
                await screen.page.set_viewport_size(size)
                assert (step, size["width"], await misfits(screen)) == (step, size["width"], [])
            await screen.page.set_viewport_size(SIZES[0])
        screen.forgive("403")


async def test_a_member_found_by_the_code_of_the_phone(stage: Stage) -> None:
    station = station_of(None)
    async with stage.shows(station) as screen:
        await screen.touch("#unpaid .row")
        await screen.touch(".member-add")
        await screen.touch(screen.page.get_by_role("tab", name="会员码"))
        await expect(screen.page.locator(".search input")).to_be_focused()
        await screen.page.keyboard.type(GOLD_CODE)
        await screen.page.keyboard.press("Enter")
        await _no_dialog(screen)
        await expect(screen.page.locator(".who")).to_contain_text("金牌会员")
        await expect(_due(screen)).to_have_text("142.29")
        assert GOLD_CODE not in await screen.page.content() + "".join(screen.asked)
