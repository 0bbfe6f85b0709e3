"""What the ledger is made of. The meaning of each `kind` is in `edge_agent.model.records`."""

from __future__ import annotations

from dataclasses import dataclass

GENESIS_HASH = "0" * 64
"""`prev_hash` of the first record of an epoch."""


@dataclass(frozen=True, slots=True)
class LedgerRecord:
    """One line of the ledger. `body` is canonical JSON text; `hash` seals it to its forerunners."""

    epoch: int
    seq: int
    kind: str
    at_ms: int
    body: str
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """The end of the chain: the last record's place and hash. `seq` 0 is an empty epoch."""

    epoch: int
    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class EpochStanding:
    """One life of these books: where its records lie in the file and what HQ has of them."""

    epoch: int
    base: int
    """Position before its first record."""
    last_seq: int
    acked_seq: int
