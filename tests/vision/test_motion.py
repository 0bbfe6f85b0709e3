"""The gate reads what moves and rests otherwise."""

import numpy as np
import pytest

from edge_agent.model.plates import parse_plate
from edge_agent.vision.drawing import View, draw_car, draw_empty_bay
from edge_agent.vision.motion import MotionGate, blind, changed, shrink
from edge_agent.vision.picture import Image

VIEW = View(size=(480, 270))
PLATE = parse_plate("云A12345")


def test_noise_and_light_are_no_motion_but_a_car_is() -> None:
    empty = shrink(draw_empty_bay(VIEW))
    assert not changed(empty, shrink(draw_empty_bay(VIEW, frame=1)))
    assert not changed(empty, shrink(draw_empty_bay(View(VIEW.size, brightness=1.15), frame=2)))
    assert changed(empty, shrink(draw_car(PLATE, 1, VIEW)))
    assert changed(shrink(draw_car(PLATE, 2, VIEW)), shrink(draw_car(PLATE, 1, VIEW)))


@pytest.mark.parametrize("level", [0, 3, 128, 255])
def test_one_grey_is_blind(level: int) -> None:
    assert blind(shrink(np.full((270, 480, 3), level, np.uint8)))


def test_a_bay_is_not_blind() -> None:
    assert not blind(shrink(draw_empty_bay(VIEW)))


def reads(gate: MotionGate, frames: list[tuple[Image, int]]) -> list[int]:
    return [at for frame, at in frames if gate.wants(shrink(frame), at)]


def test_a_still_bay_is_looked_at_now_and_then() -> None:
    gate = MotionGate(settle_ms=200, idle_ms=1000)
    still = [(draw_empty_bay(VIEW, frame=n), n * 100) for n in range(25)]
    assert reads(gate, still) == [0, 1000, 2000]


def test_a_car_is_read_at_once_and_again_until_it_is_sure() -> None:
    gate = MotionGate(settle_ms=200, idle_ms=1000)
    empty, car = draw_empty_bay(VIEW), draw_car(PLATE, 1, VIEW)
    assert reads(gate, [(empty, 0), (empty, 300), (car, 400)]) == [0, 400]
    gate.look_again()
    assert reads(gate, [(car, 500), (car, 600)]) == [600]
    assert reads(gate, [(car, 700), (car, 900), (car, 1600)]) == [1600]
