from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from drivers import registry
from drivers.dart.driver import DartDriver
from edge_agent.model.errors import ConfigRefused


def test_own_drivers_are_found_by_their_word() -> None:
    for word in registry.OWN:
        assert registry.load(word).name == word


@pytest.mark.parametrize(("word", "near"), [("drat", "dart"), ("modbuss", "modbus")])
def test_an_unknown_word_names_the_nearest(word: str, near: str) -> None:
    with pytest.raises(ConfigRefused, match=f"did you mean '{near}'"):
        registry.load(word)


def test_drivers_of_other_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {
        "module": EntryPoint("module", "drivers.dart", registry.GROUP),
        "object": EntryPoint("object", "drivers.dart.driver:DRIVER", registry.GROUP),
        "nothing": EntryPoint("nothing", "json", registry.GROUP),
    }

    def entry_points(group: str, name: str | None = None) -> list[EntryPoint]:
        assert group == registry.GROUP
        return [point for word, point in points.items() if name in {None, word}]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    assert isinstance(registry.load("module"), DartDriver)
    assert isinstance(registry.load("object"), DartDriver)
    with pytest.raises(ConfigRefused, match="nothing"):
        registry.load("nothing")
    assert registry.known() == ("dart", "modbus", "module", "nothing", "object")


def test_a_driver_is_imported_when_it_is_used() -> None:
    lazily = (
        "import sys, drivers.registry as r; r.load('dart'); print('drivers.modbus' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", lazily], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_recordings_are_decoded_by_protocol_and_framing() -> None:
    (frame,) = registry.decode_frames("dart", bytes.fromhex("50 20 FA"))
    assert frame.ok
    assert frame.fields["frame"] == "POLL"
    with pytest.raises(ConfigRefused, match="dart-rtu"):
        registry.decode_frames("dart-rtu", b"")
