"""Drawn cars: the same every time, of every common kind, and read by our own reader."""

import random

import numpy as np
import pytest

from edge_agent.model.plates import PROVINCES, SERIAL_SYMBOLS, Plate, PlateColour, parse_plate
from edge_agent.vision.drawing import View, draw_car, draw_empty_bay, draw_plate, ground_of
from edge_agent.vision.reader import PlateReader
from edge_agent.vision.voting import SeenRead, vote

CARS = 36


def invented(rng: random.Random, number: int) -> tuple[Plate, bool]:
    """A plate of the common kinds in turn, and whether it has two lines."""
    office = rng.choice(PROVINCES) + rng.choice("ABCDEFGH")
    letters = "".join(rng.sample(SERIAL_SYMBOLS[10:], 2))
    digits = "".join(rng.choices(SERIAL_SYMBOLS[:10], k=5))
    return (
        (parse_plate(f"{office}{letters[0]}{digits[:4]}"), False),
        (parse_plate(f"{office}D{digits}"), False),
        (parse_plate(f"{office}{digits}", PlateColour.YELLOW), False),
        (parse_plate(f"云A{digits[:3]}{letters}"), False),
        (parse_plate(f"{office}{digits}F"), False),
        (parse_plate(f"{office}{letters[0]}{digits[:4]}", PlateColour.YELLOW), True),
    )[number % 6]


def test_the_same_arguments_give_the_same_picture() -> None:
    plate, view = parse_plate("云A12345"), View(size=(320, 180))
    first = draw_car(plate, 7, view)
    assert np.array_equal(first, draw_car(plate, 7, view))
    for other in (
        draw_car(plate, 8, view),
        draw_car(plate, 7, view, frame=1),
        draw_car(parse_plate("云A12346"), 7, view),
    ):
        assert not np.array_equal(first, other)
    assert first.shape == draw_empty_bay(view).shape == (180, 320, 3)


ONE_OF_EACH = (
    "云A12345", "云AD12345", "云A12345D", "云A1234学", "云A1234警", "云A1234挂", "云A1234领",
    "云A1234试", "云A1234超", "粤Z1234港", "使123456", "WJ云12345", "KA12345", "云A1234应急",
    "民航A1234",
)  # fmt: skip


@pytest.mark.parametrize("text", ONE_OF_EACH)
def test_every_kind_can_be_drawn(text: str) -> None:
    plate = parse_plate(text)
    assert Plate(text, plate.kind, ground_of(plate)).colour_fits
    one_line = draw_plate(plate)
    assert one_line.shape in {(280, 880, 3), (280, 960, 3)}
    assert draw_plate(plate, two_lines=True).shape == (440, 880, 3)
    assert one_line.std() > 30


def test_drawn_cars_are_read(reader: PlateReader) -> None:
    """At the demo's noise at least 95 % are read, and no confirmed read is wrong."""
    rng = random.Random(20)
    right = confirmed = 0
    for number in range(CARS):
        plate, two_lines = invented(rng, number)
        reads = reader.read(draw_car(plate, number, two_lines=two_lines))
        right += plate.text in [read.text for read in reads]
        sure = [read.text for read in reads if read.confirmed]
        confirmed += bool(sure)
        assert set(sure) <= {plate.text}
    assert right >= 0.95 * CARS
    assert confirmed >= 0.6 * CARS


def test_a_few_frames_of_a_car_make_it_sure(reader: PlateReader) -> None:
    plate = parse_plate("云A8D216")
    seen = [
        SeenRead(read, 300 * frame)
        for frame in range(3)
        for read in reader.read(draw_car(plate, 5, frame=frame))
    ]
    (verdict,) = vote(seen, 900)
    assert (verdict.plate.text, verdict.confirmed) == (plate.text, True)
    assert verdict.plate.colour is PlateColour.BLUE


def test_an_empty_bay_has_no_plate(reader: PlateReader) -> None:
    assert reader.read(draw_empty_bay()) == []
