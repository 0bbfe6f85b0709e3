"""The check-up: every cause has a next step, and the bundle tells nothing personal."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.cli.findings import Finding
from edge_agent.cli.serial_ports import check_port, udev_rule
from edge_agent.model.records import StationStopped
from edge_agent.observe.clock import SystemClock, SystemEntropy
from edge_agent.observe.time_service import Synchronisation
from edge_agent.security.key_files import write_secret
from edge_agent.security.sealing import Sealer
from edge_agent.security.signatures import key_id_of
from edge_agent.store.station import StationStore
from tests.api.fake_station import FakeStation, problem
from tests.cli.conftest import ROOT, CommandLine


@pytest.fixture
def installed(edge_agent: CommandLine) -> CommandLine:
    """A root with everything that a first start needs, and books with a record."""
    paths = edge_agent.paths
    paths.create()
    shutil.copy(ROOT / "config" / "station.toml", paths.config)
    public = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    trusted = json.dumps({key_id_of(public): public.hex()})
    write_secret(paths.key("hq-public-keys.json"), trusted.encode())
    write_secret(paths.key("blind-index.key"), b"0" * 64)
    with StationStore.open(
        paths.ledger,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        sealer=Sealer.load_or_create(paths.key("seal.key")),
        ballast_bytes=0,
    ) as store:
        asyncio.run(store.books.append([StationStopped(boot_id="boot")]))
    return edge_agent


def states(command: CommandLine) -> dict[str, str]:
    checks = command("doctor", "--json").json["checks"]
    assert all(check["next_en"] and check["next_zh"] for check in checks
               if check["state"] in {"warn", "fail"})  # fmt: skip
    assert all(check["text_en"] and check["text_zh"] for check in checks)
    return {check["check"]: check["state"] for check in checks}


def test_an_empty_root_fails_with_steps(edge_agent: CommandLine) -> None:
    ran = edge_agent("doctor", "--json")
    assert ran.code == 1
    assert ran.json["ok"] is False
    assert states(edge_agent)["config"] == "fail"


def test_each_part_is_looked_at(installed: CommandLine) -> None:
    found = states(installed)
    assert found["config"] == "ok"
    assert found["key hq-public-keys.json"] == "ok"
    assert found["key blind-index.key"] == "ok"
    assert found["key seal.key"] == found["key staff.json"] == "ok"
    assert found["serial dart"] == "fail"
    assert found["bus modbus"] == "fail"
    assert found["disk"] == "ok"
    assert found["books"] == "ok"
    assert found["broker"] == "warn"
    assert found["agent"] == "warn"
    assert found["camera lane-a"] == "warn"


def test_a_key_that_others_may_read_fails(installed: CommandLine) -> None:
    installed.paths.key("blind-index.key").chmod(0o644)
    assert states(installed)["key blind-index.key"] == "fail"


def test_altered_books_fail(installed: CommandLine) -> None:
    content = installed.paths.ledger.read_bytes()
    assert b'"boot"' in content
    installed.paths.ledger.write_bytes(content.replace(b'"boot"', b'"hoot"'))
    assert states(installed)["books"] == "fail"


def test_a_wrong_option_of_a_driver_fails(installed: CommandLine) -> None:
    config = installed.paths.config
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("decimals_confirmed", "decimals_confirm"), encoding="utf-8")
    assert states(installed)["config"] == "fail"


def test_the_clock(installed: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    for kept, state in ((True, "ok"), (False, "warn")):
        monkeypatch.setattr(
            "edge_agent.observe.time_service.synchronisation",
            lambda kept=kept: Synchronisation(kept, 3, "kernel"),
        )
        assert states(installed)["clock"] == state


def test_what_the_agent_complains_of_is_passed_on(
    running: CommandLine, station: FakeStation
) -> None:
    assert states(running)["agent"] == "ok"
    station.change(problems=(problem("no_price_set", "没有油价", "no prices"),))
    assert states(running)["agent"] == "warn"


def test_a_gateway_is_left_alone_while_the_agent_runs(running: CommandLine) -> None:
    shutil.copy(ROOT / "config" / "station.toml", running.paths.config)
    assert states(running)["bus modbus"] == "skip"


# --- serial ports -----------------------------------------------------------------------------


@pytest.fixture
def by_path(tmp_path: Path) -> Path:
    """udev's folder, with one link to a pseudo terminal."""
    folder = tmp_path / "by-path"
    folder.mkdir()
    return folder


def test_a_port_gets_a_rule_by_its_socket(by_path: Path) -> None:
    master, slave = os.openpty()
    try:
        device = Path(os.ttyname(slave))
        (by_path / "pci-0000:00:14.0-usb-0:2:1.0-port0").symlink_to(device)
        assert udev_rule("bus1", device, by_path) == (
            'SUBSYSTEM=="tty", ENV{ID_PATH}=="pci-0000:00:14.0-usb-0:2:1.0", '
            'SYMLINK+="forecourt/bus1", GROUP="dialout", MODE="0660", TAG+="systemd"'
        )
        assert [finding.state for finding in check_port("bus1", device, by_path)] == ["ok"]
    finally:
        os.close(master)
        os.close(slave)


def test_an_absent_port_lists_what_is_plugged_in(by_path: Path) -> None:
    (by_path / "usb-3-port0").symlink_to("/dev/null")
    [finding] = check_port("bus1", Path("/dev/absent"), by_path)
    assert finding.state == "fail"
    assert 'ENV{ID_PATH}=="usb-3"' in finding.next_en


def test_a_file_is_no_port(tmp_path: Path, by_path: Path) -> None:
    (tmp_path / "port").touch()
    [finding] = check_port("bus1", tmp_path / "port", by_path)
    assert finding.state == "fail"


# --- the bundle -------------------------------------------------------------------------------

CANARIES = ("云A12345", "13812345678", "hunter2")


def test_the_bundle_lists_itself_and_masks_what_is_personal(
    installed: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with installed.paths.config.open("a", encoding="utf-8") as config:
        config.write(f"# {CANARIES[0]} {CANARIES[1]} rtsp://user:{CANARIES[2]}@10.0.0.1/\n")
    bundle = tmp_path / "bundle.tar.gz"
    ran = installed("doctor", "--bundle", str(bundle))
    assert bundle.stat().st_mode & 0o777 == 0o600
    with tarfile.open(bundle) as archive:
        names = [member.name for member in archive]
        parts = {
            name: extracted.read().decode()
            for name in names
            if (extracted := archive.extractfile(name)) is not None
        }
    assert all(name.removeprefix("edge-agent/") in ran.err for name in names)
    everything = "\n".join(parts.values())
    assert not [canary for canary in CANARIES if canary in everything]
    assert "云A**345" in everything
    assert "blind-index" in parts["edge-agent/doctor.json"]
    assert "0" * 64 not in everything
    again = installed("doctor", "--bundle", str(bundle))
    assert "output_exists" in again.err


def test_a_finding_shows_its_step_after_an_arrow() -> None:
    finding = Finding("disk", "warn", "full", "满", "make room\nnow", "清理")
    assert finding.as_text() == "WARN  disk: full\n      -> make room\n      -> now"
