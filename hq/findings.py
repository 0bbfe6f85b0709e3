"""What the audit's rules read and say: a row of a station's ledger, and the troubles with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

Troubles: TypeAlias = list[tuple[str, str]]
"""A stable code and its detail, each an alarm."""


class Row(NamedTuple):
    """A row of the ledger and where it stands."""

    station: str
    epoch: int
    stream: int
    seq: int
    kind: str
    at_ms: int
    """By the station's clock."""
    body: str
    now_ms: int
    """By ours, as it is read."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What does not fit. `counted`: a price difference, not merely something to look at."""

    code: str
    detail: str
    counted: bool


def shown(*doubts: Doubt | None) -> Troubles:
    """Return the alarms for doubts."""
    return [(doubt.code, doubt.detail) for doubt in doubts if doubt is not None]


def counted(*doubts: Doubt | None) -> int:
    """Return 1 where one of the doubts is a price difference: one sale is one, however wrong."""
    return int(any(doubt is not None and doubt.counted for doubt in doubts))
