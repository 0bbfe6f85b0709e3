"""What the till stands among: the station's plan, and all that its use cases ask of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from edge_agent.model.ids import PlateRef
from edge_agent.model.station import StationPlan
from edge_agent.ports import (
    BlindIndex,
    Books,
    Catalogues,
    Clock,
    Entropy,
    Lender,
    MemberCodes,
    Pins,
)

CHINA_UTC_OFFSET_MINUTES: Final = 480


def _no_mask(_: PlateRef) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Till:
    """What the point of sale knows of its station."""

    station: StationPlan
    utc_offset_minutes: int = CHINA_UTC_OFFSET_MINUTES
    mask_of: Callable[[PlateRef], str | None] = _no_mask
    """The masked text of a plate that a camera read lately; None once it is forgotten."""
    staff: Mapping[str, str] = field(default_factory=dict)
    """Hashed PIN by name: who may confirm beside the attendant."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the till's use cases ask of others."""

    books: Books
    catalogues: Catalogues
    index: BlindIndex
    clock: Clock
    entropy: Entropy
    lender: Lender
    codes: MemberCodes
    pins: Pins
