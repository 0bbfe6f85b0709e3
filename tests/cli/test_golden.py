"""The JSON of every read, field by field: what scripts may rely on.

A new field is added to its file in `golden/` and to docs/cli.md; one that is gone or has another
type breaks somebody's script. `EDGE_AGENT_GOLDEN=write` writes the files anew.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.model.fuelling import FpState
from tests.api.fake_station import FakeStation, problem
from tests.cli.conftest import ROOT, CommandLine

GOLDEN = Path(__file__).parent / "golden"
DOCS = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
POLICY = str(ROOT / "config" / "policy.json")
CASE = str(ROOT / "config" / "examples" / "quotes" / "gold-stacked.json")

READS: dict[str, tuple[str, ...]] = {
    "status": ("status", "--json"),
    "screen": ("screen", "--json"),
    "version": ("version", "--json"),
    "doctor": ("doctor", "--json"),
    "quote": ("quote", CASE, "--json"),
    "simulate": ("simulate", "--hours", "0.02", "--faults", "none", "--json"),
    "pump list": ("pump", "list", "--json"),
    "pump authorise": ("pump", "authorise", "2", "--json"),
    "pump totals": ("pump", "totals", "--json"),
    "pump price": ("pump", "price", "--json"),
    "sync status": ("sync", "status", "--json"),
    "sync drain": ("sync", "drain", "--json"),
    "ledger tail": ("ledger", "tail", "-n", "1", "--json"),
    "policy check": ("policy", "check", POLICY, "--json"),
    "config check": ("config", "check", "--json"),
    "config explain": ("config", "explain", "uplink.port", "--json"),
    "bus decode": ("bus", "decode", "dart", "5020fa"),
}


COUNTED = {"faults", "records_by_kind", "refused"}
"""Counts by names that depend on what happened."""


def shape(value: object, path: str = "") -> Iterator[str]:
    """Yield the path and type of each field; a null says nothing, so it has no type."""
    if isinstance(value, dict) and value and path not in COUNTED:
        for key, below in value.items():
            yield from shape(below, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            yield from shape(item, f"{path}[]")
        if not value:
            yield f"{path}[]: empty"
    else:
        yield f"{path}: {type(value).__name__}"


@pytest.mark.parametrize("name", READS)
def test_the_fields_of_every_read(running: CommandLine, station: FakeStation, name: str) -> None:
    shutil.copy(ROOT / "config" / "station.toml", running.paths.config)
    station.change_point(1, state=FpState.CALLING, lifted=1, blocked="fp_busy", plate="云A**345")
    station.change(problems=(problem("stop_all", "全站已停止", "everything is stopped"),))
    ran = running(*READS[name])
    found = sorted(set(shape(ran.json if ran.out.startswith("{\n") else ran.lines[0])))
    file = GOLDEN / f"{name.replace(' ', '-')}.txt"
    if os.environ.get("EDGE_AGENT_GOLDEN") == "write":
        file.write_text("\n".join(found) + "\n", encoding="utf-8")
    assert found == file.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", READS)
def test_every_field_is_documented_with_its_command(name: str) -> None:
    found = re.search(rf"(?ms)^### `edge-agent {name}\b.*?(?=^### |^## |\Z)", DOCS)
    assert found, f"docs/cli.md has no section for {name}"
    golden = (GOLDEN / f"{name.replace(' ', '-')}.txt").read_text(encoding="utf-8")
    for line in golden.splitlines():
        path = line.rpartition(": ")[0]
        if any(free in path for free in FREE):
            continue
        for key in re.findall(r"[A-Za-z_]+", path):
            assert f"`{key}`" in found[0], f"{name}: {path}"


FREE = ("fuelling_points.", "cameras.", "faults.", "fields.", "body.")
"""Places whose keys are names of the station's own or of a protocol."""
