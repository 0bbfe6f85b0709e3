"""Visits: which car stands at which bay, as far as its plate tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edge_agent.model.ids import BayId
from edge_agent.model.membership import KnownPlate

VISIT_MS = 600_000
"""A plate that was not seen again for ten minutes has left."""
LEAST_VOTES = 2
"""Frames that must agree before a plate counts as standing at a bay."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A plate at a bay. Times are monotonic, since a wall clock may be set back. `served` once a
    fuelling at the bay was completed."""

    plate: KnownPlate
    arrived_ms: int
    seen_ms: int
    served: bool = False


Visits = Mapping[BayId, Visit]
NO_VISITS: Visits = MappingProxyType({})


def seen(visits: Visits, bay: BayId, plate: KnownPlate, at_ms: int) -> Visits:
    """Note a sure sighting: the same plate stays the same visit, another one begins a new one.

    A car that was served and is seen on for a while does not become a new visit; one that left
    and came back after `VISIT_MS` does.
    """
    known = current(visits, bay, at_ms)
    if known is not None and known.plate.ref == plate.ref:
        visit = Visit(plate, known.arrived_ms, at_ms, known.served)
    else:
        visit = Visit(plate, at_ms, at_ms)
    return MappingProxyType({**visits, bay: visit})


def current(visits: Visits, bay: BayId, at_ms: int) -> Visit | None:
    """Return the visit at a bay that is not over."""
    visit = visits.get(bay)
    return visit if visit is not None and at_ms - visit.seen_ms <= VISIT_MS else None


def served(visits: Visits, bay: BayId) -> Visits:
    """Note that a fuelling at this bay is complete, whoever paid: its car is done."""
    visit = visits.get(bay)
    if visit is None:
        return visits
    done = Visit(visit.plate, visit.arrived_ms, visit.seen_ms, served=True)
    return MappingProxyType({**visits, bay: done})
