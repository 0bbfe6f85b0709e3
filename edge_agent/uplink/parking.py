"""A folder where refused messages wait for a person: so many files and no more."""

from __future__ import annotations

import json
from pathlib import Path

from edge_agent.model.canonical import sha256_hex
from edge_agent.ports import Clock

MOST_FILES = 64
MOST_BYTES = 256 * 1024
"""Most refused messages that are kept, and most bytes of each."""


class ParkingFolder:
    """`ports.Parking` on disk; the oldest gives way. A full disk parks nothing and hurts nobody."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def park(self, topic: str, reason: str, payload: bytes) -> None:
        """Keep a refused message with a note of its topic, reason and true size."""
        name = f"{self._clock.wall_ms():015d}-{sha256_hex(payload)[:16]}"
        note = {"topic": topic[:200], "reason": reason, "size_bytes": len(payload)}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._make_room()
            (self._folder / f"{name}.bin").write_bytes(payload[:MOST_BYTES])
            text = json.dumps(note, ensure_ascii=False)
            (self._folder / f"{name}.json").write_text(text, encoding="utf-8")
        except OSError:
            return

    def _make_room(self) -> None:
        parked = sorted(self._folder.glob("*.bin"))
        for payload_file in parked[: max(0, len(parked) - MOST_FILES + 1)]:
            payload_file.with_suffix(".json").unlink(missing_ok=True)
            payload_file.unlink(missing_ok=True)
