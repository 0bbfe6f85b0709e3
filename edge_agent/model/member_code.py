"""A member's dynamic code: what the phone shows, signed by headquarters, good for a short while.

The text is `FM1` and base64url, so it fits a small QR code and passes any scanner. A station reads
it without a network; that it is used once only is for the books to see to, by the nonce.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.model.ids import MemberRef

PREFIX: Final = "FM1"
MAX_TEXT_LENGTH: Final = 200
MAX_LIFETIME_MS: Final = 120_000
CLOCK_ALLOWANCE_MS: Final = 5 * 60_000
"""How far a station's clock may be off headquarters', either way."""
MAX_REF_BYTES: Final = 57
"""Longest member reference in UTF-8 that fits into a text of 200 characters."""
NONCE_BYTES: Final = 8
SIGNATURE_BYTES: Final = 64

MALFORMED: Final = Problem(
    "member_code_malformed",
    "无法识别会员码，请刷新后重新出示",
    "this is no member code: refresh it and show it again",
)

_KEY_ID_BYTES: Final = 8
_TIME_BYTES: Final = 6
_LIFETIME_BYTES: Final = 3
_FIXED_BYTES: Final = 1 + _TIME_BYTES + _LIFETIME_BYTES + NONCE_BYTES
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+")


@dataclass(frozen=True, slots=True)
class MemberCode:
    """Who shows it, and when it holds.

    `nonce` is 16 hexadecimal digits, never the same twice; `issued_ms` and `expires_ms` are
    headquarters' wall time.
    """

    member_ref: MemberRef
    issued_ms: int
    expires_ms: int
    nonce: str

    @property
    def believed_until_ms(self) -> int:
        """First instant at which no station believes it any more, whatever its clock: so long a
        used nonce has to be remembered."""
        return self.expires_ms + CLOCK_ALLOWANCE_MS


@dataclass(frozen=True, slots=True)
class SignedCode:
    """A code with its signature, as read from a text. Nothing about it is proved yet."""

    code: MemberCode
    key_id: str
    signature: bytes


def signing_bytes(code: MemberCode) -> bytes:
    """Return what the signature of a code covers.

    Raises:
        ValueError: a field does not fit into a code.
    """
    return b"forecourt/v1/member-code\0" + _packed(code)


def encode(code: MemberCode, key_id: str, signature: bytes) -> str:
    """Return the text of a signed code, of 200 characters at most.

    Raises:
        ValueError: a field does not fit into a code.
    """
    key = _unhex(key_id, _KEY_ID_BYTES)
    if len(signature) != SIGNATURE_BYTES:
        raise ValueError(f"a signature has {SIGNATURE_BYTES} bytes")
    plain = _packed(code) + key + signature
    return PREFIX + base64.urlsafe_b64encode(plain).decode().rstrip("=")


def decode(text: str) -> SignedCode:
    """Read a text; blanks around it do not matter.

    Raises:
        SaleRefused: `member_code_malformed`. The text is in no message.
    """
    text = text.strip()
    if len(text) > MAX_TEXT_LENGTH or not text.startswith(PREFIX):
        raise SaleRefused(MALFORMED)
    body = text.removeprefix(PREFIX)
    try:
        plain = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        found = _unpacked(plain)
        same = encode(found.code, found.key_id, found.signature) == text
    except (binascii.Error, ValueError):
        raise SaleRefused(MALFORMED) from None
    if not same:  # another spelling of the same bytes
        raise SaleRefused(MALFORMED)
    return found


def _packed(code: MemberCode) -> bytes:
    ref = code.member_ref.encode()
    lifetime_ms = code.expires_ms - code.issued_ms
    if not 0 < len(ref) <= MAX_REF_BYTES:
        raise ValueError(f"a code carries a member reference of up to {MAX_REF_BYTES} bytes")
    if not 0 < lifetime_ms <= MAX_LIFETIME_MS:
        raise ValueError(f"a code holds for {MAX_LIFETIME_MS} ms at most")
    if not 0 <= code.issued_ms < 1 << 8 * _TIME_BYTES:
        raise ValueError("the time of issue is out of range")
    return b"".join(
        (
            bytes([len(ref)]),
            ref,
            code.issued_ms.to_bytes(_TIME_BYTES, "big"),
            lifetime_ms.to_bytes(_LIFETIME_BYTES, "big"),
            _unhex(code.nonce, NONCE_BYTES),
        )
    )


def _unpacked(plain: bytes) -> SignedCode:
    """Take the bytes apart.

    Raises:
        ValueError: they are too few, too many, or no UTF-8.
    """
    length = plain[0] if plain else 0
    if len(plain) != _FIXED_BYTES + length + _KEY_ID_BYTES + SIGNATURE_BYTES:
        raise ValueError("wrong length")
    ends = [1, length, _TIME_BYTES, _LIFETIME_BYTES, NONCE_BYTES, _KEY_ID_BYTES, SIGNATURE_BYTES]
    parts: list[bytes] = []
    for size in ends:
        parts.append(plain[:size])
        plain = plain[size:]
    _, ref, issued, lifetime, nonce, key_id, signature = parts
    issued_ms = int.from_bytes(issued, "big")
    code = MemberCode(
        member_ref=MemberRef(ref.decode()),
        issued_ms=issued_ms,
        expires_ms=issued_ms + int.from_bytes(lifetime, "big"),
        nonce=nonce.hex(),
    )
    return SignedCode(code, key_id.hex(), signature)


def _unhex(text: str, size: int) -> bytes:
    if len(text) != 2 * size or not _HEX.fullmatch(text):
        raise ValueError(f"{2 * size} lower-case hexadecimal digits are expected")
    return bytes.fromhex(text)
