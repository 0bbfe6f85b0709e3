"""Find plates in a frame, with their four corners.

The network is a RetinaFace-like detector: for each prior box (two sizes at each point of three
grids, 8, 16 and 32 pixels apart) it gives an offset, a score and the offsets of four corners.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.model.plates import Box, Corners
from edge_agent.vision.picture import Image

LONG_SIDE: Final = 960
"""Pixels of a frame's longer side when it is searched for plates of any size."""
NEAR_SIDE: Final = 640
"""Pixels when it is searched for a car in its bay, in less than half the time."""
NEAR_SCORE: Final = 0.8
NEAR_WIDTH: Final = 60
"""Least width, in pixels as searched, of a plate that makes a second look needless; measured:
nothing is lost on real scenes from 0.8 and 60 on."""
MINIMUM_SCORE: Final = 0.3
MAX_PLATES: Final = 6
"""Most plates looked at in one frame: the bay's own car, its neighbours, the queue."""

Floats = npt.NDArray[np.float32]

_GRIDS: Final = ((8, (24, 48)), (16, (96, 192)), (32, (384, 768)))
_CENTRE_VARIANCE: Final = 0.1
_SIZE_VARIANCE: Final = 0.2
_OVERLAP: Final = 0.4
_MEAN: Final = (104.0, 117.0, 123.0)  # blue green red, as the network was trained
_OUTPUTS: Final = ("loc", "conf", "landms")
_CORNER_ORDER: Final = [2, 3, 0, 1]
"""The network begins at the bottom right; we begin at the top left. Both go round clockwise."""


@dataclass(frozen=True, slots=True)
class PlateBox:
    """A plate's place in a frame, in pixels; `score` is between 0 and 1."""

    score: float
    box: Box
    corners: Corners


class PlateDetector:
    """Looks at a frame twice at most: scaled to `near_side` pixels, which is enough for a car in
    its bay, and only if that shows no near plate, scaled to `long_side`. Not for use by two threads
    at once.
    """

    def __init__(
        self, weights: bytes, long_side: int = LONG_SIDE, near_side: int = NEAR_SIDE
    ) -> None:
        self._looks = [_Look(weights, side) for side in (near_side, long_side) if side <= long_side]

    def detect(self, frame: Image) -> list[PlateBox]:
        """Return the plates in a frame, surest first, at most `MAX_PLATES`."""
        *nearer, farthest = self._looks
        for look in nearer:
            plates, scale = look.at(frame)
            if any(one.score >= NEAR_SCORE and one.box[2] * scale >= NEAR_WIDTH for one in plates):
                return plates
        return farthest.at(frame)[0]


class _Look:
    """The network for one size of canvas; OpenCV plans anew, slowly, when the size changes."""

    def __init__(self, weights: bytes, long_side: int) -> None:
        self._net = cv2.dnn.readNetFromONNX(
            np.frombuffer(weights, np.uint8), engine=cv2.dnn.ENGINE_NEW
        )
        self._long_side = long_side
        self._priors: tuple[tuple[int, int], Floats] | None = None

    def at(self, frame: Image) -> tuple[list[PlateBox], float]:
        """Return the plates found, and the scale at which they were."""
        canvas, scale = fit(frame, self._long_side)
        height, width = canvas.shape[:2]
        self._net.setInput(cv2.dnn.blobFromImage(canvas, 1.0, (width, height), _MEAN))
        offsets, scores, corners = self._net.forward(_OUTPUTS)
        outputs = (_rows(offsets), _rows(scores), _rows(corners))
        return decode(outputs, self._priors_for(width, height), scale), scale

    def _priors_for(self, width: int, height: int) -> Floats:
        if self._priors is None or self._priors[0] != (width, height):
            self._priors = (width, height), priors(width, height)
        return self._priors[1]


def fit(frame: Image, long_side: int) -> tuple[Image, float]:
    """Return the frame scaled to `long_side` on a canvas of whole 32-pixel steps, and the scale."""
    height, width = frame.shape[:2]
    scale = long_side / max(height, width)
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    shrinks = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(frame, (new_width, new_height), interpolation=shrinks)
    canvas = np.empty((-(-new_height // 32) * 32, -(-new_width // 32) * 32, 3), np.uint8)
    canvas[:] = np.array(_MEAN, np.uint8)
    canvas[:new_height, :new_width] = scaled
    return canvas, scale


def priors(width: int, height: int) -> Floats:
    """Return the prior boxes of a canvas as rows of centre x, centre y, size; all in pixels."""
    rows = []
    for step, sizes in _GRIDS:
        ys, xs = np.mgrid[0 : -(-height // step), 0 : -(-width // step)]
        centres = np.stack([(xs.ravel() + 0.5) * step, (ys.ravel() + 0.5) * step], axis=1)
        twice = np.repeat(centres, len(sizes), axis=0)
        rows.append(np.column_stack([twice, np.tile(sizes, len(centres))]))
    return np.concatenate(rows).astype(np.float32)


def decode(
    outputs: tuple[Floats, Floats, Floats],
    prior_boxes: Floats,
    scale: float,
    minimum_score: float = MINIMUM_SCORE,
) -> list[PlateBox]:
    """Return plates from the network's raw rows (box offsets, two scores, corner offsets)."""
    offsets, scores, corner_offsets = outputs
    likely = scores[:, 1] > minimum_score
    if not likely.any():
        return []
    sure, prior, offset = scores[likely, 1], prior_boxes[likely], offsets[likely]
    centres, size = prior[:, :2], prior[:, 2:]
    middle = centres + offset[:, :2] * _CENTRE_VARIANCE * size
    extent = size * np.exp(offset[:, 2:] * _SIZE_VARIANCE)
    boxes = np.concatenate([middle - extent / 2, extent], axis=1)
    moved = corner_offsets[likely].reshape(-1, 4, 2) * _CENTRE_VARIANCE * size[:, :, None]
    corners = (centres[:, None] + moved)[:, _CORNER_ORDER] / scale
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), sure.tolist(), minimum_score, _OVERLAP)
    order = np.asarray(kept, np.int64).reshape(-1)[:MAX_PLATES]
    return [_plate_box(sure[i], boxes[i] / scale, corners[i]) for i in order]


def _plate_box(score: np.float32, box: Floats, corners: Floats) -> PlateBox:
    x, y, width, height = (round(float(value)) for value in box)
    a, b, c, d = ((float(x), float(y)) for x, y in corners)
    return PlateBox(float(score), (x, y, width, height), (a, b, c, d))


def _rows(output: npt.ArrayLike) -> Floats:
    rows: Floats = np.asarray(output, np.float32)[0]
    return rows
