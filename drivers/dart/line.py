"""What else is heard on a shared wire: our own echo, and another controller.

Cheap RS-485 adapters return every byte that they send. After a maintenance visit there may be two
controllers on one bus; when another one's polls are heard, the bus is left to it for a while.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

from drivers.dart.codec import ControlFrame, ControlKind, Frame

ECHOES_WAITING: Final = 4
MISSES_MAX: Final = 3
FOREIGN_POLLS: Final = 3
FOREIGN_WITHIN_MS: Final = 10_000
QUIET_CAP_MS: Final = 300_000
UNDISTURBED_MS: Final = 60_000
"""After so long without another controller, its next appearance is a new one."""


class EchoFilter:
    """Drops our own frames when the adapter returns them; finds out by itself whether it does."""

    def __init__(self, mode: Literal["auto", "on", "off"]) -> None:
        self._mode = mode
        self._is_on: bool | None = None
        self._sent: deque[bytes] = deque(maxlen=ECHOES_WAITING)
        self._misses = 0
        self.is_expecting = True
        """Whether a received frame may be our own."""
        self.restart()

    def restart(self) -> None:
        """The transport opened: it may be another adapter."""
        self._set({"auto": None, "on": True, "off": False}[self._mode])
        self._misses = 0
        self._sent.clear()

    def on_sent(self, frame: bytes) -> None:
        """Note a frame that may come back."""
        self._sent.append(frame)

    def is_own(self, frame: Frame, *, is_first: bool) -> bool:
        """Tell whether a received frame is our own; `is_first`: nothing else was answered yet."""
        if not self._sent or self._mode == "off":
            return False
        raw = frame.encode()
        if self._is_on is False:
            # No pump ever sends a poll: what we polled with and get back first is an echo.
            is_poll = isinstance(frame, ControlFrame) and frame.kind is ControlKind.POLL
            if not (is_first and is_poll and raw == self._sent[-1]):
                return False
        elif raw not in self._sent:
            return False
        while self._sent.popleft() != raw:
            pass
        self._misses = 0
        if self._mode == "auto":
            self._set(True)
        return True

    def on_answered(self) -> None:
        """A poll was answered: what has not come back by now never will."""
        if self._mode == "auto" and self._sent:
            self._misses += 1
            if self._is_on is None or self._misses >= MISSES_MAX:
                self._set(False)
        self._sent.clear()

    def _set(self, is_on: bool | None) -> None:
        self._is_on = is_on
        self.is_expecting = is_on is not False


class ForeignMaster:
    """Notices another controller on the bus and says how long to leave the bus to it."""

    def __init__(self, quiet_ms: int) -> None:
        self._quiet_first_ms = quiet_ms
        self._quiet_ms = quiet_ms
        self._polls: deque[int] = deque(maxlen=FOREIGN_POLLS)
        self._quiet_until_ms: int | None = None
        self._resumed_ms: int | None = None
        self.is_news = True
        """Whether the other controller found last is a new one, rather than still there."""

    @property
    def quiet_until_ms(self) -> int | None:
        """Until when nothing may be sent; None: the bus is ours."""
        return self._quiet_until_ms

    def on_foreign_poll(self, now_ms: int) -> bool:
        """Take in a poll that is not ours; True when another controller is certain from now on."""
        if self._quiet_until_ms is not None:
            self._quiet_until_ms = now_ms + self._quiet_ms
            return False
        self._polls.append(now_ms)
        if len(self._polls) < FOREIGN_POLLS or now_ms - self._polls[0] > FOREIGN_WITHIN_MS:
            return False
        self._polls.clear()
        resumed_ms = self._resumed_ms
        self.is_news = resumed_ms is None or now_ms - resumed_ms > UNDISTURBED_MS
        longer_ms = min(2 * self._quiet_ms, QUIET_CAP_MS)
        self._quiet_ms = self._quiet_first_ms if self.is_news else longer_ms
        self._quiet_until_ms = now_ms + self._quiet_ms
        return True

    def resume(self, now_ms: int) -> None:
        """The quiet time is over: try again; the next quiet is longer if that was too early."""
        self._quiet_until_ms = None
        self._resumed_ms = now_ms
