"""States of a fuelling point, by their IFSF names, and what may be asked of one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Literal

from edge_agent.model.dispenser import Preset
from edge_agent.model.ids import FpId, MemberRef, PlateRef
from edge_agent.model.units import NO_MONEY, Money


@unique
class FpState(StrEnum):
    """IFSF FP_State, and OFFLINE for a lost link."""

    INOPERATIVE = "inoperative"
    CLOSED = "closed"
    IDLE = "idle"
    CALLING = "calling"
    AUTHORISED = "authorised"
    STARTED = "started"
    SUSPENDED_STARTED = "suspended_started"
    FUELLING = "fuelling"
    SUSPENDED_FUELLING = "suspended_fuelling"
    OFFLINE = "offline"


AuthorisedBy = Literal["attendant", "prepay", "plate", "policy"]


@dataclass(frozen=True, slots=True)
class AuthoriseRequest:
    """A wish to release a fuelling point for one fuelling."""

    fp: FpId
    by: AuthorisedBy
    preset: Preset | None = None
    member: MemberRef | None = None
    plate: PlateRef | None = None
    prepaid: Money = NO_MONEY
    plate_colour: str | None = None
    """Of the vehicle, where a camera saw it (`model.plates.PlateColour`)."""
    odometer_km: int | None = None
    """As the driver of a fleet's vehicle said."""
