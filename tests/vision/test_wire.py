"""Lines between the agent and its vision process: strict, and silent about what they hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_agent.app.self_service import FRESH_MS
from edge_agent.model.errors import MessageRefused
from edge_agent.model.plates import PlateColour
from edge_agent.vision.wire import (
    CameraState,
    FailedMessage,
    HealthMessage,
    HeartbeatMessage,
    Message,
    SightingMessage,
    WatchedCamera,
    WorkerConfig,
    parse_config,
    parse_message,
)

SIGHTING = SightingMessage(
    camera="c1", bay="b1", text="云A12345", colour=PlateColour.BLUE,
    confidence=0.9, votes=2, confirmed=True, age_ms=120,
)  # fmt: skip
MESSAGES: tuple[Message, ...] = (
    SIGHTING,
    HealthMessage(camera="c1", state=CameraState.BLIND, reason="dark"),
    HeartbeatMessage(frames=1, reads=2, refused=3),
    FailedMessage(code="weights_missing"),
)


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_survive_the_wire(message: Message) -> None:
    assert parse_message(message.model_dump_json().encode()) == message


def test_configuration_survives_the_wire() -> None:
    config = WorkerConfig(cameras=[WatchedCamera(camera="c", bay="b", source="/x")], settle_ms=5)
    assert parse_config(config.model_dump_json().encode()) == config


@pytest.mark.parametrize(
    "change",
    [
        {"votes": 0}, {"votes": "2"}, {"confidence": 1.5}, {"confirmed": 1}, {"age_ms": -1},
        {"text": ""}, {"text": "1" * 17}, {"colour": "pink"}, {"extra": 1}, {"type": "other"},
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_without_being_repeated(change: dict[str, object]) -> None:
    line = SIGHTING.model_copy(update=change).model_dump_json(warnings=False)
    if "extra" in change:
        line = line[:-1] + ',"extra":1}'
    with pytest.raises(MessageRefused) as caught:
        parse_message(line.encode())
    assert "12345" not in str(caught.value)


@given(st.binary(max_size=120))
def test_any_bytes_are_a_message_or_refused(line: bytes) -> None:
    with pytest.raises(MessageRefused):
        parse_message(line)
    with pytest.raises(MessageRefused):
        parse_config(line)


def test_no_plate_and_no_password_shows_in_a_repr() -> None:
    camera = WatchedCamera(camera="c", bay="b", source="rtsp://user:secret@host/1")
    assert "secret" not in repr(WorkerConfig(cameras=[camera]))
    assert "12345" not in repr(SIGHTING)


def test_a_bay_is_looked_at_while_its_last_sighting_is_still_fresh() -> None:
    cameras = [WatchedCamera(camera="c", bay="b", source="/x")]
    longest = WorkerConfig(cameras=cameras, idle_ms=20_000)
    assert 4 * longest.idle_ms < FRESH_MS
    with pytest.raises(ValidationError):
        WorkerConfig(cameras=cameras, idle_ms=20_001)
