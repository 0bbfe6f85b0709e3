"""Price sets: the unit prices of all grades, in force together under one id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_agent.model.ids import GradeId, PriceSetId
from edge_agent.model.units import UnitPrice


@dataclass(frozen=True, slots=True)
class PriceSet:
    """The unit prices of all grades from `valid_from_ms` (wall time) on."""

    id: PriceSetId
    version: int
    valid_from_ms: int
    prices: Mapping[GradeId, UnitPrice]
