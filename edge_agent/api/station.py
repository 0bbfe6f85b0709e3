"""Routes of the station as a whole: its view, live events, books, headquarters, health."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from edge_agent.api.access import PROBLEM_RESPONSES, CollectorsDep, FeedDep, StationDep
from edge_agent.api.answers import (
    DrainAnswer,
    HeadAnswer,
    HealthAnswer,
    LedgerTailAnswer,
    ReasonAnswer,
    RecordAnswer,
    TotalAnswer,
)
from edge_agent.api.feed import StationFeed
from edge_agent.api.metrics import metrics_text
from edge_agent.api.problems import TOO_MANY_SCREENS, refusal_response, texts
from edge_agent.api.requests import DrainBody
from edge_agent.model.views import StationView, SyncView

router = APIRouter(prefix="/v1", tags=["station"], responses=PROBLEM_RESPONSES)


@router.get("/station")
async def station_view(station: StationDep) -> StationView:
    """Return everything that the attendants' screen shows."""
    return station.view()


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Server-sent events."}},
)
async def events(feed: FeedDep) -> Response:
    """Push the station's view.

    An event `station` with the whole view at once and after each change, at most ten a second; an
    event `beat` after five seconds of silence. A slow listener misses views, never the newest.
    """
    return _Stream(feed)


class _Stream(Response):
    """Takes a listener's place and streams to it, or refuses, in one step: none slips between."""

    def __init__(self, feed: StationFeed) -> None:
        super().__init__()
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._feed.listening() as place:
            answer = (
                refusal_response(TOO_MANY_SCREENS, {"Retry-After": "5"})
                if place is None
                else StreamingResponse(
                    self._feed.events(place),
                    media_type="text/event-stream",
                    headers={"X-Accel-Buffering": "no"},
                )
            )
            await answer(scope, receive, send)


@router.get("/problems")
async def problem_texts() -> list[ReasonAnswer]:
    """List the texts of the codes that stand alone in a view, such as a point's `blocked`."""
    return [
        ReasonAnswer(code=code, text_zh=problem.text_zh, text_en=problem.text_en)
        for code, problem in texts().items()
    ]


@router.get("/totals")
async def totals(station: StationDep) -> list[TotalAnswer]:
    """List each nozzle's totalisers as last recorded, by the number on its label."""
    numbers = {
        (point.fp, nozzle.logical): nozzle.number
        for point in station.facts.plan.fuelling_points()
        for nozzle in point.nozzles
    }
    found = [
        TotalAnswer(
            fp=total.fp,
            nozzle_number=numbers[total.fp, total.nozzle],
            logical=total.nozzle,
            volume_ml=total.volume.ml,
            amount_fen=None if total.amount is None else total.amount.fen,
        )
        for total in station.books.totals()
        if (total.fp, total.nozzle) in numbers
    ]
    return sorted(found, key=lambda total: total.nozzle_number)


@router.get("/ledger/tail")
async def ledger_tail(
    station: StationDep, limit: Annotated[int, Query(ge=1, le=500)] = 20
) -> LedgerTailAnswer:
    """Return the last records of the ledger, oldest first."""
    head = station.books.head()
    records = station.books.records_after(max(0, head.seq - limit), limit)
    return LedgerTailAnswer(
        head=HeadAnswer(epoch=head.epoch, seq=head.seq, hash=head.hash),
        acked_seq=station.books.acked_seq(),
        records=[RecordAnswer.of(record) for record in records],
    )


@router.get("/sync")
async def sync_view(station: StationDep) -> SyncView:
    """Tell where the books stand with headquarters."""
    return station.view().sync


@router.post("/sync/drain")
async def drain(body: DrainBody, station: StationDep) -> DrainAnswer:
    """Wait until headquarters has acknowledged everything, or the time is over."""
    try:
        async with asyncio.timeout(body.timeout_s):
            await station.sync.drained()
        drained = True
    except TimeoutError:
        drained = False
    return DrainAnswer(drained=drained, waiting=station.sync.view().waiting)


@router.get("/health")
async def health(station: StationDep) -> HealthAnswer:
    """Tell whether the agent serves. Open to every program on the station PC, so no figures."""
    view = station.view()
    return HealthAnswer(
        status="degraded" if view.problems or not view.storage_ok else "ok",
        version=view.version,
        problems=[problem.code for problem in view.problems],
    )


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(station: StationDep, collectors: CollectorsDep) -> Response:
    """Return the station's figures in Prometheus' text format."""
    text = metrics_text(station, collectors)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
