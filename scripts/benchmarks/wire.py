"""A DART bus with true byte times, in a process of its own: the line, and the pumps on it.

What the agent writes to the serial device takes its time on the line before the pumps have it, and
what they answer comes back byte by byte when its last bit would have come. `python -m
scripts.benchmarks.wire POINTS BAUD` prints the device's name, then serves; `lift FP` and `hang FP`
on its standard input move nozzles, and each lift is answered by one JSON line about its release.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import select
import sys
import time
import tty
from dataclasses import dataclass, field
from typing import Final

from drivers import registry
from drivers.dart.codec import ControlFrame, ControlKind, DataFrame, Frame, FrameDecoder, Rejected
from drivers.dart.orders import (
    AllowNozzles,
    Ask,
    Command,
    Order,
    PresetAmount,
    PresetVolume,
    decode_order,
)
from drivers.dart.reports import NozzleReport, decode_report
from drivers.pump_model import SimulatedPump
from edge_agent.model.ids import (
    BayId,
    BusId,
    FpId,
    GradeId,
    LogicalNozzle,
    NozzleNumber,
)
from edge_agent.model.station import BusPlan, FpPlan, NozzlePlan

BITS_PER_BYTE: Final = 11
"""Start, eight data bits, odd parity, stop."""
NEEDED: Final = (AllowNozzles, PresetAmount, PresetVolume)
"""What has to be said to a pump between a lift that is certain and AUTHORIZE."""


def bus_plan(points: int, baud: int = 9600) -> BusPlan:
    """Return a bus of two-nozzle points, each at a bay of its own."""
    plans = [
        FpPlan(
            FpId(number), 0x4F + number,
            tuple(
                NozzlePlan(
                    NozzleNumber(2 * number - 1 + place), LogicalNozzle(place + 1), GradeId(grade)
                )
                for place, grade in enumerate(("92", "95"))
            ),
            BayId(f"bay-{number}"),
        )
        for number in range(1, points + 1)
    ]  # fmt: skip
    return BusPlan(BusId("bus"), "dart", tuple(plans), {"decimals_confirmed": True, "baud": baud})


@dataclass(slots=True)
class Lift:
    """A lifted nozzle, and what went over the line since its pump said so."""

    fp: int
    address: int
    told_s: float | None = None
    """When the first byte of the report began."""
    needed_bytes: int = 0
    confirming_bytes: int = 0
    """Of these, what makes one glimpse of a nozzle two: pumps flicker."""
    all_bytes: int = 0
    frames: list[str] = field(default_factory=list)
    waits_for_ack: bool = False
    is_asked_again: bool = False
    is_polled_again: bool = False
    is_certain: bool = False

    def need(self, length: int) -> None:
        """Count bytes without which AUTHORIZE could not follow."""
        self.needed_bytes += length
        if self.is_asked_again and not self.is_certain:
            self.confirming_bytes += length


class Line:
    """The half-duplex line. All times in seconds of the monotonic clock."""

    def __init__(self, plan: BusPlan, baud: int, descriptor: int) -> None:
        self.pumps = {
            point.fp: SimulatedPump([nozzle.logical for nozzle in point.nozzles])
            for point in plan.fuelling_points
        }
        self._side = registry.load("dart").build_simulator(plan, self.pumps)
        self._addresses = {point.fp: point.address for point in plan.fuelling_points}
        self._byte_s = BITS_PER_BYTE / baud
        self._descriptor = descriptor
        self._free_s = 0.0
        self._due: list[tuple[float, int, str, bytes]] = []
        self._count = 0
        self._lift: Lift | None = None
        self._heard = FrameDecoder()
        self._asked = FrameDecoder()

    def lift(self, fp: int) -> None:
        """Take the first nozzle of a point out, and watch what follows."""
        self._lift = Lift(fp, self._addresses[FpId(fp)])
        self.pumps[FpId(fp)].lift(_now_ms(), LogicalNozzle(1))

    def hang(self, fp: int) -> None:
        """Put the nozzle back."""
        self.pumps[FpId(fp)].hang(_now_ms())

    def wait_s(self) -> float:
        """Return how long nothing happens."""
        if not self._due:
            return 1.0
        return max(0.0, self._due[0][0] - time.monotonic())

    def take(self, data: bytes) -> None:
        """Put on the line what the agent wrote; the pumps have it once the last bit came."""
        start_s = max(time.monotonic(), self._free_s)
        self._free_s = start_s + len(data) * self._byte_s
        self._put(self._free_s, "to pumps", data)
        for frame in self._asked.feed(data):
            if not isinstance(frame, Rejected):
                self._watch_agent(start_s, frame)

    def deliver(self) -> None:
        """Do what is due: bytes that came to the agent, frames that came to the pumps."""
        while self._due and self._due[0][0] <= time.monotonic():
            _, _, where, data = heapq.heappop(self._due)
            if where == "to agent":
                os.write(self._descriptor, data)
                continue
            for answer in self._side.on_bytes(_now_ms(), data):
                self._answer(answer)

    def _answer(self, data: bytes) -> None:
        start_s = self._free_s
        for place in range(len(data)):
            self._put(start_s + (place + 1) * self._byte_s, "to agent", data[place : place + 1])
        self._free_s = start_s + len(data) * self._byte_s
        for frame in self._heard.feed(data):
            if not isinstance(frame, Rejected):
                self._watch_pump(start_s, frame)

    def _put(self, at_s: float, where: str, data: bytes) -> None:
        self._count += 1
        heapq.heappush(self._due, (at_s, self._count, where, data))

    # --- what was said about the lifted nozzle --------------------------------------------------

    def _watch_pump(self, start_s: float, frame: Frame) -> None:
        lift = self._lift
        if lift is None:
            return
        is_out = frame.address == lift.address and _says_out(frame)
        if lift.told_s is None:
            if is_out:
                lift.told_s, lift.waits_for_ack = start_s, True
                lift.need(len(frame.encode()))
                self._note(lift, frame)
            return
        if is_out and lift.is_asked_again and not lift.is_certain:
            lift.waits_for_ack = True
            lift.need(len(frame.encode()))
        self._note(lift, frame)

    def _watch_agent(self, start_s: float, frame: Frame) -> None:
        lift = self._lift
        if lift is None or lift.told_s is None:
            return
        if frame.address == lift.address:
            orders = _orders(frame)
            if Command(Ask.AUTHORIZE) in orders:
                self._report(lift, start_s)
                return
            is_question = Command(Ask.RETURN_STATUS) in orders and not lift.is_asked_again
            lift.is_asked_again = lift.is_asked_again or is_question
            if is_question or any(isinstance(order, NEEDED) for order in orders):
                lift.waits_for_ack = True
                lift.need(len(frame.encode()))
            elif _is_poll(frame) and lift.is_asked_again and not lift.is_polled_again:
                lift.is_polled_again = True
                lift.need(len(frame.encode()))
        self._note(lift, frame)

    @staticmethod
    def _note(lift: Lift, frame: Frame) -> None:
        """Note a frame; an acknowledgement of something needed is needed itself."""
        length = len(frame.encode())
        lift.all_bytes += length
        kind = frame.kind.name if isinstance(frame, ControlFrame) else "DATA"
        if kind == "ACK" and frame.address == lift.address and lift.waits_for_ack:
            lift.waits_for_ack = False
            lift.need(length)
            lift.is_certain = lift.is_certain or lift.is_polled_again
        lift.frames.append(kind if frame.address == lift.address else f"{kind} of another")

    def _report(self, lift: Lift, at_s: float) -> None:
        self._lift = None
        told_s = lift.told_s or at_s
        told = {
            "fp": lift.fp,
            "took_ms": (at_s - told_s) * 1000,
            "needed_ms": lift.needed_bytes * self._byte_s * 1000,
            "confirming_ms": lift.confirming_bytes * self._byte_s * 1000,
            "on_the_line_ms": lift.all_bytes * self._byte_s * 1000,
            "frames": lift.frames,
        }
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


def serve(points: int, baud: int) -> None:
    """Serve until standard input ends."""
    descriptor, near = os.openpty()
    tty.setraw(near)
    os.set_blocking(descriptor, False)
    with contextlib.suppress(OSError):  # hardware does not wait for the processor either
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    line = Line(bus_plan(points, baud), baud, descriptor)
    sys.stdout.write(os.ttyname(near) + "\n")
    sys.stdout.flush()
    orders = sys.stdin.fileno()
    while True:
        ready, _, _ = select.select([descriptor, orders], [], [], line.wait_s())
        if descriptor in ready:
            line.take(os.read(descriptor, 4096))
        if orders in ready:
            said = os.read(orders, 4096).decode()
            if not said:
                return
            for order in said.splitlines():
                what, fp = order.split()
                (line.lift if what == "lift" else line.hang)(int(fp))
        line.deliver()


def _is_poll(frame: Frame) -> bool:
    return isinstance(frame, ControlFrame) and frame.kind is ControlKind.POLL


def _orders(frame: Frame) -> list[Order]:
    if not isinstance(frame, DataFrame):
        return []
    return [decode_order(transaction) for transaction in frame.transactions]


def _says_out(frame: Frame) -> bool:
    if not isinstance(frame, DataFrame):
        return False
    reports = [decode_report(transaction) for transaction in frame.transactions]
    return any(isinstance(report, NozzleReport) and report.is_out for report in reports)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
