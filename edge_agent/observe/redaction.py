"""The last defence against personal data in what the agent says of itself.

Code does not log plates, phones or keys in the first place; what slips through, in an exception's
text or a library's message, is masked here. It works on finished text and would rather mask an
article number too many than show one plate.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from edge_agent.model.plates import PROVINCES, mask

_END: Final = "学警挂领试超港澳"
_PLATE: Final = re.compile(
    rf"[{PROVINCES}][A-Za-z][ ·•.\-_]?[A-Za-z0-9]{{4,6}}[A-Za-z0-9{_END}]"
    r"|使[0-9]{6}|[0-9]{6}使|民航[A-Za-z0-9][0-9]{4}"
    rf"|(?<![0-9A-Za-z])WJ[{PROVINCES}]?[0-9]{{4}}[0-9A-Z](?![0-9A-Za-z])"
    r"|(?<![0-9A-Za-z-])[A-HJ-NP-Z]{2}[0-9]{5}(?![0-9A-Za-z-])"
)
_PHONE: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:\+?86[- ]?)?(1[3-9][0-9])[- ]?[0-9]{4}[- ]?([0-9]{4})(?![0-9A-Za-z])"
)
_LOGIN: Final = re.compile(r"(?<=://)[^/\s@]+@")
_BEARER: Final = re.compile(
    r"(?i)\b(bearer|token|password|passwd|secret)([\"']?[ :=]+[\"']?)[^\s\"',}]+"
)

_RULES: Final[tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = (
    (_LOGIN, "***@"),
    (_BEARER, r"\1\2***"),
    (_PLATE, lambda found: mask(found[0])),
    (_PHONE, r"\1****\2"),
)


def redact(text: str) -> str:
    """Return a text with whatever looks like a plate, phone number, login or secret masked."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
