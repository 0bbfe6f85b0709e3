"""Telling systemd how the agent is (sd_notify(3)), and feeding its watchdog only while all is well.

One datagram on a Unix socket; without `NOTIFY_SOCKET`, outside systemd, everything does nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

from edge_agent.app.supervisor import stale
from edge_agent.ports import Clock

logger = logging.getLogger(__name__)

FEEDS_PER_PERIOD: Final = 4
"""sd_watchdog_enabled(3) asks for two; with four, one that is late does not end the agent."""

UNWATCHED_PERIOD_MS: Final = 30_000
"""Without systemd's watchdog a silent part is still told in the log, as if it were this long."""


class Notifier:
    """Sends the agent's state to the service manager; what cannot be delivered is dropped.

    Args:
        environ: where systemd says how to reach it and whether it keeps a watchdog.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A name that begins with @ lies in the kernel's abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watchdog_us = environ.get("WATCHDOG_USEC", "")
        is_ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_ms = int(watchdog_us) // 1000 if is_ours and watchdog_us.isdecimal() else 0
        """How long systemd waits for a sign of life; 0 for no watchdog."""

    def ready(self, status: str = "running") -> None:
        """The agent has started and serves."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def status(self, status: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._send(f"STATUS={_line(status)}")

    def stopping(self, status: str = "stopping") -> None:
        """The agent has begun to stop."""
        self._send(f"STOPPING=1\nSTATUS={_line(status)}")

    def watchdog(self) -> None:
        """Give the watchdog its sign of life."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.setblocking(False)
            try:
                sock.sendto(message.encode(), self._address)
            except OSError as error:
                logger.debug("systemd was not told: %s", error)


class Watchdog:
    """Feeds systemd's watchdog while every bus and the writer have ticked; else lets it bite.

    Args:
        notifier: whose watchdog.
        ticked_ms: gives when each part last gave a sign of life, in monotonic time.
        clock: of that time.
        beat: called after each look, so that an idle writer has ticked by the next one.
    """

    def __init__(
        self,
        notifier: Notifier,
        ticked_ms: Callable[[], Mapping[str, int]],
        clock: Clock,
        beat: Callable[[], None],
    ) -> None:
        self._notifier = notifier
        self._ticked_ms = ticked_ms
        self._clock = clock
        self._beat = beat
        self._period_ms = notifier.watchdog_ms or UNWATCHED_PERIOD_MS
        self._silent: list[str] = []

    async def run(self) -> None:
        """Look and feed until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(self._period_ms / FEEDS_PER_PERIOD / 1000)

    def look(self) -> None:
        """Feed once if nobody has been silent for half a period."""
        silent = stale(self._ticked_ms(), self._clock.monotonic_ms(), self._period_ms // 2)
        if silent:
            if silent != self._silent:
                logger.error("no sign of life, the watchdog is not fed", extra={"silent": silent})
                self._notifier.status(f"no sign of life from {', '.join(silent)}")
        else:
            if self._silent:
                logger.warning("every part ticks again", extra={"silent": self._silent})
                self._notifier.status("running")
            self._notifier.watchdog()
        self._silent = silent
        self._beat()


def _line(text: str) -> str:
    return " ".join(text.splitlines())
