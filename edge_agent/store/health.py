"""Whether the disk takes writes, and the reserve that lets running fuellings end on a full one."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from edge_agent.model.errors import EdgeAgentError
from edge_agent.ports import Clock
from edge_agent.store.database import storage_errors, transaction
from edge_agent.store.writer import Writer

BALLAST_BYTES: Final = 8 * 1024 * 1024
"""Some thousands of records: every fuelling that can be under way, many times over."""
PROBE_BYTES: Final = 64 * 1024
PROBE_INTERVAL_MS: Final = 2_000


class Ballast:
    """A file that only takes up room, given up when the disk is full.

    New authorisations stop the moment it is gone; what already flows is recorded in its room.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._held = False

    def hold(self) -> None:
        """Take the room; does nothing while it is held.

        Raises:
            StorageUnavailable: there is not enough room.
        """
        if self._held or self._size_bytes == 0:
            return
        with storage_errors():
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(fd, 0, self._size_bytes)
            except OSError:
                self._path.unlink(missing_ok=True)
                raise
            finally:
                os.close(fd)
        self._held = True

    def give_up(self) -> bool:
        """Free the room; return whether there was any to free."""
        held, self._held = self._held, False
        if held:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
        return held


class StorageHealth:
    """Knows whether appends succeed. Turns bad with the first failure, and good again only when a
    probe has written and the ballast is back in place."""

    def __init__(self, writer: Writer, clock: Clock, ballast: Ballast) -> None:
        self._writer = writer
        self._clock = clock
        self._ballast = ballast
        self._good = True
        self._next_probe_ms = 0

    def start(self) -> None:
        """Put the ballast in place; a disk too full for it is a bad disk from the start."""
        try:
            self._ballast.hold()
        except EdgeAgentError:
            self._good = False

    def good(self) -> bool:
        """Tell; while the answer is no, ask for a probe now and then."""
        now_ms = self._clock.monotonic_ms()
        if not self._good and now_ms >= self._next_probe_ms:
            self._next_probe_ms = now_ms + PROBE_INTERVAL_MS
            self._writer.post(self._probe)
        return self._good

    def failed(self, *, full: bool) -> bool:
        """Note a failed write; return whether room was freed, so that trying again makes sense."""
        self._good = False
        self._next_probe_ms = self._clock.monotonic_ms() + PROBE_INTERVAL_MS
        return full and self._ballast.give_up()

    def _probe(self, connection: sqlite3.Connection) -> None:
        try:
            with transaction(connection):
                connection.execute(
                    "INSERT INTO storage_probe (ballast) VALUES (zeroblob(?))", (PROBE_BYTES,)
                )
            with transaction(connection):
                connection.execute("DELETE FROM storage_probe")
            self._ballast.hold()
        except EdgeAgentError:
            return
        self._good = True
