"""A few hundred random prices, and planted bugs, each of which the fuzzer has to find."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent.app.quote_case import quote_case
from edge_agent.core import combination, earning, leases, pricing, slot_search, worth
from edge_agent.core.promotions import quote
from edge_agent.core.worth import Bid
from scripts.fuzzing import __main__ as fuzz
from scripts.fuzzing import casefile, prices, shrinking
from scripts.fuzzing.policies import a_size, lawful
from scripts.fuzzing.prices import Chunk, Found, run
from scripts.fuzzing.questions import a_question
from scripts.fuzzing.reference import answer

CASES = 150


def test_random_prices_keep_every_rule() -> None:
    found = run(Chunk("test", CASES))
    assert [f"{each.rule}: {each.what}" for each in found.troubles] == []
    assert found.cases == found.settled == CASES
    assert found.compared > CASES * 0.95
    assert found.applied > CASES // 2


def test_the_same_seed_draws_the_same_cases() -> None:
    one, other = run(Chunk("again", 30)), run(Chunk("again", 30))
    assert (one.applied, one.combinations) == (other.applied, other.combinations)


def test_policies_have_every_kind_of_offer() -> None:
    kinds = set()
    for number in range(150):
        chance = random.Random(number)
        _, policy = lawful(chance, a_size(chance))
        kinds |= {offer.kind for _, offer in policy.all_offers()}
    assert len(kinds) == 9


# --- planted bugs -------------------------------------------------------------------------------

PATCHES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {}


def planted(plant: Callable[[pytest.MonkeyPatch], None]) -> Callable[[pytest.MonkeyPatch], None]:
    PATCHES[plant.__name__] = plant
    return plant


def _bidding(patch: pytest.MonkeyPatch, change: Callable[[Bid], Bid]) -> None:
    """Let every offer make another bid."""
    bid_of = worth.bid_of
    patch.setattr(pricing, "bid_of", lambda *given: change(bid_of(*given)))


@planted
def rounds_down(patch: pytest.MonkeyPatch) -> None:
    def floored(bid: Bid) -> Bid:
        if bid.offer.kind != "percent_off":
            return bid
        off_bp = bid.offer.off_bp
        return bid._replace(saves=lambda base, _: base * off_bp // 10_000)

    _bidding(patch, floored)


@planted
def burns_coupons(patch: pytest.MonkeyPatch) -> None:
    def most_coupons(hands: combination._Hands) -> int:
        for count in reversed(range(len(hands.coupons) + 1)):
            hands.count = count
            found = hands.reaching(0)
            if found is not None:
                return found
        raise ValueError("no combination reaches the limit")

    patch.setattr(combination._Hands, "fewest_coupons", most_coupons)
    _bidding(patch, lambda bid: bid._replace(merit=bid.bit))


@planted
def stacks_whatever_it_likes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(combination, "_names", lambda one, other: True)


@planted
def forgets_the_largest_discount(patch: pytest.MonkeyPatch) -> None:
    figures = worth.Terms.figures
    patch.setattr(
        worth.Terms, "figures", lambda self, *given: figures(self, *given)._replace(least_fen=0)
    )


@planted
def forgets_margin_floors_of_offers(patch: pytest.MonkeyPatch) -> None:
    _bidding(patch, lambda bid: bid._replace(floor_milli=0))


@planted
def cuts_the_first_lines(patch: pytest.MonkeyPatch) -> None:
    order = pricing._cut_order
    patch.setattr(
        pricing, "_cut_order", lambda worths, place: tuple(-part for part in order(worths, place))
    )


@planted
def lets_a_whole_group_apply(patch: pytest.MonkeyPatch) -> None:
    _bidding(patch, lambda bid: bid._replace(slot=f"offer {bid.candidate.name}"))


@planted
def never_leaves_an_offer_out(patch: pytest.MonkeyPatch) -> None:
    sums = slot_search._sums
    patch.setattr(slot_search, "_sums", lambda slots, bound: sums(slots, 0))


@planted
def earns_on_what_points_paid(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(earning, "redeemed_fen", lambda points, rules: 0)


@planted
def keeps_what_a_refund_owes(patch: pytest.MonkeyPatch) -> None:
    given_back = leases.given_back
    patch.setattr(
        leases,
        "given_back",
        lambda moved: [body for body in given_back(moved) if body.asset != "budget"],
    )


@pytest.mark.parametrize("bug", PATCHES)
def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    PATCHES[bug](monkeypatch)
    for number in range(20):
        if run(Chunk(f"bugs {number}", 40)).troubles:
            return
    pytest.fail("nobody noticed")


def test_a_failing_case_is_made_small_and_can_be_priced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lets_a_whole_group_apply(monkeypatch)
    options = ["prices", "--cases", "100", "--seed", "3", "--jobs", "1", "--json"]
    assert fuzz.main([*options, "--out", str(tmp_path)]) == fuzz.FAILED
    report: dict[str, Any] = json.loads(capsys.readouterr().out)[0]
    assert not report["ok"]
    assert report["failures"] >= len(report["failed"]) > 0
    text = Path(report["failed"][0]["file"]).read_text(encoding="utf-8")
    case = json.loads(text)
    assert len(case["policy"]["offers"]) + len(case["coupons"]) <= 4
    priced = json.loads(quote_case(text, lambda _: ""))
    assert priced["payable_fen"] >= 0


def test_a_case_file_says_the_whole_question(tmp_path: Path) -> None:
    for number in range(40):
        chance = random.Random(f"file {number}")
        content, policy = lawful(chance, a_size(chance))
        request = a_question(chance, policy)
        case = prices.Case(content, policy, policy, request)
        file = casefile.write(prices.Trouble("s", number, "rule", "what", case), case, tmp_path)
        priced = json.loads(quote_case(file.read_text(encoding="utf-8"), lambda _: ""))
        quoted = quote(request, policy)
        assert priced["payable_fen"] == quoted.payable.fen == answer(request, policy).payable_fen
        assert priced["points_earned"] == quoted.points_earned
        assert [line["offer"] for line in priced["applied"]] == [
            line.offer for line in quoted.applied
        ]


def test_what_is_sound_cannot_be_made_smaller() -> None:
    chance = random.Random("sound")
    content, policy = lawful(chance, a_size(chance))
    useless = prices.with_useless(content, chance)
    case = prices.Case(content, policy, useless, a_question(chance, policy))
    trouble = prices.Trouble("sound", 0, "no such rule", "", case)
    assert shrinking.shrunk(trouble) is case


def test_processes_share_the_work(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["prices", "--cases", "40", "--seed", "5", "--jobs", "2", "--out", str(tmp_path)]
    assert fuzz.main(arguments) == 0
    said = capsys.readouterr().out
    assert said.startswith("prices: ok\n  seed: 5\n  cases: 40\n")
    assert f"rule: {next(iter(prices.RULES))}" in said


def test_nothing_is_lost_between_chunks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Chunk] = []

    def work(chunk: Chunk) -> Found:
        seen.append(chunk)
        return Found(chunk.cases, 0, 0, 0, 0, 0, 0.0, ())

    monkeypatch.setattr(prices, "run", work)
    arguments = ["prices", "--cases", "1234", "--jobs", "1", "--out", str(tmp_path)]
    assert fuzz.main(arguments) == 0
    assert sum(chunk.cases for chunk in seen) == 1234
    assert len({chunk.seed for chunk in seen}) == len(seen)
