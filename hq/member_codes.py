"""Members' dynamic codes: signed here, believed at any station without a network, used once."""

from __future__ import annotations

import secrets

from edge_agent.model.ids import MemberRef
from edge_agent.model.member_code import (
    MAX_LIFETIME_MS,
    NONCE_BYTES,
    MemberCode,
    encode,
    signing_bytes,
)
from hq.keys import HqKeys


def issue_code(keys: HqKeys, member: str, now_ms: int, nonce: bytes | None = None) -> str:
    """Return the text of a new code for a member, good for two minutes.

    Raises:
        ValueError: the reference is too long for a code.
    """
    code = MemberCode(
        member_ref=MemberRef(member),
        issued_ms=now_ms,
        expires_ms=now_ms + MAX_LIFETIME_MS,
        nonce=(secrets.token_bytes(NONCE_BYTES) if nonce is None else nonce).hex(),
    )
    return encode(code, keys.key_id, keys.sign(signing_bytes(code)))
