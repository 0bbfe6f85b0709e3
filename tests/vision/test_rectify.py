"""Straightening undoes perspective; two lines become one."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model.plates import Corners, parse_plate
from edge_agent.vision.drawing import draw_plate
from edge_agent.vision.picture import Image
from edge_agent.vision.rectify import aspect, join_lines, straighten

PLATE = parse_plate("云A12345")


def skewed(plate: Image, corners: Corners) -> Image:
    height, width = plate.shape[:2]
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    transform = cv2.getPerspectiveTransform(flat, np.array(corners, np.float32))
    return np.asarray(cv2.warpPerspective(plate, transform, (640, 360)), np.uint8)


@given(
    st.tuples(*([st.integers(-12, 12)] * 8)),
)
def test_a_skewed_plate_comes_out_straight(shift: tuple[int, ...]) -> None:
    base = [(120, 100), (500, 110), (505, 240), (118, 225)]
    points = [(x + shift[i], y + shift[i + 4]) for i, (x, y) in enumerate(base)]
    a, b, c, d = ((float(x), float(y)) for x, y in points)
    flat = draw_plate(PLATE)
    straight = straighten(skewed(flat, (a, b, c, d)), (a, b, c, d), (0.0, 0.0), (220, 70))
    wanted = cv2.resize(flat, (220, 70), interpolation=cv2.INTER_AREA)
    assert np.abs(straight.astype(int) - wanted.astype(int)).mean() < 12


def test_margin_is_added_on_all_sides() -> None:
    frame: Image = np.zeros((100, 300, 3), np.uint8)
    frame[40:60, 100:200] = 255
    corners = ((100.0, 40.0), (200.0, 40.0), (200.0, 60.0), (100.0, 60.0))
    straight = straighten(frame, corners, (0.25, 0.5), (150, 40))
    bright = np.argwhere(straight[..., 0] > 128)
    assert bright.min(axis=0) == pytest.approx([10, 25], abs=1)
    assert bright.max(axis=0) == pytest.approx([29, 124], abs=1)


def test_aspect_is_width_to_height() -> None:
    assert aspect(((0, 0), (44, 0), (44, 14), (0, 14))) == pytest.approx(44 / 14)
    assert aspect(((0, 0), (0, 0), (0, 0), (0, 0))) == 0


def test_lines_are_joined_left_to_right() -> None:
    frame: Image = np.zeros((200, 400, 3), np.uint8)
    frame[:70] = (255, 0, 0)
    frame[70:] = (0, 0, 255)
    joined = join_lines(frame, ((0, 0), (400, 0), (400, 200), (0, 200)))
    middle = joined[joined.shape[0] // 2]
    assert middle[2].tolist() == [255, 0, 0]
    assert middle[-2].tolist() == [0, 0, 255]
    assert joined.shape[1] / joined.shape[0] > 3
