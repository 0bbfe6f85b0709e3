"""The facts that a fuelling is priced by: who buys, with which coupons and goods, paid how.

Everything that a price follows from goes into its question, and with the answer into the sale's
record, so that headquarters can decide the same price again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.app.policy import PolicyInForce
from edge_agent.app.purse import Purses
from edge_agent.app.till import Surroundings, Till
from edge_agent.core import points, settlement
from edge_agent.core.membership import facts_of
from edge_agent.core.promotions import quote
from edge_agent.core.station_calendar import month_start_ms
from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.model.ids import FuellingId, GradeId
from edge_agent.model.leases import Lease
from edge_agent.model.membership import Member
from edge_agent.model.policy import Policy
from edge_agent.model.quote import (
    BudgetFacts,
    CouponFacts,
    GoodsLine,
    MemberFacts,
    Paying,
    QuoteRequest,
)
from edge_agent.model.quote_record import body_of
from edge_agent.model.records import FuellingCompleted, QuoteBody
from edge_agent.model.units import NO_MONEY, Money, UnitPrice, Volume
from edge_agent.model.wishes import SaleWish, TenderOffer

MOST_PIECES: Final = 99
MOST_GOODS: Final = 20

GOODS_UNKNOWN: Final = Problem(
    "goods_unknown", "政策中没有该商品", "the policy in force sells no such goods"
)
GOODS_INVALID: Final = Problem(
    "goods_invalid",
    "商品数量须为1至99，同一商品只列一次",
    "one to 99 pieces, and each of the goods once",
)
COUPON_NOT_HERE: Final = Problem(
    "coupon_not_here",
    "该会员在本站没有这张可用的优惠券",
    "the member has no such coupon that may be used here",
)
POINTS_NEED_MEMBER: Final = Problem(
    "points_no_member", "请先识别会员，再用积分抵现", "find the member before redeeming points"
)


@dataclass(frozen=True, slots=True)
class Fuel:
    """What a dispenser delivered, or would."""

    grade: GradeId
    volume: Volume
    amount: Money
    unit_price: UnitPrice
    at_ms: int
    plate_colour: str | None = None
    """Of the vehicle, where a camera saw it."""


class SalePrices:
    """Prices fuellings for the till."""

    def __init__(
        self, around: Surroundings, till: Till, policies: PolicyInForce, purses: Purses
    ) -> None:
        self._around = around
        self._till = till
        self._policies = policies
        self._purses = purses

    def quote(
        self, completed: FuellingCompleted, wish: SaleWish, buyer: Member | None
    ) -> QuoteBody:
        """Price a fuelling as a wish says that it will be paid.

        Raises:
            SaleRefused: `goods_...`, `coupon_not_here` or `points_...`.
        """
        policy = self._policies.of(FuellingId(completed.fuelling_id))
        paying = None
        if wish.paying is not None:
            others = wish.paid_otherwise + _worth(wish, policy)
            if wish.paying != "cash":
                others = others + Money(completed.prepaid_fen)
            paying = Paying(wish.paying, others)
        return self._quoted(completed, wish, buyer, policy, paying)

    def quote_for(
        self,
        completed: FuellingCompleted,
        wish: SaleWish,
        buyer: Member | None,
        offers: Sequence[TenderOffer],
    ) -> QuoteBody:
        """Price a fuelling as it is paid: offers that depend on the tender see these tenders, which
        `resolved` made.

        Raises:
            SaleRefused: as `quote`, or the tenders do not add up (`tender_...`).
        """
        policy = self._policies.of(FuellingId(completed.fuelling_id))
        prepaid = Money(completed.prepaid_fen)
        paying = _first_guess(offers, prepaid)
        quoted = self._quoted(completed, wish, buyer, policy, paying)
        final = settlement.paying_of(Money(quoted.payable_fen), prepaid, offers)
        if final != paying:
            quoted = self._quoted(completed, wish, buyer, policy, final)
        return quoted

    def resolved(
        self, completed: FuellingCompleted, wish: SaleWish, tenders: Sequence[TenderOffer]
    ) -> list[TenderOffer]:
        """Return the tenders with what the redeemed points are worth named among them.

        A wish that redeems points needs no tender beside it that says so again.
        """
        worth = _worth(wish, self._policies.of(FuellingId(completed.fuelling_id)))
        offers = [each for each in tenders if each.means != "points" or each.amount is not None]
        if worth and not any(each.means == "points" for each in offers):
            offers.insert(0, TenderOffer("points", worth))
        return offers

    def estimate(self, fuel: Fuel, wish: SaleWish, buyer: Member | None) -> QuoteBody:
        """Price fuel that has not flowed yet, under the policy that is in force now.

        Raises:
            SaleRefused: as `quote`.
        """
        return self._priced(fuel, wish, buyer, self._policies.current(), None)

    def _quoted(
        self,
        completed: FuellingCompleted,
        wish: SaleWish,
        buyer: Member | None,
        policy: Policy,
        paying: Paying | None,
    ) -> QuoteBody:
        fuel = Fuel(
            grade=GradeId(completed.grade),
            volume=Volume(completed.volume_ml),
            amount=Money(completed.amount_fen),
            unit_price=UnitPrice(completed.unit_price_milli),
            at_ms=completed.ended_ms,
            plate_colour=completed.plate_colour,
        )
        return self._priced(fuel, wish, buyer, policy, paying)

    def _priced(
        self,
        fuel: Fuel,
        wish: SaleWish,
        buyer: Member | None,
        policy: Policy,
        paying: Paying | None,
    ) -> QuoteBody:
        if wish.redeem_points and buyer is None:
            raise SaleRefused(POINTS_NEED_MEMBER)
        now_ms = self._around.lender.now_ms()
        request = QuoteRequest(
            grade=fuel.grade,
            volume=fuel.volume,
            amount=fuel.amount,
            unit_price=fuel.unit_price,
            at_ms=fuel.at_ms,
            utc_offset_minutes=self._till.utc_offset_minutes,
            member=self._facts(buyer, fuel.at_ms),
            station=self._till.station.station,
            plate_colour=fuel.plate_colour,
            goods=_goods(wish, policy),
            coupons=self._coupons(wish, buyer, now_ms),
            paying=paying,
            points_redeemed=wish.redeem_points,
            budgets=tuple(
                BudgetFacts(holding.holder, Money(left))
                for holding in self._purses.budgets(policy)
                if (left := holding.available(now_ms))
            ),
        )
        return body_of(quote(request, policy))

    def _facts(self, buyer: Member | None, at_ms: int) -> MemberFacts | None:
        if buyer is None:
            return None
        offset, books = self._till.utc_offset_minutes, self._around.books
        month_ms = month_start_ms(at_ms, offset)
        return facts_of(
            buyer,
            at_ms,
            offset,
            visits_this_month=books.visits(buyer.ref, month_ms),
            fills_here=books.visits(buyer.ref, 0),
        )

    def _coupons(
        self, wish: SaleWish, buyer: Member | None, now_ms: int
    ) -> tuple[CouponFacts, ...]:
        """The coupons that may be used: leased here, not over, and not left out by the wish.

        Of a locked member none is: they are kept for whom they belong to (row R5).
        """
        held: list[Lease] = []
        if buyer is not None and buyer.locked is None:
            held = self._around.books.coupons_of(buyer.ref)
        facts = {
            lease.terms.holder: CouponFacts(
                lease.terms.holder,
                lease.terms.template or "",
                lease.terms.from_ms,
                lease.terms.until_ms,
            )
            for lease in held
            if lease.available(now_ms) and lease.terms.until_ms > now_ms
        }
        if wish.coupons is None:
            return tuple(facts.values())
        missing = [serial for serial in wish.coupons if serial not in facts]
        if missing:
            raise SaleRefused(COUPON_NOT_HERE, missing[0][:64])
        return tuple(facts[serial] for serial in dict.fromkeys(wish.coupons))


def _worth(wish: SaleWish, policy: Policy) -> Money:
    return points.value_of(wish.redeem_points, policy.points.redeem)


def _first_guess(offers: Sequence[TenderOffer], prepaid: Money) -> Paying | None:
    """Say how a sale is paid before its price is known: by what leaves its amount open, or cash
    that gives change, or the largest."""
    opened = [each.means for each in offers if each.amount is None]
    named = {each.means: each.amount for each in offers if each.amount is not None}
    if opened:
        means = opened[0]
    elif prepaid or "cash" in named:
        means = "cash"
    elif named:
        means = max(named, key=lambda each: named[each].fen)
    else:
        return None
    others = sum((amount for other, amount in named.items() if other != means), NO_MONEY)
    return Paying(means, others if means == "cash" else others + prepaid)


def _goods(wish: SaleWish, policy: Policy) -> tuple[GoodsLine, ...]:
    names = [each.good for each in wish.goods]
    if len(set(names)) < len(names) or len(names) > MOST_GOODS:
        raise SaleRefused(GOODS_INVALID)
    lines: list[GoodsLine] = []
    for each in wish.goods:
        good = policy.good(each.good)
        if good is None:
            raise SaleRefused(GOODS_UNKNOWN, each.good[:40])
        if not 1 <= each.pieces <= MOST_PIECES:
            raise SaleRefused(GOODS_INVALID, each.good[:40])
        lines.append(GoodsLine(each.good, each.pieces, Money(good.price_fen * each.pieces)))
    return tuple(lines)
