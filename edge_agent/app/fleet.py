"""A fleet's rules of use at this station: judged by what its vehicles and drivers filled here."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from edge_agent.app.confirmation import Confirmation
from edge_agent.app.till import Surroundings, Till
from edge_agent.core import usage_rules
from edge_agent.core.point import Point
from edge_agent.core.station_calendar import day_start_ms, month_start_ms, week_start_ms
from edge_agent.core.usage_rules import Fills, UsageFacts
from edge_agent.model.dispenser import Preset
from edge_agent.model.errors import CommandRefused, Problem
from edge_agent.model.fuelling import AuthoriseRequest
from edge_agent.model.membership import Member
from edge_agent.model.station import NozzlePlan
from edge_agent.model.units import Money, UnitPrice
from edge_agent.model.wishes import SecondFactor

LIFT_FIRST: Final = Problem(
    "fleet_lift_first",
    "车队车辆请先提枪再授权",
    "a fleet's vehicle: lift the nozzle, then authorise",
)


class Fleet:
    """Holds members against the rules of use that came with them (rows L1, L2)."""

    def __init__(self, around: Surroundings, till: Till, confirmation: Confirmation) -> None:
        self._around = around
        self._till = till
        self._confirmation = confirmation

    async def admitted(
        self,
        request: AuthoriseRequest,
        point: Point,
        member: Member,
        second: SecondFactor | None,
        operator: str,
    ) -> AuthoriseRequest:
        """Return a wish to release a point for a member, preset to what the rules allow.

        Raises:
            CommandRefused: the rules forbid it (`fleet_...`).
            SaleRefused: the driver has to prove who it is (`second_factor_...`, `pin_...`,
                `member_code_...`).
        """
        rules = member.rules
        if rules is None:
            return request
        nozzle = _nozzle(point)
        problem = self.problem(
            member, grade=nozzle.grade, odometer_km=request.odometer_km, pin_proven=True
        )
        if problem is not None:
            raise CommandRefused(problem, f"FP {point.fp}")
        if rules.pin:
            proved = await self._confirmation.confirm(
                second, member, operator=operator, allowed="member"
            )
            if proved.records:
                await self._around.books.append(proved.records)
        if point.applied is None:
            return request
        wished = request.preset
        if wished is None and request.prepaid:
            wished = Preset(amount=request.prepaid)
        price = point.applied.prices[nozzle.logical]
        return replace(request, preset=self.limit(member, price, wished))

    def problem(
        self,
        member: Member,
        *,
        grade: str | None,
        odometer_km: int | None = None,
        pin_proven: bool = False,
    ) -> Problem | None:
        """Return why a member may not fuel now, or None; a member without rules always may."""
        if member.rules is None:
            return None
        facts = UsageFacts(
            station=self._till.station.station,
            at_ms=self._around.lender.now_ms(),
            utc_offset_minutes=self._till.utc_offset_minutes,
            grade=grade,
            fills=self.fills(member),
            odometer_km=odometer_km,
            last_odometer_km=self._around.books.last_odometer_km(member.ref),
            pin_proven=pin_proven,
        )
        return usage_rules.problem(member.rules, facts)

    def limit(self, member: Member, price: UnitPrice, wished: Preset | None) -> Preset | None:
        """Return the preset that lets a member fill no more than the rules allow."""
        if member.rules is None:
            return wished
        return usage_rules.limit([(member.rules, self.fills(member))], price, wished)

    def fills(self, member: Member) -> Fills:
        """Return what a member filled here: settled, waiting to be paid, and flowing."""
        books, offset = self._around.books, self._till.utc_offset_minutes
        now_ms = self._around.lender.now_ms()
        waiting = [
            item.completed.amount_fen
            for item in books.unpaid()
            if item.completed.member_ref == member.ref
        ]
        flowing = sum(item.authorised.member_ref == member.ref for item in books.open_fuellings())
        begun = len(waiting) + flowing
        month_ms = month_start_ms(now_ms, offset)
        paid = books.usage("member", member.ref, month_ms).amount
        return Fills(
            today=books.visits(member.ref, day_start_ms(now_ms, offset)) + begun,
            this_week=books.visits(member.ref, week_start_ms(now_ms, offset)) + begun,
            this_month=books.visits(member.ref, month_ms) + begun,
            amount_this_month=paid + Money(sum(waiting)),
        )


def _nozzle(point: Point) -> NozzlePlan:
    """Return the nozzle that will be used, where that is known already."""
    if point.lifted is not None:
        return point.plan.nozzle(point.lifted)
    if len(point.plan.nozzles) > 1:
        raise CommandRefused(LIFT_FIRST, f"FP {point.fp}")
    return point.plan.nozzles[0]
