"""Books in the real store: files on a disk, copied and restored by its own tools."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edge_agent.security.sealing import Sealer
from edge_agent.store.backup import backup_books, restore_books
from edge_agent.store.station import StationStore
from scripts.fuzzing.lending.station import Station

SEALER: Final = Sealer(bytes(range(32)))


class StationEntropy:
    """Chance of a station's own, from the world's seed."""

    def __init__(self, station: Station) -> None:
        self._chance = station.chance

    def token(self, bytes_count: int) -> bytes:
        """Return seeded bytes."""
        return self._chance.randbytes(bytes_count)

    def uniform(self) -> float:
        """Return a seeded number."""
        return self._chance.random()


class StoreBuilding:
    """The databases of every station, and their backups."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stores: dict[str, StationStore] = {}
        self._moved = 0

    def open(self, station: Station) -> None:
        """Open the database as it lies there; the process before has died, its lock with it."""
        self.close(station)
        store = StationStore.open(
            self._file(station), clock=station.clock, entropy=StationEntropy(station),
            sealer=SEALER, inline=True, durable=False, ballast_bytes=0,
        )  # fmt: skip
        self._stores[station.name] = store
        station.start(store.books, store.catalogues)

    def close(self, station: Station) -> None:
        """Let go of the database."""
        store = self._stores.pop(station.name, None)
        if store is not None:
            store.close()

    def back_up(self, station: Station) -> None:
        """Copy the books, once there is anything in them."""
        if station.books.head().seq:
            self._copy(station).unlink(missing_ok=True)
            backup_books(self._file(station), self._copy(station))

    def restore(self, station: Station) -> bool:
        """Move the database away and bring its copy back, under a new epoch."""
        if not self._copy(station).exists():
            return False
        self._put_away(station)
        restore_books(
            self._copy(station), self._file(station), clock=station.clock,
            entropy=StationEntropy(station),
        )  # fmt: skip
        self.open(station)
        return True

    def lose(self, station: Station) -> None:
        """Begin with an empty database; the copy is gone as well."""
        self._put_away(station)
        self._copy(station).unlink(missing_ok=True)
        self.open(station)

    def _put_away(self, station: Station) -> None:
        self.close(station)
        self._moved += 1
        for file in self._folder.glob(f"{station.name}.db*"):
            file.rename(self._folder / f"old-{self._moved}-{file.name}")

    def _file(self, station: Station) -> Path:
        return self._folder / f"{station.name}.db"

    def _copy(self, station: Station) -> Path:
        return self._folder / f"{station.name}.copy"
