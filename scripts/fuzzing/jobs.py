"""Spreads seeded pieces of work over processes; how many there are does not change the outcome."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def available() -> int:
    """Return how many processes may work at once."""
    return len(os.sched_getaffinity(0))


def spread(work: Callable[[In], Out], pieces: Iterable[In], jobs: int) -> Iterator[Out]:
    """Yield what each piece gives, as it is done; with one job, in this process."""
    if jobs <= 1:
        yield from map(work, pieces)
        return
    waiting = iter(pieces)
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _die_with, (os.getpid(),)) as pool:
        running: set[Future[Out]] = {
            pool.submit(work, piece) for piece in islice(waiting, 2 * jobs)
        }
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                yield each.result()
            running |= {pool.submit(work, piece) for piece in islice(waiting, len(done))}


def _die_with(parent: int) -> None:
    """End this process soon after the one that started it, however that ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Progress:
    """Says on stderr how far the work is, now and then."""

    def __init__(self, what: str, total: int, every_s: float = 10.0) -> None:
        self._what, self._total, self._every_s = what, total, every_s
        self._began = self._told = time.monotonic()
        self.done = 0

    @property
    def seconds(self) -> float:
        """How long the work has taken."""
        return time.monotonic() - self._began

    def add(self, count: int) -> None:
        """Note that so many more are done."""
        self.done += count
        now = time.monotonic()
        if now - self._told >= self._every_s:
            self._told = now
            pace = self.done / self.seconds
            say(f"{self._what}: {self.done} of {self._total}, {pace:.0f} a second")


def say(text: str) -> None:
    """Tell the person who waits what goes on."""
    sys.stderr.write(f"fuzz: {text}\n")
    sys.stderr.flush()
