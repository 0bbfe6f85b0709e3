"""What goes between the agent and its vision process: one JSON object a line, strict both ways.

The agent writes one `WorkerConfig` to the child's stdin; the child writes messages to its stdout.
Plates pass here in clear and nowhere else, from memory to memory.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from edge_agent.model.errors import MessageRefused, Problem
from edge_agent.model.plates import MAX_TEXT_LENGTH, PlateColour

MAX_LINE_BYTES: Final = 65_536
MAX_CAMERAS: Final = 32

Name = Annotated[str, Field(min_length=1, max_length=64)]
Share = Annotated[float, Field(ge=0, le=1)]


class CameraState(StrEnum):
    """How well a camera sees: BLIND shows one grey, FROZEN the same picture over and over."""

    OK = "ok"
    BLIND = "blind"
    LOST = "lost"
    FROZEN = "frozen"


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class Region(_Wire):
    """The part of a camera's picture that shows its bay, as shares of width and height."""

    left: Share = 0.0
    top: Share = 0.0
    right: Share = 1.0
    bottom: Share = 1.0


class WatchedCamera(_Wire):
    """A camera as the vision process is told of it.

    `source` is an rtsp:// address, a /dev/video device, a video file or a folder of pictures; an
    address may hold a password, so it is never shown. `loop` plays a file or all of a folder over
    and over, a picture every `interval_ms`; without it a folder gives its newest picture only.
    """

    camera: Name
    bay: Name
    source: Annotated[str, Field(min_length=1, max_length=2048, repr=False)]
    region: Region = Region()
    loop: bool = False
    interval_ms: Annotated[int, Field(ge=20, le=60_000)] = 500


class WorkerConfig(_Wire):
    """All that the vision process is told.

    `settle_ms` is the pause between reads while something moves or a plate is not yet sure,
    `idle_ms` the pause between looks at a bay where nothing changes: 20 seconds at most, since a
    car that stands still has to be seen again while its last sighting counts as fresh.
    `long_side` is the detector's, in pixels.
    """

    cameras: Annotated[list[WatchedCamera], Field(min_length=1, max_length=MAX_CAMERAS)]
    long_side: Annotated[int, Field(ge=320, le=1920)] = 960
    heartbeat_ms: Annotated[int, Field(ge=50, le=60_000)] = 1_000
    settle_ms: Annotated[int, Field(ge=0, le=60_000)] = 250
    idle_ms: Annotated[int, Field(ge=100, le=20_000)] = 10_000


class SightingMessage(_Wire):
    """A plate that a camera saw; `age_ms` is how old the newest of its frames was on sending."""

    type: Literal["sighting"] = "sighting"
    camera: Name
    bay: Name
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_LENGTH, repr=False)]
    colour: Annotated[PlateColour, Field(strict=False)]
    confidence: Share
    votes: Annotated[int, Field(ge=1)]
    confirmed: bool
    age_ms: Annotated[int, Field(ge=0)]


class HealthMessage(_Wire):
    """A camera's state changed; `reason` is a code for people and logs."""

    type: Literal["health"] = "health"
    camera: Name
    state: Annotated[CameraState, Field(strict=False)]
    reason: Annotated[str, Field(max_length=200)] = ""


class HeartbeatMessage(_Wire):
    """The process lives: frames taken, frames read and pictures refused since it began."""

    type: Literal["heartbeat"] = "heartbeat"
    frames: Annotated[int, Field(ge=0)]
    reads: Annotated[int, Field(ge=0)]
    refused: Annotated[int, Field(ge=0)]


class FailedMessage(_Wire):
    """The last words of a process that cannot go on; `code` is a problem's or an error's name."""

    type: Literal["failed"] = "failed"
    code: Annotated[str, Field(min_length=1, max_length=200)]


Message = Annotated[
    SightingMessage | HealthMessage | HeartbeatMessage | FailedMessage, Field(discriminator="type")
]

_MESSAGE: Final[TypeAdapter[Message]] = TypeAdapter(Message)


def parse_message(line: bytes) -> Message:
    """Return the message in a line from the vision process.

    Raises:
        MessageRefused: no JSON, or none that fits; the line is not repeated.
    """
    try:
        return _MESSAGE.validate_json(line)
    except ValidationError as error:
        raise _refused(error) from None


def parse_config(line: bytes) -> WorkerConfig:
    """Return the configuration in the first line that the vision process reads.

    Raises:
        MessageRefused: no JSON, or none that fits; the line is not repeated.
    """
    try:
        return WorkerConfig.model_validate_json(line)
    except ValidationError as error:
        raise _refused(error) from None


def _refused(error: ValidationError) -> MessageRefused:
    places = {".".join(map(str, one["loc"])) or one["type"] for one in error.errors()}
    return MessageRefused(
        Problem(
            "vision_message_malformed",
            "识别进程的消息格式不正确",
            "a message of the vision process is malformed",
        ),
        ", ".join(sorted(places))[:200],
    )
