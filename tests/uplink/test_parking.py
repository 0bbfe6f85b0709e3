"""The parking folder is bounded and never in the way."""

from __future__ import annotations

import json
from pathlib import Path

from edge_agent.uplink.parking import MOST_BYTES, MOST_FILES, ParkingFolder


class Clock:
    trusted = True

    def __init__(self) -> None:
        self.now_ms = 0

    def wall_ms(self) -> int:
        self.now_ms += 1
        return self.now_ms

    def monotonic_ms(self) -> int:
        return self.now_ms


def test_a_refused_message_is_kept_with_a_note(tmp_path: Path) -> None:
    parking = ParkingFolder(tmp_path / "parked", Clock())
    parking.park("some/topic", "malformed", b"payload")
    (payload,) = (tmp_path / "parked").glob("*.bin")
    assert payload.read_bytes() == b"payload"
    note = json.loads(payload.with_suffix(".json").read_text(encoding="utf-8"))
    assert note == {"topic": "some/topic", "reason": "malformed", "size_bytes": 7}


def test_the_oldest_gives_way_and_the_largest_is_cut(tmp_path: Path) -> None:
    parking = ParkingFolder(tmp_path, Clock())
    for number in range(MOST_FILES + 10):
        parking.park("t", "malformed", str(number).encode())
    kept = sorted(tmp_path.glob("*.bin"))
    assert len(kept) == MOST_FILES
    assert kept[0].read_bytes() == b"10"
    assert len(list(tmp_path.iterdir())) == 2 * MOST_FILES
    parking.park("t", "oversized", bytes(MOST_BYTES + 5))
    newest = max(tmp_path.glob("*.bin"))
    assert newest.stat().st_size == MOST_BYTES
    assert json.loads(newest.with_suffix(".json").read_text())["size_bytes"] == MOST_BYTES + 5


def test_a_folder_that_cannot_be_written_hurts_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ParkingFolder(tmp_path / "file", Clock()).park("t", "r", b"x")
