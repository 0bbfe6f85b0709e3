"""Canonical JSON: one byte string for one value, so that hashes and signatures agree everywhere.

RFC 8785 for the values that this program uses: objects, arrays, strings, integers, booleans and
null. Floats are refused, since none may appear in a record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | bool | None"


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
)


def canonical_json(value: Json) -> bytes:
    """Encode a value as canonical JSON in UTF-8.

    Raises:
        TypeError: a float or another type that canonical JSON does not carry.
    """
    _refuse_floats(value)
    return canonical_json_of_record(value)


def canonical_json_of_record(value: Json) -> bytes:
    """Encode what its types keep free of floats, such as a record's body, without looking again."""
    return _ENCODER.encode(value).encode()


def sha256_hex(*parts: bytes) -> str:
    """Return the SHA-256 of the parts laid end to end, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _refuse_floats(value: Json) -> None:
    # Concrete types first: this runs over every record, and abstract ones are slow to ask.
    if value is None or isinstance(value, (str, int)):
        return
    if isinstance(value, float):
        raise TypeError("canonical JSON carries no floats")
    items: Iterable[Json] = ()
    if isinstance(value, (list, tuple)):
        items = value
    elif isinstance(value, (dict, Mapping)):
        items = value.values()
    elif isinstance(value, Sequence):
        items = value
    for item in items:
        _refuse_floats(item)
