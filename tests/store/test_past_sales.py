"""Past sales are read beside a running agent: those of the time asked for, less the refunded."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from edge_agent.model.errors import StorageUnavailable
from edge_agent.store.database import connect_writer, prepare
from edge_agent.store.past_sales import sales_since

ROWS = (
    ("sale.settled", 100, "old"),
    ("sale.settled", 200, "s1"),
    ("fuelling.cancelled", 210, "s1"),
    ("sale.settled", 220, "back"),
    ("sale.refunded", 230, "back"),
    ("sale.refunded", 240, "old"),
    ("sale.settled", 250, "s2"),
)


@pytest.fixture
def books(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    with closing(connect_writer(path, durable=False)) as writer:
        prepare(writer)
        writer.execute("INSERT INTO epoch (number, epoch, base, born_ms) VALUES (1, 7, 0, 0)")
        for number, (kind, at_ms, sale_id) in enumerate(ROWS, start=1):
            writer.execute(
                "INSERT INTO ledger VALUES (?, 7, ?, ?, ?, ?, '', '')",
                (
                    number,
                    number,
                    kind,
                    at_ms,
                    json.dumps({"sale_id": sale_id, "quote": {"rejected": [1]}}),
                ),
            )
    return path


def test_sales_of_the_time_that_were_not_refunded(books: Path) -> None:
    assert [json.loads(body)["sale_id"] for body in sales_since(books, 200)] == ["s1", "s2"]
    assert [json.loads(body)["sale_id"] for body in sales_since(books, 0)] == ["s1", "s2"]
    assert list(sales_since(books, 251)) == []


def test_a_writer_is_not_kept_waiting(books: Path) -> None:
    reading = sales_since(books, 0)
    next(reading)
    with closing(connect_writer(books, durable=False)) as writer:
        writer.execute("INSERT INTO ledger VALUES (8, 7, 8, 'sale.settled', 300, '{}', '', '')")
    assert len(list(reading)) == 1, "what was written meanwhile is not seen"


def test_absent_books_are_told(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable):
        list(sales_since(tmp_path / "none.db", 0))
