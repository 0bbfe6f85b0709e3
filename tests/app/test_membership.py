"""What a member has here: found, greeted, warned; nothing personal in clear."""

from __future__ import annotations

from edge_agent.model.catalogues import BucketEntry
from edge_agent.model.ids import MemberRef
from tests.app.shop import DAY_MS, HOUR_MS, NOW_MS, STORED, Shop, member

GOLD = MemberRef("gold")


async def test_row_m21_a_family_spends_one_account_by_many_plates(shop: Shop) -> None:
    await shop.enrol(
        *(
            member(ref, "silver", account="acc-family", account_kind="family")
            for ref in ("ma", "pa")
        )
    )
    await shop.grant("balance", "acc-family", 30_000)
    await shop.settle(await shop.deliver(10_000), STORED, by="ma", key="k1")
    left = shop.available("family")
    assert left < 30_000
    assert shop.pos.wallet(MemberRef("pa")).balance_here_fen == left


async def test_row_m11_row_m12_the_wallet_greets_and_says_what_is_missing(shop: Shop) -> None:
    await shop.enrol(member("gold", "gold", spent_fen=1_000_000))
    wallet = shop.pos.wallet(GOLD)
    assert (wallet.member, wallet.tier, wallet.tier_zh) == ("张**", "gold", "金牌会员")
    assert wallet.greeting_zh
    assert wallet.to_next_tier_fen == 1_000_000, "20,000 yuan for diamond"


async def test_row_p14_row_c14_what_will_be_lost_soon_is_told(shop: Shop) -> None:
    buckets = [BucketEntry(expires_ms=NOW_MS + 2 * DAY_MS, points=700)]
    await shop.enrol(member("gold", "gold", points=buckets))
    await shop.coupon("C-1", "cash-20", until_ms=NOW_MS + DAY_MS)
    wallet = shop.pos.wallet(GOLD)
    assert {(each.what, each.points, each.serial) for each in wallet.expiring} == {
        ("points", 700, None),
        ("coupon", 0, "C-1"),
    }
    assert [coupon.serial for coupon in wallet.coupons] == ["C-1"]


async def test_row_v15_a_low_balance_asks_for_a_top_up(shop: Shop) -> None:
    shop.hq.heard_ago_ms = HOUR_MS
    poor = shop.pos.wallet(MemberRef("poor"))
    assert (poor.low_balance, poor.balance_here_fen, poor.cache_age_s) == (True, 100, 3_600)
    gold = shop.pos.wallet(GOLD)
    assert (gold.low_balance, gold.balance_known_fen) == (False, 50_000)
    assert shop.pos.wallet(MemberRef("silver")).account_kind is None


async def test_row_p6_points_here_are_shown_with_their_worth(shop: Shop) -> None:
    await shop.points(2_550)
    wallet = shop.pos.wallet(GOLD)
    assert (wallet.points_here, wallet.points_value_fen) == (2_550, 2_500)
