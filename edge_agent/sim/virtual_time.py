"""An asyncio event loop whose time jumps to the next timer instead of waiting for it.

Everything that takes its time from the loop or from `VirtualClock` runs unchanged, a simulated day
takes seconds, and equal inputs give equal runs.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

EPOCH_2026_MS: Final = 1_767_225_600_000
"""2026-01-01 00:00 UTC: wall time at the start of a simulation unless told otherwise."""

STUCK_AFTER_S: Final = 10.0
"""Real seconds without a timer or a ready descriptor after which the loop counts as stuck."""


class VirtualTimeSelector(selectors.BaseSelector):
    """Looks for ready descriptors without waiting; where the loop would wait, time passes."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready now, or else let `timeout` pass.

        Raises:
            RuntimeError: no timer is set and nothing became ready: nothing can happen any more.
        """
        if timeout is None:
            ready = self._real.select(STUCK_AFTER_S)  # a thread may still call in
            if not ready:
                raise RuntimeError("virtual time stands still: every task waits for ever")
            return ready
        ready = self._real.select(0)
        if not ready and timeout > 0:
            self.now_s += timeout
        return ready

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: object = None
    ) -> selectors.SelectorKey:
        """Watch a descriptor."""
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """Stop watching a descriptor."""
        return self._real.unregister(fileobj)

    def close(self) -> None:
        """Release the real selector."""
        self._real.close()

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        """Return what is watched."""
        return self._real.get_map()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, which starts at 0."""

    _ready: deque[asyncio.Handle]  # of asyncio's own loop, as every CPython has them
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        self._virtual = VirtualTimeSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Return virtual seconds since the start."""
        return self._virtual.now_s

    def skip_to(self, when_s: float) -> bool:
        """Let time pass within a callback; False, and no time passed, where anything is ready or
        another timer comes first."""
        if self._ready or (self._scheduled and self._scheduled[0].when() <= when_s):
            return False
        self._virtual.now_s = max(when_s, self._virtual.now_s)
        return True


class VirtualClock:
    """The `Clock` of a virtual-time loop; its wall clock can be set wrong on purpose."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wall_at_start_ms: int = EPOCH_2026_MS):
        self._loop = loop
        self.wall_at_start_ms = wall_at_start_ms
        self.is_trusted = True

    @property
    def trusted(self) -> bool:
        """Whether the wall clock is synchronised."""
        return self.is_trusted

    def wall_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return self.wall_at_start_ms + self.monotonic_ms()

    def monotonic_ms(self) -> int:
        """Virtual milliseconds since the start of the loop."""
        return round(self._loop.time() * 1000)

    def skip_to(self, monotonic_ms: int) -> bool:
        """Move on to a time, unless anything else is ready or due before it."""
        return isinstance(self._loop, VirtualTimeLoop) and self._loop.skip_to(monotonic_ms / 1000)
