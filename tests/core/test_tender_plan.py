"""A sale is paid in the order of the trade, unless the customer wishes otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.core.purse import EMPTY_PURSE, Purse
from edge_agent.core.settlement import shares
from edge_agent.core.tender_plan import departure, plan
from edge_agent.model.errors import SaleRefused
from edge_agent.model.policy import Redemption
from edge_agent.model.tenders import TenderMeans
from edge_agent.model.units import Money
from edge_agent.model.wishes import SaleWish, TenderOffer
from tests.core.leasing import NOON_MS, points_terms, purse_of, taken, terms

P6 = Redemption()


def purse(fen: int, points: int = 0, floor_fen: int = 0) -> Purse:
    granted = [terms("a", fen)] if fen else []
    granted += [points_terms("p", [(NOON_MS + 60, points)])] if points else []
    return purse_of(taken(*granted), floor_fen=floor_fen)


def planned(
    payable_fen: int,
    holds: Purse = EMPTY_PURSE,
    wish: SaleWish = SaleWish(),  # noqa: B008 - frozen
    prepaid_fen: int = 0,
) -> dict[str, int | None]:
    offers = plan(Money(payable_fen), Money(prepaid_fen), holds, wish, P6, NOON_MS)
    return {each.means: None if each.amount is None else each.amount.fen for each in offers}


def test_row_v4_the_balance_pays_first_and_cash_the_rest() -> None:
    assert planned(10_000, purse(4_000)) == {"stored_value": 4_000, "cash": 6_000}
    assert planned(10_000, purse(40_000)) == {"stored_value": 10_000}
    assert planned(10_000) == {"cash": 10_000}
    assert planned(10_000, purse(4_000, floor_fen=500)) == {"stored_value": 4_500, "cash": 5_500}


def test_row_v4_row_p6_points_that_are_asked_for_pay_before_the_balance() -> None:
    wish = SaleWish(redeem_points=500)
    assert planned(10_000, purse(4_000, 500), wish) == {
        "points": 500,
        "stored_value": 4_000,
        "cash": 5_500,
    }
    assert next(iter(planned(10_000, purse(4_000, 500), wish))) == "points"
    assert "points" not in planned(10_000, purse(4_000, 500))
    with pytest.raises(SaleRefused, match="points_above_share"):
        planned(400, purse(0, 500), wish)


@pytest.mark.parametrize("means", ["cash", "wallet", "bank_card"])
def test_row_v4_row_v18_naming_another_means_keeps_the_balance(means: TenderMeans) -> None:
    assert planned(10_000, purse(4_000), SaleWish(paying=means)) == {means: 10_000}
    assert planned(10_000, purse(4_000), SaleWish(paying="stored_value")) == {
        "stored_value": 4_000,
        "cash": 6_000,
    }


def test_row_v18_a_prepayment_pays_first() -> None:
    assert planned(10_000, purse(4_000), prepaid_fen=7_000) == {"stored_value": 3_000}
    assert planned(10_000, purse(4_000), prepaid_fen=12_000) == {}


@given(
    payable=st.integers(0, 30_000),
    prepaid=st.just(0) | st.integers(0, 30_000),
    fen=st.integers(0, 30_000),
    paying=st.none() | st.sampled_from(["stored_value", "cash"]),
)
def test_a_plan_always_adds_up(payable: int, prepaid: int, fen: int, paying: TenderMeans) -> None:
    wish = SaleWish(paying=paying)
    offers = plan(Money(payable), Money(prepaid), purse(fen), wish, P6, NOON_MS)
    divided = shares(Money(payable), Money(prepaid), offers)
    assert sum(amount.fen for _, amount in divided.parts) == payable
    assert divided.change == Money(max(0, prepaid - payable))


def test_row_v4_a_departure_from_the_plan_is_recorded_with_its_reason() -> None:
    proposed = plan(Money(10_000), Money(0), purse(4_000), SaleWish(), P6, NOON_MS)
    record = departure(proposed, [TenderOffer("cash")], fp=2, operator="till", reason="card lost")
    assert record is not None
    assert (record.action, record.fp, record.operator) == ("tender.order_overridden", 2, "till")
    assert record.detail == "cash: card lost"
    assert departure(proposed, [], fp=2, operator="till") is not None
    less = [TenderOffer("stored_value", Money(3_999)), TenderOffer("cash")]
    assert departure(proposed, less, fp=2, operator="till") is not None
    for follows in (
        [TenderOffer("stored_value")],
        [TenderOffer("stored_value", Money(4_000)), TenderOffer("wallet", None, "W")],
    ):
        assert departure(proposed, follows, fp=2, operator="till") is None
    assert departure([TenderOffer("cash")], [TenderOffer("wallet")], fp=2, operator="t") is None
