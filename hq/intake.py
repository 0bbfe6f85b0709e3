"""Decides what to take of a batch of ledger rows: each row once, in order, its chain verified.

A row's identity is (station, epoch, seq). The same identity with another hash is an incident, never
"keep the first" or "keep the last" in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from edge_agent.core.chain import digest
from edge_agent.model.ledger import LedgerHead
from edge_agent.model.wire import LedgerBatch


@dataclass(frozen=True, slots=True)
class Finding:
    """What a person has to look at: where, which kind of trouble, and what exactly."""

    seq: int
    code: str
    detail: str


NewRow: TypeAlias = tuple[int, str, int, str, str]
"""Seq, kind, wall time, body and hash: a plain tuple, since tens of thousands a second pass."""


@dataclass(frozen=True, slots=True)
class Intake:
    """The new rows of a batch, where the stream stands after them, and what was wrong."""

    rows: tuple[NewRow, ...]
    head: LedgerHead
    gap: bool = False
    finding: Finding | None = None


def take_in(head: LedgerHead, batch: LedgerBatch, stored: Sequence[str]) -> Intake:
    """Weigh a batch against a stream that stands at `head`.

    `stored` are the hashes of the rows that the stream holds already, from row `batch.first - 1` to
    the batch's last row or `head`, whichever is less (the genesis hash stands for row 0).
    """
    if batch.first > head.seq + 1:
        return Intake((), head, gap=True)
    claimed = [batch.prev_hash, *(row[3] for row in batch.rows)]
    for place, (ours, theirs) in enumerate(zip(stored, claimed, strict=False)):
        if ours != theirs:
            seq = batch.first - 1 + place
            return Intake((), head, finding=Finding(seq, "ledger_fork", f"{ours} here"))
    return _continue(head, batch)


def _continue(head: LedgerHead, batch: LedgerBatch) -> Intake:
    rows: list[NewRow] = []
    prev_hash = head.hash
    epoch = head.epoch
    known = head.seq - batch.first + 1
    for seq, (kind, at_ms, body, claimed) in enumerate(batch.rows[known:], head.seq + 1):
        try:
            found = digest(epoch, seq, kind, at_ms, body, prev_hash)
        except UnicodeEncodeError:
            found = "text that UTF-8 cannot carry"
        if found != claimed:
            finding = Finding(seq, "chain_broken", f"{claimed} claimed, {found} found")
            return Intake(tuple(rows), LedgerHead(epoch, seq - 1, prev_hash), finding=finding)
        rows.append((seq, kind, at_ms, body, claimed))
        prev_hash = claimed
    return Intake(tuple(rows), LedgerHead(epoch, head.seq + len(rows), prev_hash))
