"""Names of things, as distinct types so that they are not taken for one another."""

from __future__ import annotations

from typing import NewType

StationId = NewType("StationId", str)
"""ASCII letters, digits and hyphens; also the MQTT client id and a topic level."""

BusId = NewType("BusId", str)
FpId = NewType("FpId", int)
"""Fuelling point (one side of a dispenser), numbered over the station."""

NozzleNumber = NewType("NozzleNumber", int)
"""枪号, the number that staff and drivers say; unique over the station."""

LogicalNozzle = NewType("LogicalNozzle", int)
"""A nozzle's number within its fuelling point, as the dispenser's protocol counts, from 1."""

GradeId = NewType("GradeId", str)
PriceSetId = NewType("PriceSetId", str)
FuellingId = NewType("FuellingId", str)
SaleId = NewType("SaleId", str)
OfferId = NewType("OfferId", str)

MemberRef = NewType("MemberRef", str)
"""An opaque reference to a member; carries no personal data."""

AccountRef = NewType("AccountRef", str)
"""An opaque reference to a stored-value account."""

PlateRef = NewType("PlateRef", str)
"""A keyed hash of a number plate (blind index); the plate itself never leaves sealed storage."""

CameraId = NewType("CameraId", str)
BayId = NewType("BayId", str)
"""A parking place at a dispenser where a camera sees a car."""
