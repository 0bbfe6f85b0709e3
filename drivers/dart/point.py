"""One address of the bus: whose turn it is, what it says in its turn, what its answers lead to.

Work is a queue of procedures (`drivers.dart.procedures`). The front one names the next step; where
there is none, a turn is a plain poll. A stop goes before everything else, reading the final figures
of an ended fuelling before every command.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from drivers.dart import procedures
from drivers.dart.codec import ControlFrame, ControlKind, DataFrame
from drivers.dart.link import Heard, Link
from drivers.dart.options import DartOptions
from drivers.dart.procedures import Outcome, Poll, Steps, Tell
from drivers.dart.reports import decode_report
from drivers.dart.side import Side
from edge_agent.model.dispenser import (
    Authorise,
    Clear,
    CommandDone,
    CommandFailed,
    DispenserCommand,
    DispenserEvent,
    DispenserStatus,
    LinkChanged,
    ReadTotals,
    ReadTransaction,
    Resume,
    SetPrices,
    Stop,
    Suspend,
)
from edge_agent.model.errors import FrameRejected
from edge_agent.model.station import FpPlan
from edge_agent.ports import Emit, Fault, Output, Send

JOBS_MAX: Final = 32
GARBLED_MAX: Final = 10
"""So many garbled answers in a row count as no answer."""
TIMEOUT_CAP_MS: Final = 400
"""However late the answers come, the bus waits no longer for one address."""


class Job:
    """A procedure under way, and the commands that it answers (none: our own business)."""

    __slots__ = ("commands", "due_ms", "is_urgent", "kind", "step", "steps")

    def __init__(self, kind: str, steps: Steps, *commands: DispenserCommand) -> None:
        self.kind = kind
        self.steps = steps
        self.commands = [*commands]
        self.is_urgent = kind in {"authorise", "stop", "confirm"}
        self.step: Tell | Poll | None = None
        self.due_ms = 0

    @property
    def has_begun(self) -> bool:
        """Whether the procedure has named a step."""
        return self.step is not None


class Point:
    """One address with its fuelling point."""

    def __init__(self, plan: FpPlan, options: DartOptions, emit: Callable[[Output], None]) -> None:
        self.address = plan.address
        self.side = Side(plan, options.decimals, self._tell)
        self.poll = ControlFrame(plan.address, ControlKind.POLL).encode()
        self.poll_output = Send(self.poll)
        self.eot = ControlFrame(plan.address, ControlKind.EOT).encode()
        self.due_ms = 0
        self.is_urgent = False
        self.timeout_ms = options.response_timeout_ms
        self.is_online: bool | None = None
        self._fp = plan.fp
        self._options = options
        self._emit = emit
        self._link = Link(plan.address)
        self._jobs: deque[Job] = deque()
        self._telling: Job | None = None
        self._polling: Job | None = None
        self._silent = 0
        self._garbled = 0
        self._figures_asked_ms = 0

    # --- the bus --------------------------------------------------------------------------------

    def turn(self) -> bytes:
        """Return the frame to send in this turn; it is answered, or reported silent."""
        self._polling = None
        if not self._link.is_waiting and self._jobs:
            job = self._jobs[0]
            if isinstance(job.step, Tell):
                self._telling = job
                self._link.tell((job.step.order.encode(),))
            else:
                self._polling = job
        return self._link.frame if self._link.is_waiting else self.poll

    def on_idle_poll(self, now_ms: int) -> bool:
        """Take in an EOT the quick way; False where the answer means more than "nothing new"."""
        if self._jobs or self._link.is_waiting or not self.is_online:
            return False
        if self.side.status is DispenserStatus.FUELLING or self._garbled or self._silent:
            return False
        self.due_ms = now_ms + self._interval_ms()
        return True

    def on_control(self, now_ms: int, frame: ControlFrame) -> None:
        """Take in an answer of three bytes."""
        self._on_answer(now_ms)
        if frame.kind is ControlKind.ACK:
            self._on_heard(now_ms, self._link.on_ack(frame.number))
        elif frame.kind is ControlKind.NAK:
            self._emit(Fault("nak", frame.encode()))
            self._on_heard(now_ms, self._link.on_nak())
        elif frame.kind is ControlKind.EOT and not self._link.is_waiting:
            self._on_polled(now_ms)
        else:
            self._schedule(now_ms)

    def on_data(self, now_ms: int, frame: DataFrame) -> None:
        """Take in a block of reports; the bus has acknowledged it already."""
        self._on_answer(now_ms)
        if not self._link.is_repeated(frame):
            for transaction in frame.transactions:
                try:
                    report = decode_report(transaction)
                except FrameRejected as rejected:
                    self._emit(Fault(rejected.problem.code, transaction.encode()))
                else:
                    self.side.take(report)
        self._on_polled(now_ms)

    def on_silence(self, now_ms: int) -> None:
        """Nothing came in time."""
        self._silent += 1
        self._unanswered(now_ms, self._silent >= self._options.silent_polls)

    def on_garbled(self, now_ms: int) -> None:
        """Something came, but nothing that makes sense."""
        self._garbled += 1
        self._unanswered(now_ms, self._garbled >= GARBLED_MAX)

    def on_late(self) -> None:
        """An answer came after its time: wait longer for this address from now on."""
        self.timeout_ms = min(2 * self.timeout_ms, max(TIMEOUT_CAP_MS, self.timeout_ms))

    def start(self, now_ms: int) -> None:
        """The transport opened: ask this address anew."""
        self._link.forget()
        self.side.forget()
        self._silent = self._garbled = 0
        self.due_ms, self.is_urgent = now_ms, False

    def lose(self, reason: str) -> None:
        """The point does not answer any more, or must not be spoken to."""
        self._link.forget()
        self.side.forget()
        if self.is_online is not False:
            self.is_online = False
            self._tell(LinkChanged(self._fp, online=False))
        for job in [*self._jobs]:
            self._finish(job, Outcome(reason))

    # --- commands -------------------------------------------------------------------------------

    def submit(self, now_ms: int, command: DispenserCommand) -> None:
        """Queue a command. However much waits, a stop is taken."""
        if not self.is_online:
            self._tell(CommandFailed(self._fp, command, "offline"))
            return
        if isinstance(command, Stop):
            self._submit_stop(command)
        elif len(self._jobs) >= JOBS_MAX:
            self._tell(CommandFailed(self._fp, command, "busy"))
            return
        else:
            self._jobs.append(Job(*self._procedure(command), command))
        self._schedule(now_ms)

    def _submit_stop(self, command: Stop) -> None:
        """Put a stop before everything; one under way goes first, one that waits answers both."""
        for other in [*self._jobs]:
            if other.kind in {"authorise", "resume"}:
                self._finish(other, Outcome("stopped"))
        stops = [job for job in self._jobs if job.kind == "stop"]
        waiting = next((job for job in stops if not job.has_begun), None)
        if waiting is not None:
            waiting.commands.append(command)
        else:
            self._jobs.insert(len(stops), Job(*self._procedure(command), command))

    def _procedure(self, command: DispenserCommand) -> tuple[str, Steps]:
        side, options = self.side, self._options
        match command:
            case Authorise():
                return "authorise", procedures.authorise(side, command, options)
            case Stop():
                return "stop", procedures.stop(side)
            case Suspend():
                return "suspend", procedures.suspend(side)
            case Resume():
                return "resume", procedures.resume(side)
            case Clear():
                return "clear", procedures.clear(side)
            case ReadTotals():
                return "totals", procedures.read_totals(side, command)
            case ReadTransaction():
                return "transaction", procedures.read_transaction(side)
            case SetPrices():
                return "prices", procedures.set_prices(side, command, options)

    # --- answers --------------------------------------------------------------------------------

    def _on_answer(self, now_ms: int) -> None:
        self._silent = self._garbled = 0
        if not self.is_online:
            self.is_online = True
            self._tell(LinkChanged(self._fp, online=True))
            self._jobs.append(Job("bring_up", procedures.bring_up(self.side)))
            self._figures_asked_ms = now_ms

    def _on_heard(self, now_ms: int, heard: Heard) -> None:
        if heard in {Heard.TAKEN, Heard.REFUSED}:
            job, self._telling = self._telling, None
            if job is not None and heard is Heard.REFUSED:
                self._finish(job, Outcome("refused", "command_refused"))
            elif job is not None:
                self._advance(now_ms, job)
        self._schedule(now_ms)

    def _on_polled(self, now_ms: int) -> None:
        job, self._polling = self._polling, None
        if job is not None and isinstance(job.step, Poll):
            self._advance(now_ms, job)
        self.due_ms = now_ms + self._interval_ms()
        self._schedule(now_ms)

    def _unanswered(self, now_ms: int, is_gone: bool) -> None:
        if is_gone:
            self.lose("link_lost")
            self.is_urgent = False
            self.due_ms = now_ms + self._probe_ms()
        elif self._jobs or self._link.is_waiting:
            self.due_ms = now_ms
        else:
            self.due_ms = now_ms + self._options.active_poll_ms

    # --- the queue ------------------------------------------------------------------------------

    def _advance(self, now_ms: int, job: Job) -> None:
        """Let a procedure look at what happened and name its next step."""
        if job not in self._jobs:
            return
        try:
            job.step = next(job.steps)
        except StopIteration as end:
            self._finish(job, end.value)
            return
        job.due_ms = now_ms + (job.step.wait_ms if isinstance(job.step, Poll) else 0)

    def _finish(self, job: Job, outcome: Outcome) -> None:
        self._jobs.remove(job)
        job.steps.close()
        if self._telling is job:
            self._telling = None
            self._link.drop()
        if outcome.reason and job.kind == "authorise":
            self.side.expect_nothing()
        if outcome.alarm:
            self.side.alarm(outcome.alarm)
        for command in job.commands:
            if outcome.reason:
                self._tell(CommandFailed(self._fp, command, outcome.reason))
            else:
                self._tell(CommandDone(self._fp, command))

    def _schedule(self, now_ms: int) -> None:
        """Start what has become due, and say when this address wants its next turn."""
        self._enqueue_own(now_ms)
        while self._jobs and not self._jobs[0].has_begun:
            self._advance(now_ms, self._jobs[0])
            self._enqueue_own(now_ms)
        if self._link.is_waiting:
            self.due_ms = now_ms
        elif self._jobs:
            self.due_ms = self._jobs[0].due_ms
        self.is_urgent = bool(self._jobs) and self._jobs[0].is_urgent

    def _enqueue_own(self, now_ms: int) -> None:
        """Queue what the reports ask for: final figures, a doubtful nozzle, running figures."""
        side = self.side
        kinds = {job.kind for job in self._jobs}
        if side.restarted or (side.status is None and not kinds):
            side.restarted = False
            if "bring_up" not in kinds:
                self._jobs.append(Job("bring_up", procedures.bring_up(side)))
        if side.must_settle and "settle" not in kinds:
            # Only what is urgent and under way goes first: an authorisation that has not begun
            # would clear the figures.
            is_behind = bool(self._jobs) and self._jobs[0].is_urgent and self._jobs[0].has_begun
            self._jobs.insert(int(is_behind), Job("settle", procedures.settle(side)))
        if side.watch.is_in_doubt and not kinds & {"confirm", "authorise", "stop"}:
            self._jobs.appendleft(Job("confirm", procedures.confirm_nozzle(side)))
        self._watch_figures(now_ms)

    def _watch_figures(self, now_ms: int) -> None:
        """Ask a fuelling pump that volunteers no running figures."""
        side = self.side
        if side.status is not DispenserStatus.FUELLING or side.has_new_figures:
            side.has_new_figures = False
            self._figures_asked_ms = now_ms
        elif not self._jobs and now_ms - self._figures_asked_ms >= self._options.progress_ms:
            self._figures_asked_ms = now_ms
            self._jobs.append(Job("figures", procedures.read_running(side)))

    def _interval_ms(self) -> int:
        is_active = self.side.is_in_sale or self.side.watch.lifted is not None
        return self._options.active_poll_ms if is_active else self._options.idle_poll_ms

    def _probe_ms(self) -> int:
        doublings = min(max(0, self._silent - self._options.silent_polls), 10)
        return min(self._options.probe_ms << doublings, self._options.probe_cap_ms)

    def _tell(self, event: DispenserEvent) -> None:
        self._emit(Emit(event))
