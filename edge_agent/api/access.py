"""What the routes are given: the station, who asks, the feed of the screens."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from prometheus_client.registry import Collector

from edge_agent.api.admission import Admission, Operator
from edge_agent.api.feed import StationFeed
from edge_agent.api.problems import ProblemAnswer
from edge_agent.api.wishes import Wishes
from edge_agent.app.station import Station

OPERATOR_KEY = "edge_agent.operator"
"""Where the gate leaves the operator of a request in the ASGI scope."""


def _station(request: Request) -> Station:
    station: Station = request.app.state.station
    return station


def _feed(request: Request) -> StationFeed:
    feed: StationFeed = request.app.state.feed
    return feed


def _admission(request: Request) -> Admission:
    admission: Admission = request.app.state.house.admission
    return admission


def _wishes(request: Request) -> Wishes:
    wishes: Wishes = request.app.state.wishes
    return wishes


def _operator(request: Request) -> Operator:
    operator: Operator = request.scope[OPERATOR_KEY]
    return operator


def _collectors(request: Request) -> tuple[Collector, ...]:
    collectors: tuple[Collector, ...] = request.app.state.collectors
    return collectors


StationDep = Annotated[Station, Depends(_station)]
FeedDep = Annotated[StationFeed, Depends(_feed)]
AdmissionDep = Annotated[Admission, Depends(_admission)]
CollectorsDep = Annotated[tuple[Collector, ...], Depends(_collectors)]
WishesDep = Annotated[Wishes, Depends(_wishes)]
OperatorDep = Annotated[Operator, Depends(_operator)]

PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "model": ProblemAnswer,
        "description": "Refused or failed: RFC 9457 problem details with a stable code.",
        "content": {"application/problem+json": {}},
    }
}
