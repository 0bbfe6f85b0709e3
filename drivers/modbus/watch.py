"""From what a dispenser shows, poll by poll, to events: each thing once, each sale once.

A nozzle counts as lifted or hung once two polls in a row say so. Final figures count once two
polls in a row agree on them. A sale is known by its transaction number, never by its figures: two
equal sales in a row are two sales, one sale seen again after a lost link is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from drivers.modbus.register_map import UNKNOWN_STATE, Reading
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
from edge_agent.model.units import NO_MONEY, NO_VOLUME, Money, UnitPrice, Volume, amount_of

OFFLINE_STATE: Final = "offline"
STATUS: Final[Mapping[str, DispenserStatus]] = {
    "not_programmed": DispenserStatus.NOT_PROGRAMMED,
    "idle": DispenserStatus.IDLE,
    "calling": DispenserStatus.IDLE,
    "authorised": DispenserStatus.AUTHORISED,
    "fuelling": DispenserStatus.FUELLING,
    "suspended": DispenserStatus.SUSPENDED,
    "complete": DispenserStatus.COMPLETE,
    "stopped": DispenserStatus.COMPLETE,
    "closed": DispenserStatus.CLOSED,
    "inoperative": DispenserStatus.INOPERATIVE,
    UNKNOWN_STATE: DispenserStatus.INOPERATIVE,
}
FLOWING: Final = frozenset(
    {DispenserStatus.AUTHORISED, DispenserStatus.FUELLING, DispenserStatus.SUSPENDED}
)
SETTLING_POLLS: Final = 5
"""Figures that still change after so many polls are taken as they are, with an alarm."""

TOLERANCE_PARTS: Final = 4
"""An amount may be off by a quarter of volume times price; a wrong scale makes it off tenfold."""

_CHECKED_FROM: Final = Volume(100)
_NO_SALE: Final = 0
_NOTHING_REPORTED: Final = -1


class Watch:
    """One fuelling point as it was last seen."""

    def __init__(self, plan: FpPlan, *, advances_at_authorise: bool) -> None:
        self.fp = plan.fp
        self.reading: Reading | None = None
        self.status: DispenserStatus | None = None
        self._nozzles = tuple(nozzle.logical for nozzle in plan.nozzles)
        self._advances_at_authorise = advances_at_authorise
        self._mask = 0
        self._mask_glimpsed = 0
        self._used = self._nozzles[0]
        self._shown: tuple[int, int] | None = None
        self._reported: int | None = None
        self._open: int | None = None
        self._flowed: int | None = None
        self._retained: FuellingEnded | None = None
        self._settling: FuellingEnded | None = None
        self._settling_polls = 0
        self.has_suspect_scales = False

    @property
    def is_flowing(self) -> bool:
        """Whether fuel flows, or may at any moment."""
        return self.status in FLOWING

    @property
    def hurries(self) -> bool:
        """Whether the next poll should follow at once: something was seen once, not yet twice."""
        return self._mask != self._mask_glimpsed or self._settling is not None

    @property
    def is_active(self) -> bool:
        """Whether somebody is at the pump, or may be."""
        return self.is_flowing or self._mask != 0

    def forget(self) -> None:
        """The link is gone: everything is told anew when it comes back, except sales."""
        self.reading = None
        self.status = None
        self._mask = self._mask_glimpsed = 0
        self._shown = None
        self._settling = None
        self._retained = None

    def take(self, reading: Reading) -> Iterator[DispenserEvent]:
        """Compare a reading with the one before and tell what happened."""
        self.reading = reading
        yield from self._see_status(reading)
        yield from self._see_nozzles(reading.nozzle_mask)
        yield from self._see_progress(reading)
        yield from self._see_sale(reading)

    def _see_status(self, reading: Reading) -> Iterator[DispenserEvent]:
        status = STATUS.get(reading.state)
        if status is None or status is self.status:
            return
        self.status = status
        yield StatusChanged(self.fp, status)
        if reading.state == UNKNOWN_STATE:
            yield AlarmRaised(self.fp, "unknown_state")

    def _see_nozzles(self, shown: int) -> Iterator[DispenserEvent]:
        mask = sum(1 << nozzle - 1 for nozzle in self._nozzles if shown >> nozzle - 1 & 1)
        confirmed, self._mask_glimpsed = mask == self._mask_glimpsed, mask
        if not confirmed or mask == self._mask:
            return
        changed, self._mask = mask ^ self._mask, mask
        for nozzle in self._nozzles:
            lifted = bool(mask >> nozzle - 1 & 1)
            if changed >> nozzle - 1 & 1:
                if lifted:
                    self._used = nozzle
                yield NozzleChanged(self.fp, nozzle, lifted)

    def _see_progress(self, reading: Reading) -> Iterator[DispenserEvent]:
        if self.is_flowing:
            self._open = reading.transaction
        if self.status not in {DispenserStatus.FUELLING, DispenserStatus.SUSPENDED}:
            self._shown = None
            return
        self._flowed = reading.transaction
        shown = (reading.live_volume_ml, reading.live_amount_fen)
        if shown == self._shown:
            return
        self._shown = shown
        volume, amount = Volume(reading.live_volume_ml), Money(reading.live_amount_fen)
        yield Progress(self.fp, volume, amount)
        yield from self._suspect(volume, amount, reading.price_milli)

    # --- sales ---

    def _see_sale(self, reading: Reading) -> Iterator[DispenserEvent]:
        number = self._ended_sale(reading)
        if number is None:
            self._settling, self._settling_polls = None, 0
            self._retained = self.sale(reading)
            return
        figures = self._figures(reading)
        if figures != self._settling and self._settling_polls < SETTLING_POLLS:
            self._settling = figures
            self._settling_polls += 1
            return
        if figures != self._settling:
            yield AlarmRaised(self.fp, "figures_unsettled")
        self._settling, self._settling_polls = None, 0
        self._reported, self._open = number, None
        yield figures
        yield from self._suspect(figures.volume, figures.amount, figures.unit_price.milli)

    def _figures(self, reading: Reading) -> FuellingEnded:
        """Return the sale that has ended, as far as its figures can be believed.

        Where the number is given at authorisation and nothing was seen to flow, figures that are
        the same as before are those of the sale before.
        """
        shown, before = self.sale(reading), self._retained
        is_numbered_early = reading.sale_transaction is None and self._advances_at_authorise
        if not is_numbered_early or before is None or reading.transaction == self._flowed:
            return shown
        if (shown.volume, shown.amount) != (before.volume, before.amount):
            return shown
        return replace(shown, volume=NO_VOLUME, amount=NO_MONEY)

    def _ended_sale(self, reading: Reading) -> int | None:
        """Return the number of a sale that has ended and was not reported."""
        if self.status is None or self.is_flowing:
            self._note_flow_at_first_sight(reading)
            return None
        number = reading.transaction
        if reading.sale_transaction is not None:
            number = reading.sale_transaction
        if self._reported is None:
            is_retained = self.status is DispenserStatus.COMPLETE
            self._reported = _NOTHING_REPORTED if is_retained else number
        if number in {_NO_SALE, self._reported}:
            return None
        if reading.sale_transaction is None and self._advances_at_authorise:
            # The number may belong to an authorisation whose state is not shown yet.
            is_over = self.status is DispenserStatus.COMPLETE or number == self._open
            return number if is_over else None
        return number

    def _note_flow_at_first_sight(self, reading: Reading) -> None:
        """What flows already will be a new sale; what was sold before it is none."""
        if self._reported is not None or self.status is None:
            return
        if reading.sale_transaction is not None:
            self._reported = reading.sale_transaction
        else:
            in_hand = self._advances_at_authorise
            self._reported = _NOTHING_REPORTED if in_hand else reading.transaction

    @property
    def has_unreported_sale(self) -> bool:
        """Whether a sale has ended whose figures were not told yet."""
        return self._settling is not None

    def sale(self, reading: Reading) -> FuellingEnded:
        """Return the last sale as the reading shows it."""
        nozzle = LogicalNozzle(reading.sale_nozzle or self._used)
        price = reading.sale_price_milli
        return FuellingEnded(
            self.fp,
            nozzle if nozzle in self._nozzles else self._used,
            Volume(reading.sale_volume_ml),
            Money(reading.sale_amount_fen),
            UnitPrice(reading.price_milli if price is None else price),
        )

    def _suspect(self, volume: Volume, amount: Money, price_milli: int) -> Iterator[DispenserEvent]:
        """Raise an alarm where amount, volume and price contradict each other: a wrong scale.

        Nothing more is sold then until somebody has looked.
        """
        if volume < _CHECKED_FROM or not price_milli or self.has_suspect_scales:
            return
        expected = amount_of(volume, UnitPrice(price_milli))
        if TOLERANCE_PARTS * abs(expected.fen - amount.fen) > expected.fen:
            self.has_suspect_scales = True
            yield AlarmRaised(self.fp, "decimals_suspect")
