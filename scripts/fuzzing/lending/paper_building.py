"""Books on paper: copies are copies, and a lost disk is an empty sheet."""

from __future__ import annotations

from scripts.fuzzing.lending.paper_books import PaperBooks
from scripts.fuzzing.lending.station import Station


class PaperBuilding:
    """The books of every station, and their backups."""

    def __init__(self) -> None:
        self._books: dict[str, PaperBooks] = {}
        self._backups: dict[str, PaperBooks] = {}
        self._epochs = 0

    def open(self, station: Station) -> None:
        """Start a life over the books as they are; there are none at first."""
        if station.name not in self._books:
            self._books[station.name] = PaperBooks(station.clock, self._new_epoch())
        self._start(station)

    def back_up(self, station: Station) -> None:
        """Copy the books, once there is anything in them."""
        if station.books.head().seq:
            self._backups[station.name] = self._books[station.name].copied()

    def restore(self, station: Station) -> bool:
        """Replace the books by their copy, under a new epoch."""
        backup = self._backups.get(station.name)
        if backup is None:
            return False
        books = backup.copied()
        books.restored(self._new_epoch())
        self._books[station.name] = books
        self._start(station)
        return True

    def lose(self, station: Station) -> None:
        """Begin with an empty sheet; the copy is gone as well.

        A copy that turned up later would bring back sales that everybody had written off.
        """
        self._backups.pop(station.name, None)
        self._books[station.name] = PaperBooks(station.clock, self._new_epoch())
        self._start(station)

    def _new_epoch(self) -> int:
        self._epochs += 1
        return self._epochs

    def _start(self, station: Station) -> None:
        books = self._books[station.name]
        station.start(books, books)
