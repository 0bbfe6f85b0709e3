"""What is known of one fuelling point (one side of a dispenser, one DART address).

Reports come in, events go out. A fuelling is open from the first report that fuel may flow until
its final figures are told, also across a lost link; each open fuelling is told once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from drivers.dart.decimals import Decimals
from drivers.dart.nozzle import NozzleWatch
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
from edge_agent.model.dispenser import (
    AlarmRaised,
    DispenserEvent,
    DispenserStatus,
    FuellingEnded,
    NozzleChanged,
    Progress,
    StatusChanged,
)
from edge_agent.model.ids import LogicalNozzle
from edge_agent.model.station import FpPlan
from edge_agent.model.units import NO_MONEY, NO_VOLUME, Money, UnitPrice, Volume

STATUS: Final = {
    Status.NOT_PROGRAMMED: DispenserStatus.NOT_PROGRAMMED,
    Status.RESET: DispenserStatus.IDLE,
    Status.AUTHORIZED: DispenserStatus.AUTHORISED,
    Status.FILLING: DispenserStatus.FUELLING,
    Status.FILLING_COMPLETED: DispenserStatus.COMPLETE,
    Status.LIMIT_REACHED: DispenserStatus.COMPLETE,
    Status.SWITCHED_OFF: DispenserStatus.CLOSED,
    Status.SUSPENDED: DispenserStatus.SUSPENDED,
}

IN_SALE: Final = frozenset(
    {DispenserStatus.AUTHORISED, DispenserStatus.FUELLING, DispenserStatus.SUSPENDED}
)
FLOWED: Final = frozenset({DispenserStatus.FUELLING, DispenserStatus.SUSPENDED})

ALARMS: Final = {
    0x01: "pump_restarted",
    0x03: "pump_memory",
    0x04: "pump_program_checksum",
    0x06: "pump_pulser",
    0x07: "pump_pulser_current",
    0x09: "pump_emergency_stop",
    0x0A: "pump_power_failure",
    0x0B: "pump_pressure_lost",
    0x0C: "pump_blend_ratio",
    0x0D: "pump_leak_low",
    0x0E: "pump_leak_high",
    0x0F: "pump_leak_hose",
    **dict.fromkeys(range(0x10, 0x14), "pump_vapour_monitor"),
    **dict.fromkeys((0x19, 0x20), "pump_vapour_control"),
}
"""DC5 codes to stable alarm codes; others become `pump_alarm_XX`."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a display shows."""

    volume: Volume = NO_VOLUME
    amount: Money = NO_MONEY


@dataclass(slots=True)
class OpenFuelling:
    """A fuelling that has not been told to the end yet."""

    shown_before: Figures | None
    nozzle: LogicalNozzle | None = None
    price: UnitPrice | None = None
    has_flowed: bool = False
    is_suspect: bool = False
    is_seen: bool = True
    """False while the pump was told AUTHORIZE and has not said what it made of it."""
    is_orphan: bool = False
    """The link was lost since."""


class Side:
    """One fuelling point as its reports tell it."""

    def __init__(
        self, plan: FpPlan, decimals: Decimals, emit: Callable[[DispenserEvent], None]
    ) -> None:
        self.plan = plan
        self.decimals = decimals
        self.watch = NozzleWatch()
        self.status: DispenserStatus | None = None
        self.status_reports = 0
        self.figures: Figures | None = None
        self.figure_reports = 0
        self.has_new_figures = False
        """Figures were reported; whoever asks sets it back."""
        self.prices: dict[LogicalNozzle, UnitPrice] = {}
        self.price_reports = 0
        self.totals: dict[int, TotalByMeter | TotalPair] = {}
        self.selected: LogicalNozzle | None = None
        self.selected_price: UnitPrice | None = None
        self.fuelling: OpenFuelling | None = None
        self.is_clear = False
        """Reset was seen after the last fuelling and preset: nothing is left to clear."""
        self.has_amount_totals: bool | None = None
        self.decimals_suspect = False
        self.restarted = False
        """The pump said that it restarted; whoever asks sets it back."""
        self.emit = emit

    @property
    def is_in_sale(self) -> bool:
        """Whether fuel flows or may flow."""
        return self.status in IN_SALE

    @property
    def must_settle(self) -> bool:
        """Whether a fuelling has ended whose final figures have not been told."""
        fuelling = self.fuelling
        if fuelling is None or self.status is None or self.is_in_sale:
            return False
        return fuelling.is_seen or fuelling.is_orphan

    def forget(self) -> None:
        """The link is gone: everything has to be reported anew, but an open fuelling stays open."""
        self.status = None
        self.watch.forget()
        self.is_clear = False
        if self.fuelling is not None:
            self.fuelling.is_orphan = True

    def expect_fuelling(self) -> None:
        """AUTHORIZE goes out: should the link be lost before the answer, a fuelling may follow."""
        if self.fuelling is None:
            self.fuelling = self._opened(is_seen=False)

    def expect_nothing(self) -> None:
        """AUTHORIZE came to nothing."""
        if self.fuelling is not None and not (self.fuelling.is_seen or self.fuelling.is_orphan):
            self.fuelling = None

    def settle(self) -> None:
        """Tell the fuelling in hand, now that its figures are final."""
        fuelling, figures = self.fuelling, self.final_figures()
        if fuelling is not None and not fuelling.is_seen and figures == Figures():
            self.fuelling = None  # it never came to a fuelling
        else:
            self.tell_ended(figures)

    def take(self, report: Report) -> None:
        """Take one report in."""
        match report:
            case PumpStatus(status):
                self._take_status(STATUS[status])
            case Filled(volume, amount):
                self._take_figures(
                    Figures(self.decimals.to_volume(volume), self.decimals.to_amount(amount))
                )
            case NozzleReport():
                self._take_nozzle(report)
            case UnitPrices(prices):
                self._take_prices(prices)
            case TotalByMeter() | TotalPair():
                self.totals[report.counter] = report
            case PumpAlarm(code):
                self.restarted = self.restarted or code == 0x01
                self.alarm(ALARMS.get(code, f"pump_alarm_{code:02x}"))

    def alarm(self, code: str) -> None:
        """Tell the staff."""
        self.emit(AlarmRaised(self.plan.fp, code))

    def final_figures(self) -> Figures:
        """Return what the fuelling in hand delivered, as far as the display can be believed.

        Where nothing flowed, a display that shows the same as before is a retained one.
        """
        fuelling, shown = self.fuelling, self.figures or Figures()
        if fuelling is not None and not fuelling.has_flowed and shown == fuelling.shown_before:
            return Figures()
        return shown

    def tell_ended(self, figures: Figures) -> None:
        """Emit the final figures of the fuelling in hand, or of the one that the display keeps."""
        fuelling, self.fuelling = self.fuelling, None
        nozzle = (fuelling and fuelling.nozzle) or self.selected or self.plan.nozzles[0].logical
        price = fuelling.price if fuelling is not None else None
        if price is None and nozzle == self.selected:
            price = self.selected_price
        price = price or self.prices.get(nozzle) or UnitPrice(0)
        if not self.decimals.agree(figures.volume, figures.amount, price):
            self.decimals_suspect = True
            self.alarm("decimals_suspect")
        self.emit(FuellingEnded(self.plan.fp, nozzle, figures.volume, figures.amount, price))

    def _take_status(self, status: DispenserStatus) -> None:
        self.status_reports += 1
        if status in IN_SALE:
            self.is_clear = False
            if self.fuelling is None:
                self.fuelling = self._opened(is_seen=True)
            self.fuelling.is_seen = True
            self.fuelling.has_flowed |= status in FLOWED
        if status is not self.status:
            self.status = status
            self.emit(StatusChanged(self.plan.fp, status))

    def _opened(self, *, is_seen: bool) -> OpenFuelling:
        lifted = self.watch.lifted
        price = self.selected_price if lifted == self.selected else None
        return OpenFuelling(self.figures, lifted, price, is_seen=is_seen)

    def _take_figures(self, figures: Figures) -> None:
        self.figure_reports += 1
        self.has_new_figures = True
        changed = figures != self.figures
        self.figures = figures
        fuelling = self.fuelling
        if not changed or fuelling is None or not self.is_in_sale:
            return
        self.emit(Progress(self.plan.fp, figures.volume, figures.amount))
        price = fuelling.price or (fuelling.nozzle and self.prices.get(fuelling.nozzle))
        if not price or fuelling.is_suspect or not fuelling.has_flowed:
            return
        if not self.decimals.agree(figures.volume, figures.amount, price):
            fuelling.is_suspect = True  # live figures may lag; the final ones decide about selling
            self.alarm("decimals_suspect")

    def _take_nozzle(self, report: NozzleReport) -> None:
        nozzle = LogicalNozzle(report.nozzle)
        known = nozzle if any(nozzle == own.logical for own in self.plan.nozzles) else None
        price = self.decimals.to_price(report.price)
        if known is not None:
            self.selected, self.selected_price = known, price
            if self.fuelling is not None and self.is_in_sale:
                self.fuelling.nozzle, self.fuelling.price = known, price
        for changed, lifted in self.watch.glimpse(known if report.is_out else None):
            self.emit(NozzleChanged(self.plan.fp, changed, lifted))

    def _take_prices(self, prices: tuple[int, ...]) -> None:
        self.price_reports += 1
        for own in self.plan.nozzles:
            if own.logical <= len(prices):
                self.prices[own.logical] = self.decimals.to_price(prices[own.logical - 1])
