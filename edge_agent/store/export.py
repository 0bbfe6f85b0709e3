"""The ledger as text: what auditors take away, and the check that it is still whole there.

A line is the record as one canonical JSON object. The body stands in it as the object that was
sealed, so whoever has the file can compute every hash again.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO, cast

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from edge_agent.core.chain import broken, genesis, verify
from edge_agent.model.canonical import Json, canonical_json
from edge_agent.model.errors import BooksRefused, Problem
from edge_agent.model.ledger import LedgerHead, LedgerRecord
from edge_agent.store.database import connect_reader, storage_errors
from edge_agent.store.ledger import read_all, read_last

FIELDS = ("epoch", "seq", "kind", "at_ms", "body", "prev_hash", "hash")


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What a check of an export found: all its records verify."""

    records: int
    first: LedgerHead | None
    """Place of the first record, with the hash it continues from; trusted, unless it is genesis."""
    heads: tuple[LedgerHead, ...]
    """The end of each epoch in the file."""


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    epoch: int
    seq: int
    kind: str
    at_ms: int
    body: dict[str, JsonValue]
    prev_hash: str
    hash: str


def tail_ledger(path: Path, count: int) -> list[LedgerRecord]:
    """Return the last records of the books at `path`, oldest first.

    Raises:
        StorageUnavailable: the file is absent or cannot be read.
    """
    with storage_errors(), closing(connect_reader(path)) as reader:
        return read_last(reader, count)


def export_ledger_lines(path: Path, out: TextIO) -> int:
    """Write every record of the books at `path` as a line of JSON; return how many.

    Raises:
        StorageUnavailable: a file cannot be read or written.
    """
    with storage_errors(), closing(connect_reader(path)) as reader:
        count = 0
        for _position, record in read_all(reader):
            out.write(render_line(record) + "\n")
            count += 1
        return count


def export_ledger_csv(path: Path, out: TextIO) -> int:
    """Write every record of the books at `path` as comma-separated values; return how many.

    Raises:
        StorageUnavailable: a file cannot be read or written.
    """
    with storage_errors(), closing(connect_reader(path)) as reader:
        rows = csv.DictWriter(out, FIELDS, lineterminator="\r\n")
        rows.writeheader()
        count = 0
        for _position, record in read_all(reader):
            rows.writerow(asdict(record))
            count += 1
        return count


def render_line(record: LedgerRecord) -> str:
    """Return a record as canonical JSON with its body as an object."""
    rest = {name: getattr(record, name) for name in ("hash", "kind", "prev_hash", "seq")}
    # The body is canonical text already and goes in as it stands, at its alphabetical place.
    return (
        f'{{"at_ms":{record.at_ms},"body":{record.body},"epoch":{record.epoch},'
        + canonical_json(rest).decode()[1:]
    )


def check_export(lines: Iterable[str]) -> ExportReport:
    """Verify an export: every line, every hash, no gap within an epoch.

    Raises:
        BooksRefused: a line is no record; the detail names it.
        ChainBroken: the first record that is missing, out of place or altered.
    """
    first: LedgerHead | None = None
    heads: dict[int, LedgerHead] = {}
    count = 0
    for record in _records(lines):
        if record.epoch not in heads:
            # Only the file's very first record may stand in the middle of an epoch.
            begins = LedgerHead(record.epoch, record.seq - 1, record.prev_hash)
            due = genesis(record.epoch)
            if begins != due and (heads or record.seq <= 1):
                raise broken(record.epoch, record.seq, "is no beginning of an epoch")
            heads[record.epoch] = begins
            first = first or begins
        elif record.epoch != next(reversed(heads)):
            raise broken(record.epoch, record.seq, "belongs to an epoch that had ended")
        heads[record.epoch] = verify([record], heads[record.epoch])
        count += 1
    return ExportReport(count, first, tuple(heads.values()))


def _records(lines: Iterable[str]) -> Iterator[LedgerRecord]:
    for number, line in enumerate(lines, 1):
        try:
            found = _Line.model_validate(json.loads(line))
            body = canonical_json(cast("Json", found.body)).decode()  # refuses floats
        except (ValueError, TypeError, RecursionError, ValidationError):
            raise _unreadable(number) from None
        record = LedgerRecord(
            found.epoch, found.seq, found.kind, found.at_ms, body, found.prev_hash, found.hash
        )
        if render_line(record) != line.rstrip("\r\n"):
            # A second spelling, such as a key given twice, could be read in two ways.
            raise _unreadable(number)
        yield record


def _unreadable(line_number: int) -> BooksRefused:
    return BooksRefused(
        Problem(
            "export_unreadable",
            "导出文件格式错误",
            "a line of the export is no ledger record",
        ),
        f"line {line_number}",
    )
