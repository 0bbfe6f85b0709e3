"""Routes of the till: what is unpaid, quotes, settlement, refunds, receipts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse

from edge_agent.api.access import PROBLEM_RESPONSES, OperatorDep, StationDep
from edge_agent.api.forecourt import require_known
from edge_agent.api.pricing import estimate_answer, quote_answer
from edge_agent.api.requests import (
    EstimateBody,
    FpNumber,
    FuellingPath,
    IdempotencyKey,
    MemberQuery,
    RefundBody,
    SalePath,
    SettleBody,
    WishBody,
)
from edge_agent.api.till_answers import EstimateAnswer, QuoteAnswer, SaleAnswer
from edge_agent.model.ids import FpId, FuellingId, MemberRef, SaleId
from edge_agent.model.units import Money
from edge_agent.model.views import UnpaidView
from edge_agent.model.wishes import SaleWish

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
    wish = SaleWish(member=None if member is None else MemberRef(member))
    return quote_answer(station, FuellingId(fuelling), wish)


@router.post("/fuellings/{fuelling}/quote")
async def quote_wish(fuelling: FuellingPath, body: WishBody, station: StationDep) -> QuoteAnswer:
    """Price a fuelling as wished: goods, coupons, points, means of payment. Moves nothing."""
    return quote_answer(station, FuellingId(fuelling), body.wish())


@router.post("/fuelling-points/{fp}/estimate")
async def estimate(fp: FpNumber, body: EstimateBody, station: StationDep) -> EstimateAnswer:
    """Price a fuelling that has not begun, and say which preset would make a litre cheapest."""
    require_known(station, FpId(fp))
    quoted = station.estimate(FpId(fp), body.nozzle, Money(body.amount_fen), body.wish())
    return estimate_answer(station, quoted)


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
        body.wish(body.shown_fen),
        [tender.offer() for tender in body.tenders],
        idempotency_key=key,
        operator=operator,
        second=None if body.second is None else body.second.factor(),
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
