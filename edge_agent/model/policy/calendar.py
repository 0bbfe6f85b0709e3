"""The station's calendar as policy: public holidays, the days worked for them, members' days."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from edge_agent.model.policy.parts import PolicyPart

Day: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
"""A date of the station's calendar, YYYY-MM-DD."""
DayKind: TypeAlias = Literal["workday", "weekend", "holiday", "member_day"]
"""What a day may count as. A holiday is neither workday nor weekend; a Saturday or Sunday that is
worked in exchange for one (调休) is a workday; a members' day is that beside any of these."""


class Calendar(PolicyPart):
    """Which days are what. Days that are not named are what their weekday says."""

    holidays: tuple[Day, ...] = ()
    workdays: tuple[Day, ...] = ()
    """Saturdays and Sundays that are worked (调休)."""
    member_days: tuple[Annotated[int, Field(ge=1, le=31)], ...] = ()
    """Days of the month, such as 8, or 8, 18 and 28."""

    @model_validator(mode="after")
    def _names_real_days(self) -> Self:
        for day in (*self.holidays, *self.workdays):
            try:
                date.fromisoformat(day)
            except ValueError:
                raise ValueError(f"{day} is no date") from None
        both = set(self.holidays) & set(self.workdays)
        if both:
            raise ValueError(f"{min(both)} is both a holiday and a workday")
        return self
