"""The station's cameras: one vision process for all of them, and how each is for the screen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from edge_agent.model.ids import CameraId
from edge_agent.model.plates import PlateSighting
from edge_agent.model.station import CameraPlan
from edge_agent.model.views import CameraView
from edge_agent.ports import Clock
from edge_agent.vision.process import VisionProcess
from edge_agent.vision.wire import WatchedCamera, WorkerConfig


class Eyes:
    """`ports.Sightings` over the vision process; a station without cameras has no such process."""

    def __init__(
        self, plans: Sequence[CameraPlan], address: Callable[[CameraId], str], clock: Clock
    ) -> None:
        """Tell the process which cameras to watch; `address` gives a source with its secret."""
        cameras = [
            WatchedCamera(camera=plan.camera, bay=plan.bay, source=address(plan.camera))
            for plan in plans
        ]
        self._process = VisionProcess(WorkerConfig(cameras=cameras), clock) if cameras else None
        self._last: dict[CameraId, str] = {}

    def subscribe(self, listener: Callable[[PlateSighting], None]) -> None:
        """Call `listener` with each sighting."""
        if self._process is not None:
            self._process.subscribe(listener)
            self._process.subscribe(self._note)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever `views` may have changed."""
        if self._process is not None:
            self._process.on_change(lambda _: listener())
            self._process.subscribe(lambda _: listener())

    def views(self) -> tuple[CameraView, ...]:
        """Return how each camera is, and the masked plate that it saw last."""
        if self._process is None:
            return ()
        return tuple(
            CameraView(
                status.camera, status.bay, status.state.value, status.since_ms,
                self._last.get(status.camera),
            )
            for status in self._process.cameras()
        )  # fmt: skip

    async def run(self) -> None:
        """Keep the vision process running, for ever."""
        if self._process is None:
            await asyncio.Event().wait()
        else:
            await self._process.run()

    def _note(self, sighting: PlateSighting) -> None:
        self._last[sighting.camera] = sighting.plate.masked()
