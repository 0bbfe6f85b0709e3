"""Routes of the till: what is unpaid, quotes, settlement, refunds, receipts, members."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse

from edge_agent.api.access import PROBLEM_RESPONSES, OperatorDep, StationDep
from edge_agent.api.answers import MemberAnswer, QuoteAnswer, SaleAnswer
from edge_agent.api.requests import (
    FuellingPath,
    IdempotencyKey,
    LookupBody,
    MemberQuery,
    RefundBody,
    SalePath,
    SettleBody,
    TenderBody,
)
from edge_agent.app.station import Station
from edge_agent.core.settlement import TenderOffer
from edge_agent.model.ids import FuellingId, MemberRef, SaleId
from edge_agent.model.membership import Member
from edge_agent.model.units import Money
from edge_agent.model.views import UnpaidView

router = APIRouter(prefix="/v1", tags=["till"], responses=PROBLEM_RESPONSES)


@router.get("/unpaid")
async def unpaid(station: StationDep) -> list[UnpaidView]:
    """List what was delivered and not paid yet, oldest first."""
    return list(station.view().unpaid)


@router.get("/fuellings/{fuelling}/quote")
async def quote(
    fuelling: FuellingPath, station: StationDep, member: MemberQuery = None
) -> QuoteAnswer:
    """Price a fuelling for a member; without one, for the member that it is bound to."""
    fuelling_id = FuellingId(fuelling)
    body = station.pos.quote(fuelling_id, _member(member))
    waiting = station.books.unpaid_fuelling(fuelling_id)
    prepaid_fen = 0 if waiting is None else waiting.completed.prepaid_fen
    ref = _member(body.member_ref)
    buyer = None if ref is None else _member_answer(station, station.pos.member(ref))
    return QuoteAnswer.of(fuelling, body, prepaid_fen, buyer)


@router.post("/fuellings/{fuelling}/settle")
async def settle(
    fuelling: FuellingPath,
    body: SettleBody,
    key: IdempotencyKey,
    station: StationDep,
    operator: OperatorDep,
) -> SaleAnswer:
    """Pay a fuelling. The same key gives the same sale again and moves no money."""
    sale = await station.pos.settle(
        FuellingId(fuelling),
        [_tender(tender) for tender in body.tenders],
        member=_member(body.member),
        idempotency_key=key,
        operator=operator,
    )
    return SaleAnswer.of(sale)


@router.post("/sales/{sale}/refund")
async def refund(
    sale: SalePath,
    body: RefundBody,
    key: IdempotencyKey,
    station: StationDep,
    operator: OperatorDep,
) -> SaleAnswer:
    """Pay a sale back, each tender to its source."""
    refunded = await station.pos.refund(
        SaleId(sale), reason=body.reason, idempotency_key=key, operator=operator
    )
    return SaleAnswer.of(refunded)


@router.get("/sales")
async def sales(
    station: StationDep, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> list[SaleAnswer]:
    """List the last sales, newest first."""
    return [SaleAnswer.of(sale) for sale in station.books.recent_sales(limit)]


@router.get("/sales/{sale}/receipt", response_class=PlainTextResponse)
async def receipt(sale: SalePath, station: StationDep, *, reprint: bool = False) -> str:
    """Return a sale's receipt: plain text in 32 columns, a Chinese character counting two."""
    return station.pos.receipt(SaleId(sale), reprint=reprint)


@router.post("/members/lookup")
async def lookup(body: LookupBody, station: StationDep) -> MemberAnswer:
    """Find a member by card, phone number or plate."""
    return _member_answer(station, station.pos.find_member(body.kind, body.identifier))


def _member_answer(station: Station, member: Member) -> MemberAnswer:
    account = None if member.account is None else station.books.account(member.account)
    tier = station.pos.policy().tier(member.tier)
    return MemberAnswer(
        ref=member.ref,
        tier=member.tier,
        tier_zh=member.tier if tier is None else tier.label_zh,
        tier_en=member.tier if tier is None else tier.label_en,
        masked_name=member.masked_name,
        plate_pay=member.plate_pay,
        available_fen=None if account is None else account.available.fen,
    )


def _member(ref: str | None) -> MemberRef | None:
    return None if ref is None else MemberRef(ref)


def _tender(body: TenderBody) -> TenderOffer:
    amount = None if body.amount_fen is None else Money(body.amount_fen)
    return TenderOffer(body.means, amount)
