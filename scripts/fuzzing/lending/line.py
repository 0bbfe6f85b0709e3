"""The wire between stations and headquarters: it loses, doubles, delays and reorders."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from hq.message import Message

REACH: Final = 12
"""How far a message may overtake others."""


@dataclass(slots=True)
class Faults:
    """Shares of the messages that something happens to."""

    lost: float = 0.0
    doubled: float = 0.0
    overtaking: float = 0.0


@dataclass(slots=True)
class Line:
    """Messages under way in one direction, in the order in which they were sent."""

    chance: random.Random
    faults: Faults
    waiting: list[Message] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0

    def send(self, message: Message) -> None:
        """Hand a message to the wire."""
        if self.chance.random() < self.faults.lost:
            self.lost += 1
            return
        self.waiting.append(message)
        if self.chance.random() < self.faults.doubled:
            self.doubled += 1
            self.waiting.append(message)

    def take(self) -> Message | None:
        """Return the message that arrives next; None when none is under way."""
        if not self.waiting:
            return None
        place = 0
        if self.chance.random() < self.faults.overtaking:
            place = self.chance.randrange(min(REACH, len(self.waiting)))
        return self.waiting.pop(place)

    def drop(self, share: float) -> None:
        """Lose a share of what is under way: a link went down."""
        kept = [message for message in self.waiting if self.chance.random() >= share]
        self.lost += len(self.waiting) - len(kept)
        self.waiting = kept
