"""The demo's camera: pictures of a bay, drawn by the project itself, a file a frame."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from edge_agent.model.plates import Plate
from edge_agent.vision.drawing import draw_car, draw_empty_bay
from edge_agent.vision.picture import encode_jpeg

FRAME_S: Final = 0.4
KEPT: Final = 3


class BayCamera:
    """Writes what stands in a bay into a folder, again and again, with fresh noise."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._plate: Plate | None = None
        self._car = 0
        self._frame = 0

    def arrives(self, plate: Plate) -> None:
        """A car with this plate stands in the bay from now on."""
        self._car += 1
        self._plate = plate

    def leaves(self) -> None:
        """The bay is empty from now on."""
        self._plate = None

    async def run(self) -> None:
        """Take pictures, for ever."""
        while True:
            await asyncio.to_thread(self._shoot)
            await asyncio.sleep(FRAME_S)

    def _shoot(self) -> None:
        self._frame += 1
        plate, car, frame = self._plate, self._car, self._frame
        if plate is None:
            picture = draw_empty_bay(frame=frame)
        else:
            picture = draw_car(plate, car, frame=frame)
        name = f"{frame:08d}.jpg"
        part = self._folder / f".{name}.part"
        part.write_bytes(encode_jpeg(picture))
        part.replace(self._folder / name)  # a reader never sees half a picture
        old = self._folder / f"{frame - KEPT:08d}.jpg"
        old.unlink(missing_ok=True)
