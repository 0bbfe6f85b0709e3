"""The machine's clock and chance, as `ports.Clock` and `ports.Entropy`.

The wall clock counts as trusted while a time service keeps it, and never before the year this
program was made: an industrial PC with a flat battery starts in 1970 or 2010.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Callable
from typing import Final

from edge_agent.observe.time_service import Synchronisation, synchronisation

BUILT_MS: Final = 1_767_225_600_000
"""2026-01-01 UTC: the wall time was never earlier while this program existed."""
ASK_AGAIN_MS: Final = 10_000
"""For so long an answer about synchronisation is taken as still true."""


class SystemClock:
    """`ports.Clock` on the machine's clocks."""

    def __init__(
        self,
        ask: Callable[[], Synchronisation] = synchronisation,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._ask = ask
        self._wall_ms = wall_ms
        self._answer = ask()
        self._asked_ms = self.monotonic_ms()

    @property
    def trusted(self) -> bool:
        """Whether the wall clock is synchronised and not before this program was made."""
        return self.synchronisation().synchronised and self.wall_ms() >= BUILT_MS

    def synchronisation(self) -> Synchronisation:
        """Return what is known of the wall clock, at most ten seconds old."""
        now_ms = self.monotonic_ms()
        if now_ms - self._asked_ms >= ASK_AGAIN_MS:
            self._answer, self._asked_ms = self._ask(), now_ms
        return self._answer

    def wall_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return self._wall_ms()

    def monotonic_ms(self) -> int:
        """Milliseconds of the clock that event loops use too; it never goes back."""
        return time.monotonic_ns() // 1_000_000


class SystemEntropy:
    """`ports.Entropy` from the operating system."""

    def __init__(self) -> None:
        self._jitter = random.Random(os.urandom(16))

    def token(self, bytes_count: int) -> bytes:
        """Return cryptographically strong random bytes."""
        return secrets.token_bytes(bytes_count)

    def uniform(self) -> float:
        """Return a number in [0, 1), for jitter."""
        return self._jitter.random()
