"""`scripts/demo` for real, smaller: what pumps, ledger and headquarters have is the same."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.store.verify import verify_books
from tests.e2e.station import Ran

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

SIDES = ("pump", "ledger", "hq")


async def demo(*words: str) -> Ran:
    """Run the demo as its script does, once everything is set up."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "edge_agent.sim.live", "--headless", "--json", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        timeout=280,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


async def test_six_sales_end_with_one_object_and_the_same_sums() -> None:
    ran = await demo("--sales", "6")
    assert ran.code == 0, ran.err
    assert len(ran.out.splitlines()) == 1
    told = ran.json
    assert told["ok"] is True
    assert (told["sales"], told["plate_sales"], told["agent_starts"]) == (6, 2, 1)
    assert told["member_sales"] >= 4
    assert told["drawn"]["balance"] >= 3, "two plates and a card"
    assert told["drawn"]["points"] == 1
    for sums in (told["volume_ml"], told["amount_fen"]):
        assert tuple(sums) == SIDES
        assert len(set(sums.values())) == 1
        assert sums["pump"] > 0
    assert told["payable_fen"]["ledger"] == told["payable_fen"]["hq"] > 0
    assert told["payable_fen"]["ledger"] < told["amount_fen"]["ledger"]  # members pay less
    assert told["head_seq"] == told["acked_seq"] > 0
    assert told["ledger_ok"] is True
    assert (told["hq_differences"], told["hq_alarms"]) == (0, 0)
    assert re.search(r"the attendants' screen: http://127\.0\.0\.1:\d+/enrol\?code=", ran.err)
    assert "sale 6" in ran.err


async def test_a_broker_that_is_down_and_a_killed_agent_change_no_sum(tmp_path: Path) -> None:
    ran = await demo(
        "--sales", "6", "--broker-down-for", "4", "--kill-mid-fuelling", "--seed", "7",
        "--root", str(tmp_path),
    )  # fmt: skip
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert told["ok"] is True
    assert told["agent_starts"] == 2
    assert told["sales"] >= 6
    for sums in (told["volume_ml"], told["amount_fen"]):
        assert len(set(sums.values())) == 1
    assert told["payable_fen"]["ledger"] == told["payable_fen"]["hq"]
    assert told["head_seq"] == told["acked_seq"]
    assert (told["hq_differences"], told["hq_alarms"]) == (0, 0)
    assert verify_books(tmp_path / "station" / "var" / "ledger.db").ok


async def test_a_senseless_wish_is_a_usage_error() -> None:
    ran = await demo("--sales", "0")
    assert (ran.code, ran.out) == (2, "")
    assert "at least one sale" in ran.err
