"""What the till stands among: the station's plan, and all that its use cases ask of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from edge_agent.model.errors import Problem, SaleRefused
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
MAX_KEY_LENGTH: Final = 128

KEY_INVALID: Final = Problem(
    "idempotency_key_invalid", "操作号缺失或过长", "the request key is missing or too long"
)
KEY_CONFLICT: Final = Problem(
    "idempotency_conflict",
    "同一操作号对应了不同内容，请重新操作",
    "the same request key came with other content: start again",
)


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


def require_key(idempotency_key: str) -> None:
    """Check that a wish that moves money names itself.

    Raises:
        SaleRefused: `idempotency_key_invalid`.
    """
    if not 0 < len(idempotency_key) <= MAX_KEY_LENGTH:
        raise SaleRefused(KEY_INVALID)
