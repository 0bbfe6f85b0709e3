"""Read the plates in a frame: find, straighten, read twice, settle, check."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from edge_agent.model.errors import PictureRefused
from edge_agent.model.plates import Box, Corners, Plate, PlateColour, PlateRead, kind_of
from edge_agent.vision import weights
from edge_agent.vision.agreement import Settled, settle
from edge_agent.vision.colour import ground_colour
from edge_agent.vision.detection import LONG_SIDE, PlateBox, PlateDetector
from edge_agent.vision.picture import Image, load_picture
from edge_agent.vision.reading import PlateNetwork, Reader, TextNetwork
from edge_agent.vision.rectify import TWO_LINE_ASPECT, aspect, join_lines, straighten

LEAST_CLARITY: Final = 0.4
"""Texts that the readers recognise less than this are noise on a lamp or a grille, not plates."""
CONFIRMED_CLARITY: Final = 0.9
CONFIRMED_CONFIDENCE: Final = 0.8
CROP_SIDE: Final = 200
"""A picture no larger than this is taken for a plate that somebody has cut out already."""

_NO_MARGIN: Final = (0.0, 0.0)


class PlateReader:
    """Detector and readers, loaded once. Not for use by two threads at once."""

    def __init__(self, detector: PlateDetector, readers: tuple[Reader, ...]) -> None:
        self._detector = detector
        self._readers = readers

    def read(self, frame: Image) -> list[PlateRead]:
        """Return what can be read in a frame, surest place first.

        Only texts that follow the grammar of plates are returned, each once.
        """
        found = [self._read_plate(frame, place) for place in self._places(frame)]
        reads: dict[str, PlateRead] = {}
        for read in found:
            if read and (read.text not in reads or reads[read.text].confidence < read.confidence):
                reads[read.text] = read
        return list(reads.values())

    def _places(self, frame: Image) -> list[PlateBox]:
        height, width = frame.shape[:2]
        if max(height, width) > CROP_SIDE:
            return self._detector.detect(frame)
        right, bottom = float(width), float(height)
        corners = ((0.0, 0.0), (right, 0.0), (right, bottom), (0.0, bottom))
        return [PlateBox(1.0, (0, 0, width, height), corners)]

    def _read_plate(self, frame: Image, place: PlateBox) -> PlateRead | None:
        settled = settle(
            [
                reader.columns(straighten(frame, place.corners, reader.margin))
                for reader in self._readers
            ]
        )
        if aspect(place.corners) < TWO_LINE_ASPECT and not (settled and settled.agreed):
            joined = join_lines(frame, place.corners)
            two_lines = settle([reader.columns(joined) for reader in self._readers])
            settled = max(settled, two_lines, key=_clarity)
        if settled is None or settled.clarity < LEAST_CLARITY:
            return None
        colour = ground_colour(straighten(frame, place.corners, _NO_MARGIN))
        return _judge(settled, colour, place.box, place.corners)


def open_reader(long_side: int = LONG_SIDE) -> PlateReader:
    """Load the detector and both readers; `long_side` as in `PlateDetector`.

    Raises:
        WeightsMissing: a weights file is not installed or not the one that was measured.
    """
    return PlateReader(
        PlateDetector(weights.load(weights.PLATE_DETECTOR), long_side),
        (
            TextNetwork(weights.load(weights.TEXT_READER)),
            PlateNetwork(
                weights.load(weights.PLATE_READER), weights.load(weights.PLATE_READER_CHARSET)
            ),
        ),
    )


class ReadOut(BaseModel):
    """One plate of `edge-agent plate read`; box is x, y, width, height in pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    colour: PlateColour
    confidence: float
    box: Box
    confirmed: bool


class PictureOut(BaseModel):
    """One line of `edge-agent plate read --json`; `error` is a problem's code, `ms` the time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    plates: tuple[ReadOut, ...]
    ms: float
    error: str | None = None


def read_images(paths: Iterable[Path], reader: PlateReader | None = None) -> Iterator[PictureOut]:
    """Read picture files, one line each; a file that cannot be read gives a line with its `error`.

    Raises:
        WeightsMissing: no `reader` was given and the weights are not installed.
    """
    reader = reader or open_reader()
    for path in paths:
        started = time.perf_counter()
        try:
            reads = reader.read(load_picture(path))
            error = None
        except PictureRefused as refused:
            reads, error = [], refused.problem.code
        elapsed_ms = (time.perf_counter() - started) * 1000
        yield PictureOut(
            file=str(path),
            plates=tuple(_out(read) for read in reads),
            ms=round(elapsed_ms, 1),
            error=error,
        )


def _judge(settled: Settled, colour: PlateColour, box: Box, corners: Corners) -> PlateRead | None:
    kind = kind_of(settled.text)
    if kind is None:
        return None
    confirmed = (
        settled.agreed
        and settled.clarity >= CONFIRMED_CLARITY
        and settled.confidence >= CONFIRMED_CONFIDENCE
        and Plate(settled.text, kind, colour).colour_fits
    )
    return PlateRead(settled.text, colour, kind, settled.confidence, box, corners, confirmed)


def _out(read: PlateRead) -> ReadOut:
    return ReadOut(
        text=read.text,
        colour=read.colour,
        confidence=round(read.confidence, 4),
        box=read.box,
        confirmed=read.confirmed,
    )


def _clarity(settled: Settled | None) -> float:
    return settled.clarity if settled else -1.0
