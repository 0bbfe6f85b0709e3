"""Decide cheaply whether a frame is worth reading, and whether a camera sees at all.

A network takes tens of milliseconds, this takes one: a bay where nothing changes costs next to
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.vision.picture import Image

_SMALL: Final = (96, 54)
_CHANGED_LEVELS: Final = 12.0
_CHANGED_SHARE: Final = 0.004
_BLIND_SPREAD: Final = 4.0
_DARK: Final = 6.0
_GLARING: Final = 249.0

Small = npt.NDArray[np.float32]


def shrink(frame: Image) -> Small:
    """Return a small grey picture of a frame; averaging takes out most of the sensor's noise."""
    small = cv2.resize(frame, _SMALL, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.float32)


def changed(one: Small, other: Small) -> bool:
    """Return whether something moved between two pictures; a change of light alone is none."""
    difference = one - other
    moved = np.abs(difference - np.median(difference)) > _CHANGED_LEVELS
    return float(moved.mean()) > _CHANGED_SHARE


def blind(small: Small) -> bool:
    """Return whether a picture shows nothing: covered, dark, in full glare or all one grey."""
    mean = float(small.mean())
    return float(small.std()) < _BLIND_SPREAD or mean < _DARK or mean > _GLARING


@dataclass(slots=True)
class MotionGate:
    """Says when to read: at once when something moves, until a plate is sure, and now and then.

    `settle_ms` is the pause between reads of a changing or unsure scene, `idle_ms` the pause while
    nothing changes. Times are monotonic milliseconds.
    """

    settle_ms: int
    idle_ms: int
    _last_small: Small | None = field(default=None, init=False)
    _last_read_ms: int | None = field(default=None, init=False)
    _pending: bool = field(default=True, init=False)

    def wants(self, small: Small, now_ms: int) -> bool:
        """Return whether to read this frame now, noting it as read if so."""
        if self._last_small is None or changed(small, self._last_small):
            self._pending = True
        self._last_small = small
        waited_ms = self.idle_ms if self._last_read_ms is None else now_ms - self._last_read_ms
        if waited_ms < (self.settle_ms if self._pending else self.idle_ms):
            return False
        self._last_read_ms = now_ms
        self._pending = False
        return True

    def look_again(self) -> None:
        """Read on after `settle_ms`: what was read is not sure yet."""
        self._pending = True
