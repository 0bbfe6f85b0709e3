"""`scripts/fuzz`: looks for a case in which something that must always hold does not."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from scripts.fuzzing import casefile, prices
from scripts.fuzzing.jobs import Progress, available, say, spread
from scripts.fuzzing.lending import run as lending
from scripts.fuzzing.shrinking import shrunk

FAILED: Final = 1
CASES: Final = 100_000
OPERATIONS: Final = 1_000_000
CHUNK: Final = 500
SHOWN: Final = 5
"""Failing cases that are made small and written down; the others are counted."""
FOLDER: Final = Path("build/fuzz")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz what was asked for; return 0 when nothing failed."""
    options = _parser().parse_args(arguments)
    parts: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
        "prices": fuzz_prices,
        "leases": fuzz_leases,
    }
    wanted = list(parts) if options.what == "all" else [options.what]
    reports = [parts[name](options) for name in wanted]
    if options.json:
        sys.stdout.write(json.dumps(reports, ensure_ascii=False, indent=1) + "\n")
    else:
        sys.stdout.write("".join(_told(report) for report in reports))
    return 0 if all(report["ok"] for report in reports) else FAILED


def fuzz_prices(options: argparse.Namespace) -> dict[str, Any]:
    """Price random cases; return the report."""
    progress = Progress("prices", options.cases)
    total: dict[str, float] = dict.fromkeys(
        ("cases", "compared", "settled", "applied", "combinations", "largest", "quoting_s"), 0
    )
    troubles: list[prices.Trouble] = []
    chunks = [
        prices.Chunk(f"{options.seed}:{number}", min(CHUNK, options.cases - first))
        for number, first in enumerate(range(0, options.cases, CHUNK))
    ]
    for found in spread(prices.run, chunks, options.jobs):
        for name, so_far in total.items():
            value = getattr(found, name)
            total[name] = max(so_far, value) if name == "largest" else so_far + value
        troubles += found.troubles
        progress.add(found.cases)
    return {
        "name": "prices",
        "ok": not troubles and progress.done >= options.cases,
        "seed": options.seed,
        **{name: round(value, 1) for name, value in total.items()},
        "seconds": round(progress.seconds, 1),
        "rules": [*prices.RULES, prices.SETTLED],
        "failures": len(troubles),
        "failed": [_written(trouble, Path(options.out)) for trouble in troubles[:SHOWN]],
    }


def fuzz_leases(options: argparse.Namespace) -> dict[str, Any]:
    """Let worlds of twenty stations live; return the report."""
    progress = Progress("leases", options.operations)
    worlds = lending.parts(options.seed, options.operations)
    if options.world is not None:
        worlds = [world for world in worlds if world.seed == f"{options.seed}:{options.world}"]
    outcomes: list[lending.Outcome] = []
    live = lending.run_real if options.real else lending.run
    for outcome in spread(live, worlds, options.jobs):
        outcomes.append(outcome)
        progress.add(outcome.operations)
        if outcome.found:
            again = (
                f"scripts/fuzz leases --seed {options.seed} --world {outcome.seed.split(':')[1]}"
            )
            say(f"{again}: after {outcome.operations} operations: {outcome.found[0]}")
    failed = [asdict(outcome) for outcome in outcomes if outcome.found]
    return {
        "name": "leases",
        "ok": not failed and len(outcomes) == len(worlds) > 0,
        "seed": options.seed,
        "books": "real stores" if options.real else "paper",
        "worlds": len(worlds),
        "stations": worlds[0].size.stations if worlds else 0,
        **lending.added(outcomes),
        "seconds": round(progress.seconds, 1),
        "rules": [*lending.RULES],
        "failures": len(failed),
        "failed": failed[:SHOWN],
    }


def _written(trouble: prices.Trouble, folder: Path) -> dict[str, object]:
    small = shrunk(trouble)
    file = casefile.write(trouble, small, folder)
    say(f"{trouble.rule}: {trouble.what}")
    say(f"  edge-agent quote {file}")
    return {
        "seed": trouble.seed, "number": trouble.number, "rule": trouble.rule,
        "what": trouble.what, "file": str(file),
    }  # fmt: skip


def _told(report: dict[str, Any]) -> str:
    lines = [f"{report['name']}: {'ok' if report['ok'] else 'FAILED'}"]
    for name, value in report.items():
        if name not in {"name", "ok", "rules", "failed"}:
            lines.append(f"  {name}: {value}")
    lines += [f"  rule: {rule}" for rule in report["rules"]]
    lines += [f"  FAILED {each}" for each in report["failed"]]
    return "".join(f"{line}\n" for line in lines)


def _count(text: str) -> int:
    number = int(text.replace("_", "").replace(",", ""))
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz",
        description="Looks for a case in which something that must always hold does not.",
        epilog="The same seed draws the same cases. docs/fuzzing.md says what must hold.",
    )
    parser.add_argument("what", nargs="?", default="all", choices=["prices", "leases", "all"])
    parser.add_argument("--cases", type=_count, default=CASES, help=f"prices; {CASES} by default")
    parser.add_argument(
        "--operations", type=_count, default=OPERATIONS, help=f"leases; {OPERATIONS} by default"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--world", type=int, help="leases: only this one of the seed's worlds")
    parser.add_argument(
        "--real", action="store_true", help="leases: real stores and whole sales, five times slower"
    )
    parser.add_argument("--jobs", type=_count, default=available(), help="processes")
    parser.add_argument("--out", default=str(FOLDER), help="where failing cases are written")
    parser.add_argument("--json", action="store_true", help="the reports as JSON on stdout")
    return parser


if __name__ == "__main__":
    sys.exit(main())
