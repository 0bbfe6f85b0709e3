"""The same lives over real stores: whole sales, priced, settled, audited; dying at every write."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge_agent.core import settlement
from edge_agent.model.policy import Points
from edge_agent.model.records import PointsEarned, SaleSettled
from edge_agent.store import leases as stored_leases
from scripts.fuzzing import __main__ as fuzz
from scripts.fuzzing.lending import run as lending
from scripts.fuzzing.lending.run import Outcome, Part, run_real
from scripts.fuzzing.lending.world import Size

OPERATIONS = 350
ROUGH = Size(stations=4, people=10, roughness=6)


def lived(seed: str) -> Outcome:
    return run_real(Part(seed, OPERATIONS, ROUGH))


def test_row_v19_row_v6_real_stores_and_headquarters_agree_to_the_fen_whatever_happens() -> None:
    outcome = lived("real")
    assert outcome.found == ()
    assert outcome.operations == OPERATIONS
    assert outcome.movements > OPERATIONS // 5
    assert outcome.deaths > 5
    assert outcome.happened["restore"]
    assert outcome.happened["refund"]


def _noticed(most: int = 5) -> bool:
    return any(lived(f"bugs {number}").found for number in range(most))


def test_a_restored_store_that_keeps_its_leases_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_leases, "void_all", lambda connection: None)
    assert _noticed()


def test_a_station_that_credits_points_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    earned = settlement._earned

    def twice(sale: SaleSettled, policy: Points) -> Iterator[PointsEarned]:
        for body in earned(sale, policy):
            yield body.model_copy(update={"points": 2 * body.points})

    monkeypatch.setattr(settlement, "_earned", twice)
    assert _noticed()


def test_the_command_lives_real_worlds_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Part] = []

    def short(part: Part) -> Outcome:
        seen.append(part)
        return Outcome(part.seed, part.operations, 0, 0, 0, 0, 0, 0, 0.1)

    monkeypatch.setattr(lending, "run_real", short)
    assert fuzz.main(["leases", "--real", "--operations", "30", "--jobs", "1"]) == 0
    assert sum(part.operations for part in seen) == 30
    assert "books: real stores" in capsys.readouterr().out
