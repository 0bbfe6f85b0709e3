"""What really happened: an account of every commit, kept apart from stations and headquarters.

It knows what was put in and what was taken out, to the fen, the point and its bucket. What a
station forgot by losing its disk, and headquarters never saw, nobody can know any more: that is
written off, and nothing else is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from edge_agent.model.ledger import LedgerRecord
from edge_agent.model.records import (
    AssetMoved,
    PointsEarned,
    RecordBody,
    StoredValueToppedUp,
)

Key: TypeAlias = tuple[str, str, int]
"""Asset, holder, and when the points expire (0 for what has no buckets)."""
Sale: TypeAlias = tuple[str, str, str | None, Key]
"""What a sale took: station, sale, lease, key."""


@dataclass(slots=True)
class _Line:
    """One effect of one record, so that it can be written off."""

    seq: int
    account: str
    key: Key
    amount: int
    sale: Sale | None = None


@dataclass(slots=True)
class Truth:
    """Sums by holder. Every method returns what must not have happened, in words."""

    put_in: Counter[Key] = field(default_factory=Counter)
    spent: Counter[Key] = field(default_factory=Counter)
    """Within leases."""
    beyond: Counter[Key] = field(default_factory=Counter)
    """Within the floor limit, without a lease."""
    movements: int = 0
    written_off: int = 0
    _of_sale: Counter[Sale] = field(default_factory=Counter)
    _lines: dict[tuple[str, int], list[_Line]] = field(default_factory=dict)

    def credit(self, asset: str, holder: str, amount: int, expires_ms: int = 0) -> None:
        """Note what headquarters took in."""
        self.put_in[asset, holder, expires_ms] += amount

    def committed(
        self, station: str, records: Sequence[LedgerRecord], bodies: Sequence[RecordBody]
    ) -> list[str]:
        """Note what a station committed."""
        found: list[str] = []
        for record, body in zip(records, bodies, strict=False):
            if isinstance(body, AssetMoved):
                found += self._moved(station, record, body)
            elif isinstance(body, StoredValueToppedUp):
                self._note(station, record, "put_in", ("balance", body.account_ref, 0),
                           body.amount_fen)  # fmt: skip
            elif isinstance(body, PointsEarned) and body.points > 0:
                key = ("points", body.member_ref, body.expires_ms)
                self._note(station, record, "put_in", key, body.points)
        return found

    def _moved(self, station: str, record: LedgerRecord, body: AssetMoved) -> list[str]:
        self.movements += 1
        account = "beyond" if body.lease_id is None else "spent"
        found = []
        for key, amount in _parts(body):
            sale = (station, body.sale_id, body.lease_id, key)
            if body.delta > 0:
                # A refund is worth what its sale took and was not given back yet.
                amount = min(amount, self._of_sale[sale])  # noqa: PLW2901
            change = amount if body.delta < 0 else -amount
            self._of_sale[sale] += change
            self._note(station, record, account, key, change, sale)
            if self.spent[key] > self.put_in[key]:
                found.append(f"{key}: {self.spent[key]} spent of {self.put_in[key]}")
            if self.spent[key] < 0:
                found.append(f"{key}: {-self.spent[key]} more given back than spent")
        return found

    def _note(
        self,
        station: str,
        record: LedgerRecord,
        account: str,
        key: Key,
        amount: int,
        sale: Sale | None = None,
    ) -> None:
        self._account(account)[key] += amount
        line = _Line(record.seq, account, key, amount, sale)
        self._lines.setdefault((station, record.epoch), []).append(line)

    def _account(self, name: str) -> Counter[Key]:
        return {"put_in": self.put_in, "spent": self.spent, "beyond": self.beyond}[name]

    def epochs(self, station: str) -> list[int]:
        """Return the epochs in which a station committed anything."""
        return [epoch for name, epoch in self._lines if name == station]

    def forget(self, station: str, epoch: int, after_seq: int) -> None:
        """Write off what a station committed after a row, in an epoch that is lost."""
        kept = []
        for line in self._lines.get((station, epoch), []):
            if line.seq <= after_seq:
                kept.append(line)
            else:
                self._account(line.account)[line.key] -= line.amount
                if line.sale is not None:
                    self._of_sale[line.sale] -= line.amount
                self.written_off += 1
        self._lines[station, epoch] = kept


def _parts(body: AssetMoved) -> list[tuple[Key, int]]:
    if body.asset == "points":
        return [(("points", body.holder, part.expires_ms), part.points) for part in body.buckets]
    return [((body.asset, body.holder, 0), abs(body.delta))]
