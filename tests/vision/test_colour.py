"""The ground of drawn plates is recognised in changing light; darkness is no colour."""

import numpy as np
import pytest

from edge_agent.model.plates import PlateColour, parse_plate
from edge_agent.vision.colour import ground_colour
from edge_agent.vision.drawing import draw_plate

GROUNDS = (
    ("云A12345", PlateColour.BLUE),
    ("云A12345", PlateColour.YELLOW),
    ("云AD12345", PlateColour.GREEN),
    ("云A12345D", PlateColour.YELLOW_GREEN),
    ("云A1234警", PlateColour.WHITE),
    ("粤Z1234港", PlateColour.BLACK),
)


@pytest.mark.parametrize("light", [0.6, 0.8, 1.0, 1.15])
@pytest.mark.parametrize(("text", "colour"), GROUNDS)
def test_grounds(text: str, colour: PlateColour, light: float) -> None:
    plate = draw_plate(parse_plate(text, colour)).astype(np.float32)
    assert ground_colour(np.clip(plate * light, 0, 255).astype(np.uint8)) is colour


@pytest.mark.parametrize("level", [0, 20])
def test_darkness_has_no_colour(level: int) -> None:
    assert ground_colour(np.full((64, 192, 3), level, np.uint8)) is PlateColour.UNKNOWN
