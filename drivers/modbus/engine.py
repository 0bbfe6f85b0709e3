"""The controller's side of a Modbus bus: gives its fuelling points turns, one request at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drivers.modbus.link import Link, Received
from drivers.modbus.point import Point
from edge_agent.model.dispenser import DispenserCommand
from edge_agent.model.ids import FpId
from edge_agent.ports import Output, Send


class ModbusEngine:
    """One bus: RTU on a serial line, or TCP. Follows `edge_agent.ports.Engine`.

    Among the points whose turn has come, a stop goes first, then commands, then polls, and within
    each the one that has waited longest; so no point can starve another for long.
    """

    def __init__(self, link: Link, points: Sequence[Point]) -> None:
        self._link = link
        self._in_order = tuple(points)
        self._points: Mapping[FpId, Point] = {point.fp: point for point in points}
        self._asking: Point | None = None
        self._is_connected = False

    def on_connected(self, now_ms: int) -> list[Output]:
        """The transport opened: ask every fuelling point anew."""
        self._is_connected = True
        self._asking = None
        self._link.reset(now_ms)
        for point in self._in_order:
            point.connected(now_ms)
        return self._give_turns(now_ms)

    def on_disconnected(self, now_ms: int) -> list[Output]:
        """The transport is gone: report every fuelling point offline."""
        self._is_connected = False
        self._asking = None
        self._link.reset(now_ms)
        return [output for point in self._in_order for output in point.disconnected()]

    def on_bytes(self, now_ms: int, data: bytes) -> list[Output]:
        """Take in bytes, in pieces of any size."""
        return self._replied(now_ms, self._link.on_bytes(now_ms, data), is_silent=False)

    def on_timer(self, now_ms: int) -> list[Output]:
        """Time out, look behind noise, or give the next turn: whatever is due."""
        due_ms = self._link.next_deadline_ms()
        if due_ms is None:
            return self._give_turns(now_ms)
        if due_ms > now_ms:
            return []
        is_silent, received = self._link.on_timer(now_ms)
        return self._replied(now_ms, received, is_silent=is_silent)

    def submit(self, now_ms: int, command: DispenserCommand) -> list[Output]:
        """Queue a command; a fuelling point of another bus is a mistake of the caller.

        Raises:
            KeyError: no such fuelling point on this bus.
        """
        return self._points[command.fp].submit(now_ms, command) + self._give_turns(now_ms)

    def next_deadline_ms(self) -> int | None:
        """When `on_timer` wants to be called; None while the transport is closed."""
        if not self._is_connected:
            return None
        if self._link.is_waiting:
            return self._link.next_deadline_ms()
        return max(self._link.free_ms, min([point.due_ms for point in self._in_order]))

    def _replied(self, now_ms: int, received: Received, *, is_silent: bool) -> list[Output]:
        reply, faults = received
        outputs: list[Output] = [*faults]
        if reply is not None or is_silent:
            point, self._asking = self._asking, None
            if point is not None:
                outputs += point.on_reply(now_ms, reply)
        return outputs + self._give_turns(now_ms)

    def _give_turns(self, now_ms: int) -> list[Output]:
        """Let the next point ask, if the bus is free."""
        outputs: list[Output] = []
        while self._is_connected and not self._link.is_waiting and self._link.free_ms <= now_ms:
            due = [point for point in self._in_order if point.due_ms <= now_ms]
            if not due:
                break
            point = due[0]
            if len(due) > 1:
                point = min(due, key=lambda each: (each.urgency, each.due_ms))
            request, said = point.take_turn(now_ms)
            outputs += said
            if request is not None:
                self._asking = point
                outputs.append(Send(self._link.ask(now_ms, point.unit, request)))
        return outputs
