"""The pump's side of a DART bus: simulated points that answer polls and take orders.

A block whose number repeats the last one is acknowledged again and not executed. A block of reports
is sent again at every poll until it is acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from drivers.dart.codec import (
    ControlFrame,
    ControlKind,
    DataFrame,
    Frame,
    FrameDecoder,
    Rejected,
)
from drivers.dart.decimals import Decimals
from drivers.dart.manners import Manners
from drivers.dart.options import DartOptions
from drivers.dart.orders import (
    AMOUNT_COUNTER,
    AllowNozzles,
    Ask,
    Command,
    Order,
    PresetAmount,
    PresetVolume,
    RequestTotal,
    UpdatePrices,
    decode_order,
)
from drivers.dart.reports import (
    Filled,
    NozzleReport,
    PumpAlarm,
    PumpStatus,
    Report,
    Status,
    TotalByMeter,
    TotalPair,
    UnitPrices,
)
from drivers.pump_model import SimulatedPump
from edge_agent.model.dispenser import DispenserStatus
from edge_agent.model.errors import FrameRejected
from edge_agent.model.ids import FpId, LogicalNozzle
from edge_agent.model.station import BusPlan
from edge_agent.model.units import Money, UnitPrice, Volume

STATUS: Final = {
    DispenserStatus.NOT_PROGRAMMED: Status.NOT_PROGRAMMED,
    DispenserStatus.IDLE: Status.RESET,
    DispenserStatus.AUTHORISED: Status.AUTHORIZED,
    DispenserStatus.FUELLING: Status.FILLING,
    DispenserStatus.SUSPENDED: Status.SUSPENDED,
    DispenserStatus.COMPLETE: Status.FILLING_COMPLETED,
    DispenserStatus.CLOSED: Status.SWITCHED_OFF,
    DispenserStatus.INOPERATIVE: Status.SWITCHED_OFF,
}

STATUS_BEFORE_RESET_MS: Final = 100
TOTAL_DIGITS: Final = 10**10


class SimulatedPoint:
    """One address: the protocol around one `SimulatedPump`."""

    def __init__(self, address: int, pump: SimulatedPump, decimals: Decimals) -> None:
        self.pump = pump
        self.decimals = decimals
        self.manners = Manners()
        self.executed: list[Order] = []
        """The last orders that were executed, newest last; for tests."""
        self._address = address
        self._eot = [ControlFrame(address, ControlKind.EOT).encode()]
        self._unheard: bytes | None = None
        self._number = 0
        self._last_order_number: int | None = None
        self._asked: list[type[Report]] = []
        self._extra: list[Report] = []
        self._told_revision = -1
        self._told_display = -1
        self._told_status: Status | None = None
        self._told_nozzle: NozzleReport | None = None
        self._status_asked_ms: int | None = None
        self._pending_prices: tuple[int, dict[LogicalNozzle, UnitPrice]] | None = None
        self._heard_allowed = False
        self._nozzle_reports = 0
        self._totals_asked = False
        self._readings_left = 0

    # --- the line -------------------------------------------------------------------------------

    def on_poll(self, now_ms: int) -> list[bytes]:
        """Answer a poll."""
        pump = self.pump
        if not pump.is_powered or self.manners.is_silent:
            return []
        pump.advance(now_ms)
        self._program_due(now_ms)
        if self._unheard is not None:
            return [self._unheard]
        is_old = pump.revision == self._told_revision and not self._asked and not self._extra
        is_old = is_old and not self.manners.nozzle_flickers
        if is_old and pump.display_revision == self._told_display:
            return self._eot
        reports = self._reports()
        if not reports:
            return self._eot
        if not self.manners.same_number:
            self._number = 1 if self._number == 0x0F else self._number + 1
        block = tuple(report.encode() for report in reports)
        self._unheard = DataFrame(self._address, self._number, block).encode()
        return [self._unheard]

    def on_frame(self, now_ms: int, frame: Frame) -> list[bytes]:
        """Take in a frame to this address."""
        if not self.pump.is_powered or self.manners.is_silent:
            return []
        if isinstance(frame, DataFrame):
            return [self._on_block(now_ms, frame)]
        if frame.kind is ControlKind.POLL:
            return self.on_poll(now_ms)
        if frame.kind is ControlKind.ACK and frame.number == self._number:
            if self.manners.deaf_to_acks:
                self.manners.deaf_to_acks -= 1
            else:
                self._unheard = None
        return []

    def restart(self) -> None:
        """The head restarts: numbers are forgotten, and it says so."""
        self._number, self._last_order_number, self._unheard = 0, None, None
        self._extra.append(PumpAlarm(0x01))

    def _on_block(self, now_ms: int, frame: DataFrame) -> bytes:
        last = self._last_order_number
        follows = last is None or frame.number in {0, last, 1 if last == 0x0F else last + 1}
        if self.manners.strict_sequence and not follows:
            return ControlFrame(self._address, ControlKind.NAK, frame.number).encode()
        if frame.number != last:
            for transaction in frame.transactions:
                try:
                    order = decode_order(transaction)
                except FrameRejected:
                    return ControlFrame(self._address, ControlKind.NAK, frame.number).encode()
                self._execute(now_ms, order)
        self._last_order_number = frame.number
        return ControlFrame(self._address, ControlKind.ACK, frame.number).encode()

    # --- orders ---------------------------------------------------------------------------------

    def _execute(self, now_ms: int, order: Order) -> None:
        self.executed = [*self.executed[-63:], order]
        match order:
            case Command(ask):
                if self.manners.ignores.get(ask, 0) > 0:
                    self.manners.ignores[ask] -= 1
                else:
                    self._command(now_ms, ask)
            case AllowNozzles(nozzles):
                self._heard_allowed = True
                self.pump.allowed = frozenset(LogicalNozzle(nozzle) for nozzle in nozzles)
                self.pump.revision += 1
            case PresetVolume(volume):
                if not self._drops_preset():
                    self.pump.preset(volume_ml=self.decimals.to_volume(volume).ml)
            case PresetAmount(amount):
                if not self._drops_preset():
                    self.pump.preset(amount_fen=self.decimals.to_amount(amount).fen)
            case UpdatePrices(prices):
                self._update_prices(now_ms, prices)
            case RequestTotal(counter):
                self._totals_asked = True
                self._extra += self._total(counter)

    def _command(self, now_ms: int, ask: Ask) -> None:
        pump = self.pump
        match ask:
            case Ask.RETURN_STATUS:
                self._status_asked_ms = now_ms
                self._asked += [NozzleReport, PumpStatus]
            case Ask.RETURN_FILLING:
                self._asked.append(Filled)
            case Ask.RETURN_PRICES if self.manners.has_prices_report:
                self._asked.append(UnitPrices)
            case Ask.RESET if self._takes_reset(now_ms):
                pump.clear(now_ms)
            case Ask.AUTHORIZE:
                pump.authorise(now_ms)
            case Ask.STOP:
                pump.stop(now_ms, also_when_idle=True)
            case Ask.SUSPEND:
                pump.suspend(now_ms)
            case Ask.RESUME:
                pump.resume(now_ms)
            case Ask.SWITCH_OFF if pump.status is not DispenserStatus.FUELLING:
                pump.status = DispenserStatus.CLOSED
                pump.revision += 1

    def _takes_reset(self, now_ms: int) -> bool:
        asked_ms = self._status_asked_ms
        recently = asked_ms is not None and now_ms - asked_ms <= STATUS_BEFORE_RESET_MS
        return recently or not self.manners.reset_wants_status

    def _drops_preset(self) -> bool:
        return self.manners.preset_wants_lift and self.pump.lifted_nozzle is None

    def _update_prices(self, now_ms: int, digits: tuple[int, ...]) -> None:
        """Take prices of a CD5; one that misses a nozzle of the side is ignored as a whole."""
        prices = {
            LogicalNozzle(number): self.decimals.to_price(price)
            for number, price in enumerate(digits, start=1)
        }
        self._pending_prices = (now_ms + self.manners.price_lag_ms, prices)
        self._program_due(now_ms)

    def _program_due(self, now_ms: int) -> None:
        if self._pending_prices is not None and now_ms >= self._pending_prices[0]:
            self.pump.set_prices(now_ms, self._pending_prices[1])
            self._pending_prices = None

    # --- reports --------------------------------------------------------------------------------

    def _reports(self) -> list[Report]:
        """Return what changed and what was asked for, in the order that real heads send it."""
        pump, asked = self.pump, self._asked
        status = STATUS[pump.status]
        if status is Status.FILLING_COMPLETED and pump.ended_by_limit and pump.lifted_nozzle:
            status = Status.LIMIT_REACHED
        nozzle = self._nozzle_report()
        is_told = self._told_status is status
        ended = not is_told and status in {Status.FILLING_COMPLETED, Status.LIMIT_REACHED}
        flows = status is Status.FILLING and pump.display_revision != self._told_display
        reports: list[Report] = []
        if Filled in asked or ended or (flows and self.manners.volunteers_figures):
            self._readings_left = self.manners.running_readings if ended else self._readings_left
            reports.append(self._filled())
        if NozzleReport in asked or nozzle != self._told_nozzle:
            reports.append(nozzle)
            self._told_nozzle = nozzle
        if PumpStatus in asked or not is_told:
            reports.insert(0 if status is Status.FILLING else len(reports), PumpStatus(status))
            self._told_status = status
        if UnitPrices in asked:
            reports.append(UnitPrices(self._price_digits()))
        reports += self._extra
        self._asked, self._extra = [], []
        self._told_revision, self._told_display = pump.revision, pump.display_revision
        return reports

    def _filled(self) -> Filled:
        missing_ml = 10 * self.manners.running_figures_after_end if self._readings_left else 0
        self._readings_left = max(0, self._readings_left - 1)
        volume = Volume(max(0, self.pump.volume_ml - missing_ml))
        return Filled(
            self.decimals.of_volume(volume) or 0,
            self.decimals.of_amount(Money(self.pump.amount_fen)) or 0,
        )

    def _nozzle_report(self) -> NozzleReport:
        pump, manners = self.pump, self.manners
        lifted = pump.lifted_nozzle
        may_report = manners.lifts_reported_unasked or self._heard_allowed
        is_out = lifted is not None and lifted in pump.allowed and may_report
        if is_out and manners.nozzle_out_only_after_totals:
            is_out = self._totals_asked
        self._nozzle_reports += 1
        if is_out and manners.nozzle_flickers and self._nozzle_reports % 3 == 0:
            is_out = False
        selected = lifted if is_out and lifted is not None else pump.nozzle
        if selected is None:
            return NozzleReport(0, 0, is_out=False)
        price = self.decimals.of_price(UnitPrice(pump.hoses[selected].price_milli))
        return NozzleReport(price or 0, selected, is_out)

    def _price_digits(self) -> tuple[int, ...]:
        hoses = self.pump.hoses
        found = []
        for number in range(1, max(hoses) + 1):
            hose = hoses.get(LogicalNozzle(number))
            price = None if hose is None else self.decimals.of_price(UnitPrice(hose.price_milli))
            found.append(price or 0)
        return tuple(found)

    def _total(self, counter: int) -> Iterable[Report]:
        number = counter % AMOUNT_COUNTER
        hose = self.pump.hoses.get(LogicalNozzle(number))
        if hose is None:
            return []
        volume = hose.total_volume_ml // self.decimals.volume_step_ml
        amount = hose.total_amount_fen // self.decimals.amount_step_fen
        if self.manners.totals_layout == 13:
            return [TotalPair(counter, volume, amount)]
        if counter < AMOUNT_COUNTER:
            return [TotalByMeter(counter, volume % TOTAL_DIGITS, volume % TOTAL_DIGITS, 0)]
        if self.manners.has_amount_totals:
            return [TotalByMeter(counter, amount % TOTAL_DIGITS, amount % TOTAL_DIGITS, 0)]
        return []


class DartPumpSide:
    """All simulated points of one bus."""

    def __init__(
        self, plan: BusPlan, options: DartOptions, pumps: Mapping[FpId, SimulatedPump]
    ) -> None:
        self.points = {
            point.fp: SimulatedPoint(point.address, pumps[point.fp], options.decimals)
            for point in plan.fuelling_points
        }
        addresses = {point.address: self.points[point.fp] for point in plan.fuelling_points}
        self._by_address = addresses
        self._by_poll = {
            ControlFrame(address, ControlKind.POLL).encode(): point
            for address, point in addresses.items()
        }
        self._decoder = FrameDecoder()
        self._late: list[tuple[int, bytes]] = []

    def on_bytes(self, now_ms: int, data: bytes) -> list[bytes]:
        """Take in what the site controller sent, in pieces of any size; return the answers."""
        polled = self._by_poll.get(data)
        if polled is not None and self._decoder.is_between and not polled.manners.late_ms:
            answers = polled.on_poll(now_ms)
            return [data, *answers] if polled.manners.echoes else answers
        is_echoing = any(point.manners.echoes for point in self._by_address.values())
        answers = [data] if is_echoing else []
        for frame in self._decoder.feed(data):
            if isinstance(frame, Rejected) or frame.address not in self._by_address:
                continue
            point = self._by_address[frame.address]
            answered = point.on_frame(now_ms, frame)
            if point.manners.late_ms:
                self._late += [(now_ms + point.manners.late_ms, answer) for answer in answered]
            else:
                answers += answered
        return answers

    def on_timer(self, now_ms: int) -> list[bytes]:
        """Return late answers that have become due."""
        due = [answer for due_ms, answer in self._late if due_ms <= now_ms]
        self._late = [(due_ms, answer) for due_ms, answer in self._late if due_ms > now_ms]
        return due

    def next_deadline_ms(self) -> int | None:
        """When `on_timer` wants to be called; None: nothing is waiting."""
        return min((due_ms for due_ms, _ in self._late), default=None)
