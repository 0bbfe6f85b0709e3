"""Which ledger rows to send to headquarters now, and what to make of its acknowledgements.

The ledger is the outbox: rows after `acked` wait. The window keeps only positions, never rows:

    acked      durable at the station: HQ said it has committed everything up to here
    confirmed  HQ's position as it said on this connection (behind `acked` if HQ lost its disk)
    sent       last row handed to the wire since then
    head       last row of the ledger

`DOWN` no link. `GREETING` the link is up; a birth was sent and HQ has not answered yet, so no row
travels. `STREAMING` HQ answered: batches flow, several at once, as far as HQ's credit reaches.

    event                         DOWN        GREETING               STREAMING
    connected                     greet       greet                  greet
    disconnected                  -           DOWN                   DOWN
    answer to our birth           refused     STREAMING              (as a plain ack)
    ack further than confirmed    move acked  move acked             move acked, window slides
    ack with gap                  -           -                      back to confirmed + 1, once
    ack with fork / other hash    alarm       alarm, stay            alarm, greet later
    deadline                      -           greet, waiting longer  greet (go back)

An acknowledgement of another epoch, beyond what was sent, or of another hash moves nothing: a
broker once delivered an ack of an earlier database, and 198 of 200 rows were thought delivered.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from edge_agent.model.wire import Ack


class Phase(Enum):
    """How far the station and HQ have come on this connection."""

    DOWN = "down"
    GREETING = "greeting"
    STREAMING = "streaming"


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """Bounds of the window; times in milliseconds of monotonic time."""

    batch_rows: int = 100
    window_rows: int = 5000
    ack_timeout_ms: int = 5_000
    hello_first_ms: int = 2_000
    hello_most_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Moved:
    """HQ has committed everything up to `up_to_seq`: note it durably."""

    up_to_seq: int


@dataclass(frozen=True, slots=True)
class Refused:
    """An acknowledgement was not believed: `other_epoch`, `beyond_sent`, `unknown_row`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Forked:
    """HQ and station hold different histories: `other_hash`, `hq_ahead`, `hq_says_so`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Span:
    """Rows to send: `count` of them from `first` on."""

    first: int
    count: int


Outcome: TypeAlias = Moved | Refused | Forked

DEFAULT_LIMITS: Final = WindowLimits()


class UplinkWindow:
    """The sending side of the protocol, without I/O. `now_ms` is monotonic time.

    `chance` arguments are numbers in [0, 1) that spread retries of many stations.
    """

    def __init__(
        self,
        *,
        epoch: int,
        acked: int,
        head: int,
        closed: bool = False,
        limits: WindowLimits = DEFAULT_LIMITS,
    ) -> None:
        """Begin where the books stand. `closed` says that this epoch ended with a restore, so HQ
        may rightly hold more of it than the books that were restored."""
        self.epoch = epoch
        self.acked = acked
        self.head = head
        self.phase = Phase.DOWN
        self.confirmed = acked
        self.sent = acked
        self.forked = False
        self._closed = closed
        self._limits = limits
        self._furthest = acked
        self._credit = 0
        self._met = False
        self._hello: str | None = None
        self._attempts = 0
        self._went_back_at: int | None = None
        self._deadline_ms: int | None = None

    @property
    def in_flight(self) -> int:
        """Rows sent and not yet confirmed."""
        return self.sent - self.confirmed

    @property
    def drained(self) -> bool:
        """Whether HQ holds every row of the ledger."""
        return self.acked >= self.head and self.confirmed >= self.head

    def next_deadline_ms(self) -> int | None:
        """Return when `due` wants to be asked; None for never."""
        return self._deadline_ms

    def on_rows_available(self, head: int, now_ms: int) -> None:
        """The ledger has grown to `head`."""
        self.head = max(self.head, head)
        self._arm_if_waiting(now_ms)

    def on_connect(self, now_ms: int) -> None:
        """The link is up: greet at once, whatever was in flight before."""
        self.phase = Phase.GREETING
        self._attempts = 0
        self._deadline_ms = now_ms
        self._forget_flight()

    def on_disconnect(self) -> None:
        """The link is gone: nothing in flight can be counted on."""
        self.phase = Phase.DOWN
        self._deadline_ms = None
        self._forget_flight()

    def due(self, now_ms: int) -> bool:
        """Return whether a birth must be sent now, going back to greeting if HQ fell silent."""
        if self._deadline_ms is None or now_ms < self._deadline_ms:
            return False
        if self.phase is Phase.STREAMING:
            self.phase = Phase.GREETING
            self._forget_flight()
        return self.phase is Phase.GREETING

    def on_hello_sent(self, hello: str, now_ms: int, chance: float) -> None:
        """A birth with this token went out; the next one waits twice as long, and a bit of luck."""
        limits = self._limits
        wait_ms = min(limits.hello_most_ms, limits.hello_first_ms << min(self._attempts, 16))
        self._hello = hello
        self._attempts += 1
        self._deadline_ms = now_ms + wait_ms // 2 + int(wait_ms * chance) // 2 + 1

    def next_span(self) -> Span | None:
        """Return the rows to send next, or None when there is nothing to send or no room."""
        if self.phase is not Phase.STREAMING or self.forked:
            return None
        room = self.confirmed + min(self._credit, self._limits.window_rows) - self.sent
        count = min(room, self.head - self.sent, self._limits.batch_rows)
        return Span(self.sent + 1, count) if count > 0 else None

    def on_sent(self, last_seq: int, now_ms: int) -> None:
        """Rows up to `last_seq` were handed to the wire."""
        self.sent = max(self.sent, last_seq)
        self._furthest = max(self._furthest, self.sent)
        self._arm_if_waiting(now_ms)

    def on_ack(self, ack: Ack, own_hash: str | None, now_ms: int) -> Outcome | None:
        """Weigh an acknowledgement. `own_hash` is our ledger's hash at `ack.up_to_seq`.

        Returns None where it is right but tells nothing new.
        """
        if ack.epoch != self.epoch:
            return Refused("other_epoch")
        answer = self._hello is not None and ack.hello == self._hello
        if not answer and ack.up_to_seq > self._furthest:
            # Before HQ answered once, it is not known what an earlier start of the agent sent, and
            # the broker may still bring acknowledgements of that. They move nothing.
            earlier_life = not self._met and own_hash == ack.head_hash
            return None if earlier_life else Refused("beyond_sent")
        if answer and ack.up_to_seq > self.head:
            return self._hq_is_ahead(ack, now_ms)
        if own_hash is None:
            return Refused("unknown_row")
        if own_hash != ack.head_hash:
            return self._fork("other_hash", now_ms)
        if ack.fork:
            return self._fork("hq_says_so", now_ms)
        if answer:
            self._start_streaming(ack, now_ms)
        elif self.phase is Phase.STREAMING:
            self._slide(ack, now_ms)
        return self._move(ack.up_to_seq)

    def _hq_is_ahead(self, ack: Ack, now_ms: int) -> Outcome | None:
        # HQ compared the hash of our head, which the birth told, and would have said `fork`.
        if not self._closed or ack.fork:
            return self._fork("hq_ahead", now_ms)
        self.confirmed = self.sent = self.head
        self._hello = None
        self._deadline_ms = None
        return self._move(self.head)

    def _start_streaming(self, ack: Ack, now_ms: int) -> None:
        self._hello = None
        self._met = True
        self.forked = False
        self.phase = Phase.STREAMING
        self._credit = ack.credit
        self.confirmed = self.sent = ack.up_to_seq
        self._furthest = max(self._furthest, ack.up_to_seq)
        self._went_back_at = None
        self._deadline_ms = None
        self._arm_if_waiting(now_ms)

    def _slide(self, ack: Ack, now_ms: int) -> None:
        if ack.up_to_seq < self.confirmed:
            return
        self._credit = ack.credit
        if ack.up_to_seq > self.confirmed:
            self.confirmed = ack.up_to_seq
            self.sent = max(self.sent, self.confirmed)
            self._attempts = 0
            self._went_back_at = None
            self._deadline_ms = None
        if ack.gap and self._went_back_at != self.confirmed:
            self._went_back_at = self.confirmed
            self.sent = self.confirmed
        self._arm_if_waiting(now_ms)

    def _move(self, up_to_seq: int) -> Moved | None:
        if up_to_seq <= self.acked:
            return None
        self.acked = up_to_seq
        return Moved(up_to_seq)

    def _fork(self, reason: str, now_ms: int) -> Forked:
        self.forked = True
        self._hello = None
        if self.phase is not Phase.DOWN:
            self.phase = Phase.GREETING
            self._forget_flight()
            # The first birth after the alarm tells HQ of it; the next ones wait longest.
            self._attempts = 16
            self._deadline_ms = now_ms + self._limits.hello_first_ms
        return Forked(reason)

    def _forget_flight(self) -> None:
        self._hello = None
        self.sent = self.confirmed
        self._went_back_at = None

    def _arm_if_waiting(self, now_ms: int) -> None:
        if self.phase is not Phase.STREAMING:
            return
        waiting = self.in_flight > 0 or self.head > self.confirmed
        if not waiting:
            self._deadline_ms = None
        elif self._deadline_ms is None:
            self._deadline_ms = now_ms + self._limits.ack_timeout_ms
