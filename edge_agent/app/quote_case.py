"""One price question as JSON, answered as JSON: what `edge-agent quote FILE` does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, TypeAlias

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from edge_agent.core.promotions import quote
from edge_agent.model.canonical import Json
from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.model.ids import GradeId, MemberRef
from edge_agent.model.policy import NO_POLICY, Policy, load_policy
from edge_agent.model.policy.offers import PlateColourName
from edge_agent.model.policy.reading import nearest_of, refuse_repeated_keys
from edge_agent.model.quote import (
    AppliedLine,
    BenefitLine,
    BudgetFacts,
    CouponFacts,
    GoodsLine,
    MemberFacts,
    Paying,
    Quote,
    QuoteRequest,
    RejectedLine,
)
from edge_agent.model.records import NextStep
from edge_agent.model.tenders import TenderMeans
from edge_agent.model.units import Money, UnitPrice, Volume, amount_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_MINUTE: Final = timedelta(minutes=1)
_DAY_MS: Final = 86_400_000
_Count: TypeAlias = Annotated[int, Field(ge=0, lt=2**53)]
CASE_REFUSED: Final = Problem(
    "quote_case_refused", "算价用例格式不对", "the quote case is malformed"
)

ReadPolicy = Callable[[str], str]
"""Returns the text of the policy that a case names by path."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Buyer(_Part):
    ref: str = "case"
    tier: str
    tags: tuple[str, ...] = ()
    birthday_week: bool = False
    first_fill: bool = False
    visit_number: Annotated[int, Field(ge=1)] | None = None
    """This fill's number in the calendar month at this station."""


class _Delivery(_Part):
    grade: str
    volume_ml: _Count
    unit_price_milli: _Count
    amount_fen: _Count | None = None
    """The dispenser's own amount; volume times price when absent."""


class _Coupon(_Part):
    template: str
    serial: str | None = None
    """Absent: the coupon's place in the case."""
    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None
    """The first instant at which it is over; absent: a day after the sale."""


class _Goods(_Part):
    good: str
    pieces: Annotated[int, Field(ge=1, le=10_000)] = 1
    amount_fen: _Count | None = None
    """All pieces; at the policy's price when absent."""


class _Case(_Part):
    about: str = ""
    policy: str | dict[str, object] | None = None
    """A path, the policy itself, or null for none."""
    member: _Buyer | None = None
    fuelling: _Delivery
    at: AwareDatetime
    """Wall time with the station's offset from UTC."""
    station: str = ""
    plate_colour: PlateColourName | None = None
    goods: tuple[_Goods, ...] = ()
    coupons: tuple[_Coupon, ...] = ()
    paying: TenderMeans | None = None
    """What takes what the others leave; null while nobody knows."""
    paid_otherwise_fen: _Count = 0
    points_redeemed: _Count = 0
    budgets: dict[str, _Count] = Field(default_factory=dict)
    """What is left of campaigns' budgets, in fen by offer."""


_PARTS: Final[Mapping[int | str, type[_Part]]] = {
    "member": _Buyer,
    "fuelling": _Delivery,
    "goods": _Goods,
    "coupons": _Coupon,
}


def quote_case(case_json: str, read_policy: ReadPolicy) -> str:
    """Price one case: policy, member, fuelling, time. The answer is JSON with sorted keys.

    Raises:
        SaleRefused: the case is malformed (`quote_case_refused`); `detail` names the place.
        PolicyRefused: the policy is.
    """
    case = _read(case_json)
    policy = _policy(case, read_policy)
    answer = answer_of(quote(_request(case, policy), policy))
    answer["doubts"] = _doubts(case, policy)
    return json.dumps(answer, ensure_ascii=False, indent=2, sort_keys=True)


def _read(case_json: str) -> _Case:
    try:
        json.loads(case_json, object_pairs_hook=refuse_repeated_keys)
        return _Case.model_validate_json(case_json)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise SaleRefused(CASE_REFUSED, "; ".join(map(_complaint, found))) from None
    except (ValueError, RecursionError) as error:
        raise SaleRefused(CASE_REFUSED, str(error)) from None


def _complaint(error: ErrorDetails) -> str:
    """Return where a case is wrong and how, with what was probably meant."""
    steps, message = error["loc"], error["msg"]
    if error["type"] == "extra_forbidden":
        table = next((_PARTS[step] for step in reversed(steps[:-1]) if step in _PARTS), _Case)
        message = "unknown key" + nearest_of(str(steps[-1]), table.model_fields)
    elif error["type"] == "timezone_aware":
        message = "the offset from UTC is missing, such as +08:00"
    place = ".".join(map(str, steps))
    return f"{place}: {message}" if place else message


def _doubts(case: _Case, policy: Policy) -> list[Json]:
    """Say what is allowed, since a station may meet it, but in a case was probably not meant."""
    found: list[Json] = []
    tiers, grades = [each.code for each in policy.tiers], [each.code for each in policy.grades]
    tier, grade = None if case.member is None else case.member.tier, case.fuelling.grade
    if tier is not None and tiers and tier not in tiers:
        near = nearest_of(tier, tiers)
        found.append(f"member.tier: the policy has no tier {tier!r}{near}")
    if grades and grade not in grades:
        known = ", ".join(grades)
        found.append(f"fuelling.grade: the policy has no grade {grade!r}; it has {known}")
    if case.paid_otherwise_fen and case.paying is None:
        found.append("paid_otherwise_fen: counts only with paying, what takes the rest")
    return found


def answer_of(quoted: Quote) -> dict[str, Json]:
    """Return a quote in the keys that `edge-agent quote` keeps stable."""
    step, request = quoted.next_step, quoted.request
    return {
        "list_amount_fen": request.listed.fen,
        "fuel_amount_fen": request.amount.fen,
        "goods": [
            {"good": line.good, "pieces": line.pieces, "amount_fen": line.amount.fen}
            for line in request.goods
        ],
        "payable_fen": quoted.payable.fen,
        "applied": [
            {
                "offer": line.offer,
                "amount_fen": line.amount.fen,
                "stage": line.stage,
                "coupon": line.coupon,
                **_texts(line),
            }
            for line in quoted.applied
        ],
        "rejected": [
            {
                "offer": line.offer,
                "reason": line.reason.value,
                "missing": line.missing,
                "coupon": line.coupon,
                **_texts(line),
            }
            for line in quoted.rejected
        ],
        "benefits": [
            {
                "offer": line.offer,
                "good": line.good,
                "pieces": line.pieces,
                "points": line.points,
                "coupon": line.coupon,
                **_texts(line),
            }
            for line in quoted.benefits
        ],
        "points_earned": quoted.points_earned,
        "next_step": None
        if step is None
        else {
            "offer": step.offer,
            "preset_amount_fen": step.preset_amount_fen,
            "payable_fen": step.payable_fen,
            **_texts(step),
        },
        "policy_version": quoted.policy_version,
    }


def _texts(line: AppliedLine | RejectedLine | BenefitLine | NextStep) -> dict[str, Json]:
    return {"text": line.text_zh, "text_en": line.text_en}


def _policy(case: _Case, read_policy: ReadPolicy) -> Policy:
    if case.policy is None:
        return NO_POLICY
    if isinstance(case.policy, str):
        return load_policy(read_policy(case.policy), case.policy)
    return load_policy(json.dumps(case.policy), "policy")


def _request(case: _Case, policy: Policy) -> QuoteRequest:
    delivery, buyer, at_ms = case.fuelling, case.member, _milliseconds(case.at)
    volume, unit_price = Volume(delivery.volume_ml), UnitPrice(delivery.unit_price_milli)
    amount = delivery.amount_fen
    others = Money(case.paid_otherwise_fen)
    try:
        return QuoteRequest(
            grade=GradeId(delivery.grade),
            volume=volume,
            amount=amount_of(volume, unit_price) if amount is None else Money(amount),
            unit_price=unit_price,
            at_ms=at_ms,
            utc_offset_minutes=(case.at.utcoffset() or timedelta()) // _MINUTE,
            member=None if buyer is None else _member(buyer),
            station=case.station,
            plate_colour=case.plate_colour,
            goods=tuple(_goods(each, policy) for each in case.goods),
            coupons=tuple(
                _coupon(place, each, at_ms) for place, each in enumerate(case.coupons, start=1)
            ),
            paying=None if case.paying is None else Paying(case.paying, others),
            points_redeemed=case.points_redeemed,
            budgets=tuple(BudgetFacts(offer, Money(fen)) for offer, fen in case.budgets.items()),
        )
    except ValueError as error:
        raise SaleRefused(CASE_REFUSED, str(error)) from None


def _milliseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MILLISECOND


def _member(buyer: _Buyer) -> MemberFacts:
    return MemberFacts(
        MemberRef(buyer.ref),
        buyer.tier,
        buyer.tags,
        buyer.birthday_week,
        buyer.first_fill,
        buyer.visit_number,
    )


def _goods(bought: _Goods, policy: Policy) -> GoodsLine:
    amount_fen = bought.amount_fen
    if amount_fen is None:
        good = policy.good(bought.good)
        if good is None:
            raise ValueError(f"goods: the policy has no {bought.good!r}, so it needs amount_fen")
        amount_fen = good.price_fen * bought.pieces
    return GoodsLine(bought.good, bought.pieces, Money(amount_fen))


def _coupon(place: int, coupon: _Coupon, at_ms: int) -> CouponFacts:
    return CouponFacts(
        coupon.serial or f"coupon-{place}",
        coupon.template,
        0 if coupon.valid_from is None else _milliseconds(coupon.valid_from),
        at_ms + _DAY_MS if coupon.valid_until is None else _milliseconds(coupon.valid_until),
    )
