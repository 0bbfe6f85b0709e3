"""Canonical JSON: one byte string for one value, so that hashes and signatures agree everywhere.

RFC 8785 for the values that this program uses: objects, arrays, strings, integers, booleans and
null. Floats are refused, since none may appear in a record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | bool | None"


def canonical_json(value: Json) -> bytes:
    """Encode a value as canonical JSON in UTF-8.

    Raises:
        TypeError: a float or another type that canonical JSON does not carry.
    """
    _refuse_floats(value)
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    ).encode()


def sha256_hex(*parts: bytes) -> str:
    """Return the SHA-256 of the parts laid end to end, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _refuse_floats(value: Json) -> None:
    if isinstance(value, float):
        raise TypeError("canonical JSON carries no floats")
    if isinstance(value, Mapping):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            _refuse_floats(item)
