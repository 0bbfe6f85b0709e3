"""The index key from its file; the index itself is tested with the identifiers."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.model.errors import ConfigRefused
from edge_agent.model.identifiers import blind_index
from edge_agent.security.blind_index import KeyedIndex
from edge_agent.security.key_files import write_secret
from hq.keys import INDEX_KEY, HqKeys


def test_station_and_headquarters_find_the_same_index(tmp_path: Path) -> None:
    keys = HqKeys.open(tmp_path / "hq")
    keys.provision(tmp_path / "station")
    index = KeyedIndex.load(tmp_path / "station" / INDEX_KEY)
    assert index.of("phone", "139 0000 1234") == blind_index(keys.index, "phone", "13900001234")


@pytest.mark.parametrize("content", [b"", b"00", b"z" * 64, b"\xff" * 64, b"0" * 66])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: bytes) -> None:
    write_secret(tmp_path / "index.key", content)
    with pytest.raises(ConfigRefused):
        KeyedIndex.load(tmp_path / "index.key")


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        KeyedIndex(b"short")
