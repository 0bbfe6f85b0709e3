"""Opening the station's database: pragmas, the lock that keeps a second agent out, births.

SQLite runs in WAL mode with `synchronous=FULL`: in simulated power cuts NORMAL lost acknowledged
commits, FULL lost none, and FULL costs a quarter of a millisecond.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from edge_agent.model.errors import (
    BooksRefused,
    CorruptionError,
    EdgeAgentError,
    Problem,
    StorageUnavailable,
)
from edge_agent.ports import Clock, Entropy

SCHEMA_VERSION: Final = 4
"""Number of migrations in `store.schema`, kept here so that a start need not load them."""
BUSY_TIMEOUT_MS: Final = 5_000
CACHE_KIB: Final = 8 * 1024
WAL_LIMIT_BYTES: Final = 16 * 1024 * 1024
"""To this size the write-ahead log is cut back after a long reader has let it grow."""

_DAMAGED = Problem(
    "books_damaged",
    "账本文件已损坏：请从备份恢复并联系技术支持",
    "the books' file is damaged: restore a backup and call support",
)
_CONTRADICT = Problem(
    "books_contradict",
    "账本数据自相矛盾，请联系技术支持",
    "the books contradict themselves: call support",
)
_OUTSIDE = {
    sqlite3.SQLITE_FULL: Problem(
        "storage_full",
        "磁盘已满：暂停新的授权，清理磁盘后自动恢复",
        "the disk is full: no new authorisations until there is space again",
    ),
    sqlite3.SQLITE_READONLY: Problem(
        "storage_read_only",
        "磁盘只读：暂停新的授权，请检查磁盘",
        "the disk is read-only: no new authorisations; check the disk",
    ),
    sqlite3.SQLITE_BUSY: Problem(
        "storage_busy",
        "数据库被其他程序占用，请稍后重试",
        "another program holds the database: try again",
    ),
}
_BROKEN = Problem(
    "storage_broken",
    "磁盘读写失败：暂停新的授权，请检查磁盘",
    "reading or writing the disk failed: no new authorisations; check the disk",
)


class DatabaseLock:
    """The right to write one database, held until released or until the process ends.

    The kernel gives it back however the process dies, so it never has to be broken by hand.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock of the database at `path`.

        Raises:
            StorageUnavailable: another agent holds it, or the folder cannot be written.
        """
        self._path = path.with_name(path.name + ".lock")
        with storage_errors():
            # Not inherited by programs that this process starts: a camera process that outlives
            # the agent must not keep the next agent out.
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise StorageUnavailable(
                Problem(
                    "agent_already_running",
                    "已有一个加油站程序在使用此账本，不能同时运行两个",
                    "another agent is using these books; two must never run at once",
                ),
                f"{path}, process {holder or 'unknown'}",
            ) from None
        with suppress(OSError):  # only tells who; a full disk must not keep the agent from starting
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another agent in. The file stays: removing it would race with the next holder."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def connect_writer(path: Path, *, durable: bool = True) -> sqlite3.Connection:
    """Open the connection that writes; the file is made when absent, readable by its owner only.

    `durable=False` leaves out every fsync: for the simulator, where only processes die and the
    machine never loses power.

    Raises:
        StorageUnavailable: the disk cannot be written.
        CorruptionError: the file is no database.
    """
    with storage_errors():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        return _connect(
            f"{path.absolute().as_uri()}?mode=rw",
            "PRAGMA journal_mode = WAL",
            f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}",
            f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}",
            "PRAGMA foreign_keys = ON",
            "PRAGMA secure_delete = ON",  # a member who is erased leaves no bytes behind
        )


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that only reads, and sees every commit.

    Raises:
        StorageUnavailable: the file is absent or cannot be read.
        CorruptionError: the file is no database.
    """
    with storage_errors():
        return _connect(
            f"{path.absolute().as_uri()}?mode=ro",
            "PRAGMA query_only = ON",
            "SELECT count(*) FROM sqlite_schema",  # the first look at the file
        )


def prepare(connection: sqlite3.Connection) -> None:
    """Bring the tables up to date. Quick and without further imports when they are.

    Raises:
        BooksRefused: a newer version of this program wrote the database.
        StorageUnavailable: the disk cannot be written.
    """
    with storage_errors():
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == SCHEMA_VERSION:
            return
        if version > SCHEMA_VERSION:
            raise BooksRefused(
                Problem(
                    "schema_newer",
                    "账本由更新版本的程序写入，请升级程序",
                    "a newer version of this program wrote the books: upgrade the program",
                ),
                f"schema {version}, known up to {SCHEMA_VERSION}",
            )
        # sqlite-utils brings numpy with it: 0.3 s and 25 MiB that a start should not pay for.
        from edge_agent.store.schema import migrate  # noqa: PLC0415

        migrate(connection)


def new_epoch(clock: Clock, entropy: Entropy, *, after: int = 0) -> int:
    """Return the number of a new epoch: 48 bits, seconds since 1970 and 16 bits of chance.

    Unique among the births at one station, and greater than the epoch `after` even when the
    machine's clock went back to 2010.
    """
    seconds = max(clock.wall_ms() // 1000, 1) & 0xFFFF_FFFF
    return max(seconds << 16 | int.from_bytes(entropy.token(2), "big"), after + 1)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run a block as one write transaction: all of it is on disk at the end, or nothing.

    Raises:
        StorageUnavailable: the disk is full, read-only or broken.
        CorruptionError: the data contradict the tables' constraints.
    """
    with storage_errors():
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn the errors of SQLite and of the file system into the program's own.

    Raises:
        StorageUnavailable: the disk is full, read-only or broken.
        CorruptionError: the file is damaged or the data contradict the tables' constraints.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(error) from error
    except UnicodeDecodeError as error:
        # SQLite quotes names of a damaged schema in its complaint.
        raise CorruptionError(_DAMAGED, str(error)) from error
    except OSError as error:
        raise StorageUnavailable(_BROKEN, str(error)) from error


def _translated(error: sqlite3.Error) -> EdgeAgentError | sqlite3.Error:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None and isinstance(error, sqlite3.OperationalError):
        return CorruptionError(_DAMAGED, str(error))  # text that is no UTF-8
    if code is None or isinstance(error, sqlite3.ProgrammingError):
        return error  # Python's own module complains: a mistake in this program
    detail = f"{error} ({error.sqlite_errorname})"
    if code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return CorruptionError(_DAMAGED, detail)
    if isinstance(error, sqlite3.IntegrityError):
        return CorruptionError(_CONTRADICT, detail)
    return StorageUnavailable(_OUTSIDE.get(code & 0xFF, _BROKEN), detail)


def _connect(uri: str, *first: str) -> sqlite3.Connection:
    # Autocommit: transactions are begun by hand, because Python's own begin deferred. One thread
    # at a time uses a connection, but not always the one that opened it.
    connection = sqlite3.connect(
        uri,
        uri=True,
        timeout=BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    with ExitStack() as opened:
        opened.callback(connection.close)
        for statement in (f"PRAGMA cache_size = -{CACHE_KIB}", *first):
            connection.execute(statement).fetchall()
        opened.pop_all()
    return connection
