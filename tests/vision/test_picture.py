"""Files that are no pictures, or too large, are refused before they cost anything."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model.errors import PictureRefused
from edge_agent.vision import picture
from edge_agent.vision.picture import claimed_size, decode_picture, load_picture


def encoded(suffix: str, width: int = 60, height: int = 40) -> bytes:
    drawn = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    done, content = cv2.imencode(suffix, drawn)
    assert done
    return content.tobytes()


def png_claiming(width: int, height: int) -> bytes:
    content = bytearray(encoded(".png"))
    content[16:24] = struct.pack(">II", width, height)
    return bytes(content)


def jpeg_claiming(width: int, height: int) -> bytes:
    content = bytearray(encoded(".jpg"))
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(content)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_pictures_are_decoded(suffix: str) -> None:
    content = encoded(suffix)
    assert claimed_size(content) == (60, 40)
    assert decode_picture(content).shape == (40, 60, 3)


def test_a_thumbnail_inside_does_not_hide_the_size_nor_a_missing_end() -> None:
    content, thumbnail = encoded(".jpg"), encoded(".jpg", 16, 8)
    header = b"\xff\xe1" + struct.pack(">H", 2 + len(thumbnail)) + thumbnail
    with_thumbnail = content[:2] + b"\xff" + header + content[2:]
    assert claimed_size(with_thumbnail) == (60, 40)
    assert claimed_size(with_thumbnail[:-2]) is None
    assert claimed_size(content[:2] + b"\xff\x01" + content[2:]) == (60, 40)


def refusal(content: bytes) -> str:
    with pytest.raises(PictureRefused) as caught:
        decode_picture(content)
    return caught.value.problem.code


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
@pytest.mark.parametrize("kept", [0.0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99])
def test_files_cut_short_are_refused(suffix: str, kept: float) -> None:
    content = encoded(suffix)
    assert refusal(content[: int(kept * len(content))]) == "picture_malformed"


@pytest.mark.parametrize("content", [png_claiming(10_000, 10_000), jpeg_claiming(65_000, 65_000)])
def test_large_claims_are_refused_before_decoding(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    assert refusal(content) == "picture_too_large"


def test_slivers_are_refused() -> None:
    assert refusal(encoded(".png", 300, 4)) == "picture_malformed"


def test_garbage_behind_a_good_header_is_refused() -> None:
    content = encoded(".png")
    assert refusal(content[:40] + bytes(len(content) - 52) + content[-12:]) == "picture_malformed"


@given(st.sampled_from([b"", b"\xff\xd8", b"BM", b"\x89PNG\r\n\x1a\n"]), st.binary(max_size=200))
def test_no_bytes_make_the_header_reader_fail(start: bytes, rest: bytes) -> None:
    claimed_size(start + rest)


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    with pytest.raises(PictureRefused, match="picture_unreadable"):
        load_picture(path)
    path.write_bytes(encoded(".jpg"))
    assert load_picture(path).shape == (40, 60, 3)
    monkeypatch.setattr(picture, "MAX_BYTES", 10)
    with pytest.raises(PictureRefused, match="picture_too_large"):
        load_picture(path)
