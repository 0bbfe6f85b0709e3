"""What a station's policy may say: tiers, offers, points, limits, plate pay. Strict and versioned.

A policy is data that headquarters publishes as JSON. It says *what* holds; `core.promotions` says
how a price follows from it. Every `Policy` object makes sense by construction: what pydantic cannot
see in one value (an offer that saves more than is spent, a tier that nobody defined) is refused by
the validators here, so `load_policy` refuses a text as a whole or not at all.

Money is in fen, volume in millilitres, prices in thousandths of a yuan per litre, shares in basis
points (1 bp = 0.01 %), wall time in milliseconds since 1970 UTC; weekdays and hours are the
station's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from edge_agent.model.errors import PolicyRefused, Problem

MAX_POLICY_BYTES: Final = 1 << 20
MAX_OFFERS: Final = 200
MAX_ERRORS_NAMED: Final = 5
NO_POLICY_VERSION: Final = 0

Code: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
GradeCode: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+-]{1,16}$")]
Text: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=80)]
TimeOfDay: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")
]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Amount: TypeAlias = Annotated[int, Field(ge=1)]
Stage: TypeAlias = Literal["line", "basket"]


class PolicyPart(BaseModel):
    """Base of everything in a policy: strict, closed, immutable."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Tier(PolicyPart):
    """A level of membership. Headquarters decides who is in it; the station only looks it up."""

    code: Code
    label_zh: Text
    label_en: Text
    text_zh: Text
    """How it is reached and what it gives, for the screen."""
    text_en: Text


class Hours(PolicyPart):
    """A daily window from `start` to just before `end`; past midnight when `end` is earlier."""

    start: TimeOfDay
    end: TimeOfDay

    @property
    def start_minute(self) -> int:
        """Minutes since midnight."""
        return minute_of_day(self.start)

    @property
    def end_minute(self) -> int:
        """Minutes since midnight; 1440 for 24:00."""
        return minute_of_day(self.end)

    @model_validator(mode="after")
    def _is_a_window(self) -> Self:
        if self.start_minute % 1440 == self.end_minute and self.end_minute != 1440:
            raise ValueError("start and end are the same")
        if self.start == "24:00":
            raise ValueError("a window starts at 00:00, not at 24:00")
        return self


class Conditions(PolicyPart):
    """What must hold for an offer. What is absent is no condition."""

    grades: Annotated[tuple[GradeCode, ...], Field(min_length=1)] | None = None
    tiers: Annotated[tuple[Code, ...], Field(min_length=1)] | None = None
    valid_from_ms: Count | None = None
    valid_until_ms: Count | None = None
    """The first instant at which the offer is over."""
    weekdays: (
        Annotated[tuple[Annotated[int, Field(ge=1, le=7)], ...], Field(min_length=1)] | None
    ) = None
    """ISO weekdays: 1 is Monday, 7 is Sunday."""
    hours: Annotated[tuple[Hours, ...], Field(min_length=1, max_length=8)] | None = None
    min_volume_ml: Amount | None = None
    min_amount_fen: Amount | None = None
    """On the dispenser's own amount, before any offer."""

    @model_validator(mode="after")
    def _has_a_time(self) -> Self:
        start, end = self.valid_from_ms, self.valid_until_ms
        if start is not None and end is not None and start >= end:
            raise ValueError("valid_from_ms is not before valid_until_ms: it can never apply")
        return self


ANY: Final = Conditions()


class _Offer(PolicyPart):
    """What all offers share. Line offers count from the list amount, basket offers from what the
    line offers leave; within its stage, priority and id order the lines of a bill."""

    id: Code
    text_zh: Text
    text_en: Text
    group: Code | None = None
    """Of one group, one offer applies at most, and all are of one stage; None stacks with all."""
    priority: Annotated[int, Field(ge=0, le=999)] = 100
    """Lower comes first; the limits cut into the last."""
    conditions: Conditions = ANY


class PercentOff(_Offer):
    """A share of the amount. Percent offers exclude one another by default."""

    kind: Literal["percent_off"]
    stage: Stage = "line"
    group: Code | None = "percent"
    off_bp: Annotated[int, Field(ge=1, lt=10_000)]


class PerLitreOff(_Offer):
    """So much off each litre that the dispenser delivered."""

    kind: Literal["per_litre_off"]
    stage: Stage = "line"
    off_milli: Amount


class SpendSave(_Offer):
    """Spend X, save Y; stepwise: for each full X."""

    kind: Literal["spend_save"]
    stage: Stage = "basket"
    spend_fen: Amount
    save_fen: Amount
    stepwise: bool = False

    @model_validator(mode="after")
    def _saves_less_than_spent(self) -> Self:
        if self.save_fen >= self.spend_fen:
            raise ValueError("save_fen is not below spend_fen: the fuel would be free")
        return self


Offer: TypeAlias = Annotated[PercentOff | PerLitreOff | SpendSave, Field(discriminator="kind")]


class Points(PolicyPart):
    """Points earned on what was paid; parts of a yuan earn nothing."""

    per_yuan: Annotated[int, Field(ge=0, le=1000)] = 1


class Limits(PolicyPart):
    """What no combination of offers may exceed; the last offers are cut down to it."""

    max_discount_bp: Annotated[int, Field(ge=0, le=10_000)] = 10_000
    """Share of the list amount that all offers together may take off."""
    price_floors_milli: dict[GradeCode, Amount] = Field(default_factory=dict)
    """Margin floor: the lowest net price per litre by grade."""


class PlatePay(PolicyPart):
    """Charging stored value by number plate, for members who consented to it."""

    enabled: bool = False
    max_amount_fen: Count = 0
    """A dearer sale is paid at the till."""

    @model_validator(mode="after")
    def _allows_something(self) -> Self:
        if self.enabled and not self.max_amount_fen:
            raise ValueError("enabled with max_amount_fen 0: it can never apply")
        return self


class AutoAuthorise(PolicyPart):
    """Releasing a nozzle when it is lifted. Off by default: leaking valves sell phantom fuel."""

    enabled: bool = False
    nozzles: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Nozzle numbers; empty for all."""
    grades: tuple[GradeCode, ...] = ()
    """Empty for all."""

    def covers(self, nozzle: int, grade: str) -> bool:
        """Whether lifting this nozzle releases it."""
        named = not self.nozzles or nozzle in self.nozzles
        return self.enabled and named and (not self.grades or grade in self.grades)


class Policy(PolicyPart):
    """The policy of a station, in force as a whole under one version."""

    format: Literal[1]
    version: Count
    tiers: tuple[Tier, ...] = ()
    """From the lowest to the highest."""
    offers: Annotated[tuple[Offer, ...], Field(max_length=MAX_OFFERS)] = ()
    points: Points = Points()
    limits: Limits = Limits()
    plate_pay: PlatePay = PlatePay()
    auto_authorise: AutoAuthorise = AutoAuthorise()
    unpaid_limit: Annotated[int, Field(ge=1, le=9)] = 2
    """Payable transactions that may wait at one fuelling point."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _refuse_repeated("tiers", "code", [tier.code for tier in self.tiers])
        _refuse_repeated("offers", "id", [offer.id for offer in self.offers])
        self._refuse_torn_groups()
        self._refuse_free_fuel()
        known = [tier.code for tier in self.tiers]
        for index, offer in enumerate(self.offers):
            for tier in offer.conditions.tiers or ():
                if tier not in known:
                    raise ValueError(
                        f"offers[{index}].conditions.tiers: unknown tier {tier!r}"
                        f"{_nearest(tier, known)}"
                    )
        return self

    def _refuse_torn_groups(self) -> None:
        stages: dict[str, str] = {}
        for index, offer in enumerate(self.offers):
            if offer.group is not None and stages.setdefault(offer.group, offer.stage) != (
                offer.stage
            ):
                raise ValueError(
                    f"offers[{index}].stage: group {offer.group!r} has offers of both stages"
                )

    def _refuse_free_fuel(self) -> None:
        highest: dict[tuple[str, str], int] = {}
        for offer in self.offers:
            if isinstance(offer, PercentOff):
                slot = offer.stage, offer.group or f"offer {offer.id}"
                highest[slot] = max(highest.get(slot, 0), offer.off_bp)
        for stage in ("line", "basket"):
            if sum(off_bp for (where, _), off_bp in highest.items() if where == stage) >= 10_000:
                raise ValueError(f"offers: the percentages of stage {stage!r} stack up to 100 %")

    def tier(self, code: str) -> Tier | None:
        """Return the tier of this code, or None when this policy does not know it."""
        return next((tier for tier in self.tiers if tier.code == code), None)


def minute_of_day(time: str) -> int:
    """Return the minutes since midnight of a time written HH:MM."""
    return int(time[:2]) * 60 + int(time[3:])


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
    "percent_off": PercentOff,
    "per_litre_off": PerLitreOff,
    "spend_save": SpendSave,
    "conditions": Conditions,
    "hours": Hours,
    "points": Points,
    "limits": Limits,
    "plate_pay": PlatePay,
    "auto_authorise": AutoAuthorise,
}
_KINDS: Final = ("percent_off", "per_litre_off", "spend_save")


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


def _refuse_repeated(table: str, key: str, values: Sequence[str]) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{table}[{index}].{key}: {value!r} is there already")


NO_POLICY: Final = Policy(format=1, version=NO_POLICY_VERSION)
"""What holds until headquarters published a policy: the list price for everybody, no points."""
