"""Pictures from files: bounded before they are decoded, refused when they are no pictures.

Decoding costs memory by the pixel, so a picture's size is read from its header first: a JPEG of a
few kilobytes may claim a gigapixel.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.model.errors import PictureRefused, Problem

Image = npt.NDArray[np.uint8]
"""Height x width x 3, blue green red."""

MAX_PIXELS: Final = 40_000_000
MAX_BYTES: Final = 32_000_000
MIN_SIDE: Final = 8

_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})


def load_picture(path: Path) -> Image:
    """Return the picture in a file.

    Raises:
        PictureRefused: the file cannot be read, is too large, is no JPEG, PNG or BMP, or is broken.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise refused("picture_too_large", f"more than {MAX_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise refused("picture_unreadable", error.strerror or "cannot be read") from error
    return decode_picture(content)


def decode_picture(content: bytes) -> Image:
    """Return the picture that bytes hold.

    Raises:
        PictureRefused: too large, no JPEG, PNG or BMP, or broken.
    """
    size = claimed_size(content)
    if size is None:
        raise refused("picture_malformed", "no JPEG, PNG or BMP")
    check_size(*size)
    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise refused("picture_malformed", "cannot be decoded") from error
    if decoded is None:
        raise refused("picture_malformed", "cannot be decoded")
    return np.asarray(decoded, np.uint8)


def check_size(width: int, height: int) -> None:
    """Refuse a picture that would cost too much memory, or that has no room for a plate.

    Raises:
        PictureRefused: a side is shorter than `MIN_SIDE` or there are more than `MAX_PIXELS`.
    """
    if min(width, height) < MIN_SIDE:
        raise refused("picture_malformed", f"{width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise refused("picture_too_large", f"{width} x {height} pixels")


def claimed_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height that a header claims; None when it is no whole JPEG, PNG or BMP."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        whole = len(content) >= 24 and content.rfind(b"IEND") > 24
        return _pair(">II", content, 16) if whole else None
    if content.startswith(b"BM") and len(content) >= 26:
        width, height = _pair("<ii", content, 18)
        return abs(width), abs(height)
    return _jpeg_size(content) if content.startswith(b"\xff\xd8") else None


def refused(code: str, detail: str) -> PictureRefused:
    """Return the error that says why a picture is not looked at."""
    texts = {
        "picture_too_large": ("图片过大，已拒绝", "the picture is too large"),
        "picture_unreadable": ("图片文件无法读取", "the picture's file cannot be read"),
        "picture_unencodable": ("图片无法编码", "the picture cannot be encoded"),
        "picture_malformed": (
            "图片损坏或格式不支持",
            "the picture is broken or of no known format",
        ),
    }
    return PictureRefused(Problem(code, *texts[code]), detail)


def _pair(layout: str, content: bytes, at: int) -> tuple[int, int]:
    one, other = struct.unpack_from(layout, content, at)
    return int(one), int(other)


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Walk a JPEG's segments to its frame header (ITU-T T.81 B.2.2); its end marker must follow.

    Compressed data never hold FF D9, so a file cut short has none after its header.
    """
    at = 2
    while at + 9 <= len(content):
        marker = content[at + 1]
        if content[at] != 0xFF:
            return None
        if marker in _JPEG_FRAMES:
            height, width = _pair(">HH", content, at + 5)
            return (width, height) if content.rfind(b"\xff\xd9") > at else None
        if marker == 0xFF:
            at += 1
        elif marker in _JPEG_ALONE:
            at += 2
        else:
            at += 2 + int(struct.unpack_from(">H", content, at + 2)[0])
    return None


def encode_jpeg(picture: Image) -> bytes:
    """Return a picture as JPEG, as a camera would send it.

    Raises:
        PictureRefused: OpenCV cannot encode it.
    """
    done, encoded = cv2.imencode(".jpg", picture)
    if not done:
        raise refused("picture_unencodable", f"{picture.shape}")
    return bytes(encoded)
