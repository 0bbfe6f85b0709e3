"""An export is the whole ledger as text, and shows by itself whether anybody changed it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent.core.chain import genesis
from edge_agent.model.errors import BooksRefused, ChainBroken
from edge_agent.model.ledger import LedgerHead
from edge_agent.model.records import StationStarted
from edge_agent.store.backup import backup_books, restore_books
from edge_agent.store.export import (
    FIELDS,
    check_export,
    export_ledger_csv,
    export_ledger_lines,
    tail_ledger,
)
from edge_agent.store.station import StationStore

OpenStore = Callable[..., StationStore]


@pytest.fixture
async def path(
    open_store: OpenStore, bodies: Any, clock: Any, entropy: Any, tmp_path: Path
) -> Path:
    """Books of two epochs."""
    store = open_store()
    odd = 'a\n"b"\\ ，\u2028\x7f 加油'
    started = StationStarted(version=odd, boot_id="b", config_sha256="c", clock_trusted=True)
    await store.books.append([started, *(bodies.completed() for _ in range(3))])
    backup_books(tmp_path / "books.db", tmp_path / "copy.db")
    restore_books(tmp_path / "copy.db", tmp_path / "new.db", clock=clock, entropy=entropy)
    again = open_store("new.db")
    await again.books.append([bodies.completed() for _ in range(2)])
    return tmp_path / "new.db"


@pytest.fixture
def lines(path: Path) -> list[str]:
    out = io.StringIO()
    assert export_ledger_lines(path, out) == 7
    # Not splitlines: a record may hold characters that only Python takes for an end of line.
    return out.getvalue().rstrip("\n").split("\n")


async def test_lines_are_canonical_and_verify(path: Path, lines: list[str]) -> None:
    report = check_export(lines)
    first, second = report.heads
    assert (report.records, first.seq, second.seq) == (7, 4, 3)
    assert report.first == genesis(first.epoch)
    for line in lines:
        canonical = json.dumps(
            json.loads(line), sort_keys=True, ensure_ascii=False, separators=(",", ":")
        )
        assert line == canonical
    assert second == LedgerHead(second.epoch, 3, json.loads(lines[-1])["hash"])


async def test_a_part_verifies_from_where_it_begins(lines: list[str]) -> None:
    report = check_export(lines[2:4])
    assert report.records == 2
    assert report.first is not None
    assert report.first.seq == 2
    assert check_export([]).records == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[:2] + lines[3:],
        lambda lines: [*lines[:3], lines[2], *lines[3:]],
        lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]],
        lambda lines: [*lines, lines[0]],
        lambda lines: [*lines[:4], *lines[5:]],
        lambda lines: [lines[0].replace('"hash":"', '"hash":"0')[:-1] + "}", *lines[1:]],
        lambda lines: [*lines[:1], lines[1].replace("10000", "10001"), *lines[2:]],
    ],
    ids=["gap", "doubled", "swapped", "ended epoch", "no first record", "hash", "figure"],
)
async def test_a_changed_export_is_broken(
    lines: list[str], change: Callable[[list[str]], list[str]]
) -> None:
    with pytest.raises(ChainBroken):
        check_export(change(lines))


@pytest.mark.parametrize(
    "line",
    ["", "{}", "[]", "null", "nonsense", "[" * 100_000, '{"at_ms":1.5}', '{"body":{"x":NaN}}'],
)
async def test_what_is_no_record_is_refused_by_line(lines: list[str], line: str) -> None:
    with pytest.raises(BooksRefused, match="line 2"):
        check_export([lines[0], line, *lines[1:]])


async def test_a_second_spelling_is_refused(lines: list[str]) -> None:
    for line in (lines[0].replace('{"at_ms"', '{"kind":"x","at_ms"'), " " + lines[0]):
        with pytest.raises(BooksRefused, match="line 1"):
            check_export([line])


async def test_comma_separated_values_carry_every_field(path: Path, lines: list[str]) -> None:
    out = io.StringIO(newline="")
    assert export_ledger_csv(path, out) == 7
    rows = list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))
    assert tuple(rows[0]) == FIELDS
    for row, line in zip(rows, lines, strict=True):
        record = json.loads(line)
        assert json.loads(row["body"]) == record["body"]
        assert row["hash"] == record["hash"]


async def test_tail_is_the_end_oldest_first(path: Path, lines: list[str]) -> None:
    tail = tail_ledger(path, 4)
    assert [record.hash for record in tail] == [json.loads(line)["hash"] for line in lines[-4:]]
    assert len(tail_ledger(path, 100)) == 7
    assert tail_ledger(path, 0) == []
