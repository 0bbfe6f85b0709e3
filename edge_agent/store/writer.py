"""Who may write: one thread that owns the write connection, or the loop itself in the simulator."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeAlias, TypeVar

from edge_agent.model.durations import Durations
from edge_agent.model.errors import Problem, StorageUnavailable
from edge_agent.ports import Clock
from edge_agent.store.database import storage_errors

T = TypeVar("T")
Job: TypeAlias = Callable[[sqlite3.Connection], T]

QUEUE_JOBS: Final = 256
"""Jobs that may wait for the disk. Beyond it callers are refused at once, so that a disk that
hangs shows as an error at the screen and not as a screen that hangs."""


class Writer(Protocol):
    """Runs jobs on the write connection, one after the other, in the order they were asked for."""

    @property
    def ticked_ms(self) -> int:
        """Monotonic time at which a job or beat last came to its end."""

    async def submit(self, job: Job[T]) -> T:
        """Run a job and return its result; it runs even when the one who asked is cancelled.

        Raises:
            StorageUnavailable: too many jobs wait, or the writer is closed.
        """

    def post(self, job: Job[None]) -> None:
        """Run a job that reports by itself and raises nothing; dropped when too many jobs wait."""

    def close(self) -> None:
        """Finish what was asked for, then close the connection. Closing twice is harmless."""


class WriterThread:
    """The one thread that writes.

    A watchdog calls `beat` now and then and looks at `ticked_ms`: an idle writer ticks too, one
    that hangs in the disk does not.
    """

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self.commits = Durations()
        """How long each job took that somebody waited for."""
        self._connection = connection
        self._clock = clock
        self._ticked_ms = clock.monotonic_ms()
        self._waiting = 0
        self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger-writer")

    @property
    def ticked_ms(self) -> int:
        """Monotonic time at which a job or beat last came to its end."""
        return self._ticked_ms

    @property
    def waiting(self) -> int:
        """Jobs that wait for the disk or are under way."""
        return self._waiting

    def beat(self) -> None:
        """Make an idle writer tick; does nothing while jobs wait."""
        if self._waiting == 0:
            self.post(_nothing)

    async def submit(self, job: Job[T]) -> T:
        """See `Writer`."""
        if self._closed or self._waiting >= QUEUE_JOBS:
            raise _not_taken(closed=self._closed)
        self._waiting += 1
        done = asyncio.get_running_loop().run_in_executor(self._thread, self._timed, job)
        done.add_done_callback(self._one_done)
        return await asyncio.shield(done)

    def post(self, job: Job[None]) -> None:
        """See `Writer`."""
        if not self._closed and self._waiting < QUEUE_JOBS:
            self._thread.submit(self._run, job)

    def close(self) -> None:
        """See `Writer`."""
        if not self._closed:
            self._closed = True
            self._thread.shutdown(wait=True)
            close_connection(self._connection)

    def _run(self, job: Job[T]) -> T:
        try:
            return job(self._connection)
        finally:
            self._ticked_ms = self._clock.monotonic_ms()

    def _timed(self, job: Job[T]) -> T:
        began_ms = self._clock.monotonic_ms()
        try:
            return self._run(job)
        finally:
            self.commits.add(self._clock.monotonic_ms() - began_ms)

    def _one_done(self, _done: asyncio.Future[T]) -> None:
        self._waiting -= 1


class InlineWriter:
    """Writes on the event loop's own thread, for virtual time: the same order on every run.

    It gives way before and after each job, so that a simulated crash can fall on either side of
    the commit: asked for and not written, or written and not acknowledged.
    """

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self.commits = Durations()
        """How long each job took that somebody waited for."""
        self._connection = connection
        self._clock = clock
        self._ticked_ms = clock.monotonic_ms()
        self._closed = False

    @property
    def ticked_ms(self) -> int:
        """Monotonic time at which a job last came to its end."""
        return self._ticked_ms

    @property
    def waiting(self) -> int:
        """Jobs that wait: none, each runs where it is asked for."""
        return 0

    def beat(self) -> None:
        """Tick: what runs on the loop lives as long as the loop."""
        self._ticked_ms = self._clock.monotonic_ms()

    async def submit(self, job: Job[T]) -> T:
        """See `Writer`, but a caller cancelled before the job began takes it along."""
        await asyncio.sleep(0)
        if self._closed:
            raise _not_taken(closed=True)
        began_ms = self._clock.monotonic_ms()
        result = job(self._connection)
        self._ticked_ms = self._clock.monotonic_ms()
        self.commits.add(self._ticked_ms - began_ms)
        await asyncio.sleep(0)
        return result

    def post(self, job: Job[None]) -> None:
        """See `Writer`."""
        if not self._closed:
            job(self._connection)

    def close(self) -> None:
        """See `Writer`."""
        if not self._closed:
            self._closed = True
            close_connection(self._connection)


def close_connection(connection: sqlite3.Connection) -> None:
    """Close a connection; the last one folds the write-ahead log into the file.

    Raises:
        StorageUnavailable: the disk refused; what was committed stays in the log.
    """
    with storage_errors():
        connection.close()


def _nothing(_connection: sqlite3.Connection) -> None:
    return


def _not_taken(*, closed: bool) -> StorageUnavailable:
    if closed:
        return StorageUnavailable(
            Problem("storage_closed", "账本已关闭", "the books are closed: the agent is stopping")
        )
    return StorageUnavailable(
        Problem(
            "storage_overloaded",
            "磁盘太慢，请稍后重试",
            "the disk cannot keep up: try again",
        )
    )
