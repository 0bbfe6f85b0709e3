"""Reads a policy from JSON text: as a whole or not at all, naming what is wrong and meant.

`load_policy` reads one that is in force or tried out: well formed, consistent and lawful.
`accept_policy` is for those who bring one into force, and asks for sense as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from edge_agent.model.errors import PolicyRefused, Problem
from edge_agent.model.policy.breach import Breach, PolicyUnlawful
from edge_agent.model.policy.calendar import Calendar
from edge_agent.model.policy.complaints import in_chinese
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
from edge_agent.model.policy.soundness import breaches

MAX_POLICY_BYTES: Final = 1 << 20
MAX_ERRORS_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Examination:
    """What is wrong with the text of a policy; `policy` is None when it cannot be read at all."""

    policy: Policy | None
    problem: Problem | None
    """What kind of fault it is; None where nothing is wrong."""
    breaches: tuple[Breach, ...]

    @property
    def ok(self) -> bool:
        """Whether the policy may come into force."""
        return not self.breaches


def load_policy(json_text: str, file: str = "policy") -> Policy:
    """Read a policy.

    Raises:
        PolicyRefused: it is no JSON, has an unknown key or a value that makes no sense, or is
            unlawful; `detail` names the file, the place and the nearest known key.
    """
    found = _read(json_text)
    if found.policy is None:
        raise _refused(found, file)
    return found.policy


def accept_policy(json_text: str, file: str = "policy") -> Policy:
    """Read a policy that is about to come into force.

    Raises:
        PolicyRefused: as `load_policy`, or it makes no sense (`policy_unsound`): `detail` names
            each rule that it breaks.
    """
    found = examine_policy(json_text)
    if found.policy is None or not found.ok:
        raise _refused(found, file)
    return found.policy


def examine_policy(json_text: str) -> Examination:
    """Say everything that is wrong with a policy, without refusing it."""
    found = _read(json_text)
    if found.policy is None:
        return found
    wrong = tuple(breaches(found.policy))
    return Examination(found.policy, _UNSOUND if wrong else None, wrong)


def _read(json_text: str) -> Examination:
    if len(json_text.encode()) > MAX_POLICY_BYTES:
        return _unreadable(_MALFORMED, f"larger than {MAX_POLICY_BYTES} bytes")
    try:
        json.loads(json_text, object_pairs_hook=refuse_repeated_keys)
    except (ValueError, RecursionError) as error:
        return _unreadable(_MALFORMED, str(error))
    try:
        return Examination(Policy.model_validate_json(json_text), None, ())
    except ValidationError as error:
        details = _innermost(error.errors(include_url=False, include_input=False))
        wrong = [breach for each in details for breach in _breaches_of(each)]
        return Examination(None, _problem_of(details), tuple(wrong))


def _unreadable(problem: Problem, detail: str) -> Examination:
    return Examination(None, problem, (Breach(problem.code, "", problem.text_zh, detail),))


def _refused(found: Examination, file: str) -> PolicyRefused:
    named = [f"{file}: {_line(each)}" for each in found.breaches[:MAX_ERRORS_NAMED]]
    if len(found.breaches) > MAX_ERRORS_NAMED:
        named.append(f"and {len(found.breaches) - MAX_ERRORS_NAMED} more")
    return PolicyRefused(found.problem or _MALFORMED, "; ".join(named))


def _line(breach: Breach) -> str:
    """Return a breach in words, with its rule where that says more than the refusal's own code."""
    if breach.rule in _FORMS:
        return f"{breach.place}: {breach.text_en}" if breach.place else breach.text_en
    return str(breach)


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
_UNSOUND: Final = Problem(
    "policy_unsound",
    "政策不合理，未予采用",
    "the policy makes no sense and is not used",
)
_FORMS: Final = frozenset(
    problem.code for problem in (_MALFORMED, _UNKNOWN_KEY, _BAD_VALUE, _SENSELESS)
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
_NEAREST: Final = "; nearest known is"
_NAMED: Final = re.compile(r"([a-z_]+(?:\[\d+\])?(?:\.[a-z_]+)*): (.+)", re.DOTALL)
"""What is wrong with the policy as a whole names its place itself."""


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


def _breaches_of(error: ErrorDetails) -> Iterator[Breach]:
    """Yield what one complaint of pydantic means: place, what is wrong, what was probably meant."""
    context = error.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, PolicyUnlawful):
        yield from cause.breaches
        return
    place = _place(error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    if not place and (named := _NAMED.match(message)):
        place, message = named.groups()
    hint = ""
    if error["type"] == "extra_forbidden":
        hint = nearest_of(str(error["loc"][-1]), _known_keys(error["loc"]))
        message = f"unknown key{hint}"
    elif error["type"] == "union_tag_invalid":
        tag = str(context.get("tag", ""))
        hint = nearest_of(tag, _KINDS)
        message, place = f"unknown kind {tag!r}{hint}", f"{place}.kind"
    problem = _problem_of([error])
    text_zh = in_chinese(error) or problem.text_zh
    yield Breach(problem.code, place, text_zh + hint.replace(_NEAREST, "；最接近的是"), message)


def _place(steps: Iterable[int | str]) -> str:
    place = ""
    for step in steps:
        if isinstance(step, int):
            place += f"[{step}]"
        elif step not in _KINDS:
            place += f".{step}" if place else step
    return place


def _known_keys(loc: Sequence[int | str]) -> list[str]:
    for step in reversed(loc[:-1]):
        if isinstance(step, str) and step in _PARTS:
            return list(_PARTS[step].model_fields)
    return list(Policy.model_fields)


def nearest_of(word: str, known: Iterable[str]) -> str:
    """Return what is added to an unknown word: the nearest known one, if any is near."""
    near = get_close_matches(word, list(known), n=1)
    return f"{_NEAREST} {near[0]!r}" if near else ""


def refuse_repeated_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make a table of a JSON object, for `json.loads`.

    Raises:
        ValueError: a key stands in it twice, of which a reader would take one without a word.
    """
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in one table")
        found[key] = value
    return found
