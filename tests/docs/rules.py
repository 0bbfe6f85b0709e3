"""Which seed rows have tests named after them: `tests/rules.toml` held against the tests."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.docs.tables import ROOT

NAMED = re.compile(r"row_([a-z]\d+)(?=_|$)")


@dataclass(frozen=True, slots=True)
class Rule:
    """A seed row: its name, where it has to hold, and what it says in short."""

    id: str
    place: str
    title: str
    waits: str = ""
    """Why no test can name it yet."""


def rules() -> list[Rule]:
    """Return every row of the table, in its order."""
    return [Rule(**entry) for entry in _content()["rule"]]


def elsewhere() -> set[str]:
    """Return the rows that headquarters alone holds."""
    return set(_content()["headquarters"])


def _content() -> dict[str, Any]:
    return tomllib.loads((ROOT / "tests" / "rules.toml").read_text(encoding="utf-8"))


@cache
def covering() -> dict[str, list[str]]:
    """Return the tests that name a row, `file::test`, by the row's id."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for test in _tests(ast.parse(path.read_text(encoding="utf-8"))):
            for row in NAMED.findall(test.lower()):
                place = path.relative_to(ROOT / "tests").as_posix()
                found.setdefault(row.upper(), []).append(f"{place}::{test}")
    return found


def _tests(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
            "test_"
        ):
            yield node.name


def coverage_rows() -> list[str]:
    """Return a line for each row: what it says, and by which tests it is held."""
    tests = covering()
    return [
        f"| {rule.id} | {rule.place} | {rule.title} | {_by(tests.get(rule.id, []), rule.waits)} |"
        for rule in rules()
    ]


def _by(tests: list[str], waits: str) -> str:
    if tests:
        return "<br>".join(f"`{test}`" for test in tests)
    return f"not yet: {waits or 'no test names it'}"


def uncovered() -> list[Rule]:
    """Return the rows that no test names."""
    tests = covering()
    return [rule for rule in rules() if rule.id not in tests]
