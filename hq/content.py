"""One version of a dataset, ready to be signed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Content:
    """A piece that brings a station forward: its version is the one that is in force after it."""

    dataset: str
    version: int
    payload: str
