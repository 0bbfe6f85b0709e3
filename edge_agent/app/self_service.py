"""What happens without an attendant's touch: release by plate or policy, settling by plate or
prepayment.

A plate releases a nozzle when a camera is sure of it, its member has consented, the policy allows
plate pay, a fleet's rules allow this fuel here and now, and stored value is there; the dispenser is
preset to what may be charged, so that no driver owes more than the account holds. Whatever does not
fit, or needs the driver's word (PIN, odometer), stays the attendant's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from edge_agent.app.forecourt import Forecourt
from edge_agent.app.point_of_sale import PointOfSale
from edge_agent.core.point import Phase, Point, fp_state
from edge_agent.core.visits import LEAST_VOTES, NO_VISITS, Visit, current, seen, served
from edge_agent.model.dispenser import Preset
from edge_agent.model.errors import RefusedError, StorageUnavailable
from edge_agent.model.fuelling import AuthoriseRequest, FpState
from edge_agent.model.ids import AccountRef, BayId, FpId, FuellingId, MemberRef, PlateRef
from edge_agent.model.membership import KnownPlate
from edge_agent.model.plates import PlateSighting
from edge_agent.model.policy import Policy
from edge_agent.model.records import FuellingCompleted
from edge_agent.model.station import NozzlePlan
from edge_agent.model.units import Money
from edge_agent.ports import BlindIndex, Books, Catalogues, Clock

logger = logging.getLogger(__name__)

FRESH_MS = 90_000
"""A plate that was last seen longer ago than this may have driven off since."""
ML_MILLI_A_FEN = 10_000
"""Millilitres times thousandths of a yuan per litre, in a fen."""
LEAST_LIMIT = Money(1_000)
"""With less than 10 yuan to spend, the attendant decides."""


class SelfService:
    """Watches the forecourt and the cameras, and acts where the policy says so."""

    def __init__(
        self,
        forecourt: Forecourt,
        pos: PointOfSale,
        books: Books,
        catalogues: Catalogues,
        index: BlindIndex,
        clock: Clock,
        policy: Callable[[], Policy],
    ) -> None:
        self._forecourt = forecourt
        self._pos = pos
        self._books = books
        self._catalogues = catalogues
        self._index = index
        self._clock = clock
        self._policy = policy
        self._visits = NO_VISITS
        self._tasks: set[asyncio.Task[None]] = set()
        self._tried: set[FpId] = set()
        self._asked: dict[FpId, tuple[MemberRef | None, int]] = {}
        forecourt.subscribe(self._on_point)
        forecourt.on_completed(self._on_completed)

    async def settle_left_over(self) -> None:
        """Settle what was completed, but not charged, when the agent went down."""
        for unpaid in self._books.unpaid():
            await self._settle(unpaid.completed)

    def on_sighting(self, sighting: PlateSighting) -> None:
        """Take in what a camera saw; an unsure sighting changes nothing."""
        if not sighting.confirmed or sighting.votes < LEAST_VOTES:
            return
        ref = PlateRef(self._index.of("plate", sighting.plate.text))
        member = self._catalogues.member_by_index("plate", ref)
        colour = sighting.plate.colour.value
        plate = KnownPlate(ref, sighting.plate.masked(), member, colour)
        age_ms = max(self._clock.wall_ms() - sighting.at_ms, 0)
        seen_ms = self._clock.monotonic_ms() - age_ms
        self._visits = seen(self._visits, sighting.bay, plate, seen_ms)
        self._look_ahead(sighting.bay, plate)
        for fp, point in self._forecourt.points().items():
            if point.plan.bay == sighting.bay:
                self._on_point(fp)

    def _look_ahead(self, bay: BayId, plate: KnownPlate) -> None:
        """Ask headquarters once a visit for what a plate may be charged, while its car parks.

        A lifted nozzle waits for nobody, so what is not leased by then is not there.
        """
        visit, member = self.visit_at(bay), plate.member
        if visit is None or member is None or visit.arrived_ms != visit.seen_ms:
            return
        asking = asyncio.ensure_future(self._pos.charging.prepare_plate(member, self._policy()))
        self._tasks.add(asking)
        asking.add_done_callback(self._tasks.discard)

    def visit_at(self, bay: BayId | None) -> Visit | None:
        """Return the visit at a bay."""
        return None if bay is None else current(self._visits, bay, self._clock.monotonic_ms())

    def masked(self, plate: PlateRef) -> str | None:
        """Return the masked text of a plate that stands at a bay, or stood there last."""
        shown = (visit.plate for visit in self._visits.values())
        return next((each.masked for each in shown if each.ref == plate), None)

    def _on_point(self, fp: FpId) -> None:
        """One attempt per lift: what fails or is stopped is for the attendant to take up again."""
        point = self._forecourt.point(fp)
        if point.lifted is None:
            self._tried.discard(fp)
        if point.phase is not Phase.READY or fp_state(point) is not FpState.CALLING:
            return
        if fp in self._tried or self._forecourt.blocked(fp) is not None:
            return
        request = self._wish(point)
        if request is not None:
            self._tried.add(fp)
            self._note_asked(request)
            task = asyncio.ensure_future(self._release(request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _wish(self, point: Point) -> AuthoriseRequest | None:
        policy = self._policy()
        visit = self.visit_at(point.plan.bay)
        if point.lifted is None:
            return None
        nozzle = point.plan.nozzle(point.lifted)
        if visit is not None and self._may_pay(visit):
            preset = self._plate_preset(visit, policy, point, nozzle)
            if preset is not None and visit.plate.member is not None:
                return AuthoriseRequest(
                    point.fp,
                    "plate",
                    preset,
                    visit.plate.member.ref,
                    visit.plate.ref,
                    plate_colour=visit.plate.colour,
                )
        if policy.auto_authorise.covers(nozzle.number, nozzle.grade):
            colour = None if visit is None else visit.plate.colour
            return AuthoriseRequest(point.fp, "policy", plate_colour=colour)
        return None

    def _may_pay(self, visit: Visit) -> bool:
        """The car that is seen must be the one that lifts: seen lately, and not served yet."""
        return not visit.served and self._clock.monotonic_ms() - visit.seen_ms <= FRESH_MS

    def _plate_preset(
        self, visit: Visit, policy: Policy, point: Point, nozzle: NozzlePlan
    ) -> Preset | None:
        """Return what this plate may fill now; None for not without the attendant.

        The grade is judged at the lift, not at the payment (rows C6, L1).
        """
        member = visit.plate.member
        if member is None or member.account is None or point.applied is None:
            return None
        charging = self._pos.charging
        limit = charging.plate_limit(member, policy, self._promised(member.account))
        if limit < LEAST_LIMIT or charging.fleet.problem(member, grade=nozzle.grade) is not None:
            return None
        price = point.applied.prices[nozzle.logical]
        preset = charging.fleet.limit(member, price, Preset(amount=limit))
        if preset is not None and preset.volume is not None:
            # As an amount, so that what is promised on an account can be counted.
            preset = Preset(amount=Money(preset.volume.ml * price.milli // ML_MILLI_A_FEN))
        enough = preset is not None and preset.amount is not None and preset.amount >= LEAST_LIMIT
        return preset if enough else None

    def _promised(self, account: AccountRef) -> Money:
        """Return what fuellings that plates released on this account may still cost."""
        begun = [item.authorised for item in self._books.open_fuellings()]
        ended = [item.completed for item in self._books.unpaid()]
        known = {body.fp for body in begun}
        costs = [(b.member_ref, b.preset_amount_fen or 0) for b in begun if b.plate_ref]
        costs += [(b.member_ref, b.amount_fen) for b in ended if b.plate_ref]
        costs += [(ref, fen) for fp, (ref, fen) in self._asked.items() if fp not in known]
        return Money(sum(fen for ref, fen in costs if self._account_of(ref) == account))

    def _account_of(self, member_ref: str | None) -> AccountRef | None:
        member = None if member_ref is None else self._catalogues.member(MemberRef(member_ref))
        return None if member is None else member.account

    def _note_asked(self, request: AuthoriseRequest) -> None:
        """A release that is still being written has promised its limit already."""
        if request.plate is not None and request.preset is not None:
            amount = request.preset.amount or Money(0)
            self._asked[request.fp] = (request.member, amount.fen)

    async def _release(self, request: AuthoriseRequest) -> None:
        try:
            await self._forecourt.authorise(request)
        except (RefusedError, StorageUnavailable) as error:
            logger.info("not released", extra={"fp": request.fp, "code": error.problem.code})
        finally:
            self._asked.pop(request.fp, None)

    async def _on_completed(self, body: FuellingCompleted) -> None:
        bay = self._forecourt.point(FpId(body.fp)).plan.bay
        if bay is not None:
            self._visits = served(self._visits, bay)
        await self._settle(body)

    async def _settle(self, body: FuellingCompleted) -> None:
        """Charge a plate or close a prepayment; what cannot be charged waits at the till."""
        fuelling = FuellingId(body.fuelling_id)
        try:
            if body.prepaid_fen and body.amount_fen:
                await self._pos.settle_prepaid(fuelling)
            elif body.plate_ref is not None:
                await self._pos.settle_by_plate(fuelling)
        except (RefusedError, StorageUnavailable) as error:
            logger.warning("left unpaid", extra={"fp": body.fp, "code": error.problem.code})
