"""The service's isolation, by systemd's own measure."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "systemd" / "edge-agent.service"
THRESHOLD = 15
"""systemd-analyze counts in tenths: 1.5."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def analysed(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


def security(unit: Path) -> subprocess.CompletedProcess[str]:
    return analysed(
        "security", "--offline=true", f"--threshold={THRESHOLD}", "--no-pager", str(unit)
    )


def lines(key: str) -> list[str]:
    return re.findall(rf"(?m)^{key}=(.*)$", UNIT.read_text(encoding="utf-8"))


@needs_systemd
def test_exposure_is_at_most_1_5() -> None:
    ran = security(UNIT)
    assert ran.returncode == 0, ran.stdout.splitlines()[-1]


@needs_systemd
def test_the_measure_would_notice(tmp_path: Path) -> None:
    laxer = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8")
    laxer.write_text(text.replace("SystemCallFilter=", "#SystemCallFilter="), encoding="utf-8")
    assert security(laxer).returncode != 0


@needs_systemd
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    """With a program that is there: the agent itself is not installed where tests run."""
    unit = tmp_path / UNIT.name
    text = re.sub(r"(?m)^ExecStart=.*$", "ExecStart=/bin/true", UNIT.read_text(encoding="utf-8"))
    unit.write_text(text, encoding="utf-8")
    ran = analysed("verify", str(unit))
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_agent_is_restarted_and_watched() -> None:
    for key, value in {
        "Type": "notify",
        "NotifyAccess": "main",
        "WatchdogSec": "30",
        "Restart": "always",
        "RestartSec": "2",
        "TimeoutStopSec": "30",
        "StateDirectoryMode": "0700",
        "UMask": "0077",
        "SyslogIdentifier": "edge-agent",
    }.items():
        assert lines(key) == [value]


@pytest.mark.parametrize(
    "line",
    [
        "DynamicUser=yes",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateUsers=yes",
        "MemoryDenyWriteExecute=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources",
    ],
)
def test_what_isolates_the_service_stays(line: str) -> None:
    """One line alone hardly moves the score, so each is held by name."""
    assert line in UNIT.read_text(encoding="utf-8").splitlines()


def test_serial_ports_stay_visible() -> None:
    assert lines("PrivateDevices") == []
    assert lines("DevicePolicy") == ["closed"]
    assert {"char-ttyS rw", "char-ttyUSB rw", "char-ttyACM rw"} <= set(lines("DeviceAllow"))
    assert lines("SupplementaryGroups") == ["dialout"]


def test_keys_come_encrypted_under_the_names_of_the_configuration() -> None:
    loaded = lines("LoadCredentialEncrypted")
    assert {
        "hq-public-keys.json", "blind-index.key", "seal.key", "staff.json", "station-key.pem",
    } <= set(loaded)  # fmt: skip


def test_the_file_is_a_unit() -> None:
    parser = configparser.RawConfigParser(strict=False)
    parser.read(UNIT, encoding="utf-8")
    assert parser.sections() == ["Unit", "Service", "Install"]
