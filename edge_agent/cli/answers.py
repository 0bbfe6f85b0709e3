"""Reading the agent's JSON: each field by name and type, without loading a schema library."""

from __future__ import annotations

from typing import TypeAlias, cast

from edge_agent.cli.local_api import SENSELESS
from edge_agent.model.errors import ProtocolError

JsonObject: TypeAlias = "dict[str, object]"


def as_object(value: object) -> JsonObject:
    """Return a value that has to be an object.

    Raises:
        ProtocolError: it is none.
    """
    if not isinstance(value, dict):
        raise ProtocolError(SENSELESS, f"an object was expected, not {type(value).__name__}")
    return cast("JsonObject", value)


def objects(value: object) -> list[JsonObject]:
    """Return a list of objects. Raises `ProtocolError`."""
    if not isinstance(value, list):
        raise ProtocolError(SENSELESS, f"a list was expected, not {type(value).__name__}")
    return [as_object(item) for item in value]


def number(fields: JsonObject, key: str) -> int:
    """Return a whole number. Raises `ProtocolError`."""
    value = fields.get(key)
    if not isinstance(value, int):
        raise ProtocolError(SENSELESS, f"{key}: a number was expected")
    return value


def number_or_none(fields: JsonObject, key: str) -> int | None:
    """Return a whole number, or None where there is none. Raises `ProtocolError`."""
    return None if fields.get(key) is None else number(fields, key)


def text(fields: JsonObject, key: str) -> str:
    """Return a text. Raises `ProtocolError`."""
    value = fields.get(key)
    if not isinstance(value, str):
        raise ProtocolError(SENSELESS, f"{key}: a text was expected")
    return value


def text_or(fields: JsonObject, key: str, instead: str = "-") -> str:
    """Return a text, or something else where there is none. Raises `ProtocolError`."""
    return instead if fields.get(key) is None else text(fields, key)


def flag(fields: JsonObject, key: str) -> bool:
    """Return whether something holds."""
    return fields.get(key) is True


def strings(value: object) -> list[str]:
    """Return a list of texts; what is none is left out."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
