"""The last defence against personal data in what the agent says of itself.

Code does not log plates, phones or keys in the first place; what slips through, in an exception's
text or a library's message, is masked here. It works on finished text and would rather mask an
article number too many than show one plate.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

from edge_agent.model.plates import PROVINCES, mask

_END: Final = "学警挂领试超港澳"
_PLATE: Final = re.compile(
    rf"[{PROVINCES}][ ·•.\-_]?[A-Za-z][ ·•.\-_]?[A-Za-z0-9]{{4,6}}[A-Za-z0-9{_END}]"
    r"|使[0-9]{6}|[0-9]{6}使|民航[A-Za-z0-9][0-9]{4}"
    rf"|(?<![0-9A-Za-z])WJ[{PROVINCES}]?[0-9]{{4}}[0-9A-Z](?![0-9A-Za-z])"
    r"|(?<![0-9A-Za-z-])[A-HJ-NP-Z]{2}[0-9]{5}(?![0-9A-Za-z-])"
)
_PHONE: Final = re.compile(r"(?<![0-9])(?:\+?86[- ]?)?(1[3-9][0-9])[0-9]{4}([0-9]{4})(?![0-9])")
_PHONE_IN_GROUPS: Final = re.compile(
    # Letters around it make it part of an identifier, such as a UUID.
    r"(?<![0-9A-Za-z])(?:\+?86[- ]?)?(1[3-9][0-9])[- ]?[0-9]{4}[- ]?([0-9]{4})(?![0-9A-Za-z])"
)
_LOGIN: Final = re.compile(r"(?<=://)[^/\s]+@")
"""Up to the last @ before the path: a password may hold one."""

# Texts come as they are or inside JSON, where a backslash and its quote must not be parted.
_QUOTE: Final = r"(?:\\{0,3}[\"'])?"
_VALUE: Final = r"(?:[^\s\"',}\\]|\\[^\"'])+"
_BEARER: Final = re.compile(
    rf"(?i)\b((?:bearer|basic|token|password|passwd|secret){_QUOTE}[ :=]+{_QUOTE}){_VALUE}"
)
_SECRET: Final = re.compile(
    rf"(?i)((?:token|password|passwd|secret)\w{{0,32}}{_QUOTE}\s?[:=]+\s?{_QUOTE}){_VALUE}"
)
"""The names of secrets inside longer names, such as access_token and secret_key."""

_COOKIE: Final = re.compile(
    rf"(?i)\b(cookie(?:{_QUOTE}\s?[:=]+\s?{_QUOTE}|{_QUOTE},\s?b{_QUOTE}))"
    r"(?!,)(?:[^\r\n\"'}\\]|\\[^\"'nr])+"
)
_SESSION: Final = re.compile(r"(?i)(edge_agent_[0-9a-f]{8}=)[^\s;,\"'}\\]+")
_STAY_OUT_OF_JSON: Final = str.maketrans({"＂": "'", "＼": "/", "﹨": "/"})

_RULES: Final[tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = (
    (_LOGIN, "***@"),
    (_COOKIE, r"\1***"),
    (_SESSION, r"\1***"),
    (_BEARER, r"\1***"),
    (_SECRET, r"\1***"),
    (_PLATE, lambda found: mask(found[0])),
    (_PHONE, r"\1****\2"),
    (_PHONE_IN_GROUPS, r"\1****\2"),
)


def redact(text: str) -> str:
    """Return a text with whatever looks like a plate, phone number, login or secret masked.

    Full-width letters and digits count as their plain forms (Unicode NFKC), and a text in which
    something was masked comes back in these.
    """
    plain = text if text.isascii() else _plain(text)
    shown = plain
    for pattern, replacement in _RULES:
        shown = pattern.sub(replacement, shown)
    return text if shown == plain else shown


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text.translate(_STAY_OUT_OF_JSON))
