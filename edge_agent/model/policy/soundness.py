"""What a policy may not say although every value in it is well formed: the law, and sense.

Each rule has a code that error messages, `edge-agent policy check` and `docs/pricing.md` name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.model.policy.limits import (
    BEARER_CARD_CEILING,
    NAMED_CARD_CEILING,
    REFERRAL_CEILING,
)

if TYPE_CHECKING:
    from edge_agent.model.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that a policy breaks: the rule's code, where, and what to do in both languages."""

    rule: str
    place: str
    text_zh: str
    text_en: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text_en} [{self.rule}]"


def breaches(policy: Policy) -> list[Breach]:
    """Return every rule that the policy breaks, in the order of the policy."""
    return [*_law(policy)]


def _law(policy: Policy) -> Iterator[Breach]:
    value = policy.stored_value
    if value.named_cap_fen > NAMED_CARD_CEILING:
        yield Breach(
            "prepaid_named_cap",
            "stored_value.named_cap_fen",
            "记名卡余额上限不得超过5000元",
            "a named card may hold 5,000 yuan at most",
        )
    if value.bearer_cap_fen > BEARER_CARD_CEILING:
        yield Breach(
            "prepaid_bearer_cap",
            "stored_value.bearer_cap_fen",
            "不记名卡余额上限不得超过1000元",
            "a bearer card may hold 1,000 yuan at most",
        )
    if policy.referral.levels > REFERRAL_CEILING:
        yield Breach(
            "referral_depth",
            "referral.levels",
            "推荐层级不得超过两级",
            "referral may have two levels at most",
        )
