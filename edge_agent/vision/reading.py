"""Two readers of different origin: from a straightened plate to symbol probabilities.

`PlateNetwork` was trained on Chinese plates, `TextNetwork` (PP-OCRv4) on print of every kind and is
held to the symbols of plates. Both are CTC readers. Measured on real photos, both read best when
the plate fills only part of a wider, empty picture; the proportions below come from that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.model.errors import Problem, WeightsMissing
from edge_agent.vision.decoding import ALPHABET, LogProbabilities, normalise_columns
from edge_agent.vision.picture import Image

_LOOKALIKES: Final = (("O", 1 + ALPHABET.index("0")), ("I", 1 + ALPHABET.index("1")))
_METADATA_FIELD: Final = 14  # ModelProto.metadata_props of the ONNX format
_BYTES_WIRE_TYPE: Final = 2


class Reader(Protocol):
    """Something that says, column by column, which symbols stand on a straightened plate."""

    @property
    def margin(self) -> tuple[float, float]:
        """Margin that it reads best with, as shares of the plate's width and height."""

    def columns(self, straight: Image) -> LogProbabilities:
        """Return the log-probabilities of blank and each symbol of `ALPHABET`, by column."""


class PlateNetwork:
    """The reader that knows plates only. Not for use by two threads at once."""

    margin: Final = (0.05, 0.12)
    _plate: Final = (112, 32)
    _canvas_width: Final = 256

    def __init__(self, weights: bytes, charset: bytes) -> None:
        self._net = _network(weights)
        known = charset.decode("utf-8").split()
        self._symbols = np.array([0, *(_index(known, symbol) for symbol in ALPHABET)])

    def columns(self, straight: Image) -> LogProbabilities:
        """Return the log-probabilities of blank and each symbol of `ALPHABET`, by column."""
        raw = _read(self._net, straight, self._plate, self._canvas_width)
        picked = np.where(self._symbols >= 0, raw[:, self._symbols.clip(0)], 0.0)
        return normalise_columns(picked.astype(np.float32))


class TextNetwork:
    """The reader of any print, held to plate symbols. Not for use by two threads at once."""

    margin: Final = (0.03, 0.06)
    _plate: Final = (160, 48)
    _canvas_width: Final = 240

    def __init__(self, weights: bytes) -> None:
        self._net = _network(weights)
        known = onnx_metadata(weights, "character").split("\n")
        self._symbols = np.array([0, *(_index(known, symbol) for symbol in ALPHABET)])
        self._lookalikes = [(_index(known, letter), digit) for letter, digit in _LOOKALIKES]
        if (self._symbols < 0).any() or any(letter < 0 for letter, _ in self._lookalikes):
            raise _unusable("a symbol of plates is not in its character list")

    def columns(self, straight: Image) -> LogProbabilities:
        """Return the log-probabilities of blank and each symbol of `ALPHABET`, by column."""
        raw = _read(self._net, straight, self._plate, self._canvas_width)
        picked = raw[:, self._symbols]
        for letter, digit in self._lookalikes:
            picked[:, digit] += raw[:, letter]
        return normalise_columns(picked)


def onnx_metadata(weights: bytes, key: str) -> str:
    """Return a value of an ONNX file's `metadata_props`, which OpenCV does not show.

    Raises:
        WeightsMissing: the file has no such key.
    """
    for number, value in _messages(weights):
        if number == _METADATA_FIELD:
            entry = dict(_messages(value))
            if entry.get(1) == key.encode():
                return entry.get(2, b"").decode("utf-8")
    raise _unusable(f"no metadata {key}")


def _messages(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and bytes of each length-delimited field of a protocol buffer message."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        size, at = _varint(content, at)
        if tag & 7 == _BYTES_WIRE_TYPE:
            yield tag >> 3, content[at : at + size]
            at += size
        elif tag & 7 != 0:  # a varint's value is what was just taken for a size
            raise _unusable("no ONNX file")


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(content):
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise _unusable("no ONNX file")


def _network(weights: bytes) -> cv2.dnn.Net:
    return cv2.dnn.readNetFromONNX(np.frombuffer(weights, np.uint8), engine=cv2.dnn.ENGINE_NEW)


def _read(
    net: cv2.dnn.Net, straight: Image, plate: tuple[int, int], canvas_width: int
) -> npt.NDArray[np.float32]:
    """Run a network on the plate, set at the left of a canvas of mid-grey; rows are columns."""
    width, height = plate
    canvas = np.zeros((1, 3, height, canvas_width), np.float32)
    canvas[..., :width] = cv2.dnn.blobFromImage(straight, 1 / 127.5, plate, (127.5, 127.5, 127.5))
    net.setInput(canvas)
    rows: npt.NDArray[np.float32] = np.asarray(net.forward(), np.float32)[0]
    return rows


def _index(known: list[str], symbol: str) -> int:
    """Return a symbol's class, one more than its place in the list because blank is 0; or -1."""
    return known.index(symbol) + 1 if symbol in known else -1


def _unusable(detail: str) -> WeightsMissing:
    return WeightsMissing(
        Problem(
            "weights_unusable",
            "车牌识别模型文件不可用，请重新运行 scripts/setup",
            "the plate readers' weights cannot be used; run scripts/setup again",
        ),
        detail,
    )
