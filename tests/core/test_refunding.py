"""A refund undoes a sale exactly: each tender to its source, each draw to its lease and bucket."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.core.purse import EMPTY_PURSE, Purse
from edge_agent.core.refunding import refund
from edge_agent.core.settlement import SaleIdentity, settle
from edge_agent.model.books import SettledSale
from edge_agent.model.errors import SaleRefused
from edge_agent.model.leases import Lease, LeaseState
from edge_agent.model.records import (
    AssetMoved,
    PointsEarned,
    QuoteBody,
    RecordBody,
    SaleRefunded,
    SaleSettled,
)
from edge_agent.model.units import Money
from edge_agent.model.wishes import TenderOffer
from tests.core.leasing import (
    NOON_MS,
    RULES,
    after,
    applied,
    coupon_terms,
    fuelling,
    gift,
    points_terms,
    purse_of,
    quoted,
    taken,
    terms,
)

IDENTITY = SaleIdentity("s-1", "261103-7K3M9QXA", "key-1", "till")
CASH, STORED, POINTS = TenderOffer("cash"), TenderOffer("stored_value"), TenderOffer("points")


def sell(
    quote: QuoteBody, offers: list[TenderOffer], purse: Purse = EMPTY_PURSE
) -> tuple[SettledSale, list[RecordBody]]:
    completed = fuelling(quote.fuel_amount_fen)
    bodies = settle(completed, quote, offers, purse, IDENTITY, RULES, NOON_MS)
    (settled,) = [body for body in bodies if isinstance(body, SaleSettled)]
    return SettledSale(1, NOON_MS, settled, completed, None), bodies


def undo(
    sale: SettledSale, bodies: list[RecordBody], reason: str = "wrong nozzle"
) -> list[RecordBody]:
    moved = [body for body in bodies if isinstance(body, AssetMoved)]
    return refund(
        sale,
        moved,
        RULES,
        refund_id="r-1",
        reason=reason,
        idempotency_key="key-2",
        operator="lead",
    )


def refunded(bodies: list[RecordBody]) -> SaleRefunded:
    (found,) = [body for body in bodies if isinstance(body, SaleRefunded)]
    return found


def test_row_v5_each_tender_goes_back_to_its_source() -> None:
    found = taken(terms("a", 4000), points_terms("p", [(NOON_MS + 60, 500)]))
    offers = [TenderOffer("stored_value", Money(4000)), POINTS, TenderOffer("wallet", None, "W-1")]
    sale, bodies = sell(quoted(10_000, redeemed=500), offers, purse_of(found))
    back = undo(sale, bodies)
    assert [(t.means, t.amount_fen, t.reference) for t in refunded(back).tenders] == [
        ("points", 500, ""),
        ("stored_value", 4000, ""),
        ("wallet", 5500, "W-1"),
    ]
    assert (refunded(back).sale_id, refunded(back).fuelling_id) == ("s-1", "f-1")
    assert after(after(found, bodies), back) == found


def test_row_v5_a_coupon_comes_back_frozen() -> None:
    found = taken(coupon_terms("C-1"), coupon_terms("C-2", "water"))
    quote = quoted(10_000, applied("voucher", 500, "C-1"), benefits=[gift("water", "C-2")])
    sale, bodies = sell(quote, [CASH], purse_of(found))
    left = after(after(found, bodies), undo(sale, bodies))
    assert {each.state for each in left.values()} == {LeaseState.FROZEN}
    assert {each.spent for each in left.values()} == {0}


def test_row_p19_earned_points_are_taken_back_from_their_bucket() -> None:
    sale, bodies = sell(quoted(10_000, earned=100), [CASH])
    (earned,) = [body for body in bodies if isinstance(body, PointsEarned)]
    assert undo(sale, bodies)[1:] == [
        earned.model_copy(update={"points": -100, "reason": "refund"})
    ]


def test_what_no_lease_covered_goes_back_to_where_it_was_owed() -> None:
    sale, bodies = sell(quoted(100), [STORED], purse_of({}, floor_fen=100, cache_age_s=9))
    (back,) = [body for body in undo(sale, bodies) if isinstance(body, AssetMoved)]
    assert (back.lease_id, back.delta, back.cache_age_s, back.reason) == (None, 100, 9, "refund")


def test_a_sale_is_refunded_once() -> None:
    sale, bodies = sell(quoted(100), [CASH])
    again = replace(sale, refunded=refunded(undo(sale, bodies)))
    with pytest.raises(SaleRefused, match="sale_already_refunded"):
        undo(again, bodies)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 81])
def test_a_refund_has_a_reason(reason: str) -> None:
    sale, bodies = sell(quoted(100), [CASH])
    with pytest.raises(SaleRefused, match="refund_reason_missing"):
        undo(sale, bodies, reason)


@st.composite
def wealth(draw: st.DrawFn) -> dict[str, Lease]:
    """Leases of every asset, in part drawn already by an earlier sale."""
    fen = draw(st.lists(st.integers(1, 9_000), min_size=1, max_size=4))
    later = st.integers(1, 50)
    granted = [
        terms(f"b{n}", amount, expires_ms=NOON_MS + draw(later)) for n, amount in enumerate(fen)
    ]
    granted += [
        points_terms(
            f"p{n}",
            [
                (NOON_MS + draw(st.integers(-2, 9)), draw(st.integers(1, 900)))
                for _ in range(draw(st.integers(1, 3)))
            ],
            NOON_MS + draw(later),
        )
        for n in range(draw(st.integers(0, 3)))
    ]
    granted += [coupon_terms("C-1"), terms("c", 2_000, asset="budget", holder="campaign")]
    return taken(*granted)


@settings(max_examples=200)
@given(found=wealth(), listed=st.integers(1_000, 30_000), share=st.integers(0, 120))
def test_row_v5_row_v6_settle_then_refund_restores_every_holding(
    found: dict[str, Lease], listed: int, share: int
) -> None:
    purse = purse_of(found, floor_fen=500, cache_age_s=60)
    _, earlier = sell(quoted(100), [STORED], purse)
    found = after(found, earlier)
    purse = purse_of(found, floor_fen=500, cache_age_s=60)
    redeemed = min(purse.points_available(NOON_MS), listed - 900) // 100 * 100
    lines = [applied("voucher", 300, "C-1"), applied("campaign", 500)]
    quote = quoted(listed, *lines, budgets={"campaign": 2_000}, redeemed=redeemed, earned=7)
    room = min(purse.spendable(NOON_MS).fen, quote.payable_fen - redeemed)
    stored = room * min(share, 100) // 100
    offers = [POINTS, CASH] + ([TenderOffer("stored_value", Money(stored))] if stored else [])
    sale, bodies = sell(quote, offers, purse)
    spent = after(found, bodies)
    left = after(spent, undo(sale, bodies))
    assert left.pop("lease of C-1").state is LeaseState.FROZEN
    assert found.pop("lease of C-1").left == 1
    assert left == found
    both = [*bodies, *undo(sale, bodies)]
    beyond = [b for b in both if isinstance(b, AssetMoved) and b.lease_id is None]
    assert sum(body.delta for body in beyond) == 0
    assert sum(body.points for body in both if isinstance(body, PointsEarned)) == 0
