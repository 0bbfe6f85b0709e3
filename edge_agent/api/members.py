"""Routes of members at the till: who somebody is, what they have, topping an account up."""

from __future__ import annotations

from fastapi import APIRouter

from edge_agent.api.access import PROBLEM_RESPONSES, OperatorDep, StationDep
from edge_agent.api.pricing import member_answer
from edge_agent.api.requests import IdempotencyKey, LookupBody, MemberPath, TopUpBody
from edge_agent.api.till_answers import LendingAnswer, MemberAnswer, TillAnswer, TopUpAnswer
from edge_agent.model.ids import MemberRef
from edge_agent.model.views import WalletView
from edge_agent.model.wishes import SecondFactor

router = APIRouter(prefix="/v1", tags=["members"], responses=PROBLEM_RESPONSES)


@router.post("/members/lookup")
async def lookup(body: LookupBody, station: StationDep) -> MemberAnswer:
    """Find a member by card, phone number, plate, or the code that the member's phone shows."""
    member = await station.pos.find_member(body.kind, body.identifier)
    return member_answer(station, member.ref)


@router.get("/members/{member}/wallet")
async def wallet(member: MemberPath, station: StationDep) -> WalletView:
    """Tell what a member has, as far as this station knows."""
    return station.pos.wallet(MemberRef(member))


@router.post("/top-ups")
async def top_up(
    body: TopUpBody, key: IdempotencyKey, station: StationDep, operator: OperatorDep
) -> TopUpAnswer:
    """Pay money into a member's account. The same key gives the same top-up again."""
    second = SecondFactor() if body.second is None else body.second.factor()
    record = await station.pos.top_up(
        body.wish(), second=second, idempotency_key=key, operator=operator
    )
    return TopUpAnswer.of(record, station.pos.wallet(MemberRef(body.member)))


@router.get("/till")
async def till(station: StationDep) -> TillAnswer:
    """Tell what the policy in force lets the till do: goods, top-ups, points; and who confirms."""
    return TillAnswer.of(station.pos.policy(), station.pos.staff())


@router.get("/lending")
async def lending(station: StationDep) -> LendingAnswer:
    """Tell what this station may still spend of what headquarters holds, without asking it."""
    lent = station.pos.lent()
    return LendingAnswer(
        cache_age_s=station.pos.cache_age_s(),
        balance_fen=lent.get("balance", 0),
        points=lent.get("points", 0),
        coupons=lent.get("coupon", 0),
    )
