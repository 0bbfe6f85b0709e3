"""What every key of the configuration means, from the models themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from edge_agent.config.loading import INVALID, bare, models_in, nearest
from edge_agent.config.station import StationConfig
from edge_agent.model.errors import ConfigRefused


@dataclass(frozen=True, slots=True)
class Entry:
    """One key: where it stands, what it takes, and what for."""

    key: str
    """Tables and key with dots between, such as buses.fuelling_points.address."""
    takes: str
    default: str | None
    """As TOML; None for a key that has to be there."""
    text: str

    def as_json(self) -> dict[str, str | None]:
        """Return the entry as plain values."""
        return asdict(self)

    def as_text(self) -> str:
        """Return the entry for a person."""
        given = "required" if self.default is None else f"default {self.default}"
        return f"{self.key}  ({self.takes}, {given})\n    {self.text}"


def entries() -> list[Entry]:
    """Return every key, in the order of the file."""
    return list(_entries(StationConfig, ""))


def explained(key: str | None) -> list[Entry]:
    """Return a key, or a table with all that stands in it, or everything for None.

    Raises:
        ConfigRefused: there is no such key; `detail` names the nearest.
    """
    known = entries()
    if key is None:
        return known
    found = [entry for entry in known if entry.key == key or entry.key.startswith(f"{key}.")]
    if not found:
        raise ConfigRefused(
            INVALID, f"key '{key}': unknown{nearest(key, [entry.key for entry in known])}"
        )
    return found


def schema() -> dict[str, object]:
    """Return the JSON Schema of the file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "edge-agent station.toml",
        **StationConfig.model_json_schema(),
    }


def _entries(model: type[BaseModel], above: str) -> Iterator[Entry]:
    for name, field in model.model_fields.items():
        key = f"{above}{name}"
        below = list(models_in(field.annotation))
        yield Entry(key, _takes(field, below), _default(field), field.description or "")
        merged: dict[str, Entry] = {}
        for variant in below:
            for entry in _entries(variant, f"{key}."):
                merged[entry.key] = _either(merged.get(entry.key), entry)
        yield from merged.values()


def _either(one: Entry | None, other: Entry) -> Entry:
    """Describe a key that stands in several variants of a table."""
    if one is None:
        return other
    takes = one.takes if one.takes == other.takes else f"{one.takes} or {other.takes}"
    return Entry(one.key, takes, one.default, f"{one.text} {other.text}")


def _takes(field: FieldInfo, below: list[type[BaseModel]]) -> str:
    annotation = bare(field.annotation)
    if below:
        return "tables" if get_origin(annotation) is tuple else "table"
    if get_origin(annotation) is Literal:
        return " or ".join(str(value) for value in get_args(annotation))
    text = str(annotation)
    if "tuple" in text:
        return "list of texts"
    if "dict" in text:
        return "table"
    words = {"int": "whole number", "bool": "true or false", "str": "text"}
    return next((word for name, word in words.items() if name in text), text)


def _default(field: FieldInfo) -> str | None:
    if field.is_required():
        return None
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, BaseModel) or value in (None, (), {}):
        return "none" if not isinstance(value, BaseModel) else "as its keys"
    return repr(value).replace("'", '"')
