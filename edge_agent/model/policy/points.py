"""Points: what is earned, how multipliers combine, what redeeming is worth, how long they last."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge_agent.model.policy.parts import Amount, Count, GradeCode, PolicyPart, Share


class Redemption(PolicyPart):
    """Paying with points. Whole yuan only: 100 points to a yuan unless the policy says otherwise
    (row P6)."""

    points_per_yuan: Annotated[int, Field(ge=1, le=100_000)] = 100
    max_share_bp: Share = 10_000
    """Of what is to be paid, so much at most."""
    min_points: Count = 0


class Points(PolicyPart):
    """Points earned on what was paid (row P1); parts of a yuan earn nothing.

    What is paid with points earns none.
    """

    per_yuan: Annotated[int, Field(ge=0, le=1000)] = 1
    grade_rates_bp: dict[GradeCode, Annotated[int, Field(ge=0, le=100_000)]] = Field(
        default_factory=dict
    )
    """Rate by grade, 10,000 where none is named (row P10)."""
    combine: Literal["max", "add", "multiply"] = "max"
    """How several multipliers combine (row Z3): the highest; each one's surplus added; all
    multiplied."""
    redeem: Redemption | None = None
    valid_months: Annotated[int, Field(ge=1, le=120)] = 24
    """Row P8."""
    warn_days: tuple[Amount, ...] = (30, 15, 3)
    """Days before expiry on which staff and member are told (row P14)."""
