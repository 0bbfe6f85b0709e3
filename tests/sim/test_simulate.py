"""A simulated station loses nothing and doubles nothing; and a planted bug does not go unseen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.core import ending, fuelling, reconciliation, recovery, risk, spending
from edge_agent.core.point import Moment, Point, Step
from edge_agent.core.reconciliation import Delivered
from edge_agent.model.dispenser import FuellingEnded, LinkChanged
from edge_agent.model.errors import ConfigRefused
from edge_agent.model.ids import FpId, LogicalNozzle
from edge_agent.model.leases import Lease
from edge_agent.model.records import AssetMoved, NozzleTotals
from edge_agent.model.units import UnitPrice, amount_of
from edge_agent.sim.run import Outcome, simulate
from edge_agent.store import rules
from hq.asset_audit import AssetAudit
from hq.audit import Audit
from hq.points import PointsDesk

REPOSITORY = Path(__file__).parents[2]
PRINT_HEAD = """
import json
from edge_agent.sim.run import simulate
print(json.dumps(simulate(7, 0.2, points=2, severity=10).ledger_head))
"""


def run(seed: int, *faults: str, hours: float = 0.5) -> Outcome:
    return simulate(seed, hours, faults, points=2, severity=40.0)


def test_a_quiet_morning_sells_and_settles() -> None:
    outcome = run(1, hours=1.0)
    assert outcome.violations == []
    assert outcome.sales > 5
    assert outcome.records_by_kind["asset.moved balance"] > 0
    assert outcome.records_by_kind["points.earned"] > 0
    assert outcome.starts == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_everything_going_wrong_nothing_is_lost_and_nothing_doubled(seed: int) -> None:
    outcome = simulate(seed, 0.5, points=2, severity=3.0)
    assert outcome.violations == []
    assert sum(outcome.faults.values()) > 0


def test_the_same_seed_gives_the_same_head_whatever_the_hash_seed() -> None:
    heads = set()
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", PRINT_HEAD],
            capture_output=True, text=True, check=True, cwd=REPOSITORY,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )  # fmt: skip
        heads.add(json.loads(done.stdout))
    assert len(heads) == 1
    assert heads != {""}


def test_another_seed_gives_another_head() -> None:
    assert run(1, hours=0.2).ledger_head != run(2, hours=0.2).ledger_head


def test_an_unknown_fault_is_named() -> None:
    with pytest.raises(ConfigRefused, match="meteor"):
        run(1, "meteor")


# --- planted bugs -------------------------------------------------------------------------------


def display_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restart the retained display counts, whatever the totalisers say."""

    def unwatched(
        display: FuellingEnded | None, _before: NozzleTotals | None, after: NozzleTotals,
        _fp: FpId, _price: UnitPrice,
    ) -> Delivered | None:  # fmt: skip
        if display is None or display.nozzle != after.nozzle:
            return None
        return Delivered(display.volume, display.amount)

    monkeypatch.setattr(recovery, "unwatched", unwatched)
    monkeypatch.setattr(reconciliation, "unwatched", unwatched)


def unseen_sales_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What pumps sold while the agent was down is not recorded."""

    def sold_unseen(
        point: Point, _settled: LogicalNozzle | None, _at: Moment
    ) -> tuple[Point, tuple[()]]:
        return replace(point, totals=point.readings), ()

    monkeypatch.setattr(recovery, "_sold_unseen", sold_unseen)


def amounts_are_recomputed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent knows better than the dispenser what the fuel costs."""
    genuine = reconciliation.watched

    def watched(*arguments: Any) -> Delivered:
        delivered = genuine(*arguments)
        ended: FuellingEnded = arguments[1]
        return replace(delivered, amount=amount_of(delivered.volume, ended.unit_price))

    monkeypatch.setattr(ending, "watched", watched)


def hq_counts_recovered_fuellings_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headquarters adds a fuelling that was not watched a second time."""
    genuine = Audit._completed

    def completed(self: Audit, entry: Any) -> Any:
        if '"origin":"observed"' not in entry.body:
            self._books.add(entry.station, volume_ml=json.loads(entry.body)["volume_ml"])
        return genuine(self, entry)

    monkeypatch.setattr(Audit, "_completed", completed)


def leases_are_bottomless(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is leased may be spent again and again."""
    monkeypatch.setattr(Lease, "available", lambda _lease, _now_ms: 10_000_000)
    lenient = dict(rules._RULES)
    del lenient[AssetMoved]
    monkeypatch.setattr(rules, "_RULES", lenient)


def coupons_are_never_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coupon lowers a price and stays as it was."""
    monkeypatch.setattr(spending, "_coupons", lambda *_: ())
    monkeypatch.setattr(rules, "judge_sale", lambda *_: None)


def nobody_has_to_prove_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much it is, stored value is charged at a touch."""
    monkeypatch.setattr(risk, "assess", lambda *_, **__: risk.ALLOWED)


def hq_keeps_what_is_refunded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headquarters reads that something was given back, and books nothing."""
    monkeypatch.setattr(AssetAudit, "_given_back", lambda *_: [])


def hq_credits_points_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headquarters books what a sale earned on both sides of midnight."""
    genuine = PointsDesk._credit

    def credit(self: PointsDesk, body: Any, cause: Any) -> str | None:
        self._vault.credit("points", body.member_ref, body.points, cause, body.expires_ms)
        return genuine(self, body, cause)

    monkeypatch.setattr(PointsDesk, "_credit", credit)


def a_lost_link_ends_the_fuelling(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a dispenser stops answering, its fuelling is forgotten."""
    genuine = fuelling.ANYWHERE[LinkChanged]

    def on_link(point: Point, given: Any, at: Moment) -> Step:
        forgetful = point if given.online else replace(point, current=None)
        return genuine(forgetful, given, at)

    monkeypatch.setattr(fuelling, "ANYWHERE", {**fuelling.ANYWHERE, LinkChanged: on_link})


@pytest.mark.parametrize(
    ("plant", "seed", "faults", "seen"),
    [
        (display_is_trusted, 4, ("alone", "kill"), "fuel:"),
        (unseen_sales_are_dropped, 4, ("alone",), "fuel:"),
        (amounts_are_recomputed, 7, (), "money:"),
        (hq_counts_recovered_fuellings_twice, 5, ("alone", "kill"), "hq:"),
        (leases_are_bottomless, 3, (), "contradict"),
        (coupons_are_never_used_up, 2, (), "money:"),
        (nobody_has_to_prove_anything, 3, (), "unproved"),
        (hq_keeps_what_is_refunded, 12, (), "held:"),
        (hq_credits_points_twice, 1, (), "held:"),
        (a_lost_link_ends_the_fuelling, 4, ("cut", "loss"), "rest"),
    ],
)
def test_a_planted_bug_is_caught(
    plant: Callable[[pytest.MonkeyPatch], None],
    seed: int,
    faults: tuple[str, ...],
    seen: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run(seed, *faults).violations == []
    plant(monkeypatch)
    caught = run(seed, *faults).violations
    assert any(seen in violation for violation in caught), caught
