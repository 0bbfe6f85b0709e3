"""Members of a fake station: who they are, what they have, and the policy that they live under."""

from __future__ import annotations

from dataclasses import replace

from edge_agent.model.ids import AccountRef, MemberRef
from edge_agent.model.membership import Member
from edge_agent.model.policy import Good, Policy, Tier
from edge_agent.model.policy.limits import StoredValue
from edge_agent.model.policy.points import Points, Redemption
from edge_agent.model.views import CouponView, ExpiryView, WalletView

DAY_MS = 86_400_000
SOME_DAY_MS = 1_796_184_000_000

SILVER = Member(MemberRef("m-silver"), "silver", "王**", AccountRef("a-silver"), True)
POOR = Member(MemberRef("m-poor"), "regular", "李*", AccountRef("a-poor"), False)
GOLD = Member(MemberRef("m-gold"), "gold", "赵**", AccountRef("a-gold"), True)
GUEST = Member(MemberRef("m-guest"), "regular", "孙*", None, False)

GOLD_CODE = "FM1.a-code-of-the-tests"
GOLD_PIN = "246810"
STAFF, STAFF_PIN = "林 七", "135791"

MEMBERS = {
    ("card", "62000001"): SILVER,
    ("phone", "13900000001"): SILVER,
    ("plate", "云A·D12345"): SILVER,
    ("card", "62000002"): POOR,
    ("card", "62000003"): GOLD,
    ("code", GOLD_CODE): GOLD,
    ("card", "62000004"): GUEST,
}

POLICY = Policy(
    format=1,
    version=3,
    tiers=(
        Tier(
            code="regular", label_zh="普通会员", label_en="Regular", text_zh="注册即是会员",
            text_en="Everybody who joins",
        ),
        Tier(
            code="silver", label_zh="银牌会员", label_en="Silver", text_zh="满2000升级",
            text_en="from 2000", reached_at_fen=200_000,
        ),
        Tier(
            code="gold", label_zh="金牌会员", label_en="Gold", text_zh="满8000升级",
            text_en="from 8000", reached_at_fen=800_000, greeting_zh="金牌会员，欢迎回来",
            greeting_en="Welcome back, gold member",
        ),
    ),
    goods=(
        Good(
            code="adblue-10", label_zh="车用尿素10升", label_en="AdBlue 10 L", price_fen=4_500,
            suggest_with=("0",),
        ),
        Good(
            code="washer", label_zh="玻璃水", label_en="Washer fluid", price_fen=1_500,
            suggest_with=("92", "95"),
        ),
        Good(code="water", label_zh="矿泉水", label_en="Water", price_fen=200),
    ),
    points=Points(redeem=Redemption()),
    stored_value=StoredValue(
        top_up_amounts_fen=(20_000, 50_000, 100_000), low_balance_fen=10_000
    ),
)  # fmt: skip

COUPONS = (
    CouponView("C-1001", "save-10", "满100减10券", "10 off from 100", SOME_DAY_MS + 2 * DAY_MS),
    CouponView("C-1002", "wash", "免费洗车券", "A free car wash", SOME_DAY_MS + 40 * DAY_MS),
    CouponView("C-1003", "save-40", "满500减40券", "40 off from 500", SOME_DAY_MS + 9 * DAY_MS),
)

_PLAIN = WalletView(
    member="", tier="regular", tier_zh="普通会员", tier_en="Regular", greeting_zh=None,
    greeting_en=None, account_kind="personal", balance_here_fen=0, balance_known_fen=0,
    low_balance=False, points_here=0, points_known=0, points_value_fen=0, coupons=(), expiring=(),
    next_tier_zh=None, next_tier_en=None, to_next_tier_fen=None, locked=None, cache_age_s=0,
)  # fmt: skip


def wallets() -> dict[str, WalletView]:
    """Return what each member has at the beginning."""
    expiring = (
        ExpiryView(
            "points", 800, None, SOME_DAY_MS + 2 * DAY_MS, 2, "800积分将于2天后过期",
            "800 points expire in 2 days",
        ),
        ExpiryView(
            "coupon", 0, "C-1001", SOME_DAY_MS + 2 * DAY_MS, 2, "满100减10券将于2天后过期",
            "10 off from 100 expires in 2 days",
        ),
    )  # fmt: skip
    return {
        "m-silver": replace(
            _PLAIN, member="王**", tier="silver", tier_zh="银牌会员", tier_en="Silver",
            balance_here_fen=90_000, balance_known_fen=90_000, next_tier_zh="金牌会员",
            next_tier_en="Gold", to_next_tier_fen=20_000, progress_zh="再消费200元升至金牌会员",
            progress_en="200 yuan more to Gold",
        ),
        "m-poor": replace(
            _PLAIN, member="李*", balance_here_fen=5_000, balance_known_fen=5_000,
            low_balance=True,
        ),
        "m-gold": replace(
            _PLAIN, member="赵**", tier="gold", tier_zh="金牌会员", tier_en="Gold",
            greeting_zh="金牌会员，欢迎回来", greeting_en="Welcome back, gold member",
            balance_here_fen=31_200, balance_known_fen=80_000, points_here=1_200,
            points_known=3_450, points_value_fen=1_200, coupons=COUPONS, expiring=expiring,
        ),
        "m-guest": replace(
            _PLAIN, member="孙*", account_kind=None, balance_known_fen=None
        ),
    }  # fmt: skip
