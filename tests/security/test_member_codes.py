"""A member's code is believed for its signature and its time, without a network."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.model.errors import SaleRefused
from edge_agent.model.ids import MemberRef
from edge_agent.model.member_code import CLOCK_ALLOWANCE_MS, MemberCode, encode, signing_bytes
from edge_agent.security.member_codes import SignedMemberCodes
from edge_agent.security.signatures import TrustedKeys, key_id_of

NOW_MS = 1_793_678_400_000
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(32))
CODE = MemberCode(MemberRef("m-1"), NOW_MS, NOW_MS + 60_000, "0123456789abcdef")


def key_id(key: Ed25519PrivateKey) -> str:
    return key_id_of(key.public_key().public_bytes_raw())


CODES = SignedMemberCodes(TrustedKeys({key_id(KEY): KEY.public_key().public_bytes_raw()}))


def text_of(code: MemberCode, key: Ed25519PrivateKey = KEY) -> str:
    return encode(code, key_id(key), key.sign(signing_bytes(code)))


def refusal(text: str, now_ms: int = NOW_MS) -> str:
    with pytest.raises(SaleRefused) as caught:
        CODES.read(text, now_ms)
    assert text not in str(caught.value)
    return caught.value.problem.code


def test_row_v8_a_code_of_headquarters_names_its_member() -> None:
    assert CODES.read(text_of(CODE), NOW_MS) == CODE


def test_row_v8_a_code_of_anybody_else_is_refused() -> None:
    assert refusal(text_of(CODE, STRANGER)) == "member_code_forged"
    borrowed = encode(CODE, key_id(KEY), STRANGER.sign(signing_bytes(CODE)))
    assert refusal(borrowed) == "member_code_forged"
    assert refusal("FM1") == "member_code_malformed"


@pytest.mark.parametrize(
    "change",
    [
        {"member_ref": "m-2"},
        {"issued_ms": NOW_MS + 1},
        {"expires_ms": NOW_MS + 60_001},
        {"nonce": "0123456789abcdee"},
    ],
)
def test_row_v8_a_code_whose_content_was_changed_is_refused(change: dict[str, object]) -> None:
    changed = replace(CODE, **change)  # type: ignore[arg-type]
    text = encode(changed, key_id(KEY), KEY.sign(signing_bytes(CODE)))
    assert refusal(text) == "member_code_forged"


def test_row_v8_a_code_holds_for_its_time_and_the_clocks_allowance() -> None:
    text = text_of(CODE)
    earliest, over = CODE.issued_ms - CLOCK_ALLOWANCE_MS, CODE.believed_until_ms
    assert over == CODE.expires_ms + CLOCK_ALLOWANCE_MS
    assert CODES.read(text, earliest) == CODES.read(text, over - 1) == CODE
    assert refusal(text, earliest - 1) == "member_code_not_yet_valid"
    assert refusal(text, over) == "member_code_expired"
