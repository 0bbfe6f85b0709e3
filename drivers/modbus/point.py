"""One fuelling point on the bus: whose turn it is, what to ask, and what follows from the reply."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final

from drivers.modbus.commands import DONE, Commands, Pause, Script, Tell
from drivers.modbus.pdu import ExceptionReply, ReadReply, ReadRequest, Reply, Request
from drivers.modbus.register_map import Carried, RegisterMap
from drivers.modbus.watch import OFFLINE_STATE, Watch
from edge_agent.model.dispenser import (
    Authorise,
    CommandDone,
    CommandFailed,
    DispenserCommand,
    LinkChanged,
    Resume,
    Stop,
    Suspend,
)
from edge_agent.model.ids import FpId
from edge_agent.ports import Emit, Fault, Output

SILENT_POLLS: Final = 3
"""So many polls in a row without an answer, each asked twice, and the point is offline."""
COMMANDS_WAITING_MAX: Final = 32


@unique
class Urgency(IntEnum):
    """Who goes first on the bus."""

    STOP = 0
    COMMAND = 1
    POLL = 2


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often a point is asked, in milliseconds. `heartbeat_ms` 0: never.

    A point that does not answer is probed after `probe_ms`, then after twice that, and so on up to
    `probe_cap_ms`.
    """

    idle_ms: int
    active_ms: int
    probe_ms: int
    probe_cap_ms: int
    heartbeat_ms: int


class Point:
    """A fuelling point. The engine gives it turns; each turn is one request and its reply.

    `due_ms` says when it wants its next one.
    """

    def __init__(
        self,
        unit: int,
        registers: RegisterMap,
        watch: Watch,
        commands: Commands,
        rhythm: Rhythm,
    ) -> None:
        self.unit = unit
        self.fp: FpId = watch.fp
        self._map = registers
        self._watch = watch
        self._commands = commands
        self._rhythm = rhythm
        self._online: bool | None = None
        self._silent = 0
        self._is_retry = False
        self._is_doubtful = False
        self._waiting: deque[DispenserCommand] = deque()
        self._running: DispenserCommand | None = None
        self._joined: list[Stop] = []  # answered with the stop that waits
        self._also: list[Stop] = []  # answered with the stop that runs
        self._script: Script | None = None
        self._asks: Request | None = None
        self._asked: Request | None = None
        self._asked_by: Script | None = None
        self.due_ms = 0
        self._beat_due_ms = 0
        self._beat = 0
        self._registers: tuple[int, ...] = ()

    # --- whose turn ---

    @property
    def urgency(self) -> Urgency:
        """How this point's turn compares with others that are due."""
        if isinstance(self._running, Stop):
            return Urgency.STOP
        return Urgency.COMMAND if self._script is not None or self._watch.hurries else Urgency.POLL

    def take_turn(self, now_ms: int) -> tuple[Request | None, list[Output]]:
        """Return what to ask now; None when nothing is due after all."""
        outputs: list[Output] = []
        if self._script is not None and self._asks is None:  # its pause is over
            outputs = self._go_on(now_ms, None)
            if self.due_ms > now_ms:
                return None, outputs
        self._asked_by = self._script if self._asks is not None else None
        if self._asks is not None:
            self._asked = self._asks
        elif self._is_retry or not self._is_beat_due(now_ms):
            self._asked = self._map.poll
        else:
            self._beat = self._beat % 0xFFFF + 1
            self._beat_due_ms = now_ms + self._rhythm.heartbeat_ms
            self._asked = self._map.requests("heartbeat", Carried(beat=self._beat))[-1]
        return self._asked, outputs

    def _is_beat_due(self, now_ms: int) -> bool:
        wanted = self._rhythm.heartbeat_ms and self._map.supports("heartbeat")
        return bool(wanted and self._online) and now_ms >= self._beat_due_ms

    # --- link ---

    def connected(self, now_ms: int) -> None:
        """The transport opened: ask at once."""
        self._silent = 0
        self._is_retry = False
        self.due_ms = now_ms

    def disconnected(self) -> list[Output]:
        """The transport is gone."""
        return self._went_offline()

    def _went_offline(self) -> list[Output]:
        outputs = self._fail_all("offline")
        self._watch.forget()
        self._registers = ()
        if self._online is not False:
            self._online = False
            outputs.append(Emit(LinkChanged(self.fp, online=False)))
        return outputs

    # --- commands ---

    def submit(self, now_ms: int, command: DispenserCommand) -> list[Output]:
        """Queue a command. However much waits, a stop is taken."""
        if not self._online:
            return [Emit(CommandFailed(self.fp, command, "offline"))]
        if isinstance(command, Stop):
            outputs = self._withdraw()
            if self._waiting and isinstance(self._waiting[0], Stop):
                self._joined.append(command)
            else:
                self._waiting.appendleft(command)
            return outputs + self._begin_next(now_ms)
        if len(self._waiting) >= COMMANDS_WAITING_MAX:
            return [Emit(CommandFailed(self.fp, command, "busy"))]
        self._waiting.append(command)
        return self._begin_next(now_ms)

    def _withdraw(self) -> list[Output]:
        """A stop overtakes everything, and ends what would let fuel flow after it."""
        outputs: list[Output] = []
        if isinstance(self._running, Authorise | Resume | Suspend):
            outputs += self._end_script("stopped")
        kept: deque[DispenserCommand] = deque()
        for command in self._waiting:
            if isinstance(command, Authorise | Resume):
                outputs.append(Emit(CommandFailed(self.fp, command, "stopped")))
            else:
                kept.append(command)
        self._waiting = kept
        return outputs

    def _begin_next(self, now_ms: int) -> list[Output]:
        outputs: list[Output] = []
        while self._script is None and self._waiting:
            is_doubtful = self._is_doubtful or self._silent
            if is_doubtful and not isinstance(self._waiting[0], Stop):
                # A late reply may still come: a poll, which is of another shape, goes before.
                self.due_ms = now_ms
                break
            self._running = self._waiting.popleft()
            if isinstance(self._running, Stop):
                self._also, self._joined = self._joined, []
            self._script = self._commands.script(self._running)
            outputs += self._step(now_ms, None)
        return outputs

    def _go_on(self, now_ms: int, reply: Reply | None) -> list[Output]:
        """Run the script; when it has ended, the next one; when there is none, poll again."""
        outputs = self._step(now_ms, reply)
        if self._script is None:
            self._schedule(now_ms)
        return outputs + self._begin_next(now_ms)

    def _step(self, now_ms: int, reply: Reply | None) -> list[Output]:
        """Run the script up to its next request, pause or end."""
        outputs: list[Output] = []
        while self._script is not None:
            try:
                wanted = self._script.send(reply)
            except StopIteration as ended:
                return outputs + self._end_script(ended.value)
            reply = None
            if isinstance(wanted, Tell):
                outputs.append(Emit(wanted.event))
                continue
            self._is_retry = False
            self._asks = None if isinstance(wanted, Pause) else wanted
            self.due_ms = now_ms + wanted.ms if isinstance(wanted, Pause) else now_ms
            break
        return outputs

    def _end_script(self, reason: str) -> list[Output]:
        command, script = self._running, self._script
        self._running = self._script = self._asks = None
        if command is None or script is None:
            return []
        script.close()
        commands, self._also = [command, *self._also], []
        if reason == DONE:
            return [Emit(CommandDone(self.fp, each)) for each in commands]
        return [Emit(CommandFailed(self.fp, each, reason)) for each in commands]

    def _fail_all(self, reason: str) -> list[Output]:
        outputs = self._end_script(reason)
        waiting = [*self._waiting, *self._joined]
        outputs += [Emit(CommandFailed(self.fp, command, reason)) for command in waiting]
        self._waiting.clear()
        self._joined.clear()
        return outputs

    # --- replies ---

    def on_reply(self, now_ms: int, reply: Reply | None) -> list[Output]:
        """Take the reply to the request of the last turn; None: there was none in time."""
        asked, asked_by = self._asked, self._asked_by
        self._asked = self._asked_by = None
        is_read = isinstance(asked, ReadRequest)
        self._is_doubtful |= reply is None and asked is not self._map.poll
        if reply is None and is_read and self._online is not False and not self._is_retry:
            self._is_retry = True
            self.due_ms = now_ms
            return []
        self._is_retry = False
        outputs: list[Output] = []
        if isinstance(reply, ExceptionReply):
            outputs.append(Fault(f"exception_{reply.code:02x}"))
        if asked is self._map.poll:
            outputs += self._on_poll(reply)
        elif reply is None:
            outputs += self._unanswered()
        if asked_by is not None and asked_by is self._script:
            return outputs + self._go_on(now_ms, reply)
        if self._script is None:
            self._schedule(now_ms)
        return outputs + self._begin_next(now_ms)

    def _on_poll(self, reply: Reply | None) -> list[Output]:
        if not isinstance(reply, ReadReply):
            return self._unanswered()
        self._is_doubtful = False
        if reply.registers == self._registers and self._online and not self._watch.hurries:
            self._silent = 0
            return []
        try:
            reading = self._map.reading(reply.registers)
        except ValueError:
            return [Fault("not_bcd"), *self._unanswered()]
        self._silent = 0
        if reading.state == OFFLINE_STATE:
            return self._went_offline()
        outputs: list[Output] = []
        if not self._online:
            self._online = True
            outputs.append(Emit(LinkChanged(self.fp, online=True)))
        self._registers = reply.registers
        outputs += [Emit(event) for event in self._watch.take(reading)]
        return outputs

    def _unanswered(self) -> list[Output]:
        self._silent += 1
        return self._went_offline() if self._silent == SILENT_POLLS else []

    def _schedule(self, now_ms: int) -> None:
        """Say when to poll next: the dead seldom, so that they cost the living little."""
        if self._watch.hurries:
            self.due_ms = now_ms
        elif self._online is False and self._silent:
            doublings = min(max(self._silent - SILENT_POLLS, 0), 16)
            wait_ms = self._rhythm.probe_ms << doublings
            self.due_ms = now_ms + min(wait_ms, self._rhythm.probe_cap_ms)
        elif self._online and self._watch.is_active:
            self.due_ms = now_ms + self._rhythm.active_ms
        else:
            self.due_ms = now_ms + self._rhythm.idle_ms
