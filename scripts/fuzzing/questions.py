"""Random price questions for a policy: what was fuelled and bought, by whom, when, paid how."""

from __future__ import annotations

import random
from typing import Final

from edge_agent.model.ids import GradeId, MemberRef
from edge_agent.model.policy import Policy
from edge_agent.model.quote import (
    BudgetFacts,
    CouponFacts,
    GoodsLine,
    MemberFacts,
    Paying,
    QuoteRequest,
)
from edge_agent.model.tenders import TENDER_MEANS
from edge_agent.model.units import Money, UnitPrice, Volume, amount_of, volume_for
from scripts.fuzzing.policies import DAY_MS, GOODS, GRADES, MONDAY_MS, STATIONS, TAGS, TIERS

OFFSETS: Final = (480, 480, 480, 0, 345)
"""Minutes east of UTC; the last is Nepal's, since a quarter of an hour breaks many a shortcut."""
PRICES: Final = (7_500, 7_850, 8_350, 7_111)
MOST_COUPONS: Final = (3, 3, 3, 7)


def a_question(chance: random.Random, policy: Policy) -> QuoteRequest:
    """Return a question; amounts crowd around the thresholds that policies are drawn with."""
    unit_price = UnitPrice(chance.choice(PRICES))
    amount, volume = _delivery(chance, unit_price)
    at_ms = MONDAY_MS + chance.randint(-DAY_MS, 7 * DAY_MS)
    goods = _goods(chance)
    listed = amount.fen + sum(line.amount.fen for line in goods)
    redeemed = _redeemed(chance, policy, listed)
    return QuoteRequest(
        grade=GradeId(chance.choice(GRADES)),
        volume=volume,
        amount=amount,
        unit_price=unit_price,
        at_ms=at_ms,
        utc_offset_minutes=chance.choice(OFFSETS),
        member=_member(chance) if redeemed or chance.random() < 0.75 else None,
        station=chance.choice(STATIONS),
        plate_colour=chance.choice((None, "blue", "green", "yellow")),
        goods=goods,
        coupons=_coupons(chance, policy, at_ms),
        paying=_paying(chance, policy, listed, redeemed),
        points_redeemed=redeemed,
        budgets=_budgets(chance, policy),
    )


def _delivery(chance: random.Random, unit_price: UnitPrice) -> tuple[Money, Volume]:
    kind = chance.random()
    if kind < 0.55:
        around = chance.choice((1_000, 5_000, 10_000, 20_000, 30_000, 40_000))
        amount = Money(max(0, around + chance.choice((0, 0, 0, -1, 1, 100, 300, 555, 1_111))))
        return amount, volume_for(amount, unit_price)
    if kind < 0.97:
        volume = Volume(chance.choice((chance.randint(0, 60_000), 20_000, 19_999, 40_000)))
        # A dispenser rounds as it likes; its own figures are taken as they are.
        drift = chance.choice((0, 0, 0, 1, -1))
        return Money(max(0, amount_of(volume, unit_price).fen + drift)), volume
    return Money(chance.randint(0, 3)), Volume(chance.randint(0, 5))


def _member(chance: random.Random) -> MemberFacts:
    return MemberFacts(
        MemberRef(f"m-{chance.randint(1, 30)}"),
        chance.choice(TIERS),
        tuple(chance.sample(TAGS, chance.choice((0, 0, 1, 2)))),
        birthday_week=chance.random() < 0.3,
        first_fill=chance.random() < 0.3,
        visit_number=chance.choice((None, 1, 2, 2, 3, 4)),
    )


def _goods(chance: random.Random) -> tuple[GoodsLine, ...]:
    if chance.random() < 0.6:
        return ()
    bought = chance.sample(sorted(GOODS), chance.choice((1, 1, 2)))
    return tuple(_line(chance, good) for good in bought)


def _line(chance: random.Random, good: str) -> GoodsLine:
    pieces = chance.choice((1, 1, 2, 3))
    return GoodsLine(good, pieces, Money(pieces * GOODS[good][0]))


def _coupons(chance: random.Random, policy: Policy, at_ms: int) -> tuple[CouponFacts, ...]:
    """Return coupons of the policy's templates: some alike, some over, one now and then unknown."""
    codes = [template.code for template in policy.coupon_templates]
    if not codes:
        return ()
    found: list[CouponFacts] = []
    for number in range(chance.randint(0, chance.choice(MOST_COUPONS))):
        code = chance.choice(codes) if chance.random() < 0.95 else "withdrawn"
        start = at_ms - chance.choice((DAY_MS, 3 * DAY_MS, 0, -DAY_MS if number else 0))
        end = at_ms + chance.choice((DAY_MS, 2 * DAY_MS, 2 * DAY_MS, 1, 0))
        if start < end:
            found.append(CouponFacts(f"K{number}{chance.randrange(10)}", code, start, end))
    return tuple(found)


def _redeemed(chance: random.Random, policy: Policy, listed: int) -> int:
    redeem = policy.points.redeem
    if redeem is None or chance.random() < 0.8:
        return 0
    yuan = chance.randint(0, min(20, listed // 300))
    return yuan * redeem.points_per_yuan


def _paying(chance: random.Random, policy: Policy, listed: int, redeemed: int) -> Paying | None:
    if not redeemed and chance.random() < 0.4:
        return None
    others = 0
    if redeemed and policy.points.redeem is not None:
        others = redeemed // policy.points.redeem.points_per_yuan * 100
    if chance.random() < 0.3:
        others += chance.choice((1, 1_000, listed // 4))
    means = chance.choice([means for means in TENDER_MEANS if means != "points"])
    return Paying(means, Money(others))


def _budgets(chance: random.Random, policy: Policy) -> tuple[BudgetFacts, ...]:
    """Return what is left of campaigns; one in five is not named, which is as good as spent."""
    return tuple(
        BudgetFacts(offer.id, Money(chance.choice((0, 1, 250, 50_000))))
        for _, offer in sorted(policy.all_offers(), key=lambda entry: entry[1].id)
        if getattr(offer, "budget_fen", None) is not None and chance.random() < 0.8
    )
