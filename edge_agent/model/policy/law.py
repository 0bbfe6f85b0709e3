"""What no policy may say, because the law forbids it: prepaid cards, referral.

No `Policy` object ever breaks one of these rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edge_agent.model.policy.breach import Breach
from edge_agent.model.policy.limits import (
    BEARER_CARD_CEILING,
    NAMED_CARD_CEILING,
    REFERRAL_CEILING,
)

if TYPE_CHECKING:
    from edge_agent.model.policy.policy import Policy


def unlawful(policy: Policy) -> Iterator[Breach]:
    """Yield the laws that a policy breaks (rows V12, D8, Z9)."""
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
