"""What the parts of a policy are made of: strict, closed, immutable, with bounded values."""

from __future__ import annotations

from typing import Annotated, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Code: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
GradeCode: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+-]{1,16}$")]
StationCode: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
Text: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=80)]
TimeOfDay: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")
]
Count: TypeAlias = Annotated[int, Field(ge=0, lt=2**53)]
Amount: TypeAlias = Annotated[int, Field(ge=1, lt=2**53)]
Share: TypeAlias = Annotated[int, Field(ge=0, le=10_000)]
"""Basis points: 10,000 is all."""


class PolicyPart(BaseModel):
    """Base of everything in a policy: strict, closed, immutable."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True
    )


class Hours(PolicyPart):
    """A daily window from `start` to just before `end`; past midnight when `end` is earlier."""

    start: TimeOfDay
    end: TimeOfDay

    @property
    def start_minute(self) -> int:
        """Minutes since midnight."""
        return minute_of_day(self.start)

    @property
    def end_minute(self) -> int:
        """Minutes since midnight; 1440 for 24:00."""
        return minute_of_day(self.end)

    @model_validator(mode="after")
    def _is_a_window(self) -> Self:
        if self.start_minute % 1440 == self.end_minute and self.end_minute != 1440:
            raise ValueError("start and end are the same")
        if self.start == "24:00":
            raise ValueError("a window starts at 00:00, not at 24:00")
        return self


def minute_of_day(time: str) -> int:
    """Return the minutes since midnight of a time written HH:MM."""
    return int(time[:2]) * 60 + int(time[3:])
