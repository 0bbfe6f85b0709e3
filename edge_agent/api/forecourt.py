"""Routes of the forecourt: release, stop, pause and resume fuelling points, stop everything."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError

from edge_agent.api.access import PROBLEM_RESPONSES, OperatorDep, StationDep, WishesDep
from edge_agent.api.answers import AuthoriseAnswer
from edge_agent.api.requests import AuthoriseBody, FpNumber, PrepaymentKey
from edge_agent.app.station import Station
from edge_agent.model.dispenser import Preset
from edge_agent.model.errors import CommandRefused, Problem
from edge_agent.model.fuelling import AuthoriseRequest
from edge_agent.model.ids import FpId, MemberRef
from edge_agent.model.units import Money, Volume

FP_UNKNOWN = Problem("fp_unknown", "没有这台油机", "the station has no such fuelling point")

_KEY_MISSING = {
    "type": "missing",
    "loc": ("header", "Idempotency-Key"),
    "msg": "Field required for a prepayment",
}

router = APIRouter(prefix="/v1", tags=["forecourt"], responses=PROBLEM_RESPONSES)


@router.post("/fuelling-points/{fp}/authorise")
async def authorise(
    fp: FpNumber,
    body: AuthoriseBody,
    station: StationDep,
    wishes: WishesDep,
    operator: OperatorDep,
    key: PrepaymentKey = None,
) -> AuthoriseAnswer:
    """Release a fuelling point for one fuelling. A prepayment needs an `Idempotency-Key`."""
    if body.prepaid_fen and key is None:
        raise RequestValidationError([_KEY_MISSING])
    request = AuthoriseRequest(
        fp=FpId(fp),
        by="prepay" if body.prepaid_fen else "attendant",
        preset=_preset(body),
        member=None if body.member is None else MemberRef(body.member),
        prepaid=Money(body.prepaid_fen),
        odometer_km=body.odometer_km,
    )
    second = None if body.second is None else body.second.factor()
    release = partial(station.authorise, second=second, operator=operator)
    require_known(station, request.fp)
    if key is None:
        return AuthoriseAnswer(fuelling_id=await release(request))
    return AuthoriseAnswer(fuelling_id=await wishes.once(key, request, release))


@router.post("/fuelling-points/{fp}/stop", status_code=204)
async def stop(fp: FpNumber, station: StationDep, operator: OperatorDep) -> None:
    """End the fuelling, or take an authorisation back."""
    require_known(station, FpId(fp))
    await station.forecourt.stop(FpId(fp), operator)


@router.post("/fuelling-points/{fp}/suspend", status_code=204)
async def suspend(fp: FpNumber, station: StationDep, operator: OperatorDep) -> None:
    """Pause the flow; the fuelling stays open."""
    require_known(station, FpId(fp))
    await station.forecourt.suspend(FpId(fp), operator)


@router.post("/fuelling-points/{fp}/resume", status_code=204)
async def resume(fp: FpNumber, station: StationDep, operator: OperatorDep) -> None:
    """Let a suspended fuelling flow on."""
    require_known(station, FpId(fp))
    await station.forecourt.resume(FpId(fp), operator)


@router.post("/stop-all", status_code=204)
async def stop_all(station: StationDep, operator: OperatorDep) -> None:
    """Stop every fuelling point at once. Never rate-limited."""
    await station.forecourt.stop_all(operator)


@router.post("/stop-all/release", status_code=204)
async def release_stop_all(station: StationDep, operator: OperatorDep) -> None:
    """Allow new authorisations again. Fuellings that were stopped stay stopped."""
    await station.forecourt.release_stop_all(operator)


def require_known(station: Station, fp: FpId) -> None:
    """Check that the station has a fuelling point.

    Raises:
        CommandRefused: `fp_unknown`.
    """
    if fp not in station.forecourt.points():
        raise CommandRefused(FP_UNKNOWN, f"FP {fp}")


def _preset(body: AuthoriseBody) -> Preset | None:
    if body.preset_volume_ml is not None:
        return Preset(volume=Volume(body.preset_volume_ml))
    amount_fen = body.preset_amount_fen or body.prepaid_fen
    return Preset(amount=Money(amount_fen)) if amount_fen else None
