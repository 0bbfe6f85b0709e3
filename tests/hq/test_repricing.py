"""A price is decided again from the facts in its record: to the fen, and to the word."""

from __future__ import annotations

import pytest

from edge_agent.model.policy import NO_POLICY, load_policy
from edge_agent.model.quote_record import explanation_hash, without_words
from hq.repricing import reprice
from tests.hq_kit import POLICY_1, completed, priced

POLICY = load_policy(POLICY_1)
QUOTED = priced(completed(1), POLICY, "silver")
RECORDED = without_words(QUOTED)


def test_an_honest_price_is_the_same_here_with_every_word_of_its_explanation() -> None:
    again = reprice(RECORDED, POLICY)
    assert again.difference is None
    assert again.explanation_sha256 == explanation_hash(QUOTED)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"payable_fen": QUOTED.payable_fen - 1}, "payable_fen"),
        ({"list_amount_fen": QUOTED.list_amount_fen + 1}, "list_amount_fen"),
        ({"points_earned": QUOTED.points_earned + 1}, "points_earned"),
        ({"applied": []}, "applied"),
        ({"tier": None, "member_ref": None}, "applied"),
    ],
)
def test_what_differs_is_named(changes: dict[str, object], named: str) -> None:
    found = reprice(RECORDED.model_copy(update=changes), POLICY).difference
    assert found is not None
    assert named in found


def test_another_policy_and_senseless_facts_give_no_price() -> None:
    assert reprice(RECORDED, NO_POLICY).explanation_sha256 is None
    assert "cannot be priced" in str(reprice(RECORDED, NO_POLICY).difference)
    senseless = RECORDED.model_copy(update={"volume_ml": -1})
    assert "cannot be priced" in str(reprice(senseless, POLICY).difference)
