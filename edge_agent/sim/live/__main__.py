"""`scripts/demo`: runs a whole station and, with --sales, ends with a summary."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path

from edge_agent.sim.live.rig import RigFailed
from edge_agent.sim.live.show import Show, Wishes, say


def main() -> int:
    """Run the demo; 0 when everything agreed, 1 when something did not, 130 when interrupted."""
    options = _parser().parse_args()
    wishes = Wishes(
        sales=options.sales, broker_down_for=options.broker_down_for,
        kill=options.kill_mid_fuelling, seed=options.seed, keep=options.root is not None,
        hands_on=options.hands_on,
    )  # fmt: skip
    if options.root is not None:
        options.root.mkdir(parents=True, exist_ok=True)
    show = Show(wishes, options.root)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # take everything down in order
    try:
        summary = asyncio.run(show.run())
    except RigFailed as failed:
        say(f"demo: {failed}")
        return 1
    except KeyboardInterrupt:
        return 130
    with contextlib.suppress(BrokenPipeError):
        shown = json.dumps(summary.as_json()) if options.json else summary.as_text()
        print(shown)  # noqa: T201 - this is the data
    return 0 if summary.ok else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="A whole petrol station: pumps on serial devices and Modbus TCP, a camera, "
        "a broker, headquarters and the attendants' screen.",
    )
    add = parser.add_argument
    add("--sales", type=_positive, help="end after so many sales and print a summary")
    add("--headless", action="store_true", help="nobody looks: accepted for scripts, the screen "
        "is served all the same")  # fmt: skip
    add("--json", action="store_true", help="print the summary as JSON on stdout")
    add("--hands-on", action="store_true", help="you are the attendant: serve at the screen")
    add("--broker-down-for", type=int, default=0, metavar="N",
        help="stop the broker for the first N sales")  # fmt: skip
    add("--kill-mid-fuelling", action="store_true",
        help="kill the agent with SIGKILL in the middle of a fuelling")  # fmt: skip
    add("--seed", type=int, default=1, help="who comes, and how much they want")
    add("--root", type=Path, help="folder for everything; kept afterwards")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one sale")
    return number


if __name__ == "__main__":
    sys.exit(main())
