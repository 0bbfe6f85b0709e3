"""Who comes to the stations, and what headquarters runs: members, coupons, a campaign."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Final

from edge_agent.model.ids import AccountRef, MemberRef

DAY_MS: Final = 86_400_000
TEMPLATE: Final = "voucher"
CAMPAIGN: Final = "campaign"
PRICE_SET: Final = "ps-1"
PRICE_MILLI: Final = 7_850
POLICY: Final = json.dumps(
    {
        "format": 1,
        "version": 1,
        "tiers": [
            {"code": "regular", "label_zh": "普通", "label_en": "regular", "text_zh": "普通",
             "text_en": "regular"},
        ],
        "offers": [
            {"id": CAMPAIGN, "kind": "amount_off", "off_fen": 120, "budget_fen": 400_000,
             "text_zh": "活动", "text_en": "campaign"},
        ],
        "coupon_templates": [
            {"valid_days": 40, "offer": {"id": TEMPLATE, "kind": "amount_off", "off_fen": 500,
             "group": "vouchers", "text_zh": "代金券", "text_en": "voucher"}},
        ],
        "points": {"per_yuan": 1, "redeem": {}},
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """A member, the account that pays, and the stations that the member is seen at."""

    ref: MemberRef
    account: AccountRef
    homes: tuple[str, ...]
    opens_account: bool = True
    """False for who shares the account of another."""


def people(chance: random.Random, stations: list[str], count: int) -> list[Person]:
    """Return members; every fifth shares an account with the one before."""
    found: list[Person] = []
    for number in range(count):
        own = number % 5 != 4
        account = AccountRef(f"a-{number}") if own else found[-1].account
        homes = tuple(chance.sample(stations, min(len(stations), chance.choice((1, 2, 2, 3)))))
        found.append(Person(MemberRef(f"m-{number}"), account, homes, own))
    return found
