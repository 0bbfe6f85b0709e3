"""Reads a policy from JSON text: as a whole or not at all, naming what is wrong and meant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from edge_agent.model.errors import PolicyRefused, Problem
from edge_agent.model.policy.calendar import Calendar
from edge_agent.model.policy.coupons import CouponTemplate
from edge_agent.model.policy.limits import (
    AutoAuthorise,
    ClassLimits,
    Limits,
    PlatePay,
    Referral,
    StoredValue,
)
from edge_agent.model.policy.offers import OFFER_KINDS, Conditions, Experiment, VisitRule
from edge_agent.model.policy.parts import Hours, PolicyPart
from edge_agent.model.policy.points import Points, Redemption
from edge_agent.model.policy.policy import Good, Grade, Policy, Tier

MAX_POLICY_BYTES: Final = 1 << 20
MAX_ERRORS_NAMED: Final = 5


def load_policy(json_text: str, file: str = "policy") -> Policy:
    """Read a policy.

    Raises:
        PolicyRefused: it is no JSON, has an unknown key or a value that makes no sense; `detail`
            names the file, the place and the nearest known key.
    """
    if len(json_text.encode()) > MAX_POLICY_BYTES:
        raise PolicyRefused(_MALFORMED, f"{file}: larger than {MAX_POLICY_BYTES} bytes")
    try:
        json.loads(json_text, object_pairs_hook=_refuse_twice)
    except (ValueError, RecursionError) as error:
        raise PolicyRefused(_MALFORMED, f"{file}: {error}") from None
    try:
        return Policy.model_validate_json(json_text)
    except ValidationError as error:
        details = _innermost(error.errors(include_url=False, include_input=False))
        named = [f"{file}: {_explained(each)}" for each in details[:MAX_ERRORS_NAMED]]
        if len(details) > MAX_ERRORS_NAMED:
            named.append(f"and {len(details) - MAX_ERRORS_NAMED} more")
        raise PolicyRefused(_problem_of(details), "; ".join(named)) from None


_MALFORMED: Final = Problem(
    "policy_malformed", "政策文件不是有效的JSON", "the policy is not a valid JSON text"
)
_UNKNOWN_KEY: Final = Problem(
    "policy_key_unknown", "政策含有未知的键，请核对拼写", "the policy has an unknown key"
)
_BAD_VALUE: Final = Problem(
    "policy_value_refused", "政策中的值缺失或不合规则", "a value of the policy is missing or wrong"
)
_SENSELESS: Final = Problem(
    "policy_senseless", "政策自相矛盾，未予采用", "the policy contradicts itself and is not used"
)

_PARTS: Final[Mapping[str, type[PolicyPart]]] = {
    "tiers": Tier,
    "grades": Grade,
    "goods": Good,
    **OFFER_KINDS,
    "coupon_templates": CouponTemplate,
    "conditions": Conditions,
    "hours": Hours,
    "visit": VisitRule,
    "experiment": Experiment,
    "calendar": Calendar,
    "points": Points,
    "redeem": Redemption,
    "limits": Limits,
    "classes": ClassLimits,
    "stored_value": StoredValue,
    "referral": Referral,
    "plate_pay": PlatePay,
    "auto_authorise": AutoAuthorise,
}
_KINDS: Final = tuple(OFFER_KINDS)


def _innermost(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Drop what only follows from an error deeper inside: a list too short without a bad item."""
    places = [each["loc"] for each in details]
    return [
        each
        for each in details
        if not any(
            len(p) > len(each["loc"]) and p[: len(each["loc"])] == each["loc"] for p in places
        )
    ]


def _problem_of(details: Sequence[ErrorDetails]) -> Problem:
    kinds = {each["type"] for each in details}
    if "extra_forbidden" in kinds:
        return _UNKNOWN_KEY
    return _SENSELESS if kinds == {"value_error"} else _BAD_VALUE


def _explained(error: ErrorDetails) -> str:
    """One line: place, what is wrong, and what was probably meant."""
    place = ""
    for step in error["loc"]:
        if isinstance(step, int):
            place += f"[{step}]"
        elif step not in _KINDS:
            place += f".{step}" if place else step
    message, context = error["msg"].removeprefix("Value error, "), error.get("ctx", {})
    if error["type"] == "extra_forbidden":
        message = "unknown key" + _nearest(str(error["loc"][-1]), _known_keys(error["loc"]))
    elif error["type"] == "union_tag_invalid":
        tag = str(context.get("tag", ""))
        message, place = f"unknown kind {tag!r}{_nearest(tag, _KINDS)}", f"{place}.kind"
    return f"{place}: {message}" if place else message


def _known_keys(loc: Sequence[int | str]) -> list[str]:
    for step in reversed(loc[:-1]):
        if isinstance(step, str) and step in _PARTS:
            return list(_PARTS[step].model_fields)
    return list(Policy.model_fields)


def _nearest(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f"; nearest known is {near[0]!r}" if near else ""


def _refuse_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in one table")
        found[key] = value
    return found
