"""What people at headquarters do while a station sells: hand coupons out, take money, lock cards.

Everything that they do changes what a station may spend, and reaches it as a catalogue sometime.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from edge_agent.model.canonical import Json
from edge_agent.model.errors import ConfigRefused
from edge_agent.sim.headquarters import SimHeadquarters
from edge_agent.sim.members import SimMember

PER_HOUR: Final = {"coupon": 8.0, "pay_in": 4.0, "lock": 1.0, "campaign": 0.7}
TEMPLATES: Final = (
    "spend-200-save-25", "percent-5", "only-92-save-10", "cash-20", "fixed-92-at-690",
    "litre-95-save-30", "each-100-save-8", "washer-fluid-at-10", "washer-fluid-gift",
    "points-3-times", "points-500", "bank-card-15", "newcomer-20", "birthday-100-save-15",
    "come-back-5", "car-wash",
)  # fmt: skip
"""Of the sample policy, of every kind of coupon."""
FIRST_COUPONS: Final = 24
DAY_MS: Final = 86_400_000
PROOF_ABOVE_FEN: Final = 25_000


@dataclass(slots=True)
class Desk:
    """The desk at headquarters; what it may not do by its own rules it leaves."""

    hq: SimHeadquarters
    members: Sequence[SimMember]
    chance: random.Random
    policy: str
    done: Counter[str] = field(default_factory=Counter)

    def open(self) -> None:
        """Hand out the coupons that members have when the day begins."""
        for _ in range(FIRST_COUPONS):
            self._coupon()

    async def run(self, until_ms: int) -> None:
        """Work until a monotonic time."""
        works: dict[str, Callable[[], Awaitable[None]]] = {
            "coupon": self._coupon_now, "pay_in": self._pay_in, "lock": self._lock,
            "campaign": self._campaign,
        }  # fmt: skip
        async with asyncio.TaskGroup() as group:
            for kind, work in works.items():
                group.create_task(self._again_and_again(kind, work, until_ms))

    async def _again_and_again(
        self, kind: str, work: Callable[[], Awaitable[None]], until_ms: int
    ) -> None:
        while True:
            pause_s = self.chance.expovariate(PER_HOUR[kind] / 3600)
            if self.hq.now_ms() + pause_s * 1000 >= until_ms:
                return
            await asyncio.sleep(pause_s)
            await work()

    async def _coupon_now(self) -> None:
        self._coupon()

    def _coupon(self) -> None:
        """Hand a coupon out; every third is nearly over when it comes."""
        member, template = self.chance.choice(self.members), self.chance.choice(TEMPLATES)
        lasts_ms = None if self.chance.random() < 0.7 else self.chance.randrange(DAY_MS // 12)
        try:
            self.hq.issue_coupon(template, member.ref, lasts_ms)
        except ConfigRefused:
            return  # the member has as many as the template allows
        self.done["coupon"] += 1

    async def _pay_in(self) -> None:
        member = self.chance.choice(self.members)
        if member.has_account and self.hq.pay_in(member.ref, self.chance.randint(50, 500) * 100):
            self.done["pay_in"] += 1

    async def _lock(self) -> None:
        """Somebody reports a card as lost, and finds it again (row R5)."""
        member = self.chance.choice(self.members)
        self.hq.lock(member.ref)
        self.done["lock"] += 1
        await asyncio.sleep(self.chance.uniform(60, 1_800))
        self.hq.unlock(member.ref)

    async def _campaign(self) -> None:
        """Publish the policy anew, with a campaign that has so much to spend."""
        self.done["campaign"] += 1
        budget_fen = self.chance.choice((500, 5_000, 50_000))
        self.hq.publish_policy(with_campaign(self.policy, 1 + self.done["campaign"], budget_fen))


def strict(policy: str) -> str:
    """Return a policy that asks for a proof of so little that many a fill needs one."""
    document: dict[str, dict[str, dict[str, Json]]] = json.loads(policy)
    for limits in document["classes"].values():
        limits["second_factor_above_fen"] = PROOF_ABOVE_FEN
    return json.dumps(document, ensure_ascii=False)


def with_campaign(policy: str, version: int, budget_fen: int) -> str:
    """Return a policy as a new version, with an offer that a budget limits."""
    document: dict[str, Json] = json.loads(policy)
    offers = document["offers"]
    assert isinstance(offers, list)  # noqa: S101 - our own sample policy
    campaign: Json = {
        "id": "campaign-3", "kind": "amount_off", "off_fen": 300, "group": "campaign",
        "budget_fen": budget_fen, "text_zh": "限量活动立减3元", "text_en": "Campaign: 3 off",
        "conditions": {"min_amount_fen": 5_000},
    }  # fmt: skip
    document |= {"version": version, "offers": [*offers, campaign]}
    return json.dumps(document, ensure_ascii=False)
