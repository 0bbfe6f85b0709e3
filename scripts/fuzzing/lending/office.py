"""Headquarters in the simulation: the real rules over SQLite, which may die at any statement."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from hq.books import HqBooks
from hq.findings import Row
from hq.headquarters import Headquarters
from hq.keys import HqKeys
from hq.message import Message
from hq.owing import Owing
from scripts.fuzzing.lending.mishap import Died, Mishap

T = TypeVar("T")


class MortalConnection:
    """A connection on which a mishap may strike before a statement, or after a commit."""

    def __init__(self, connection: sqlite3.Connection, mishap: Mishap) -> None:
        self._connection = connection
        self._mishap = mishap

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        """Run a statement, unless this is the end."""
        if statement == "ROLLBACK":
            return self._connection.execute(statement)
        self._mishap.before()
        done = self._connection.execute(statement, *arguments)
        if statement == "COMMIT":
            self._mishap.after()
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class Untold(Owing):
    """Misses no sale: on paper only what sales moved is told, not the sales themselves."""

    def settle(self, row: Row, sale_id: str, asset: str, holder: str, amount: int) -> None:
        """Owe nothing."""

    def left_before(self, row: Row) -> list[tuple[int, str]]:
        """Find nothing left."""
        del row
        return []


class Office:
    """One headquarters, its books and its deaths. What it committed lasts."""

    def __init__(self, keys: HqKeys, *, told_of_sales: bool) -> None:
        self._told_of_sales = told_of_sales
        self.keys = keys
        self.mishap = Mishap()
        self.books = HqBooks(":memory:")
        self._immortal = self.books.connection
        mortal = MortalConnection(self.books.connection, self.mishap)
        self.books.connection = cast("sqlite3.Connection", mortal)
        self.rules = self._begun()
        self.up = True

    def _begun(self) -> Headquarters:
        rules = Headquarters(self.books, self.keys)
        if not self._told_of_sales:
            rules.audit._assets.owing = Untold(self.books)
        return rules

    def handle(self, messages: Sequence[Message], now_ms: int) -> list[Message]:
        """Deal with messages. Raises `Died`."""
        return self._alive(lambda: self.rules.handle(messages, now_ms))

    def publish(self, now_ms: int) -> list[Message]:
        """Return what stations lack. Raises `Died`."""
        return self._alive(lambda: self.rules.publish(now_ms))

    def examine(self, rows: int, now_ms: int) -> int:
        """Audit. Raises `Died`."""
        return self._alive(lambda: self.rules.examine(rows, now_ms))

    def _alive(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except Died:
            self.restart()
            raise

    def restart(self) -> None:
        """Begin again with nothing but what is in the books."""
        self.mishap.disarm()
        if self.books.connection.in_transaction:  # it died at the very COMMIT
            self.books.connection.execute("ROLLBACK")
        self.books._streams.clear()
        self.rules = self._begun()

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Read from the books."""
        return self._immortal.execute(query, values).fetchall()
