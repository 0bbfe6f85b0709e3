"""What one offer takes off: each kind's formula, its one rounding, and what bounds it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.core.pricing import field_of
from edge_agent.core.worth import Bid, Figures, Terms, missing_of, price_up
from edge_agent.model.policy import SpendSave
from edge_agent.model.quote import BudgetFacts, GoodsLine, Paying
from edge_agent.model.units import Money
from tests.core.offers import amount_off, fluid, per_litre, percent, policy, request, spend_save

FIGURES = Figures(volume_ml=12_345, fuel_fen=9_691, listed_fen=9_691, others_fen=0, least_fen=0)


def bid(offer: dict[str, Any], **asked: Any) -> Bid:
    """Return an offer's bid in a sale of 96.91 yuan."""
    (found,) = field_of(replace(request(9_691), **asked), policy(offer)).bids
    return found


def test_row_m2_silver_pays_98_percent() -> None:
    silver = bid(percent("silver", 200))
    assert [silver.worth(base, FIGURES) for base in (10_000, 9_724, 9_725, 0)] == [200, 194, 195, 0]


def test_a_litre_off_is_rounded_half_up_once() -> None:
    off = bid(per_litre("x", 100))
    volumes = (49, 50, 149, 150)
    assert [off.worth(9_999, FIGURES._replace(volume_ml=ml)) for ml in volumes] == [0, 1, 1, 2]


def test_row_c15_row_c17_spend_and_save_counts_once_or_each_full_step() -> None:
    once, stepwise = bid(spend_save("x", 200, 20)), bid(spend_save("x", 200, 20, stepwise=True))
    assert [once.worth(base, FIGURES) for base in (199, 200, 400)] == [0, 20, 20]
    assert [stepwise.worth(base, FIGURES) for base in (199, 200, 399, 400)] == [0, 20, 20, 40]


def test_a_fixed_price_takes_off_what_a_litre_costs_more() -> None:
    fixed = bid({"id": "x", "kind": "fixed_price", "price_milli": 7_500})
    assert fixed.worth(9_691, FIGURES) == 9_691 - 9_259  # 12.345 L x 7.50 = 92.5875
    dearer = bid({"id": "x", "kind": "fixed_price", "price_milli": 7_900})
    assert dearer.worth(9_691, FIGURES) == 0


def test_nothing_takes_off_more_than_its_base_its_cap_or_its_budget() -> None:
    assert bid(amount_off("x", 500)).worth(300, FIGURES) == 300
    assert bid(amount_off("x", 500)).worth(-300, FIGURES) == 0
    assert bid(percent("x", 5000, cap_fen=70)).worth(1_000, FIGURES) == 70
    budget = (BudgetFacts("x", Money(33)),)
    assert bid(percent("x", 5000, budget_fen=10**6), budgets=budget).worth(1_000, FIGURES) == 33


@pytest.mark.parametrize(
    ("stage", "kept"),
    [("line", 8_642), ("basket", 8_642 + 2_500), ("tender", 8_642 + 2_500 - 1_000)],
)
def test_row_c15_an_offers_margin_floor_is_never_undercut(stage: str, kept: int) -> None:
    """12.345 L x 7.00 = 86.415, rounded up; goods count beside fuel, what others pay does not."""
    offer = amount_off("x", 10**6, stage=stage, floor_milli=7_000)
    found = bid(offer, goods=(fluid(),), paying=Paying("cash", Money(1_000)))
    assert found.worth(12_000, FIGURES) == 12_000 - kept
    assert found.worth(kept, FIGURES) == 0


def test_goods_become_cheaper_down_to_their_own_floor() -> None:
    offer = {"id": "x", "kind": "item_off", "good": "fluid", "max_pieces": 2}
    two = bid(offer | {"off_fen": 1_500}, goods=(fluid(3),))
    assert two.worth(0, FIGURES) == 3_000, "its base is the goods, not the fuel"
    floored = bid(offer | {"off_fen": 2_400}, goods=(fluid(1),))
    assert floored.worth(0, FIGURES) == 1_700
    sold_cheap = bid(offer | {"off_fen": 900}, goods=(GoodsLine("fluid", 1, Money(1_000)),))
    assert sold_cheap.worth(0, FIGURES) == 200


def test_too_little_fuel_is_worth_nothing() -> None:
    for conditions in ({"min_volume_ml": 12_346}, {"min_amount_fen": 9_692}):
        offer = bid(amount_off("x", 500, conditions=conditions))
        assert offer.worth(9_000, FIGURES) == 0
        assert offer.worth(9_000, FIGURES._replace(volume_ml=12_346, fuel_fen=9_692)) == 500


@given(base=st.integers(-100, 100_000), spend=st.integers(2, 30_000), stepwise=st.booleans())
def test_what_is_missing_is_the_least_that_saves_more(
    base: int, spend: int, stepwise: bool
) -> None:
    values: dict[str, Any] = {"id": "x", "text_zh": "x", "text_en": "x", "stepwise": stepwise}
    offer = SpendSave(kind="spend_save", spend_fen=spend, save_fen=spend // 2, **values)
    found = bid(spend_save("x", spend, spend // 2, stepwise=stepwise))
    base = max(base, 0)
    missing = missing_of(offer, base)
    if missing is None:
        assert not stepwise
        assert found.worth(base * 1000, FIGURES) == found.worth(base, FIGURES)
    else:
        assert found.worth(base + missing, FIGURES) > found.worth(base, FIGURES)
        assert found.worth(base + missing - 1, FIGURES) == found.worth(base, FIGURES)


@given(
    fuel=st.integers(0, 10**7),
    volume_ml=st.integers(0, 10**6),
    share=st.integers(0, 10_000),
    floor=st.integers(0, 20_000),
    goods=st.integers(0, 5_000),
)
def test_row_c15_the_least_payable_amount_honours_every_limit_by_less_than_a_fen(
    fuel: int, volume_ml: int, share: int, floor: int, goods: int
) -> None:
    terms = Terms(share, floor, goods, goods // 2, 0)
    figures = terms.figures(volume_ml, fuel)
    least = figures.least_fen
    assert 0 <= least <= figures.listed_fen == fuel + goods
    floors = min(price_up(volume_ml, floor), fuel) + goods // 2
    assert least * 10_000 >= figures.listed_fen * (10_000 - share)
    assert least >= floors
    assert least == floors or (least - 1) * 10_000 < figures.listed_fen * (10_000 - share)
    assert (
        price_up(volume_ml, floor) * 10_000
        >= volume_ml * floor
        > (price_up(volume_ml, floor) - 1) * 10_000
    )
