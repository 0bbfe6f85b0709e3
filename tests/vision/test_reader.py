"""Files in, lines out: the contract of `edge-agent plate read --json`."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.model.plates import PlateColour, PlateKind, PlateRead, parse_plate
from edge_agent.vision.decoding import LogProbabilities
from edge_agent.vision.drawing import draw_car, draw_plate
from edge_agent.vision.picture import Image
from edge_agent.vision.reader import CONFIRMED_CONFIDENCE, PlateReader, read_images
from tests.vision.test_agreement import doubtful
from tests.vision.test_decoding import columns_of, spoken

PLATE = parse_plate("云A8D216")


def test_a_line_for_every_file_whatever_is_in_it(reader: PlateReader, tmp_path: Path) -> None:
    good, cut, empty = tmp_path / "good.png", tmp_path / "cut.jpg", tmp_path / "empty.jpg"
    picture = draw_car(PLATE, 5)
    cv2.imencode(".png", picture)[1].tofile(good)
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    cut.write_bytes(jpeg[: len(jpeg) // 2])
    empty.write_bytes(b"")
    lines = list(read_images([good, cut, empty, tmp_path / "none.png"], reader))
    assert [line.error for line in lines] == [
        None, "picture_malformed", "picture_malformed", "picture_unreadable",
    ]  # fmt: skip
    line = json.loads(lines[0].model_dump_json())
    assert line["file"] == str(good)
    assert line["ms"] > 0
    (plate,) = line["plates"]
    assert set(plate) == {"text", "colour", "confidence", "box", "confirmed"}
    assert (plate["text"], plate["colour"]) == (PLATE.text, "blue")
    x, y, width, _ = plate["box"]
    assert x < picture.shape[1] / 2 < x + width
    assert y > picture.shape[0] / 2
    assert all(line.plates == () for line in lines[1:])


def test_a_plate_cut_out_is_read_without_detection(reader: PlateReader) -> None:
    crop = cv2.resize(draw_plate(PLATE), (140, 45), interpolation=cv2.INTER_AREA)
    (read,) = reader.read(np.asarray(crop, np.uint8))
    assert (read.text, read.kind, read.colour) == (
        PLATE.text, PlateKind.ORDINARY, PlateColour.BLUE,
    )  # fmt: skip
    assert read.box == (0, 0, 140, 45)
    assert PLATE.text not in repr(read)


class Stub:
    """A reader that sees the same text in every picture."""

    margin = (0.0, 0.0)

    def __init__(self, text: str, certainty: float = 0.99) -> None:
        self._columns = columns_of(spoken(text), certainty)

    def columns(self, straight: Image) -> LogProbabilities:
        assert straight.size
        return self._columns


def judged(reader: PlateReader, colour: PlateColour, *stubs: Stub) -> PlateRead:
    """What is made of a drawn plate of this ground when the stubs read it."""
    crop = cv2.resize(draw_plate(parse_plate("云A12345", colour)), (140, 45))
    stubbed = PlateReader(reader._detector, stubs)
    (read,) = stubbed.read(np.asarray(crop, np.uint8))
    return read


@pytest.mark.parametrize(
    ("texts", "certainty", "colour", "confirmed"),
    [
        (("云A12345", "云A12345"), 0.99, PlateColour.BLUE, True),
        (("云A12345", "云A12346"), 0.99, PlateColour.BLUE, False),
        (("云A12345", "云A123"), 0.99, PlateColour.BLUE, False),
        (("云A12345", "云A12345"), 0.7, PlateColour.BLUE, False),
        (("云A12345", "云A12345"), 0.99, PlateColour.GREEN, False),
        (("云AD12345", "云AD12345"), 0.99, PlateColour.GREEN, True),
    ],
)
def test_only_clear_agreement_on_a_fitting_ground_is_confirmed(
    reader: PlateReader,
    texts: tuple[str, str],
    certainty: float,
    colour: PlateColour,
    *,
    confirmed: bool,
) -> None:
    read = judged(reader, colour, *(Stub(text, certainty) for text in texts))
    assert (read.text, read.colour, read.confirmed) == (texts[0], colour, confirmed)


def test_a_reader_that_would_rather_say_something_else_prevents_confirmation(
    reader: PlateReader,
) -> None:
    sure, unsure = Stub("云A12345", 0.999), Stub("云A12345")
    unsure._columns = doubtful("云A12345", 6, "6", 0.52, certainty=0.99)
    read = judged(reader, PlateColour.BLUE, sure, unsure)
    assert (read.text, read.confirmed) == ("云A12345", False)
    assert read.confidence > CONFIRMED_CONFIDENCE


def test_noise_is_no_plate(reader: PlateReader) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (48, 160, 3), np.uint8)
    assert reader.read(noise) == []
