"""The detector's arithmetic on outputs made by hand, and its network on drawn cars."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model.plates import parse_plate
from edge_agent.vision import weights
from edge_agent.vision.detection import MAX_PLATES, Floats, PlateDetector, decode, fit, priors
from edge_agent.vision.drawing import View, draw_car
from edge_agent.vision.picture import Image


def silent(count: int) -> tuple[Floats, Floats, Floats]:
    """Outputs of a network that sees nothing."""
    scores = np.tile(np.array([1.0, 0.0], np.float32), (count, 1))
    return np.zeros((count, 4), np.float32), scores, np.zeros((count, 8), np.float32)


def test_priors_cover_three_grids() -> None:
    rows = priors(960, 544)
    assert len(rows) == 2 * (120 * 68 + 60 * 34 + 30 * 17)
    assert rows[0].tolist() == [4, 4, 24]
    assert rows[1].tolist() == [4, 4, 48]
    assert rows[2].tolist() == [12, 4, 24]
    assert rows[-1].tolist() == [944, 528, 768]


def test_nothing_seen_is_no_plate() -> None:
    boxes = priors(320, 320)
    assert decode(silent(len(boxes)), boxes, 1.0) == []


def test_a_plate_is_put_where_its_offsets_say() -> None:
    boxes = priors(320, 320)
    offsets, scores, corners = silent(len(boxes))
    at = int(np.flatnonzero((boxes == [164, 164, 48]).all(axis=1))[0])
    scores[at] = [0.2, 0.8]
    offsets[at] = [0.5, -0.5, 5 * np.log(2), 0]  # 2.4 px right, 2.4 px up, twice as wide
    # bottom right, bottom left, top left, top right: 10 priors' tenths are one prior
    corners[at] = [10, 5, -10, 5, -10, -5, 10, -5]
    (plate,) = decode((offsets, scores, corners), boxes, scale=0.5)
    assert plate.score == pytest.approx(0.8)
    assert plate.box == (237, 275, 192, 96)
    assert plate.corners == ((232.0, 280.0), (424.0, 280.0), (424.0, 376.0), (232.0, 376.0))


def test_overlapping_places_are_one_plate_and_there_are_few() -> None:
    boxes = priors(640, 640)
    offsets, scores, corners = silent(len(boxes))
    near = (boxes[:, 2] == 48) & (boxes[:, 1] == 100) & (np.abs(boxes[:, 0] - 100) < 9)
    scores[near] = [0.1, 0.9]
    assert len(decode((offsets, scores, corners), boxes, 1.0)) == 1
    scores[boxes[:, 2] == 48] = [0.1, 0.9]
    assert len(decode((offsets, scores, corners), boxes, 1.0)) == MAX_PLATES


@given(st.integers(8, 2500), st.integers(8, 2500))
def test_frames_of_any_shape_fit_the_canvas(width: int, height: int) -> None:
    frame: Image = np.zeros((height, width, 3), np.uint8)
    canvas, scale = fit(frame, 320)
    assert canvas.shape[0] % 32 == canvas.shape[1] % 32 == 0
    assert max(canvas.shape) == 320
    assert max(width, height) * scale == pytest.approx(320)


@pytest.mark.parametrize("car_share", [0.2, 0.6])
def test_near_and_far_plates_are_found(car_share: float) -> None:
    """A near car is found at the first look, a far one takes the second; corners are in order."""
    detector = PlateDetector(weights.load(weights.PLATE_DETECTOR))
    frame = draw_car(parse_plate("云A12345"), 4, View(car_share=car_share))
    (plate,) = detector.detect(frame)
    x, y, width, _ = plate.box
    assert x + width / 2 == pytest.approx(480, abs=60)
    assert y > 270
    assert width == pytest.approx(960 * car_share * 440 / 1800, rel=0.25)
    (left, top), (right, _), (_, bottom), (far_left, _) = plate.corners
    assert left < right
    assert top < bottom
    assert far_left < right


def test_a_detector_told_to_look_coarsely_looks_once() -> None:
    detector = PlateDetector(weights.load(weights.PLATE_DETECTOR), long_side=320)
    frame = draw_car(parse_plate("云A12345"), 4, View(car_share=0.9))
    assert len(detector.detect(frame)) == 1
