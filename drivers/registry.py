"""From a word in the configuration to a driver, imported when it is first used.

Own families stand in a table; others come from installed packages through the entry point group
`edge_agent.drivers`, whose values are modules with a `DRIVER` or `Driver` objects themselves.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import ModuleType
from typing import Final, cast

from drivers.contract import DecodedFrame, Driver
from drivers.options import nearest
from edge_agent.model.errors import ConfigRefused, Problem

GROUP: Final = "edge_agent.drivers"

OWN: Final[Mapping[str, str]] = {"dart": "drivers.dart", "modbus": "drivers.modbus"}


def known() -> tuple[str, ...]:
    """Return every word that `load` accepts, sorted."""
    return tuple(sorted({*OWN, *(point.name for point in entry_points(group=GROUP))}))


def load(word: str) -> Driver:
    """Return the driver for a word of the configuration.

    Raises:
        ConfigRefused: no driver answers to this word, or what does is no driver.
    """
    if word in OWN:
        return _driver_in(word, importlib.import_module(OWN[word]))
    for point in entry_points(group=GROUP, name=word):
        return _driver_in(word, point.load())
    raise ConfigRefused(
        Problem("driver_unknown", "没有这种加油机驱动，请检查配置", "no such dispenser driver"),
        f"driver '{word}' is not one of {', '.join(known())}{nearest(word, known())}",
    )


def decode_frames(protocol: str, data: bytes) -> list[DecodedFrame]:
    """Decode a recording; `protocol` is a driver's word, with a variant behind a hyphen.

    For example "dart" or "modbus-rtu".

    Raises:
        ConfigRefused: there is no such driver or variant.
    """
    word, _, variant = protocol.partition("-")
    return load(word).decode_frames(data, variant)


def _driver_in(word: str, found: object) -> Driver:
    driver = getattr(found, "DRIVER", None) if isinstance(found, ModuleType) else found
    if not hasattr(driver, "build_engine") or not hasattr(driver, "build_simulator"):
        raise ConfigRefused(
            Problem("driver_broken", "加油机驱动不完整", "this word leads to no driver"),
            f"driver '{word}'",
        )
    return cast("Driver", driver)
