"""The machine's clock and chance, as `ports.Clock` and `ports.Entropy`.

The wall clock counts as trusted while the kernel says that a time service keeps it synchronised
(adjtimex(2): STA_UNSYNC is clear), and never before the day this program was made: an industrial
PC with a flat battery starts in 1970 or 2010.
"""

from __future__ import annotations

import ctypes
import os
import random
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

BUILT_MS: Final = 1_767_225_600_000
"""2026-01-01 UTC: the wall time was never earlier while this program existed."""
ASK_AGAIN_MS: Final = 1_000
"""For so long an answer of the kernel about synchronisation is taken as still true."""

_TIME_ERROR: Final = 5
"""adjtimex(2) returns it while the clock is not synchronised."""
_STA_UNSYNC: Final = 0x0040
_TIMEX_BYTES: Final = 512
"""More than `struct timex` takes on any architecture (208 bytes on 64-bit Linux)."""
_LONG_BYTES: Final = ctypes.sizeof(ctypes.c_long)
_MAX_ERROR_AT: Final = 3 * _LONG_BYTES
"""Offset of `long maxerror`, in microseconds: after `modes` (padded), offset, freq."""
_STATUS_AT: Final = 5 * _LONG_BYTES
"""Offset of `int status`: after maxerror and esterror."""


@dataclass(frozen=True, slots=True)
class KernelClock:
    """What the kernel says of its clock."""

    synchronised: bool
    max_error_ms: int
    """Bound on the clock's error; it grows while nobody synchronises it, up to 16 s."""


def kernel_clock() -> KernelClock:
    """Ask the kernel; where it cannot tell, its clock is not synchronised."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes 0: only ask
    state = int(ctypes.CDLL(None, use_errno=True).adjtimex(timex))
    status = int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], sys.byteorder)
    error_us = timex.raw[_MAX_ERROR_AT : _MAX_ERROR_AT + _LONG_BYTES]
    return KernelClock(
        synchronised=0 <= state < _TIME_ERROR and not status & _STA_UNSYNC,
        max_error_ms=int.from_bytes(error_us, sys.byteorder) // 1000,
    )


class SystemClock:
    """`ports.Clock` on the machine's clocks."""

    def __init__(
        self,
        kernel: Callable[[], KernelClock] = kernel_clock,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._kernel = kernel
        self._wall_ms = wall_ms
        self._answer = False
        self._ask_at_ms = 0

    @property
    def trusted(self) -> bool:
        """Whether the wall clock is synchronised and not before this program was made."""
        now_ms = self.monotonic_ms()
        if now_ms >= self._ask_at_ms:
            self._answer = self._kernel().synchronised
            self._ask_at_ms = now_ms + ASK_AGAIN_MS
        return self._answer and self.wall_ms() >= BUILT_MS

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
