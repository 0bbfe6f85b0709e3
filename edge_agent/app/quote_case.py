"""One price question as JSON, answered as JSON: what `edge-agent quote FILE` does."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from edge_agent.core.promotions import quote
from edge_agent.model.canonical import Json
from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.model.ids import GradeId, MemberRef
from edge_agent.model.policy import NO_POLICY, Policy, load_policy
from edge_agent.model.quote import AppliedLine, MemberFacts, Quote, QuoteRequest, RejectedLine
from edge_agent.model.records import NextStep
from edge_agent.model.units import Money, UnitPrice, Volume, amount_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_MINUTE: Final = timedelta(minutes=1)
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


class _Delivery(_Part):
    grade: str
    volume_ml: Annotated[int, Field(ge=0)]
    unit_price_milli: Annotated[int, Field(ge=0)]
    amount_fen: Annotated[int, Field(ge=0)] | None = None
    """The dispenser's own amount; volume times price when absent."""


class _Case(_Part):
    about: str = ""
    policy: str | dict[str, object] | None = None
    """A path, the policy itself, or null for none."""
    member: _Buyer | None = None
    fuelling: _Delivery
    at: AwareDatetime
    """Wall time with the station's offset from UTC."""


def quote_case(case_json: str, read_policy: ReadPolicy) -> str:
    """Price one case: policy, member, fuelling, time. The answer is JSON with sorted keys.

    Raises:
        SaleRefused: the case is malformed (`quote_case_refused`); `detail` names the place.
        PolicyRefused: the policy is.
    """
    try:
        case = _Case.model_validate_json(case_json)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        detail = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found)
        raise SaleRefused(CASE_REFUSED, detail) from None
    answer = answer_of(quote(_request(case), _policy(case, read_policy)))
    return json.dumps(answer, ensure_ascii=False, indent=2, sort_keys=True)


def answer_of(quoted: Quote) -> dict[str, Json]:
    """Return a quote in the keys that `edge-agent quote` keeps stable."""
    step = quoted.next_step
    return {
        "list_amount_fen": quoted.request.amount.fen,
        "payable_fen": quoted.payable.fen,
        "applied": [
            {"offer": line.offer, "amount_fen": line.amount.fen, **_texts(line)}
            for line in quoted.applied
        ],
        "rejected": [
            {
                "offer": line.offer,
                "reason": line.reason.value,
                "missing": line.missing,
                **_texts(line),
            }
            for line in quoted.rejected
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


def _texts(line: AppliedLine | RejectedLine | NextStep) -> dict[str, Json]:
    return {"text": line.text_zh, "text_en": line.text_en}


def _policy(case: _Case, read_policy: ReadPolicy) -> Policy:
    if case.policy is None:
        return NO_POLICY
    if isinstance(case.policy, str):
        return load_policy(read_policy(case.policy), case.policy)
    return load_policy(json.dumps(case.policy), "policy")


def _request(case: _Case) -> QuoteRequest:
    delivery, buyer = case.fuelling, case.member
    volume, unit_price = Volume(delivery.volume_ml), UnitPrice(delivery.unit_price_milli)
    listed = delivery.amount_fen
    return QuoteRequest(
        grade=GradeId(delivery.grade),
        volume=volume,
        amount=amount_of(volume, unit_price) if listed is None else Money(listed),
        unit_price=unit_price,
        at_ms=(case.at - _EPOCH) // _MILLISECOND,
        utc_offset_minutes=(case.at.utcoffset() or timedelta()) // _MINUTE,
        member=None if buyer is None else MemberFacts(MemberRef(buyer.ref), buyer.tier),
    )
