"""Where the files of a station lie: under one folder (`--root DIR`), or where FHS wants them.

Imports nothing heavy: every command of the command line starts with this.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

ROOT_VARIABLE: Final = "EDGE_AGENT_ROOT"
CREDENTIALS_VARIABLE: Final = "CREDENTIALS_DIRECTORY"
"""systemd names the folder of a service's decrypted credentials in it (systemd.exec(5))."""


@dataclass(frozen=True, slots=True)
class StationPaths:
    """Every file and folder that the agent and its tools share.

    | under a root     | without one                                          |
    |------------------|------------------------------------------------------|
    | DIR/etc          | /etc/edge-agent                                      |
    | DIR/keys         | $CREDENTIALS_DIRECTORY, else /etc/edge-agent/keys    |
    | DIR/var          | /var/lib/edge-agent                                  |
    | DIR/run          | /run/edge-agent                                      |
    """

    etc: Path
    keys: Path
    var: Path
    run: Path
    root: Path | None = None

    @classmethod
    def under(cls, root: Path | None, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the paths under a root, or those of an installed agent for None."""
        if root is not None:
            root = root.absolute()
            return cls(root / "etc", root / "keys", root / "var", root / "run", root)
        etc = Path("/etc/edge-agent")
        credentials = environ.get(CREDENTIALS_VARIABLE)
        keys = Path(credentials) if credentials else etc / "keys"
        return cls(etc, keys, Path("/var/lib/edge-agent"), Path("/run/edge-agent"))

    @property
    def config(self) -> Path:
        """The station's configuration."""
        return self.etc / "station.toml"

    @property
    def ledger(self) -> Path:
        """The station's books."""
        return self.var / "ledger.db"

    @property
    def parked(self) -> Path:
        """Folder of the messages from HQ that were refused."""
        return self.var / "parked"

    @property
    def captures(self) -> Path:
        """Folder of recordings of buses."""
        return self.var / "captures"

    @property
    def token(self) -> Path:
        """What clients of the local API have to know; made by the agent, mode 0600."""
        return self.run / "api.token"

    @property
    def address(self) -> Path:
        """One line with the local API's base address, there while the agent listens."""
        return self.run / "api.address"

    @property
    def socket(self) -> Path:
        """The local API's Unix socket, where the configuration asks for one."""
        return self.run / "api.sock"

    @property
    def pid(self) -> Path:
        """The agent's process number, there while it runs."""
        return self.run / "agent.pid"

    def key(self, name: str) -> Path:
        """Return the file of a key or certificate that the configuration names."""
        return self.keys / name

    def beside_config(self, path: str) -> Path:
        """Return a path of the configuration: a relative one counts from the file's folder."""
        return Path(os.path.normpath(self.etc / path))

    def create(self) -> None:
        """Make the folders under a root, closed to others; without one those that it writes to.

        An installed agent may not write to /etc, and its keys are systemd's to provide.

        Raises:
            OSError: the place cannot be written.
        """
        written = (self.var, self.run)
        for folder in written if self.root is None else (self.etc, self.keys, *written):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, parents=True)
