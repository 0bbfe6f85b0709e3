"""Processes that can be killed at any await, inside one virtual-time loop.

Every callback that the loop runs belongs to the process whose context it carries. A killed process
runs nothing any more: its tasks stand where they were, no `finally` block runs, exactly as after
SIGKILL. What it had committed stays committed; the world around it goes on.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable, Coroutine, Iterable
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

from edge_agent.sim.virtual_time import VirtualTimeLoop

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Process:
    """One incarnation of a program."""

    name: str
    alive: bool = True
    steps: int = 0
    """Callbacks that it has run: its age in awaits."""
    dies_at: int | None = None
    on_death: Callable[[], None] | None = None
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    failures: list[BaseException] = field(default_factory=list)

    def context(self) -> Context:
        """Return a context whose callbacks belong to this process."""
        context = copy_context()
        context.run(_PROCESS.set, self)
        return context

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task of this process; what it raises is noted in `failures`."""
        task = asyncio.get_running_loop().create_task(work, context=self.context())
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def kill(self) -> None:
        """End the process as SIGKILL does."""
        if self.alive:
            self.alive = False
            _bury(asyncio.all_tasks())
            if self.on_death is not None:
                self.on_death()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.failures.append(cast("BaseException", task.exception()))


_PROCESS: Final[ContextVar[Process | None]] = ContextVar("process", default=None)


class ProcessLoop(VirtualTimeLoop):
    """A virtual-time loop that knows processes."""

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        """Run a callback soon, unless its process dies before."""
        context = context if context is not None else copy_context()
        process = context.get(_PROCESS)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        return super().call_soon(_run, process, callback, args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: object,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback at a time, unless its process dies before."""
        context = context if context is not None else copy_context()
        process = context.get(_PROCESS)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        return super().call_at(when, _run, process, callback, args, context=context)


def _run(process: Process, callback: Callable[..., object], args: tuple[object, ...]) -> None:
    if not process.alive:
        return
    process.steps += 1
    if process.steps == process.dies_at:
        process.kill()
        return
    callback(*args)


def _bury(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Keep tasks from ever being collected: that would run the `finally` blocks of the dead.

    A reference that nobody holds is the only kind that outlives the interpreter's own tidying.
    """
    for task in tasks:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(task))
