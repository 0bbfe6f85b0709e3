"""Straighten a plate: from four corners in a frame to an upright picture of one line of symbols."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edge_agent.model.plates import Corners
from edge_agent.vision.picture import Image

STRAIGHT_WIDTH: Final = 192
STRAIGHT_HEIGHT: Final = 64
TWO_LINE_ASPECT: Final = 2.5
"""Plates narrower than this, width to height, may carry two lines: 440 x 220 mm is 2.0, while
440 x 140 mm, which is 3.1, seems narrower from the side. Both readings are tried then."""

_TWO_LINE_SIZE: Final = (220, 130)
_TWO_LINE_MARGIN: Final = (0.0, 0.09)  # found corners sit low on these plates
_LINE_BREAK: Final = 0.34
"""Where the lower line begins, as a share of a two-line plate's height."""

_UPPER_SIDE: Final = 0.2  # what is empty left and right of the two symbols of the upper line


def straighten(
    frame: Image,
    corners: Corners,
    margin: tuple[float, float],
    size: tuple[int, int] = (STRAIGHT_WIDTH, STRAIGHT_HEIGHT),
) -> Image:
    """Return the plate seen from the front, `size` (width, height) pixels with its margin.

    `margin` is what to add left and right, above and below, as shares of the plate's own width and
    height; what lies beyond the frame repeats its edge.
    """
    width, height = size
    plate_width, plate_height = width / (1 + 2 * margin[0]), height / (1 + 2 * margin[1])
    left, top = plate_width * margin[0], plate_height * margin[1]
    right, bottom = left + plate_width, top + plate_height
    target = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)
    transform = cv2.getPerspectiveTransform(np.array(corners, np.float32), target)
    straight = cv2.warpPerspective(
        frame, transform, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(straight, np.uint8)


def aspect(corners: Corners) -> float:
    """Return width to height of a plate with these corners, taking the mean of opposite sides."""
    points = np.array(corners, np.float64)
    sides = np.linalg.norm(points - np.roll(points, -1, axis=0), axis=1)
    return float((sides[0] + sides[2]) / max(sides[1] + sides[3], 1e-6))


def join_lines(frame: Image, corners: Corners) -> Image:
    """Return a two-line plate as one line: upper line left, lower line right, of equal height.

    The upper line's symbols are wider than high, so stretching that line in height alone gives
    them the lower line's proportions.
    """
    straight = straighten(frame, corners, _TWO_LINE_MARGIN, _TWO_LINE_SIZE)
    height, width = straight.shape[:2]
    margin = _TWO_LINE_MARGIN[1]
    cut = round((_LINE_BREAK + margin) / (1 + 2 * margin) * height)
    side = round(width * _UPPER_SIDE)
    upper, lower = straight[:cut, side : width - side], straight[cut:]
    stretched = cv2.resize(upper, (upper.shape[1], lower.shape[0]))
    return np.asarray(np.hstack([stretched, lower]), np.uint8)
