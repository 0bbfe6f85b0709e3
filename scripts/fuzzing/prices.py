"""Random prices: what must hold of each, whatever the policy and the question are."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from edge_agent.core.promotions import quote, requote
from edge_agent.model.errors import EdgeAgentError
from edge_agent.model.policy import Policy, load_policy
from edge_agent.model.quote import CouponFacts, Quote, QuoteRequest
from edge_agent.model.quote_record import body_of, explanation_hash
from edge_agent.model.records import QuoteBody
from edge_agent.model.units import Money, volume_for
from scripts.fuzzing import settling
from scripts.fuzzing.policies import MONDAY_MS, Json, a_size, lawful
from scripts.fuzzing.questions import a_question
from scripts.fuzzing.reference import Answer, TooMany, answer

PER_POLICY: Final = 10
SETTLED: Final = "settle then refund restores everything"
USELESS: Final[tuple[Json, ...]] = (
    {"kind": "percent_off", "off_bp": 900, "conditions": {"grades": ["E85"]}},
    {"kind": "amount_off", "off_fen": 500, "conditions": {"valid_until_ms": MONDAY_MS // 2}},
    {"kind": "spend_save", "spend_fen": 10**12, "save_fen": 5, "stage": "basket"},
    {"kind": "per_litre_off", "off_milli": 900, "conditions": {"stations": ["S-99"]}},
    {"kind": "item_off", "good": "cola", "off_fen": 9, "conditions": {"tags": ["nobody"]}},
    {"kind": "points_times", "times_bp": 50_000, "conditions": {"plate_colours": ["white"]}},
    {"kind": "free_item", "good": "cola", "conditions": {"grades": ["E85"]}},
)


@dataclass(frozen=True, slots=True)
class Case:
    """A policy, as JSON and read, one with a useless offer more, and a question."""

    content: Json
    policy: Policy
    with_useless: Policy
    request: QuoteRequest


@dataclass(frozen=True, slots=True)
class Trouble:
    """A case of which something does not hold."""

    seed: str
    number: int
    rule: str
    what: str
    case: Case


@dataclass(frozen=True, slots=True)
class Found:
    """What a chunk of cases came to."""

    cases: int
    compared: int
    """Cases that were few enough combinations to try them all."""
    settled: int
    applied: int
    """Lines, over all cases."""
    combinations: int
    largest: int
    """Most offers that took part in one case."""
    quoting_s: float
    troubles: tuple[Trouble, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """So many cases of one seed."""

    seed: str
    cases: int


def run(chunk: Chunk) -> Found:
    """Draw the cases of a chunk and hold each against everything that must be true of it."""
    chance = random.Random(chunk.seed)
    tally = _Tally()
    number = 0
    while number < chunk.cases:
        content, policy = lawful(chance, a_size(chance))
        extended = with_useless(content, chance)
        for _ in range(min(PER_POLICY, chunk.cases - number)):
            case = Case(content, policy, extended, a_question(chance, policy))
            found = list(tally.examine(case, random.Random(f"{chunk.seed}/{number}")))
            tally.troubles += [
                Trouble(chunk.seed, number, rule, what, case) for rule, what in found[:1]
            ]
            number += 1
    return tally.found(number)


def with_useless(content: Json, chance: random.Random) -> Policy:
    """Return the policy with one more offer, which can never apply or has no effect."""
    texts = {"text_zh": "无用", "text_en": "useless"}
    offer = {"id": "useless", **texts, **chance.choice(USELESS)}
    offers = [*content["offers"]]
    offers.insert(chance.randint(0, len(offers)), offer)
    return load_policy(json.dumps({**content, "offers": offers}))


def examine(case: Case, chance: random.Random) -> Iterator[tuple[str, str]]:
    """Yield what does not hold of a case, as the rule's name and in words."""
    yield from _Tally().examine(case, chance)


class _Tally:
    """Counts while cases are examined."""

    def __init__(self) -> None:
        self.troubles: list[Trouble] = []
        self._compared = self._settled = self._applied = self._combinations = self._largest = 0
        self._quoting_s = 0.0

    def examine(self, case: Case, chance: random.Random) -> Iterator[tuple[str, str]]:
        """Yield what does not hold, as the rule's name and in words."""
        began = time.perf_counter()
        quoted = quote(case.request, case.policy)
        self._quoting_s += time.perf_counter() - began
        self._applied += len(quoted.applied)
        self._largest = max(self._largest, len(case.policy.offers) + len(case.request.coupons))
        expected = None
        try:
            expected = answer(case.request, case.policy)
        except TooMany:
            pass
        else:
            self._compared += 1
            self._combinations += expected.combinations
        for name, rule in RULES.items():
            for what in rule(case, quoted, expected):
                yield name, what
        try:
            for what in settling.troubles(quoted, case.policy, chance):
                yield SETTLED, what
        except EdgeAgentError as error:
            yield SETTLED, str(error)
        self._settled += 1

    def found(self, cases: int) -> Found:
        """Return the counts."""
        return Found(
            cases, self._compared, self._settled, self._applied, self._combinations, self._largest,
            self._quoting_s, tuple(self.troubles),
        )  # fmt: skip


# --- the rules ----------------------------------------------------------------------------------


def _best(_: Case, quoted: Quote, expected: Answer | None) -> Iterator[str]:
    if expected is None:
        return
    named = tuple((_name(line.offer, line.coupon), line.amount.fen) for line in quoted.applied)
    given = frozenset(
        (_name(line.offer, line.coupon), line.pieces or line.points) for line in quoted.benefits
    )
    pairs: Sequence[tuple[str, object, object]] = (
        ("payable", quoted.payable.fen, expected.payable_fen),
        ("applied", named, expected.applied),
        ("benefits", given, expected.benefits),
        ("points", quoted.points_earned, expected.points),
    )
    for what, ours, theirs in pairs:
        if ours != theirs:
            yield f"{what}: {ours}, by trying everything {theirs}"


def _name(offer: str, coupon: str | None) -> str:
    return offer if coupon is None else f"{offer}#{coupon}"


def _sums(case: Case, quoted: Quote, _: Answer | None) -> Iterator[str]:
    off = sum(line.amount.fen for line in quoted.applied)
    if quoted.payable.fen != case.request.listed.fen - off:
        yield f"{quoted.payable.fen} is not {case.request.listed.fen} less {off}"
    if any(line.amount.fen <= 0 for line in quoted.applied):
        yield "a line takes nothing off, or adds"


def _floors(case: Case, quoted: Quote, _: Answer | None) -> Iterator[str]:
    """Never negative, never below the limits; worked out as inequalities, without rounding."""
    request, limits, payable = case.request, case.policy.limits, quoted.payable.fen
    if payable < 0:
        yield f"{payable} is negative"
    if (request.listed.fen - payable) * 10_000 > request.listed.fen * limits.max_discount_bp:
        yield f"{request.listed.fen - payable} off is above the largest discount"
    net = limits.price_floors_milli.get(request.grade, 0) * request.volume.ml
    goods = sum(
        line.pieces * good.floor_fen
        for line in request.goods
        if (good := case.policy.good(line.good)) is not None
    )
    # A dispenser whose own amount is below the floor is believed; it is no offer's doing.
    if (payable - goods) * 10_000 < min(net, request.amount.fen * 10_000):
        yield f"{payable} is below the margin floor"


def _offer_floors(case: Case, quoted: Quote, _: Answer | None) -> Iterator[str]:
    """No single offer leaves less than its own floor of what its stage began with."""
    request = case.request
    left = request.amount.fen
    for line in quoted.applied:
        if line.stage in {"pump", "line"} and line.offer[0] == "o":
            offer = next(each for each in case.policy.offers if each.id == line.offer)
            floor = getattr(offer, "floor_milli", None)
            short = floor is not None and (left - line.amount.fen) * 10_000 < min(
                floor * request.volume.ml, left * 10_000
            )
            if short and offer.kind != "item_off":
                yield f"{line.offer} alone undercuts its floor of {floor}"
        if line.stage == "pump":
            left -= line.amount.fen


def _complete(case: Case, quoted: Quote, _: Answer | None) -> Iterator[str]:
    """Each offer and each coupon is named once, as applied, given or refused."""
    named = [_name(line.offer, line.coupon) for line in quoted.applied]
    named += [_name(line.offer, line.coupon) for line in quoted.benefits]
    named += [_name(line.offer, line.coupon) for line in quoted.rejected]
    due = [offer.id for offer in case.policy.offers]
    due += [_name(coupon.template, coupon.serial) for coupon in case.request.coupons]
    if sorted(named) != sorted(due):
        yield f"named are {sorted(named)}, due {sorted(due)}"


def _useless(case: Case, quoted: Quote, _: Answer | None) -> Iterator[str]:
    found = quote(case.request, case.with_useless)
    rest = tuple(line for line in found.rejected if line.offer != "useless")
    if len(found.rejected) != len(rest) + 1 or replace(found, rejected=rest) != quoted:
        yield "an offer that is of no use changed the answer"
    stray = CouponFacts("stray", "no-such-template", 0, MONDAY_MS * 2)
    asked = replace(case.request, coupons=(*case.request.coupons, stray))
    found = quote(asked, case.policy)
    rest = tuple(line for line in found.rejected if line.coupon != "stray")
    if replace(found, rejected=rest, request=case.request) != quoted:
        yield "a coupon that is of no use changed the answer"


def _reached(case: Case, quoted: Quote, _: Answer | None) -> Iterator[str]:
    """The next step is what it says: that preset costs so much, and a litre of it costs less."""
    step = quoted.next_step
    if step is None:
        return
    amount, now = Money(step.preset_amount_fen), case.request.amount
    volume = volume_for(amount, case.request.unit_price)
    then = quote(replace(case.request, amount=amount, volume=volume), case.policy)
    if then.payable.fen != step.payable_fen:
        yield f"the preset of {amount} costs {then.payable}, told was {Money(step.payable_fen)}"
    if amount <= now or amount.fen % 100:
        yield f"a preset of {amount} is no next step from {now}"


def _replayed(case: Case, quoted: Quote, _: Answer | None) -> Iterator[str]:
    body = body_of(quoted)
    text = body.model_dump_json()
    again = requote(QuoteBody.model_validate_json(text), case.policy)
    if again != body:
        yield "the explanation replayed is another one"
    if explanation_hash(again) != explanation_hash(body):
        yield "the explanation replayed has another hash"


Rule = Callable[[Case, Quote, Answer | None], Iterator[str]]
RULES: Final[dict[str, Rule]] = {
    "equal to trying everything": _best,
    "the sum of the lines is the total": _sums,
    "never negative, never below a floor": _floors,
    "no offer below its own floor": _offer_floors,
    "every offer is answered for": _complete,
    "a useless offer changes nothing": _useless,
    "the next step is what it says": _reached,
    "the explanation replayed gives the same": _replayed,
}
