"""A sale that used a coupon: whose it is, what it is, and that it moved."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edge_agent.core import leases as rules
from edge_agent.core.promotions import quote
from edge_agent.model.ids import MemberRef
from edge_agent.model.policy import load_policy
from edge_agent.model.quote import BudgetFacts, CouponFacts, MemberFacts
from edge_agent.model.quote_record import body_of, request_of
from edge_agent.model.records import AssetMoved, RecordBody, Tender
from edge_agent.model.units import Money
from hq.enrolment import NewMember
from hq.headquarters import Headquarters
from tests.hq_kit import NOW, STATION, completed, earned, priced, refunded, sale_of, sums
from tests.lease_kit import LeaseStation, banking, codes, quiet

TEXT = json.dumps(
    {
        "format": 1,
        "version": 1,
        "tiers": [
            {"code": "silver", "label_zh": "银", "label_en": "s", "text_zh": "银", "text_en": "s"}
        ],
        "offers": [
            {
                "id": "campaign", "kind": "amount_off", "off_fen": 100, "text_zh": "减1元",
                "text_en": "1 yuan off", "budget_fen": 1_000,
            }
        ],
        "coupon_templates": [
            {
                "offer": {
                    "id": "voucher", "kind": "amount_off", "off_fen": 500, "text_zh": "5元券",
                    "text_en": "5 yuan off",
                },
                "valid_days": 30,
            }
        ],
    }
)  # fmt: skip
POLICY = load_policy(TEXT)


class Shop:
    """A station with one member, who has one coupon."""

    def __init__(self) -> None:
        self.hq: Headquarters = banking()
        with self.hq.books.transaction():
            self.hq.publish_policy(TEXT, NOW)
            self.serial = self.hq.coupons.issue(POLICY, "voucher", NOW, member="m-1")
        self.station = LeaseStation(self.hq)
        self.station.come_up()
        self.station.publish()

    def coupon(self, **changes: object) -> CouponFacts:
        terms = self.station.holding("coupon", self.serial).leases[0].terms
        facts = CouponFacts(self.serial, "voucher", terms.from_ms, terms.until_ms)
        return replace(facts, **changes)  # type: ignore[arg-type]

    def sell(self, *coupons: CouponFacts, member: str = "m-1", move: bool = True) -> list[str]:
        """Sell with these coupons and all of the budget; return the alarms."""
        fuelling = completed(1)
        left = self.station.available("budget", "campaign")
        request = replace(
            request_of(priced(fuelling, POLICY, "silver")),
            member=MemberFacts(MemberRef(member), "silver"),
            coupons=coupons,
            budgets=(BudgetFacts("campaign", Money(left)),),
        )
        quoted = body_of(quote(request, POLICY))
        cash = Tender(means="cash", amount_fen=quoted.payable_fen, account_ref=None)
        self.sale = sale_of(fuelling, quoted, [cash])
        rows: list[RecordBody] = [fuelling, self.sale]
        if move:
            for asset, holder, amount in (("coupon", self.serial, 1), ("budget", "campaign", 100)):
                held = self.station.holding(asset, holder)  # type: ignore[arg-type]
                draws = rules.draw(held, amount, NOW)
                rows += rules.movements(held.asset, holder, draws, self.sale.sale_id)
        self.taken = rows[2:]
        self.station.append(*rows, earned(self.sale), quiet())
        self.station.tell()
        return codes(self.hq)


def test_row_c2_row_c15_a_sale_with_coupon_and_campaign_is_in_order() -> None:
    shop = Shop()
    assert shop.sell(shop.coupon()) == []
    assert {line.offer for line in shop.sale.quote.applied} == {"voucher", "campaign"}
    assert sums(shop.hq)["differences"] == 0
    assert shop.hq.vault.held("budget", "campaign") == 900
    assert shop.hq.vault.held("coupon", shop.serial) == 0
    assert shop.hq.vault.differences() == []


def test_row_v5_settle_and_refund_restore_budget_coupon_and_points() -> None:
    shop = Shop()
    shop.sell(shop.coupon())
    points = earned(shop.sale)
    back = points.model_copy(update={"points": -points.points, "reason": "refund"})
    moved = [AssetMoved.model_validate(body.model_dump()) for body in shop.taken]
    shop.station.append(refunded(shop.sale), *rules.given_back(moved), back, quiet())
    shop.station.tell()
    shop.station.publish()
    assert codes(shop.hq) == []
    assert shop.hq.vault.held("budget", "campaign") == 1_000
    assert shop.hq.vault.held("coupon", shop.serial) == 1
    assert shop.hq.vault.held("points", "m-1") == 0
    assert shop.station.available("coupon", shop.serial) == 1
    assert shop.hq.vault.differences() == []


def test_a_coupon_and_a_campaign_that_moved_nothing_are_shown() -> None:
    shop = Shop()
    assert shop.sell(shop.coupon(), move=False) == ["movements_differ"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"serial": "HQ1"}, "coupon_unknown"),
        ({"until_ms": NOW + 1_000}, "coupon_differs"),
    ],
)
def test_a_coupon_is_what_headquarters_handed_out(changes: dict[str, object], code: str) -> None:
    shop = Shop()
    assert code in shop.sell(shop.coupon(**changes))
    assert sums(shop.hq)["differences"] == 1


def test_a_coupon_is_used_by_its_own_member() -> None:
    shop = Shop()
    with shop.hq.books.transaction():
        shop.hq.enrolment.enrol(NewMember("m-2", "李", "silver", stations=[STATION]), NOW)
    assert shop.sell(shop.coupon(), member="m-2") == ["coupon_not_theirs"]
