"""A physical fuelling point, shared by the simulators of all protocols.

It knows hoses, a meter, a display and totalisers, and nothing of any protocol. It is
deterministic: fuel flows in whole centilitres at a constant rate between two moments that the
caller names. What it delivered and what its totalisers show are the truth that tests and the demo
compare everything else with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from drivers.hose import Delivery, Hose
from edge_agent.model.dispenser import DispenserStatus
from edge_agent.model.ids import LogicalNozzle
from edge_agent.model.units import Money, UnitPrice, Volume, amount_of

STEP_ML: Final = 10
"""The meter's resolution: one centilitre."""

FLOW_ML_PER_S: Final = 600
"""About 36 litres a minute, a usual petrol dispenser."""

IN_SALE: Final = frozenset(
    {DispenserStatus.AUTHORISED, DispenserStatus.FUELLING, DispenserStatus.SUSPENDED}
)


class SimulatedPump:
    """One fuelling point with its hoses.

    Every method that depends on time takes `now_ms` (monotonic) and lets fuel flow up to then
    first. `revision` grows with every change that a protocol would report; `display_revision` with
    every change of the running figures alone.

    Args:
        nozzles: logical numbers of the hoses.
        flow_ml_per_s: how fast fuel flows while the customer squeezes.
        totals_live: totalisers move while fuel flows instead of when the fuelling ends.
        retains_display: `clear` leaves the last figures on the display until the next fuelling.
        on_delivered: called with every fuelling that ended, stand-alone ones too.
    """

    def __init__(
        self,
        nozzles: Iterable[LogicalNozzle],
        *,
        flow_ml_per_s: int = FLOW_ML_PER_S,
        totals_live: bool = False,
        retains_display: bool = False,
        on_delivered: Callable[[Delivery], None] | None = None,
    ) -> None:
        self.hoses: dict[LogicalNozzle, Hose] = {nozzle: Hose() for nozzle in nozzles}
        self.flow_ml_per_s = flow_ml_per_s
        self.totals_live = totals_live
        self.retains_display = retains_display
        self.on_delivered = on_delivered
        self.status = DispenserStatus.NOT_PROGRAMMED
        self.is_powered = True
        self.nozzle: LogicalNozzle | None = None
        self.volume_ml = 0
        self.amount_fen = 0
        self.price_milli = 0
        self.ended_by_limit = False
        self.allowed: frozenset[LogicalNozzle] = frozenset(self.hoses)
        self.preset_ml: int | None = None
        self.preset_fen: int | None = None
        self.deliveries = 0
        self.revision = 0
        self.display_revision = 0
        self._room_ml: int | None = None
        self._is_squeezed = False
        self._flow_from_ms: int | None = None
        self._flow_from_ml = 0
        self._was_lifted_in_sale = False

    # --- the customer ---------------------------------------------------------------------------

    def lift(self, now_ms: int, nozzle: LogicalNozzle) -> None:
        """Take a nozzle out of its boot. Only one may be out; a second one is left alone."""
        self.advance(now_ms)
        if self.lifted_nozzle is not None:
            return
        self.hoses[nozzle].is_lifted = True
        if self.status in IN_SALE and nozzle in self.allowed:
            self._select(nozzle)
        elif self.status not in IN_SALE:
            self.nozzle = nozzle
        self._changed()

    def squeeze(self, now_ms: int, wish_ml: int | None = None) -> None:
        """Pull the trigger until the tank holds `wish_ml` more; None: until a limit or the end."""
        self.advance(now_ms)
        self._is_squeezed = True
        self._room_ml = None if wish_ml is None else wish_ml // STEP_ML * STEP_ML
        if self.status is DispenserStatus.FUELLING:
            self._start_flow(now_ms)
        self.advance(now_ms)

    def release(self, now_ms: int) -> None:
        """Let the trigger go; the nozzle stays in the tank."""
        self.advance(now_ms)
        self._is_squeezed = False
        self._stop_flow()

    def hang(self, now_ms: int) -> None:
        """Put the nozzle back; this ends a fuelling."""
        self.advance(now_ms)
        lifted = self.lifted_nozzle
        if lifted is None:
            return
        self.hoses[lifted].is_lifted = False
        self._is_squeezed = False
        if self.status in IN_SALE and self._was_lifted_in_sale:
            self._end()
        self._changed()

    def leak(self, now_ms: int, volume_ml: int) -> None:
        """Let fuel seep through a bad valve with nobody at the nozzle, while authorised."""
        self.advance(now_ms)
        if self.status is DispenserStatus.AUTHORISED:
            if self.nozzle is None or self.nozzle not in self.allowed:
                self._select(min(self.allowed))
            self.status = DispenserStatus.FUELLING
            self._changed()
        if self.status is DispenserStatus.FUELLING:
            self._show(self.volume_ml + volume_ml // STEP_ML * STEP_ML)

    # --- the controller -------------------------------------------------------------------------

    def authorise(self, now_ms: int, nozzles: Iterable[LogicalNozzle] | None = None) -> bool:
        """Release the point for one fuelling; the display starts at zero. False: not now."""
        self.advance(now_ms)
        if self.status is not DispenserStatus.IDLE:
            return False
        if nozzles is not None:
            self.allowed = frozenset(nozzles) & frozenset(self.hoses)
        self.status = DispenserStatus.AUTHORISED
        self.volume_ml = self.amount_fen = 0
        self.ended_by_limit = False
        self._was_lifted_in_sale = False
        lifted = self.lifted_nozzle
        if lifted is not None and lifted in self.allowed:
            self._select(lifted)
        self._changed()
        self.advance(now_ms)
        return True

    def preset(self, *, volume_ml: int | None = None, amount_fen: int | None = None) -> None:
        """Set the limit of the next fuelling; neither: no limit."""
        self.preset_ml, self.preset_fen = volume_ml, amount_fen

    def stop(self, now_ms: int, *, also_when_idle: bool = False) -> bool:
        """End the fuelling or the authorisation; some pumps complete an idle point as well."""
        self.advance(now_ms)
        if self.status in IN_SALE:
            self._end()
            return True
        if also_when_idle and self.status is DispenserStatus.IDLE:
            self.status = DispenserStatus.COMPLETE
            self._changed()
            return True
        return False

    def suspend(self, now_ms: int) -> bool:
        """Pause the flow."""
        self.advance(now_ms)
        if self.status not in {DispenserStatus.FUELLING, DispenserStatus.AUTHORISED}:
            return False
        self._stop_flow()
        self.status = DispenserStatus.SUSPENDED
        self._changed()
        return True

    def resume(self, now_ms: int) -> bool:
        """Let a suspended fuelling flow on."""
        self.advance(now_ms)
        if self.status is not DispenserStatus.SUSPENDED:
            return False
        self.status = DispenserStatus.FUELLING
        if self._is_squeezed:
            self._start_flow(now_ms)
        self._changed()
        return True

    def clear(self, now_ms: int) -> bool:
        """Clear preset and (unless it is retained) display of an ended fuelling."""
        self.advance(now_ms)
        if self.status not in {DispenserStatus.COMPLETE, DispenserStatus.IDLE}:
            return False
        self.preset()
        if not self.retains_display:
            self.volume_ml = self.amount_fen = 0
        self.status = DispenserStatus.IDLE
        self._changed()
        return True

    def set_prices(self, now_ms: int, prices: Mapping[LogicalNozzle, UnitPrice]) -> bool:
        """Program the prices of all hoses at once. False: a hose is missing, or it fuels."""
        self.advance(now_ms)
        if not frozenset(self.hoses) <= frozenset(prices) or self.status in IN_SALE:
            return False
        for nozzle, hose in self.hoses.items():
            hose.price_milli = prices[nozzle].milli
        if self.status is DispenserStatus.NOT_PROGRAMMED:
            self.status = DispenserStatus.COMPLETE
        self._changed()
        return True

    # --- what else happens to a pump ------------------------------------------------------------

    def sell_offline(self, nozzle: LogicalNozzle, volume: Volume) -> Delivery:
        """Sell without the controller; the totalisers tell it afterwards, nothing else does.

        Raises:
            ValueError: the point is in a sale, or the volume is not whole centilitres.
        """
        if self.status in IN_SALE or volume.ml % STEP_ML:
            raise ValueError("stand-alone sales need a free point and whole centilitres")
        hose = self.hoses[nozzle]
        self.nozzle, self.price_milli = nozzle, hose.price_milli
        self.volume_ml = volume.ml
        self.amount_fen = amount_of(volume, UnitPrice(hose.price_milli)).fen
        if self.status is DispenserStatus.IDLE:
            self.status = DispenserStatus.COMPLETE
        return self._deliver(nozzle, is_stand_alone=True)

    def power_off(self, now_ms: int) -> None:
        """Cut the mains: the fuelling ends where it is, nothing answers until `power_on`."""
        self.advance(now_ms)
        if self.status in IN_SALE:
            self._end()
        self.is_powered = False

    def power_on(self, now_ms: int) -> None:
        """Return with the last figures on the display."""
        self.advance(now_ms)
        self.is_powered = True
        self._changed()

    def lose_prices(self) -> None:
        """Zeroise: the point is not programmed until it gets prices; the display stays."""
        if self.status not in IN_SALE:
            self.status = DispenserStatus.NOT_PROGRAMMED
            self._changed()

    def replace_totaliser(self, nozzle: LogicalNozzle) -> None:
        """Fit a new board whose totalisers start at zero; what was delivered stays delivered."""
        hose = self.hoses[nozzle]
        hose.total_volume_ml = hose.total_amount_fen = 0

    # --- reading --------------------------------------------------------------------------------

    @property
    def lifted_nozzle(self) -> LogicalNozzle | None:
        """The nozzle that is out of its boot."""
        for nozzle, hose in self.hoses.items():
            if hose.is_lifted:
                return nozzle
        return None

    @property
    def is_flowing(self) -> bool:
        """Whether fuel flows as of the last `advance`."""
        return self._flow_from_ms is not None

    @property
    def delivered_ml(self) -> int:
        """All that was ever delivered here, in millilitres."""
        return sum(hose.delivered_ml for hose in self.hoses.values())

    @property
    def delivered_fen(self) -> int:
        """What the displays asked for all that was ever delivered here, in fen."""
        return sum(hose.delivered_fen for hose in self.hoses.values())

    def flow_ends_ms(self) -> int | None:
        """When the flow will have reached the wish or a limit; None: not flowing, or open end."""
        if self._flow_from_ms is None:
            return None
        goal_ml = self._goal_ml()
        if goal_ml is None:
            return None
        return self._flow_from_ms + -(-(goal_ml - self._flow_from_ml) * 1000 // self.flow_ml_per_s)

    def advance(self, now_ms: int) -> None:
        """Let fuel flow up to `now_ms`; end the fuelling when a limit is reached."""
        if self._flow_from_ms is None:
            starts = self._is_squeezed and self._was_lifted_in_sale
            if self.status is not DispenserStatus.AUTHORISED or not starts:
                return
            self.status = DispenserStatus.FUELLING
            self._changed()
            self._flow_from_ms, self._flow_from_ml = now_ms, self.volume_ml
        flowed_ml = (now_ms - self._flow_from_ms) * self.flow_ml_per_s // 1000
        volume_ml = self._flow_from_ml + flowed_ml // STEP_ML * STEP_ML
        goal_ml = self._goal_ml()
        reached = goal_ml is not None and volume_ml >= goal_ml
        if goal_ml is not None and reached:
            volume_ml = goal_ml
        self._show(volume_ml)
        if reached:
            self._stop_flow()
            if self._limit_ml() == volume_ml:
                self._end(by_limit=True)

    # --- inside ---------------------------------------------------------------------------------

    def _select(self, nozzle: LogicalNozzle) -> None:
        self.nozzle = nozzle
        self.price_milli = self.hoses[nozzle].price_milli
        self._was_lifted_in_sale = self.hoses[nozzle].is_lifted

    def _limit_ml(self) -> int | None:
        """Return the volume at which the preset ends the fuelling, in whole centilitres."""
        limits = []
        if self.preset_ml is not None:
            limits.append(self.preset_ml // STEP_ML * STEP_ML)
        if self.preset_fen is not None and self.price_milli:
            # The first centilitre whose price reaches the amount: 25.48 L at 7.85 for 200.00.
            steps = -(-(self.preset_fen * 10_000 - 5_000) // (self.price_milli * STEP_ML))
            limits.append(steps * STEP_ML)
        return min(limits) if limits else None

    def _goal_ml(self) -> int | None:
        limit_ml = self._limit_ml()
        if self._room_ml is None:
            return limit_ml
        full_ml = self.volume_ml + self._room_ml
        return full_ml if limit_ml is None else min(full_ml, limit_ml)

    def _start_flow(self, now_ms: int) -> None:
        if self._flow_from_ms is None:
            self._flow_from_ms, self._flow_from_ml = now_ms, self.volume_ml

    def _stop_flow(self) -> None:
        self._flow_from_ms = None

    def _show(self, volume_ml: int) -> None:
        if volume_ml == self.volume_ml:
            return
        amount_fen = amount_of(Volume(volume_ml), UnitPrice(self.price_milli)).fen
        if self.preset_fen is not None and volume_ml == self._limit_ml():
            amount_fen = min(amount_fen, self.preset_fen)
        if self.totals_live and self.nozzle is not None:
            moved = volume_ml - self.volume_ml, amount_fen - self.amount_fen
            self.hoses[self.nozzle].count(*moved)
        if self._room_ml is not None:
            self._room_ml = max(0, self._room_ml - (volume_ml - self.volume_ml))
        self.volume_ml, self.amount_fen = volume_ml, amount_fen
        self.display_revision += 1

    def _end(self, *, by_limit: bool = False) -> None:
        self._stop_flow()
        self.status = DispenserStatus.COMPLETE
        self.ended_by_limit = by_limit
        self.preset()
        self._is_squeezed = False
        if self.nozzle is not None and (self._was_lifted_in_sale or self.volume_ml > 0):
            self._deliver(self.nozzle, is_stand_alone=False)
        self._changed()

    def _deliver(self, nozzle: LogicalNozzle, *, is_stand_alone: bool) -> Delivery:
        hose = self.hoses[nozzle]
        hose.delivered_ml += self.volume_ml
        hose.delivered_fen += self.amount_fen
        if is_stand_alone or not self.totals_live:
            hose.count(self.volume_ml, self.amount_fen)
        self.deliveries += 1
        delivery = Delivery(
            self.deliveries,
            nozzle,
            Volume(self.volume_ml),
            Money(self.amount_fen),
            UnitPrice(self.price_milli),
            is_stand_alone,
        )
        self._changed()
        if self.on_delivered is not None:
            self.on_delivered(delivery)
        return delivery

    def _changed(self) -> None:
        self.revision += 1
