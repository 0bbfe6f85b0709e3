"""`scripts/bench`: runs the measurements one after the other, each in a process of its own."""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from edge_agent.model.errors import EdgeAgentError
from scripts.benchmarks.row import Measurement, Row, Scale, say

MEASUREMENTS: Final[dict[str, str]] = {
    "release": "lifted nozzle to AUTHORIZE on a line with true byte times",
    "pricing": "quotes with 12 and 50 offers",
    "laboratory": "100,000 past sales under another policy",
    "members": "a member by plate among a million",
    "settling": "settlements a second beside bare fdatasync",
    "authorising": "asking headquarters for a lease until it is in force",
    "backlog": "100,000 records to headquarters, and a restart with a million waiting",
    "plates": "plates read in a 1080p frame",
    "footprint": "memory, processor and start of the daemon",
    "simulated": "a simulated station beside real time",
}
"""Modules of this package, in the order of a run, and what each measures."""
FAILED: Final = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; return 0 when everything could be measured, goal reached or not."""
    options = _parser().parse_args(arguments)
    logging.getLogger().setLevel(logging.ERROR)  # simulated faults are meant
    wanted: list[str] = options.only or list(MEASUREMENTS)
    scale = Scale(quick=options.quick, tiny=options.tiny)
    began = time.monotonic()
    if len(wanted) == 1:
        rows, failed = measured(wanted[0], scale), False
    else:
        rows, failed = _each_by_itself(wanted, scale)
    say(f"done in {time.monotonic() - began:.0f} s")
    if options.json:
        sys.stdout.write(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
    else:
        sys.stdout.write(table(rows))
    return FAILED if failed else 0


def measured(name: str, scale: Scale) -> list[dict[str, Any]]:
    """Run one measurement in this process."""
    say(f"{name}: {MEASUREMENTS[name]} …")
    measurement: Measurement = import_module(f"scripts.benchmarks.{name}").measure
    rows: list[Row] = measurement(scale)
    return [row.as_json() for row in rows]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows for a person."""
    lines = []
    for row in rows:
        verdict = "ok  " if row["ok"] else "MISS"
        lines.append(f"{verdict} {row['name']:<24} {row['value']:>12,g} {row['unit']}")
        lines.append(f"     goal: {row['goal']}")
        lines.append(f"     {row['limit_name']}: {row['limit']:,g}, ratio {row['ratio']:g}")
        lines += [f"     peer, {name}: {value:,g}" for name, value in row["peers"].items()]
        lines += [f"     {name}: {value:,g}" for name, value in row["details"].items()]
        lines += [f"     FLAW: {flaw}" for flaw in row["flaws"]]
    return "".join(f"{line}\n" for line in lines)


def _each_by_itself(names: Sequence[str], scale: Scale) -> tuple[list[dict[str, Any]], bool]:
    """Run measurements in processes of their own, so that none warms or burdens the next."""
    rows: list[dict[str, Any]] = []
    failed = False
    for name in names:
        sizes = [f"--{size}" for size in ("quick", "tiny") if getattr(scale, size)]
        command = [sys.executable, "-m", "scripts.benchmarks", "--json", *sizes, "--only", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        if done.returncode == 0:
            rows += json.loads(done.stdout)
        else:
            say(f"{name}: could not be measured")
            failed = True
    return rows, failed


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<10} {what}" for name, what in MEASUREMENTS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures what the agent promises, each number beside a peer or a limit.",
        epilog=f"measurements:\n{listed}\n\ndocs/measurements.md says what each row means.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="rows as JSON on stdout")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, within 90 s")
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--only", action="append", choices=list(MEASUREMENTS), metavar="NAME",
        help="only this measurement; may be given again",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EdgeAgentError as error:
        say(f"{error}")
        sys.exit(FAILED)
