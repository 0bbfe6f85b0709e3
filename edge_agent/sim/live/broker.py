"""A real MQTT 5 broker of our own on a free loopback port, for demo, tests and measurements."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

from edge_agent.model.errors import LinkLost, Problem

Kind = Literal["mosquitto", "wheel"]

_START_S = 10.0
_CONFIG = Path(__file__).parents[3] / "config" / "mosquitto" / "loopback.conf"

_WHEEL_RUN = "import sys, iotcore; iotcore.Broker(config_path=sys.argv[1]).run_forever()"
_WHEEL_CONFIG = """
id = 0

[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10

[v5.1]
name = "loopback"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1050624
max_inflight_count = 500
"""


class LocalBroker:
    """mosquitto where it is installed, else the broker of the `iotcore` wheel.

    The process is ours alone and is ended by its own handle.
    """

    def __init__(self) -> None:
        self.port = 0
        self.kind: Kind = "mosquitto"
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def start(self, prefer: Kind = "mosquitto", port: int = 0, *, keeps: bool = False) -> None:
        """Start, on the given port or a free one, and wait until it takes connections.

        `keeps` makes mosquitto write what it holds to disk when it is stopped in good order.

        Raises:
            LinkLost: it did not come up; `detail` says what it said.
        """
        self.kind = prefer if prefer == "wheel" or mosquitto_path() else "wheel"
        self.port = port or free_port()
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="broker-")
        log_path = Path(self._folder.name, "broker.log")
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- our own arguments, no shell
                self._command(Path(self._folder.name), keeps=keeps), stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_S
        while not takes_connections(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = log_path.read_text(errors="replace")[-500:]
                self.stop()
                raise LinkLost(
                    Problem(
                        "broker_down", "本机消息代理无法启动", "the local broker did not start"
                    ),
                    said,
                )
            time.sleep(0.02)

    def kill(self) -> None:
        """End the process the hard way, as a power cut would; `start(port=...)` brings it back."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """End the process in good order, so that it writes down what it should keep."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End the process and remove its files; stopping twice is harmless."""
        self.pause()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _command(self, folder: Path, *, keeps: bool) -> list[str]:
        if self.kind == "wheel":
            config = folder / "wheel.toml"
            config.write_text(_WHEEL_CONFIG.format(port=self.port), encoding="utf-8")
            return [sys.executable, "-c", _WHEEL_RUN, str(config)]
        config = folder / "mosquitto.conf"
        settings = _CONFIG.read_text(encoding="utf-8")
        if keeps:
            # Started by root, mosquitto would become another user, who may not write here.
            who = getpass.getuser()
            stored = f"user {who}\npersistence true\npersistence_location {folder}/"
            settings = settings.replace("persistence false", stored)
        config.write_text(f"{settings}\nlistener {self.port} 127.0.0.1\n", encoding="utf-8")
        return [str(mosquitto_path()), "-c", str(config)]


def mosquitto_path() -> str | None:
    """Return where mosquitto is installed; Debian keeps it out of an ordinary user's path."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """Return a port on loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def takes_connections(port: int) -> bool:
    """Whether somebody listens on this port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
