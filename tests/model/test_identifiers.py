"""Identifiers: one spelling however they are typed, an index that says nothing, masks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model.identifiers import blind_index, mask_name, normalise

KEY = bytes(range(32))


@pytest.mark.parametrize(
    ("kind", "typed", "spelling"),
    [
        ("phone", "139 0000 1234", "13900001234"),
        ("phone", "+86-139-0000-1234", "13900001234"),
        ("phone", "008613900001234", "13900001234"),
        ("phone", "１３９００００１２３４", "13900001234"),
        ("phone", "0871-6531234", "08716531234"),
        ("card", " 6221 ab-09 ", "6221AB09"),
        ("plate", "云a·d12345", "云AD12345"),
        ("plate", "云A D12345", "云AD12345"),
        ("phone", "no digits", ""),
        ("card", "x" * 100, ""),
    ],
)
def test_spelling(kind: str, typed: str, spelling: str) -> None:
    assert normalise(kind, typed) == spelling


@given(st.sampled_from(["card", "phone", "plate"]), st.text(max_size=70))
def test_anything_that_is_typed_has_an_index(kind: str, text: str) -> None:
    assert len(blind_index(KEY, kind, text)) == 64


@given(st.sampled_from(["card", "phone"]), st.text(max_size=70))
def test_normalising_twice_changes_nothing(kind: str, text: str) -> None:
    once = normalise(kind, text)
    assert normalise(kind, once) == once


def test_the_index_depends_on_key_kind_and_identifier_and_on_nothing_else() -> None:
    index = blind_index(KEY, "phone", "139 0000 1234")
    assert index == blind_index(KEY, "phone", "+8613900001234")
    assert index != blind_index(KEY, "card", "13900001234")
    assert index != blind_index(bytes(32), "phone", "13900001234")
    assert index != blind_index(KEY, "phone", "13900001235")


def test_the_index_is_hmac_sha256() -> None:
    # Computed with `openssl dgst -sha256 -mac HMAC` over the same bytes.
    assert blind_index(KEY, "card", "1") == (
        "03fbca5fff90850627a186b59c768f3fa7b5934b0a2c3f49f096e1d69e5647ae"
    )


def test_wrong_keys_and_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        blind_index(b"short", "card", "1")
    with pytest.raises(ValueError, match="no such kind"):
        normalise("email", "x")


@pytest.mark.parametrize(
    ("name", "masked"),
    [("王小明", "王**"), ("", ""), (" 李 ", "李"), ("Ann Lee", "A******"), ("x" * 50, "x******")],
)
def test_names_are_masked(name: str, masked: str) -> None:
    assert mask_name(name) == masked
