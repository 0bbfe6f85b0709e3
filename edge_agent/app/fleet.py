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
from edge_agent.model.ids import MemberRef
from edge_agent.model.membership import Member
from edge_agent.model.records import FuellingAuthorised
from edge_agent.model.station import NozzlePlan
from edge_agent.model.units import (
    NO_MONEY,
    NO_VOLUME,
    Money,
    UnitPrice,
    Volume,
    amount_of,
    volume_for,
)
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
        vehicle: Member | None = None,
    ) -> AuthoriseRequest:
        """Return a wish to release a point for a member, preset to what the rules allow.

        Where the same account's vehicle stands there, its rules hold as well as the driver's. The
        fill counts as the driver's, who is named.

        Raises:
            CommandRefused: the rules forbid it (`fleet_...`).
            SaleRefused: the driver has to prove who it is (`second_factor_...`, `pin_...`,
                `member_code_...`).
        """
        judged = [member] if vehicle is None else _together(member, vehicle)
        rules = [(each.rules, self.fills(each)) for each in judged if each.rules is not None]
        if not rules:
            return request
        nozzle = _nozzle(point)
        of_odometer = judged[-1]
        problem = usage_rules.problem_of_all(
            (
                each.rules,
                self._facts(
                    each, nozzle.grade, request.odometer_km, of_odometer.ref, pin_proven=True
                ),
            )
            for each in judged
        )
        if problem is not None:
            raise CommandRefused(problem, f"FP {point.fp}")
        if any(each.pin for each, _ in rules):
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
        return replace(request, preset=usage_rules.limit(rules, price, wished))

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
        facts = self._facts(member, grade, odometer_km, member.ref, pin_proven=pin_proven)
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
        begun = [
            (Money(one.amount_fen), Volume(one.volume_ml))
            for one in (item.completed for item in books.unpaid())
            if one.member_ref == member.ref
        ]
        begun += [
            _may_come_to(item.authorised)
            for item in books.open_fuellings()
            if item.authorised.member_ref == member.ref
        ]
        amount = Money(sum(each.fen for each, _ in begun))
        volume = Volume(sum(each.ml for _, each in begun))
        day, week, month = (
            books.usage("member", member.ref, since_ms(now_ms, offset))
            for since_ms in (day_start_ms, week_start_ms, month_start_ms)
        )
        return Fills(
            today=day.payments + len(begun),
            this_week=week.payments + len(begun),
            this_month=month.payments + len(begun),
            amount_today=day.amount + amount,
            amount_this_week=week.amount + amount,
            amount_this_month=month.amount + amount,
            volume_today=day.volume + volume,
            volume_this_week=week.volume + volume,
            volume_this_month=month.volume + volume,
        )

    def _facts(
        self,
        member: Member,
        grade: str | None,
        odometer_km: int | None,
        of_odometer: MemberRef,
        *,
        pin_proven: bool,
    ) -> UsageFacts:
        return UsageFacts(
            station=self._till.station.station,
            at_ms=self._around.lender.now_ms(),
            utc_offset_minutes=self._till.utc_offset_minutes,
            grade=grade,
            fills=self.fills(member),
            odometer_km=odometer_km,
            last_odometer_km=self._around.books.last_odometer_km(of_odometer),
            pin_proven=pin_proven,
        )


def _together(driver: Member, vehicle: Member) -> list[Member]:
    """Return whose rules hold; a car that stands there is none of another account's concern."""
    if driver.ref == vehicle.ref or driver.account is None or driver.account != vehicle.account:
        return [driver]
    return [driver, vehicle]


def _may_come_to(body: FuellingAuthorised) -> tuple[Money, Volume]:
    """Return the most that a fuelling which flows may cost and pour, as far as its preset tells."""
    prices = sorted(body.prices.values())
    if body.preset_amount_fen is not None:
        amount = Money(body.preset_amount_fen)
        return amount, volume_for(amount, UnitPrice(prices[0])) if prices else NO_VOLUME
    volume = Volume(body.preset_volume_ml or 0)
    return amount_of(volume, UnitPrice(prices[-1])) if prices else NO_MONEY, volume


def _nozzle(point: Point) -> NozzlePlan:
    """Return the nozzle that will be used, where that is known already."""
    if point.lifted is not None:
        return point.plan.nozzle(point.lifted)
    if len(point.plan.nozzles) > 1:
        raise CommandRefused(LIFT_FIRST, f"FP {point.fp}")
    return point.plan.nozzles[0]
