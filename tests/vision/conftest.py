"""The reader is loaded once for all tests of one process, on one thread as at a station."""

import cv2
import pytest

from edge_agent.vision.reader import PlateReader, open_reader


@pytest.fixture(scope="session")
def reader() -> PlateReader:
    cv2.setNumThreads(1)
    return open_reader()
