"""`docs/rules-coverage.md` says which seed rows are held by which tests, as it is today."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.docs.rules import coverage_rows, covering, elsewhere, rules, uncovered
from tests.docs.tables import ROOT

PAGE = ROOT / "docs" / "rules-coverage.md"
COUNTS = {"M": 15, "P": 9, "C": 17, "V": 15, "R": 6, "L": 2}
"""Rows of each family that concern a station."""
BEGIN, END = "<!-- table from the tests -->", "<!-- end -->"


def test_the_page_is_that_of_the_tests() -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)
    head = table.strip().splitlines()[:2]
    due = "\n".join(["", *head, *coverage_rows(), ""])
    if os.environ.get("EDGE_AGENT_DOCS") == "write":
        PAGE.write_text(f"{before}{BEGIN}{due}{END}{after}", encoding="utf-8")
        table = due
    assert table.splitlines() == due.splitlines(), "EDGE_AGENT_DOCS=write scripts/test tests/docs"


def test_the_rows_without_a_test_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Says which rows still wait; why they may, is written down beside the row."""
    open_rows = uncovered()
    with capsys.disabled():
        for rule in open_rows:
            print(f"\nrow {rule.id} has no test: {rule.title} ({rule.waits or 'no reason given'})")
    named = set(covering()) & {rule.id for rule in rules()}
    assert named.isdisjoint(rule.id for rule in open_rows)


def test_no_test_names_a_row_that_there_is_not() -> None:
    known = {rule.id for rule in rules()} | elsewhere()
    assert {row for row in covering() if row[0] in "MPCVRL"} <= known


def test_the_table_of_rows_is_whole_and_has_each_once() -> None:
    table = rules()
    assert [row for row, times in Counter(rule.id for rule in table).items() if times > 1] == []
    assert {rule.place for rule in table} == {"E", "B"}
    per_family = Counter(rule.id[0] for rule in table)
    assert per_family == COUNTS


def test_a_row_that_waits_says_why_and_has_no_test() -> None:
    tests = covering()
    for rule in rules():
        if rule.waits:
            assert rule.id not in tests, f"{rule.id} is tested: drop `waits`"
