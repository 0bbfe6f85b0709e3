"""The options of a bus: the part of the configuration that each driver validates itself."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from edge_agent.model.errors import ConfigRefused, Problem
from edge_agent.model.station import BusPlan


class StrictOptions(BaseModel):
    """Base of every driver's options: unknown keys and wrong types are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


Options = TypeVar("Options", bound=StrictOptions)


def parse_options(model: type[Options], plan: BusPlan) -> Options:
    """Validate the options of a bus.

    Raises:
        ConfigRefused: `detail` names the table, the key, what is wrong and the nearest known key.
    """
    try:
        return model.model_validate(dict(plan.options))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "?"
        said = first["msg"]
        if first["type"] == "extra_forbidden":
            said = "unknown key" + nearest(key, model.model_fields)
        raise option_refused(plan, key, said) from error


def option_refused(plan: BusPlan, key: str, said: str) -> ConfigRefused:
    """Return the refusal of one option of a bus, to be raised."""
    return ConfigRefused(
        Problem(
            "bus_option_invalid",
            "总线选项有误，请修改配置文件中指出的项",
            "an option of a bus is wrong; correct the named key in the configuration",
        ),
        f"bus '{plan.bus}', table [buses.options], key '{key}': {said}",
    )


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" for the known word nearest to `word`, or an empty string."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{found[0]}'?" if found else ""
