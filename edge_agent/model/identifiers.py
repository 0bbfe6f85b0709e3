"""Cards, phones and plates: one spelling for each, what a screen may show, and their blind index.

Headquarters and stations index an identifier under a key that they share, so a station can look up
a member whose card, phone or plate it does not know. The index is HMAC-SHA-256 (RFC 2104) of the
normalised identifier, separated by kind, so that equal digits on a card and a phone do not meet.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from typing import Final, Literal, TypeAlias

from edge_agent.model import plates

IdentifierKind: TypeAlias = Literal["card", "phone", "plate"]
INDEX_KEY_BYTES: Final = 32
MAX_IDENTIFIER_LENGTH: Final = 64

_NO_DIGIT: Final = re.compile(r"[^0-9]")
_NO_CARD_CHARACTER: Final = re.compile(r"[^0-9A-Z]")
_CHINA: Final = re.compile(r"^(?:00)?86(?=1[0-9]{10}$)")


def normalise(kind: str, text: str) -> str:
    """Return the one spelling of an identifier however it was typed; empty when nothing is left.

    Width, case, blanks, hyphens and the country code of a Chinese mobile number do not matter.

    Raises:
        ValueError: there is no such kind of identifier.
    """
    if len(text) > MAX_IDENTIFIER_LENGTH:
        return ""
    if kind == "plate":
        return plates.normalise(text)
    plain = unicodedata.normalize("NFKC", text).upper()
    if kind == "card":
        return _NO_CARD_CHARACTER.sub("", plain)
    if kind == "phone":
        return _CHINA.sub("", _NO_DIGIT.sub("", plain))
    raise ValueError(f"no such kind of identifier: {kind}")


def blind_index(key: bytes, kind: str, text: str) -> str:
    """Return the index of an identifier as 64 hexadecimal digits.

    Raises:
        ValueError: the key is not 32 bytes long, or there is no such kind.
    """
    if len(key) != INDEX_KEY_BYTES:
        raise ValueError(f"an index key is {INDEX_KEY_BYTES} bytes long")
    content = f"forecourt/v1/{kind}\0{normalise(kind, text)}"
    return hmac.new(key, content.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def mask_name(name: str) -> str:
    """Return what a screen shows of a name: 王小明 becomes 王**, Ann Lee becomes A******."""
    plain = name.strip()
    return plain[:1] + "*" * min(len(plain) - 1, 6) if plain else ""
