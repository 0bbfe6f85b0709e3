"""docs/ledger.md must name every kind, refusal and table, and its worked hash must come out."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from edge_agent.core.chain import seal
from edge_agent.model.ledger import GENESIS_HASH
from edge_agent.model.records import BODIES
from edge_agent.store.projections import PROJECTED_KINDS, TABLES
from edge_agent.store.refusals import PROBLEMS

PAGE = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(title: str) -> set[str]:
    rows = [line for line in section(title).splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("Kinds", set(BODIES)),
        ("What the books refuse", set(PROBLEMS)),
        ("Projections", set(TABLES)),
    ],
    ids=["kinds", "refusals", "tables"],
)
def test_page_lists_all_there_are_and_no_others(title: str, names: set[str]) -> None:
    assert first_cells(title) == names


def test_page_says_which_kinds_change_a_projection() -> None:
    rows = [line.split("|") for line in section("Kinds").splitlines() if line.startswith("| `")]
    changing = {name for row in rows if row[3].strip() for name in re.findall(r"`([^`]+)`", row[1])}
    assert changing == PROJECTED_KINDS


def test_worked_hash_comes_out_of_any_shell() -> None:
    found = re.search(r"```sh\n(.+)\n# ([0-9a-f]{64})\n```", PAGE)
    assert found is not None
    command, written = found.groups()
    out = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True).stdout
    assert out.split()[0] == written
    record = seal(5, 1, "station.stopped", 1_790_000_000_000, '{"boot_id":"b"}', GENESIS_HASH)
    assert record.hash == written
