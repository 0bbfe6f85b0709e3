"""The daemon as systemd starts it, and the command line beside it: the real program, end to end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.security.key_files import write_secret
from edge_agent.security.signatures import key_id_of
from tests.cli.conftest import ROOT, CommandLine

START_WITHIN_S = 60
MAIN = [sys.executable, "-c", "from edge_agent.cli import main; main()"]


@pytest.fixture
def installed(edge_agent: CommandLine) -> CommandLine:
    """A root with the shipped configuration, on ports of its own."""
    paths = edge_agent.paths
    paths.create()
    text = (ROOT / "config" / "station.toml").read_text(encoding="utf-8")
    paths.config.write_text(text.replace("port = 8470", "port = 0"), encoding="utf-8")
    public = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    trusted = json.dumps({key_id_of(public): public.hex()})
    write_secret(paths.key("hq-public-keys.json"), trusted.encode())
    write_secret(paths.key("blind-index.key"), b"0" * 64)
    return edge_agent


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(START_WITHIN_S)
        yield manager


def until(systemd: socket.socket, word: str) -> None:
    """Wait for a notification."""
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        if word in systemd.recv(4096).decode():
            return
    raise AssertionError(f"systemd was not told {word}")


def test_a_station_starts_serves_and_stops(
    installed: CommandLine, systemd: socket.socket, tmp_path: Path
) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "2000000",
    }
    command = [*MAIN, "--root", str(installed.root), "run"]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as agent:
        try:
            until(systemd, "READY=1")
            until(systemd, "WATCHDOG=1")
            assert installed.paths.pid.read_text(encoding="ascii").strip() == str(agent.pid)
            status = installed("status", "--json")
            assert (status.code, status.json["station"]) == (5, "demo-1")
            assert status.json["fuelling_points"] == {"offline": 4}
            tail = installed("ledger", "tail", "--json").json["records"]
            assert tail[0]["kind"] == "station.started"
            assert installed("ledger", "verify").code == 0
            assert installed("pump", "authorise", "1").err.startswith("fp_offline")
            assert "edge_bus_exchange_seconds" in installed_metrics(installed)
            again = installed("ledger", "rebuild", "--yes")
            assert again.err.startswith("agent_already_running")
            agent.send_signal(signal.SIGTERM)
            until(systemd, "STOPPING=1")
        except BaseException:
            agent.kill()
            raise
        _, log = agent.communicate(timeout=START_WITHIN_S)
    assert agent.returncode == 0
    assert all(json.loads(line)["level"] for line in log.splitlines())
    assert installed("status").code == 3
    assert installed("ledger", "verify").code == 0
    kinds = [r["kind"] for r in installed("ledger", "tail", "--json").json["records"]]
    assert kinds[-1] == "station.stopped"


def installed_metrics(installed: CommandLine) -> str:
    from edge_agent.cli.local_api import LocalApi

    return LocalApi(installed.paths).text("/v1/metrics")


def test_a_wrong_configuration_starts_nothing(edge_agent: CommandLine) -> None:
    edge_agent.paths.create()
    shutil.copy(ROOT / "config" / "station.toml", edge_agent.paths.config)
    with edge_agent.paths.config.open("a", encoding="utf-8") as config:
        config.write("\n[uplnk]\n")
    ran = subprocess.run(
        [*MAIN, "--root", str(edge_agent.root), "run"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "did you mean 'uplink'" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not edge_agent.paths.ledger.exists()
