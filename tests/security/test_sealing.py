"""Sealed data open in their own place under their own key, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model.errors import ConfigRefused, CorruptionError
from edge_agent.ports import SEALED_ELSEWHERE
from edge_agent.security.key_files import write_secret
from edge_agent.security.sealing import SEAL_KEY_BYTES, Sealer

SEALER = Sealer(bytes(range(SEAL_KEY_BYTES)))
PLACES = st.sampled_from(["members|personal|M1", "members|personal|M2", "members|other|M1", ""])


def refused(sealer: Sealer, place: str, sealed: bytes) -> str:
    with pytest.raises(CorruptionError) as caught:
        sealer.open(place, sealed)
    assert "M1" not in str(caught.value)  # whose data it was is nobody's business in a log
    return caught.value.problem.code


@given(PLACES, st.binary(max_size=300))
def test_what_was_sealed_opens_in_its_place(place: str, plain: bytes) -> None:
    sealed = SEALER.seal(place, plain)
    assert SEALER.open(place, sealed) == plain
    assert Sealer(bytes(range(SEAL_KEY_BYTES))).open(place, sealed) == plain
    assert len(plain) < 8 or plain not in sealed


@given(PLACES, PLACES)
def test_a_sealed_text_opens_in_no_other_place(place: str, other: str) -> None:
    if place != other:
        assert refused(SEALER, other, SEALER.seal(place, "王**".encode())) == "seal_broken"


@given(st.binary(max_size=40), st.data())
def test_a_changed_byte_or_a_cut_end_does_not_open(plain: bytes, data: st.DataObject) -> None:
    sealed = SEALER.seal("members|personal|M1", plain)
    place = data.draw(st.integers(0, len(sealed) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    changed = sealed[:place] + bytes([sealed[place] ^ bit]) + sealed[place + 1 :]
    for broken in (changed, sealed[:place]):
        code = refused(SEALER, "members|personal|M1", broken)
        assert code in {"seal_broken", SEALED_ELSEWHERE}


def test_another_key_is_named_as_the_cause() -> None:
    sealed = SEALER.seal("members|personal|M1", b"")
    assert refused(Sealer(bytes(SEAL_KEY_BYTES)), "members|personal|M1", sealed) == SEALED_ELSEWHERE


def test_no_nonce_comes_twice() -> None:
    sealed = [SEALER.seal("members|personal|M1", b"the same") for _ in range(5_000)]
    assert len({text[9:21] for text in sealed}) == len(set(sealed)) == len(sealed)


def test_the_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    sealed = Sealer.load_or_create(path).seal("t|c|r", b"text")
    assert path.stat().st_mode & 0o777 == 0o600
    assert Sealer.load_or_create(path).open("t|c|r", sealed) == b"text"
    assert Sealer.load(path).open("t|c|r", sealed) == b"text"
    Sealer.load_or_create(tmp_path / "other.key")
    assert (tmp_path / "other.key").read_bytes() != path.read_bytes()
    path.chmod(0o640)
    with pytest.raises(ConfigRefused, match="0600"):
        Sealer.load_or_create(path)


@pytest.mark.parametrize("content", [b"", b"00", b"z" * 64, b"\xff" * 64, b"0" * 66])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: bytes) -> None:
    write_secret(tmp_path / "seal.key", content)
    with pytest.raises(ConfigRefused):
        Sealer.load_or_create(tmp_path / "seal.key")
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(content)


def test_a_missing_key_is_refused_where_none_may_be_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused):
        Sealer.load(tmp_path / "seal.key")
