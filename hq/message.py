"""A topic and its payload, either way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """What came from a station or goes to one."""

    topic: str
    payload: bytes
