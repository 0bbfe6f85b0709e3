"""The site controller's side of a DART bus: who is spoken to when, and what counts as an answer.

The wire is half duplex and we are its master. One exchange is under way at a time: a poll, answered
by EOT or by data that we acknowledge at once, or a data block, answered by ACK or NAK. Points with
something urgent to do go first, then whoever has waited longest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from drivers.dart.codec import (
    FRAME_MAX,
    ControlFrame,
    ControlKind,
    DataFrame,
    Frame,
    FrameDecoder,
    Rejected,
)
from drivers.dart.line import EchoFilter, ForeignMaster
from drivers.dart.options import DartOptions
from drivers.dart.point import Point
from edge_agent.model.dispenser import DispenserCommand
from edge_agent.model.ids import FpId
from edge_agent.model.station import FpPlan
from edge_agent.ports import Fault, Output, Send

BYTE_BIT_MS: Final = 11 * 1000
"""Milliseconds for a byte at one baud: start, eight data bits, odd parity, stop."""

PIECES_APART_MS: Final = 50
"""Longest pause inside an answer: a USB adapter's latency and a busy machine."""

LIFT_HOLD_MS: Final = 10
"""How long the bus is kept free for an authorisation once a nozzle was lifted: it is written to
disk before it is given, and a poll of another point begun meanwhile would hold it up by as much."""

URGENT_FIRST_MS: Final = 1 << 40
NO_OUTPUTS: Final[list[Output]] = []


class DartEngine:
    """One bus."""

    def __init__(self, plans: Iterable[FpPlan], options: DartOptions) -> None:
        self._options = options
        self._outputs: list[Output] = []
        self._points = [Point(plan, options, self._outputs.append) for plan in plans]
        self._by_address = {point.address: point for point in self._points}
        self._by_fp: dict[FpId, Point] = {point.side.plan.fp: point for point in self._points}
        self._decoder = FrameDecoder()
        self._echo = EchoFilter(options.echo)
        self._foreign = ForeignMaster(options.foreign_quiet_ms)
        self._baud = options.baud
        self._longest_ms = self._wire_ms(FRAME_MAX)
        self._is_connected = False
        self._awaiting: Point | None = None
        self._is_answered = False
        self._is_garbled = False
        self._deadline_ms = 0
        self._last_deadline_ms = 0
        self._free_ms = 0
        self._held_ms = 0

    # --- Engine ---------------------------------------------------------------------------------

    def on_connected(self, now_ms: int) -> list[Output]:
        """The transport opened: forget half-received frames, ask every fuelling point anew."""
        self._is_connected = True
        self._start(now_ms)
        return self._take()

    def on_disconnected(self, now_ms: int) -> list[Output]:
        """The transport is gone: report every fuelling point offline."""
        self._is_connected = False
        self._awaiting = None
        self._free_ms = now_ms
        for point in self._points:
            point.lose("link_lost")
        return self._take()

    def on_bytes(self, now_ms: int, data: bytes) -> list[Output]:
        """Take in bytes, in pieces of any size."""
        point = self._awaiting
        is_plain = self._decoder.is_between and not self._echo.is_expecting
        is_plain_eot = point is not None and data == point.eot and is_plain
        if point is not None and is_plain_eot and point.on_idle_poll(now_ms):
            self._awaiting = None
            self._free_ms = now_ms + self._options.gap_ms
            return NO_OUTPUTS
        found = self._decoder.feed(data)
        waits_ms = max(self._deadline_ms, now_ms + PIECES_APART_MS)
        self._deadline_ms = min(waits_ms, self._last_deadline_ms)
        for frame in found:
            if isinstance(frame, Rejected):
                self._is_garbled = True
                self._outputs.append(Fault(frame.reason, frame.raw))
            else:
                self._on_frame(now_ms, frame)
        return self._take()

    def on_timer(self, now_ms: int) -> list[Output]:
        """Poll, time out, retry: whatever is due."""
        if self._awaiting is not None:
            if now_ms < self._deadline_ms:
                return NO_OUTPUTS
            self._give_up(now_ms, self._awaiting)
        quiet_until_ms = self._foreign.quiet_until_ms
        if quiet_until_ms is not None:
            if now_ms < quiet_until_ms:
                return self._take()
            self._foreign.resume(now_ms)
            self._start(now_ms)
        if self._is_connected and now_ms >= max(self._free_ms, self._held_ms):
            point = self._next_point()
            if point is not None and point.due_ms <= now_ms:
                self._speak(now_ms, point)
        return self._take()

    def submit(self, now_ms: int, command: DispenserCommand) -> list[Output]:
        """Queue a command; it is answered by exactly one `CommandDone` or `CommandFailed`.

        Raises:
            KeyError: the fuelling point is not on this bus.
        """
        self._held_ms = 0
        self._by_fp[command.fp].submit(now_ms, command)
        return self._take()

    def next_deadline_ms(self) -> int | None:
        """When `on_timer` wants to be called; None for never."""
        if not self._is_connected:
            return None
        if self._awaiting is not None:
            return self._deadline_ms
        if self._foreign.quiet_until_ms is not None:
            return self._foreign.quiet_until_ms
        point = self._next_point()
        return None if point is None else max(self._free_ms, self._held_ms, point.due_ms)

    def _start(self, now_ms: int) -> None:
        self._decoder.clear()
        self._echo.restart()
        self._awaiting = None
        self._free_ms = now_ms
        self._held_ms = 0
        for point in self._points:
            point.start(now_ms)

    # --- speaking -------------------------------------------------------------------------------

    def _next_point(self) -> Point | None:
        """Return the point whose turn comes next: the most urgent one that is due first."""
        chosen: Point | None = None
        first = URGENT_FIRST_MS
        for point in self._points:
            rank = point.due_ms - URGENT_FIRST_MS if point.is_urgent else point.due_ms
            if rank < first:
                chosen, first = point, rank
        return chosen

    def _speak(self, now_ms: int, point: Point) -> None:
        frame = point.turn()
        self._outputs.append(point.poll_output if frame is point.poll else Send(frame))
        self._echo.on_sent(frame)
        self._awaiting = point
        self._is_answered = self._is_garbled = False
        self._deadline_ms = now_ms + self._wire_ms(len(frame)) + point.timeout_ms
        self._last_deadline_ms = self._deadline_ms + self._longest_ms

    def _give_up(self, now_ms: int, point: Point) -> None:
        """The answer's time is over."""
        self._awaiting = None
        if not self._decoder.is_between:
            self._is_garbled = True
            self._outputs.append(Fault("unfinished"))
            self._decoder.clear()
        self._free_ms = now_ms + self._options.gap_ms
        if self._is_garbled:
            point.on_garbled(now_ms)
        else:
            point.on_silence(now_ms)

    def _wire_ms(self, length: int) -> int:
        return -(-length * BYTE_BIT_MS // self._baud)

    # --- listening ------------------------------------------------------------------------------

    def _on_frame(self, now_ms: int, frame: Frame) -> None:
        if self._echo.is_own(frame, is_first=not self._is_answered):
            return
        if isinstance(frame, ControlFrame) and frame.kind in (
            ControlKind.POLL,
            ControlKind.ACKPOLL,
        ):
            self._on_foreign_poll(now_ms, frame)
            return
        point = self._by_address.get(frame.address)
        if point is None or self._foreign.quiet_until_ms is not None:
            self._outputs.append(Fault("foreign_frame", frame.encode()))
        elif point is self._awaiting:
            self._is_answered = True
            self._echo.on_answered()
            self._awaiting = None
            self._free_ms = now_ms + self._options.gap_ms
            self._hand_over(now_ms, point, frame)
        else:
            self._on_late(now_ms, point, frame)

    def _on_late(self, now_ms: int, point: Point, frame: Frame) -> None:
        """An answer outside its exchange: it is only of use when the wire is free to confirm it."""
        self._outputs.append(Fault("late_answer", frame.encode()))
        point.on_late()
        if self._awaiting is None and isinstance(frame, DataFrame):
            self._hand_over(now_ms, point, frame)

    def _hand_over(self, now_ms: int, point: Point, frame: Frame) -> None:
        if isinstance(frame, ControlFrame):
            point.on_control(now_ms, frame)
            return
        ack = ControlFrame(frame.address, ControlKind.ACK, frame.number).encode()
        self._outputs.append(Send(ack))
        self._echo.on_sent(ack)
        self._free_ms = now_ms + self._wire_ms(len(ack)) + self._options.gap_ms
        lifted = point.side.watch.lifted
        point.on_data(now_ms, frame)
        if lifted is None and point.side.watch.lifted is not None:
            self._held_ms = self._free_ms + LIFT_HOLD_MS

    def _on_foreign_poll(self, now_ms: int, frame: ControlFrame) -> None:
        """Another controller's poll: after the third, leave the bus to it and tell the staff."""
        if not self._foreign.on_foreign_poll(now_ms):
            self._outputs.append(Fault("foreign_poll", frame.encode()))
            return
        self._outputs.append(Fault("foreign_master", frame.encode()))
        self._awaiting = None
        for point in self._points:
            if self._foreign.is_news:
                point.side.alarm("foreign_master")
            point.lose("foreign_master")

    def _take(self) -> list[Output]:
        taken = self._outputs[:]
        self._outputs.clear()
        return taken
