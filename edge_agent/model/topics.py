"""The MQTT topics between stations and headquarters, `forecourt/v1/{station}/{up|down}/{what}`."""

from __future__ import annotations

from typing import Final, Literal

from edge_agent.model.wire import EVERY_STATION

Up = Literal["ledger", "telemetry", "request", "birth"]
Down = Literal["ack", "catalogue", "command", "reply"]

ROOT: Final = "forecourt/v1"
EVERY_UP: Final = f"{ROOT}/+/up/+"
"""What headquarters subscribes to."""
SHARED_CATALOGUE: Final = f"{ROOT}/{EVERY_STATION}/down/catalogue"


def up(station: str, what: Up) -> str:
    """Return the topic on which a station sends."""
    return f"{ROOT}/{station}/up/{what}"


def down(station: str, what: Down) -> str:
    """Return the topic on which a station is told something."""
    return f"{ROOT}/{station}/down/{what}"


def station_filters(station: str) -> tuple[str, str]:
    """Return what a station subscribes to: its own downlinks, and what every station shares."""
    return f"{ROOT}/{station}/down/+", SHARED_CATALOGUE


def split(topic: str) -> tuple[str, str, str] | None:
    """Return a topic's station, direction ("up" or "down") and last level; None if not ours."""
    if not topic.startswith(f"{ROOT}/"):
        return None
    levels = topic[len(ROOT) + 1 :].split("/")
    if len(levels) != 3 or levels[1] not in {"up", "down"}:
        return None
    return levels[0], levels[1], levels[2]
