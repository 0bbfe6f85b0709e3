"""A dynamic code survives its text, and any other text is refused without an echo."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model.errors import SaleRefused
from edge_agent.model.ids import MemberRef
from edge_agent.model.member_code import (
    MAX_LIFETIME_MS,
    MAX_REF_BYTES,
    MAX_TEXT_LENGTH,
    PREFIX,
    MemberCode,
    SignedCode,
    decode,
    encode,
    signing_bytes,
)

ISSUED_MS = 1_793_678_400_000
CODE = MemberCode(MemberRef("m-1"), ISSUED_MS, ISSUED_MS + 60_000, "0123456789abcdef")
KEY_ID, SIGNATURE = "fedcba9876543210", bytes(range(64))
TEXT = encode(CODE, KEY_ID, SIGNATURE)


def hexadecimal(digits: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=digits // 2, max_size=digits // 2).map(bytes.hex)


codes = st.builds(
    lambda ref, issued_ms, lifetime_ms, nonce: MemberCode(
        MemberRef(ref), issued_ms, issued_ms + lifetime_ms, nonce
    ),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=MAX_REF_BYTES).filter(
        lambda ref: len(ref.encode()) <= MAX_REF_BYTES
    ),
    st.integers(0, 2**48 - 1),
    st.integers(1, MAX_LIFETIME_MS),
    hexadecimal(16),
)


@given(code=codes, key_id=hexadecimal(16), signature=st.binary(min_size=64, max_size=64))
def test_row_v8_a_code_survives_its_text(code: MemberCode, key_id: str, signature: bytes) -> None:
    text = encode(code, key_id, signature)
    assert len(text) <= MAX_TEXT_LENGTH
    assert set(text) <= set(string.ascii_letters + string.digits + "-_")
    assert decode(f" {text}\n") == SignedCode(code, key_id, signature)


@given(one=codes, other=codes)
def test_no_two_codes_are_signed_alike(one: MemberCode, other: MemberCode) -> None:
    assert (signing_bytes(one) == signing_bytes(other)) == (one == other)


@given(text=st.text(max_size=250) | st.text(max_size=200).map(lambda text: PREFIX + text))
def test_any_other_text_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(SaleRefused) as caught:
        decode(text)
    assert caught.value.problem.code == "member_code_malformed"
    assert caught.value.detail == ""


@given(place=st.integers(0, len(TEXT) - 1), symbol=st.sampled_from("AZaz09-_+ 码"))
def test_a_changed_symbol_is_refused_or_another_code(place: int, symbol: str) -> None:
    changed = TEXT[:place] + symbol + TEXT[place + 1 :]
    try:
        found = decode(changed)
    except SaleRefused:
        return
    assert (found == decode(TEXT)) == (changed.strip() == TEXT)


@pytest.mark.parametrize("text", [TEXT[:-1], TEXT + "A", TEXT + "=", TEXT.lower(), "", PREFIX])
def test_a_torn_text_is_refused(text: str) -> None:
    with pytest.raises(SaleRefused):
        decode(text)


@pytest.mark.parametrize(
    ("ref", "expires_ms", "nonce"),
    [
        ("", ISSUED_MS + 1, CODE.nonce),
        ("m" * (MAX_REF_BYTES + 1), ISSUED_MS + 1, CODE.nonce),
        ("m-1", ISSUED_MS, CODE.nonce),
        ("m-1", ISSUED_MS + MAX_LIFETIME_MS + 1, CODE.nonce),
        ("m-1", ISSUED_MS + 1, "0123"),
        ("m-1", ISSUED_MS + 1, "0123456789ABCDEF"),
        ("m-1", ISSUED_MS + 1, "0123456789abcdeg"),
    ],
)
def test_headquarters_makes_no_code_that_no_station_reads(
    ref: str, expires_ms: int, nonce: str
) -> None:
    with pytest.raises(ValueError, match=r"code|digits"):
        encode(MemberCode(MemberRef(ref), ISSUED_MS, expires_ms, nonce), KEY_ID, SIGNATURE)


def test_key_and_signature_have_their_sizes() -> None:
    with pytest.raises(ValueError, match="signature"):
        encode(CODE, KEY_ID, b"short")
    with pytest.raises(ValueError, match="digits"):
        encode(CODE, "k-1", SIGNATURE)
    with pytest.raises(ValueError, match="range"):
        signing_bytes(MemberCode(MemberRef("m"), -1, 1, CODE.nonce))
