"""The documentation says what the code does: every command, key, figure and code stands in it.

`EDGE_AGENT_DOCS=write` writes the tables anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import pytest

from edge_agent.cli.app import app
from tests.cli.tree import commands
from tests.docs.tables import ROOT, config_rows, error_rows, error_texts, metric_rows

DOCS = ROOT / "docs"
BEGIN, END = "<!-- table from the code -->", "<!-- end -->"


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("configuration.md", config_rows),
        ("errors.md", error_rows),
        ("metrics.md", metric_rows),
    ],
)
def test_tables_are_those_of_the_code(name: str, rows: Callable[[], list[str]]) -> None:
    file = DOCS / name
    text = file.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)
    head = table.strip().splitlines()[:2]
    due = "\n".join(["", *head, *rows(), ""])
    if os.environ.get("EDGE_AGENT_DOCS") == "write":
        file.write_text(f"{before}{BEGIN}{due}{END}{after}", encoding="utf-8")
        table = due
    assert table.splitlines() == due.splitlines(), "EDGE_AGENT_DOCS=write scripts/test tests/docs"


COMMANDS = {" ".join(words): command for words, command in commands(app)}


@pytest.mark.parametrize("title", COMMANDS)
def test_every_command_and_option_is_documented(title: str) -> None:
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    section = re.search(rf"(?ms)^### `edge-agent {re.escape(title)}\b.*?(?=^##|\Z)", text)
    assert section, f"docs/cli.md has no section `edge-agent {title}`"
    for parameter in COMMANDS[title].params:
        for option in parameter.opts:
            if option.startswith("-") and option not in {"-h", "--help"}:
                assert f"`{option}" in section[0], f"{title}: {option}"


def test_every_documented_command_exists() -> None:
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    titles = re.findall(r"(?m)^### `edge-agent ([a-z -]+?)(?: [A-Z\[].*)?`$", text)
    assert sorted(titles) == sorted(COMMANDS)


def test_codes_that_other_words_would_hide_are_found() -> None:
    codes = error_texts()
    assert {"fp_busy", "replayed", "picture_malformed", "not_enrolled", "config_invalid"} <= set(
        codes
    )


def test_a_code_has_one_text() -> None:
    assert {code: texts for code, texts in error_texts().items() if len(texts) > 1} == {}


MINE = (
    "cli.md",
    "configuration.md",
    "config-changes.md",
    "errors.md",
    "install.md",
    "metrics.md",
    "policy.md",
)


@pytest.mark.parametrize("name", MINE)
def test_links_lead_somewhere(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert (DOCS / target).exists(), target


@pytest.mark.parametrize("name", MINE)
def test_named_commands_exist(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    known = {words for words, _ in commands(app)}
    groups = {words[0] for words in known if len(words) == 2}
    for line in re.findall(r"edge-agent (?:--root \S+ )?([a-z][a-z-]*(?: [a-z][a-z-]*)?)", text):
        first, _, second = line.partition(" ")
        if (first,) in known:
            continue
        if first in groups:
            assert (first, second) in known, line


def test_paths_of_the_sources_that_docs_name_exist() -> None:
    for name in MINE:
        text = (DOCS / name).read_text(encoding="utf-8")
        for path in re.findall(r"`((?:config|systemd|scripts|docs)/[\w./-]+)`", text):
            assert (ROOT / path).exists(), f"{name}: {path}"
