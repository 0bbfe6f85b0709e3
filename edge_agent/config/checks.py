"""What a configuration cannot mean, or probably does not, though each of its values is sound."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable

from edge_agent.config.station import StationConfig, UplinkSection


def contradictions(config: StationConfig) -> list[tuple[str, str]]:
    """Return what cannot be so although every value is well formed: table and sentence each."""
    found = [
        *_repeated("[[grades]]", "id", [grade.id for grade in config.grades]),
        *_repeated("[[buses]]", "id", [bus.id for bus in config.buses]),
        *_repeated("[[cameras]]", "id", [camera.id for camera in config.cameras]),
    ]
    points = [(bus, point) for bus in config.buses for point in bus.fuelling_points]
    table = "[[buses.fuelling_points]]"
    found += _repeated(table, "number", [point.number for _, point in points])
    found += _repeated(
        "[[buses.fuelling_points.nozzles]]",
        "number",
        [nozzle.number for _, point in points for nozzle in point.nozzles],
    )
    for bus in config.buses:
        listed = [point.address for point in bus.fuelling_points]
        found += _repeated(f"{table} of bus '{bus.id}'", "address", listed)
    grades = {grade.id for grade in config.grades}
    for _, point in points:
        here = f"[[buses.fuelling_points.nozzles]] of fuelling point {point.number}"
        found += _repeated(here, "logical", [nozzle.logical for nozzle in point.nozzles])
        found += [
            (here, f"key 'grade': '{nozzle.grade}' is not among [[grades]]: {_listed(grades)}")
            for nozzle in point.nozzles
            if nozzle.grade not in grades
        ]
    return [*found, *_unsafe(config.uplink)]


def doubts(config: StationConfig) -> list[str]:
    """Return what is allowed, but probably not meant, a sentence each."""
    points = [point for bus in config.buses for point in bus.fuelling_points]
    bays = {point.bay for point in points}
    used = {nozzle.grade for point in points for nozzle in point.nozzles}
    cameras = [
        f"[[cameras]] '{camera.id}' watches bay '{camera.bay}', where no fuelling point is"
        for camera in config.cameras
        if camera.bay not in bays
    ]
    unused = [
        f"[[grades]] '{grade.id}' flows through no nozzle"
        for grade in config.grades
        if grade.id not in used
    ]
    return cameras + unused


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine; a name other than localhost is not looked up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _repeated(table: str, key: str, values: Iterable[str | int]) -> list[tuple[str, str]]:
    return [
        (table, f"key '{key}': {value} stands {count} times, once is allowed")
        for value, count in Counter(values).items()
        if count > 1
    ]


def _unsafe(uplink: UplinkSection) -> list[tuple[str, str]]:
    if uplink.tls is not None and uplink.insecure:
        return [("[uplink]", "key 'insecure': true and [uplink.tls] exclude each other")]
    if uplink.tls is not None:
        return []
    if not is_loopback(uplink.host):
        return [("[uplink.tls]", f"missing: {uplink.host} is not this machine, so TLS is needed")]
    if not uplink.insecure:
        return [("[uplink.tls]", "missing: give certificates, or 'insecure = true' on loopback")]
    return []


def _listed(words: set[str]) -> str:
    return ", ".join(sorted(words))
