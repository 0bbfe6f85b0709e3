"""Base of every record body, and the units that its fields count in."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

Fen = int
Millilitres = int
PriceMilli = int


class RecordBody(BaseModel):
    """Base of all bodies: strict, closed and immutable."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    kind: ClassVar[str]
