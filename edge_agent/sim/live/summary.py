"""The demo's bottom line: pump, ledger and headquarters side by side."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from edge_agent.model.canonical import Json
from edge_agent.model.ledger import LedgerRecord
from edge_agent.model.records import AssetMoved
from edge_agent.model.units import Money, Volume
from edge_agent.observe.clock import SystemClock, SystemEntropy
from edge_agent.security.sealing import Sealer
from edge_agent.store.station import StationStore
from edge_agent.store.verify import verify_books


@dataclass(frozen=True, slots=True)
class ThreeSides:
    """One sum as the pumps, the ledger and headquarters have it."""

    pump: int
    ledger: int
    hq: int

    @property
    def agree(self) -> bool:
        """Whether all three are the same."""
        return self.pump == self.ledger == self.hq


@dataclass(frozen=True, slots=True)
class TwoSides:
    """A sum that pumps do not know, as the ledger and headquarters have it."""

    ledger: int
    hq: int

    @property
    def agree(self) -> bool:
        """Whether both are the same."""
        return self.ledger == self.hq


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run of the demo ends with."""

    sales: int
    wanted_sales: int
    """What the caller asked for; a customer who went unserved shows here."""
    member_sales: int
    plate_sales: int
    drawn: dict[str, int]
    """Sales that were paid from, or lowered by, what headquarters holds: by asset."""
    seconds: float
    volume_ml: ThreeSides
    amount_fen: ThreeSides
    payable_fen: TwoSides
    head_seq: int
    acked_seq: int
    ledger_ok: bool
    hq_differences: int
    hq_alarms: int
    agent_starts: int
    broker: str

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, nothing taken twice, and everything acknowledged."""
        served = self.sales >= self.wanted_sales
        whole = served and self.head_seq == self.acked_seq and self.ledger_ok
        fuel = self.volume_ml.agree and self.amount_fen.agree
        audited = self.payable_fen.agree and not self.hq_differences and not self.hq_alarms
        return whole and fuel and audited

    def as_json(self) -> dict[str, object]:
        """Return the summary as plain values; `ok` first."""
        return {"ok": self.ok, **asdict(self)}

    def as_text(self) -> str:
        """Return the summary for people."""
        rows = [
            ("litres", *(str(Volume(value)) for value in asdict(self.volume_ml).values())),
            ("yuan", *(str(Money(value)) for value in asdict(self.amount_fen).values())),
            ("yuan paid", "", *(str(Money(v)) for v in asdict(self.payable_fen).values())),
        ]
        table = "\n".join(f"{a:<12}{b:>14}{c:>14}{d:>14}" for a, b, c, d in rows)
        verdict = "everything agrees" if self.ok else "SOMETHING DOES NOT AGREE"
        return (
            f"{self.sales} sales in {self.seconds:.0f} s, {self.member_sales} at a member price, "
            f"{self.plate_sales} by plate\n"
            f"{'':<12}{'pump':>14}{'ledger':>14}{'hq':>14}\n{table}\n"
            f"acknowledged {self.acked_seq} of {self.head_seq} records, ledger "
            f"{'verified' if self.ledger_ok else 'DOES NOT VERIFY'}: {verdict}"
        )


@dataclass(frozen=True, slots=True)
class Run:
    """What only the show itself knows of its run."""

    seconds: float
    wanted_sales: int
    agent_starts: int
    broker: str
    head_seq: int
    acked_seq: int


def summarise(
    ledger: Path, sealer: Sealer, delivered: tuple[int, int], hq: dict[str, Json], run: Run
) -> Summary:
    """Put the three sides together; the agent has stopped and its books are free."""
    verified = verify_books(ledger).ok
    clock, entropy = SystemClock(), SystemEntropy()
    with StationStore.open(ledger, clock=clock, entropy=entropy, sealer=sealer) as store:
        sums, drawn = store.books.sums(), _drawn(store.books.records_after(0, sys.maxsize))

    def at_hq(key: str) -> int:
        return cast("int", hq[key])

    return Summary(
        sales=sums.sales,
        wanted_sales=run.wanted_sales,
        member_sales=sums.member_sales,
        plate_sales=sums.plate_sales,
        drawn=drawn,
        seconds=round(run.seconds, 1),
        volume_ml=ThreeSides(delivered[0], sums.volume.ml, at_hq("volume_ml")),
        amount_fen=ThreeSides(delivered[1], sums.amount.fen, at_hq("amount_fen")),
        payable_fen=TwoSides(sums.payable.fen, at_hq("payable_fen")),
        head_seq=run.head_seq,
        acked_seq=run.acked_seq,
        ledger_ok=verified,
        hq_differences=at_hq("differences"),
        hq_alarms=at_hq("alarms"),
        agent_starts=run.agent_starts,
        broker=run.broker,
    )


def _drawn(ledger: Iterable[LedgerRecord]) -> dict[str, int]:
    """Return in how many sales something of each asset was drawn."""
    moved = [
        AssetMoved.model_validate_json(record.body)
        for record in ledger
        if record.kind == AssetMoved.kind
    ]
    sales = {(body.asset, body.sale_id) for body in moved if body.delta < 0}
    return dict(sorted(Counter(asset for asset, _ in sales).items()))
