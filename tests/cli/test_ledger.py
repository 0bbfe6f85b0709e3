"""The books from the command line, beside an agent and without one."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge_agent.model.records import StationStopped
from edge_agent.observe.clock import SystemClock, SystemEntropy
from edge_agent.security.sealing import Sealer
from edge_agent.store.station import StationStore
from tests.cli.conftest import CommandLine

RECORDS = 5
SEALER = Sealer(bytes(32))


def open_books(path: Path) -> StationStore:
    return StationStore.open(
        path, clock=SystemClock(), entropy=SystemEntropy(), sealer=SEALER, ballast_bytes=0
    )


@pytest.fixture
def books(edge_agent: CommandLine) -> Path:
    """Books with a few records, and nobody who has them open."""
    edge_agent.paths.create()
    path = edge_agent.paths.ledger
    with open_books(path) as store:
        for n in range(RECORDS):
            asyncio.run(store.books.append([StationStopped(boot_id=f"boot-{n}")]))
    return path


def test_tail_asks_the_agent_or_else_reads_the_file(
    running: CommandLine, books: Path, edge_agent: CommandLine
) -> None:
    assert len(running("ledger", "tail", "-n", "3", "--json").json["records"]) == 3
    running.paths.address.unlink()
    ran = edge_agent("ledger", "tail", "-n", "2", "--json")
    assert [record["body"]["boot_id"] for record in ran.json["records"]] == ["boot-3", "boot-4"]
    assert "read from the file" in ran.err


def test_verify_of_whole_books(edge_agent: CommandLine, books: Path) -> None:
    ran = edge_agent("ledger", "verify", "--json")
    assert ran.code == 0
    assert ran.json["ok"] is True
    assert ran.json["records"] == ran.json["head"]["seq"] == RECORDS


def test_verify_names_the_first_bad_record(edge_agent: CommandLine, books: Path) -> None:
    with closing(sqlite3.connect(books)) as connection, connection:
        connection.execute("DROP TRIGGER IF EXISTS ledger_no_update")
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'ledger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE ledger SET at_ms = at_ms + 1 WHERE seq = 3")
    ran = edge_agent("ledger", "verify", "--json")
    assert ran.code == 1
    assert ran.json["ok"] is False
    assert ran.json["first_bad"]["seq"] == 3
    assert "support" in ran.err


def test_an_export_verifies_by_itself(edge_agent: CommandLine, books: Path, tmp_path: Path) -> None:
    output = tmp_path / "ledger.jsonl"
    assert edge_agent("ledger", "export", "--output", str(output)).code == 0
    ran = edge_agent("ledger", "verify", "--exported", str(output), "--json")
    assert (ran.code, ran.json["ok"], ran.json["records"]) == (0, True, RECORDS)
    again = edge_agent("ledger", "export", "--output", str(output))
    assert (again.code, again.err.split(":")[0]) == (1, "output_exists")
    output.write_bytes(output.read_bytes().replace(b"boot-2", b"boot-9"))
    assert edge_agent("ledger", "verify", "--exported", str(output)).code == 1


def test_export_to_stdout_is_data_alone(edge_agent: CommandLine, books: Path) -> None:
    ran = edge_agent("ledger", "export")
    assert len(ran.lines) == RECORDS
    assert len(edge_agent("ledger", "export", "--format", "csv").out.splitlines()) == RECORDS + 1


def test_rebuild_and_restore_want_a_yes(
    edge_agent: CommandLine, books: Path, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.db"
    assert edge_agent("ledger", "backup", str(backup)).code == 0
    assert edge_agent("ledger", "rebuild").code == 2
    assert edge_agent("ledger", "rebuild", "--yes", "--json").json == {"records": RECORDS}
    books.rename(tmp_path / "lost.db")
    assert edge_agent("ledger", "restore", str(backup)).code == 2
    assert not books.exists()
    ran = edge_agent("ledger", "restore", str(backup), "--yes", "--json")
    assert ran.code == 0
    assert edge_agent("ledger", "verify", "--json").json["epochs"] == 2


def test_restore_never_overwrites_books(
    edge_agent: CommandLine, books: Path, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.db"
    edge_agent("ledger", "backup", str(backup))
    before = books.read_bytes()
    assert edge_agent("ledger", "restore", str(backup), "--yes").code == 1
    assert books.read_bytes() == before


def test_rebuild_is_refused_while_an_agent_has_the_books(
    edge_agent: CommandLine, books: Path
) -> None:
    with open_books(books):
        ran = edge_agent("ledger", "rebuild", "--yes")
    assert (ran.code, ran.err.split(":")[0]) == (1, "agent_already_running")


@pytest.mark.parametrize("words", [("verify",), ("tail",), ("export",), ("backup", "b.db")])
def test_absent_books_are_told_as_such(edge_agent: CommandLine, words: tuple[str, ...]) -> None:
    ran = edge_agent("ledger", *words)
    assert ran.code == 1
    assert ran.out == ""
    assert ran.err.startswith("books_absent: there are no books here: name the station with --root")
