"""The plan of a station: what is wired where. Built from the configuration, then immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_agent.model.canonical import Json
from edge_agent.model.ids import (
    BayId,
    BusId,
    CameraId,
    FpId,
    GradeId,
    LogicalNozzle,
    NozzleNumber,
    StationId,
)


@dataclass(frozen=True, slots=True)
class Grade:
    """A fuel: its id in records ("92") and its name on the screen ("92#")."""

    grade: GradeId
    name: str


@dataclass(frozen=True, slots=True)
class NozzlePlan:
    """One hose: the number on its label, its number in the protocol, and what flows through it."""

    number: NozzleNumber
    logical: LogicalNozzle
    grade: GradeId


@dataclass(frozen=True, slots=True)
class FpPlan:
    """One fuelling point: its address on its bus, its nozzles, the bay where its customers park."""

    fp: FpId
    address: int
    nozzles: tuple[NozzlePlan, ...]
    bay: BayId | None = None

    def nozzle(self, logical: LogicalNozzle) -> NozzlePlan:
        """Return the nozzle with this logical number.

        Raises:
            KeyError: the fuelling point has no such nozzle.
        """
        for nozzle in self.nozzles:
            if nozzle.logical == logical:
                return nozzle
        raise KeyError(logical)


@dataclass(frozen=True, slots=True)
class BusPlan:
    """One serial line or connection, the driver that speaks on it, and who listens.

    `options` are the driver's own settings (timing, decimals, register map), which the driver
    validates itself.
    """

    bus: BusId
    driver: str
    fuelling_points: tuple[FpPlan, ...]
    options: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """One camera: where its pictures come from and which bay it watches."""

    camera: CameraId
    source: str
    bay: BayId


@dataclass(frozen=True, slots=True)
class StationPlan:
    """The whole station."""

    station: StationId
    name_zh: str
    name_en: str
    grades: tuple[Grade, ...]
    buses: tuple[BusPlan, ...]
    cameras: tuple[CameraPlan, ...] = ()

    def fuelling_points(self) -> tuple[FpPlan, ...]:
        """Return every fuelling point of every bus, ordered by number."""
        points = [point for bus in self.buses for point in bus.fuelling_points]
        return tuple(sorted(points, key=lambda point: point.fp))
