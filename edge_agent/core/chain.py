"""The hash chain that seals the ledger: each record's hash covers its content and its forerunner.

    hash = SHA-256(prev_hash as 64 ASCII hex digits ‖ canonical record)

The canonical record is the canonical JSON of {at_ms, body, epoch, kind, seq}. The body is canonical
JSON text already and goes in as it stands, so that station, headquarters and auditors hash the very
bytes that were written and never a second rendering of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache

from edge_agent.model.errors import ChainBroken, Problem
from edge_agent.model.ledger import GENESIS_HASH, LedgerHead, LedgerRecord


def genesis(epoch: int) -> LedgerHead:
    """Return the head of an epoch that holds no record yet."""
    return LedgerHead(epoch, 0, GENESIS_HASH)


def digest(epoch: int, seq: int, kind: str, at_ms: int, body: str, prev_hash: str) -> str:
    """Return the hash that a record must carry; the arguments are as in `LedgerRecord`."""
    # The members in canonical order; %d would accept a float, so plain formatting it is.
    text = (
        f'{prev_hash}{{"at_ms":{at_ms},"body":{body},"epoch":{epoch},'
        f'"kind":{_quoted(kind)},"seq":{seq}}}'
    )
    return hashlib.sha256(text.encode()).hexdigest()


def seal(epoch: int, seq: int, kind: str, at_ms: int, body: str, prev_hash: str) -> LedgerRecord:
    """Make the record that follows the one whose hash is `prev_hash`.

    `at_ms` is wall time; `body` is canonical JSON text. Raises `UnicodeEncodeError` when the text
    holds half a surrogate pair, which no UTF-8 can carry.
    """
    sealed = digest(epoch, seq, kind, at_ms, body, prev_hash)
    return LedgerRecord(epoch, seq, kind, at_ms, body, prev_hash, sealed)


def verify(records: Iterable[LedgerRecord], prev: LedgerHead) -> LedgerHead:
    """Check that the records continue the chain from `prev` without a gap; return the new head.

    Raises:
        ChainBroken: the first record that is missing, out of place or altered, by epoch and seq.
    """
    epoch, seq, prev_hash = prev.epoch, prev.seq, prev.hash
    for record in records:
        seq += 1
        if record.seq != seq or record.epoch != epoch:
            raise _out_of_place(record, epoch, seq)
        if record.prev_hash != prev_hash:
            raise broken(epoch, seq, "does not continue the record before it")
        if not _holds(record):
            raise broken(epoch, seq, "its content does not match its hash")
        prev_hash = record.hash
    return LedgerHead(epoch, seq, prev_hash)


def broken(epoch: int, seq: int, why: str) -> ChainBroken:
    """Return the error that names the first bad record and what is wrong with it."""
    return ChainBroken(
        Problem(
            "chain_broken",
            "账本校验失败，请停止结账并联系技术支持",
            "the ledger does not verify: stop settling and call support",
        ),
        f"epoch {epoch} seq {seq}: {why}",
    )


def _out_of_place(record: LedgerRecord, epoch: int, seq: int) -> ChainBroken:
    return broken(epoch, seq, f"found epoch {record.epoch} seq {record.seq} in its place")


def _holds(record: LedgerRecord) -> bool:
    try:
        due = digest(
            record.epoch, record.seq, record.kind, record.at_ms, record.body, record.prev_hash
        )
    except UnicodeEncodeError:
        return False
    return due == record.hash


@lru_cache(maxsize=256)
def _quoted(kind: str) -> str:
    return json.dumps(kind, ensure_ascii=False)
