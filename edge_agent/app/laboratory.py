"""The promotion laboratory: what another policy would have cost on sales that really happened.

Each recorded sale is priced again from its own facts. What a record does not know (a tag that was
given later, a coupon that nobody held) the laboratory does not know either, and customers are taken
to buy the same at another price. Only sums leave it: no sale and no member can be told from them.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from edge_agent.core.promotions import PriceDecided, decide_price
from edge_agent.model.policy import Policy, load_policy
from edge_agent.model.quote import BudgetFacts
from edge_agent.model.quote_record import request_of
from edge_agent.model.records import QuoteBody
from edge_agent.model.units import Money

CHUNK: Final = 2_000
"""Sales that a process is given at a time: their texts stay below some 8 MiB."""
NICENESS: Final = 10
"""The pumps come first."""
WAITING: Final = 2
"""Chunks that wait for each process."""


@dataclass(slots=True)
class OfferCost:
    """What one offer took off or gave, as it was sold and as the other policy would have had it."""

    sales_before: int = 0
    fen_before: int = 0
    sales_after: int = 0
    fen_after: int = 0
    points_before: int = 0
    points_after: int = 0
    pieces_before: int = 0
    """Goods that were handed out."""
    pieces_after: int = 0

    def add(self, other: OfferCost) -> None:
        """Add the sums over further sales."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


@dataclass(slots=True)
class Replay:
    """Sums over many sales, before (as they were sold) and after (under the other policy)."""

    sales: int = 0
    member_sales: int = 0
    unreadable: int = 0
    """Sales that an older version recorded without the facts to price them again."""
    first_ms: int | None = None
    last_ms: int | None = None
    list_amount_fen: int = 0
    payable_before_fen: int = 0
    payable_after_fen: int = 0
    points_before: int = 0
    points_after: int = 0
    cheaper_sales: int = 0
    dearer_sales: int = 0
    offers: dict[str, OfferCost] = field(default_factory=dict)

    @property
    def cost_fen(self) -> int:
        """What the other policy would have cost beside the one that was in force."""
        return self.payable_before_fen - self.payable_after_fen

    def offer(self, name: str) -> OfferCost:
        """Return the sums of an offer; they may still be nothing."""
        return self.offers.setdefault(name, OfferCost())

    def add(self, other: Replay) -> None:
        """Add the sums over further sales."""
        for name in (
            "sales", "member_sales", "unreadable", "list_amount_fen", "payable_before_fen",
            "payable_after_fen", "points_before", "points_after", "cheaper_sales", "dearer_sales",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self._span(other.first_ms, other.last_ms)
        for offer, cost in other.offers.items():
            self.offer(offer).add(cost)

    def _span(self, first_ms: int | None, last_ms: int | None) -> None:
        if first_ms is not None and (self.first_ms is None or first_ms < self.first_ms):
            self.first_ms = first_ms
        if last_ms is not None and (self.last_ms is None or last_ms > self.last_ms):
            self.last_ms = last_ms

    def count(self, sold: QuoteBody, policy: Policy, budgets: tuple[BudgetFacts, ...]) -> None:
        """Price one sale under the other policy and add it."""
        asked = request_of(sold)
        if budgets or asked.budgets:
            asked = replace(asked, budgets=budgets)
        decided = decide_price(asked, policy)
        self.sales += 1
        self.member_sales += sold.member_ref is not None
        self._span(sold.at_ms, sold.at_ms)
        self.list_amount_fen += sold.list_amount_fen
        self.payable_before_fen += sold.payable_fen
        self.payable_after_fen += decided.payable.fen
        self.points_before += sold.points_earned
        self.points_after += decided.points
        self.cheaper_sales += decided.payable.fen < sold.payable_fen
        self.dearer_sales += decided.payable.fen > sold.payable_fen
        self._count_offers_before(sold)
        self._count_offers_after(decided)

    def _count_offers_before(self, sold: QuoteBody) -> None:
        for line in sold.applied:
            cost = self.offer(line.offer)
            cost.sales_before += 1
            cost.fen_before += line.amount_fen
        for gift in sold.benefits:
            cost = self.offer(gift.offer)
            cost.sales_before += 1
            cost.points_before += gift.points
            cost.pieces_before += gift.pieces

    def _count_offers_after(self, decided: PriceDecided) -> None:
        for offer, amount in decided.applied:
            cost = self.offer(offer)
            cost.sales_after += 1
            cost.fen_after += amount.fen
        for offer, points, pieces in decided.given:
            cost = self.offer(offer)
            cost.sales_after += 1
            cost.points_after += points
            cost.pieces_after += pieces


def replayed(sales: Iterable[str], policy: Policy) -> Replay:
    """Price recorded sales again in this process. `sales` are bodies of `sale.settled`."""
    found, budgets = Replay(), _whole_budgets(policy)
    for body in sales:
        try:
            sold = _Sale.model_validate_json(body).quote
        except ValidationError:
            found.unreadable += 1
        else:
            found.count(sold, policy, budgets)
    return found


def replay(sales: Iterable[str], policy_json: str, processes: int) -> Replay:
    """Price recorded sales again, in several processes when there is enough to do.

    The sums do not depend on the number of processes. No more than a few chunks of sales are in
    memory at a time.

    Raises:
        PolicyRefused: the policy cannot be read.
    """
    policy, found = load_policy(policy_json), Replay()
    chunks = _chunks(sales)
    first = next(chunks, [])
    if processes < 2 or len(first) < CHUNK:
        for chunk in (first, *chunks):
            found.add(replayed(chunk, policy))
        return found
    # Started afresh: a process that was forked from one with threads may never get a lock.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _take_policy, (policy_json,)) as pool:
        running: deque[Future[Replay]] = deque([pool.submit(_replay_chunk, first)])
        for chunk in chunks:
            running.append(pool.submit(_replay_chunk, chunk))
            if len(running) > processes * WAITING:
                found.add(running.popleft().result())
        for future in running:
            found.add(future.result())
    return found


class _Sale(BaseModel):
    """Of a record of a sale, what pricing needs."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    quote: QuoteBody


class _OtherPolicy:
    """The policy that a process of the laboratory was started with."""

    policy: Policy


def _take_policy(policy_json: str) -> None:
    os.nice(NICENESS)
    gc.freeze()  # the policy stays: nothing of it needs looking at again
    _OtherPolicy.policy = load_policy(policy_json)


def _replay_chunk(sales: list[str]) -> Replay:
    return replayed(sales, _OtherPolicy.policy)


def _chunks(sales: Iterable[str]) -> Iterator[list[str]]:
    left = iter(sales)
    while chunk := list(islice(left, CHUNK)):
        yield chunk


def _whole_budgets(policy: Policy) -> tuple[BudgetFacts, ...]:
    """Return the budgets of the policy's campaigns as if nothing were spent of them yet."""
    return tuple(
        BudgetFacts(offer.id, Money(budget_fen))
        for _, offer in policy.all_offers()
        if (budget_fen := getattr(offer, "budget_fen", None)) is not None
    )
