"""The ground of a plate, from the hues of its straightened picture."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.model.plates import PlateColour
from edge_agent.vision.picture import Image

_BLUE: Final = (95, 135)  # OpenCV's hues run from 0 to 179
_GREEN: Final = (38, 92)
_YELLOW: Final = (10, 36)
_SATURATED: Final = 60
_FAINT: Final = 30  # glare bleaches blue; the green of new-energy plates fades to white
_DARK: Final = 50
_BRIGHT: Final = 110
_ENOUGH: Final = 0.3
"""Share of the plate that its ground covers at least; symbols, dirt and glare take the rest."""

Mask = npt.NDArray[np.bool_]


def ground_colour(straight: Image) -> PlateColour:
    """Return the ground of a straightened plate without margin; UNKNOWN in the dark or in glare."""
    hsv = np.asarray(cv2.cvtColor(straight, cv2.COLOR_BGR2HSV), np.int16)
    hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
    lit = value > _DARK
    blue = _share(_within(hue, _BLUE) & (saturation > _FAINT) & lit)
    yellow_mask = _within(hue, _YELLOW) & (saturation > _SATURATED) & lit
    green_mask = _within(hue, _GREEN) & (saturation > _FAINT) & lit
    yellow, green = _share(yellow_mask), _share(green_mask)
    if blue > _ENOUGH and blue > max(yellow, green):
        return PlateColour.BLUE
    if _is_yellow_then_green(yellow_mask, green_mask):
        return PlateColour.YELLOW_GREEN
    if max(yellow, green) > _ENOUGH:
        return PlateColour.YELLOW if yellow > green else PlateColour.GREEN
    grey = saturation < _SATURATED
    if _share(grey & (value > _BRIGHT)) > 2 * _ENOUGH:
        return PlateColour.WHITE
    black = _share((value < _BRIGHT) & grey)
    contrast = float(np.percentile(value, 95) - np.percentile(value, 20))
    return PlateColour.BLACK if black > 2 * _ENOUGH and contrast > _DARK else PlateColour.UNKNOWN


def _is_yellow_then_green(yellow: Mask, green: Mask) -> bool:
    """Large new-energy plates are yellow behind the first two places and green behind the rest."""
    third = yellow.shape[1] // 3
    return (
        _share(yellow[:, : third - third // 4]) > _ENOUGH
        and _share(green[:, third:]) > _ENOUGH
        and _share(yellow[:, third:]) < _ENOUGH / 2
    )


def _within(hue: npt.NDArray[np.int16], band: tuple[int, int]) -> Mask:
    inside: Mask = (hue >= band[0]) & (hue <= band[1])
    return inside


def _share(mask: Mask) -> float:
    return float(mask.mean())
