"""The measurements run through and say what is documented; how quick anything is, is not asked."""

from __future__ import annotations

import json
import random
import subprocess
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from edge_agent.core.promotions import quote
from edge_agent.model.policy import load_policy
from edge_agent.sim.live.broker import mosquitto_path
from scripts.benchmarks import __main__ as bench
from scripts.benchmarks import pricing, rule_engine
from scripts.benchmarks.row import Row, Scale, Timing, percentile
from tests.core import brute_force

ROOT = Path(__file__).parents[2]
KEYS = {"name", "value", "unit", "limit", "limit_name", "ratio", "peers"}
TINY = Scale(tiny=True)
ROWS = {
    "release": ["lift_to_authorise"],
    "pricing": ["quote_12_offers", "quote_50_offers"],
    "laboratory": ["policy_replay"],
    "members": ["member_by_plate"],
    "settling": ["settlement_commits"],
    "authorising": ["online_authorisation"],
    "backlog": ["backlog_to_hq", "restart_with_backlog"],
    "plates": ["plate_read"],
    "footprint": ["resident_memory", "processor_share", "cold_start"],
    "simulated": ["station_simulated"],
}


def row(**more: object) -> Row:
    values: dict[str, object] = {
        "name": "n", "value": 2.0, "unit": "s", "limit": 1.0, "limit_name": "promised",
        "sense": "at_most", "goal_ratio": 1.0, "goal": "g",
    }  # fmt: skip
    return Row(**(values | more))  # type: ignore[arg-type]


def test_every_measurement_is_listed_here() -> None:
    assert list(bench.MEASUREMENTS) == list(ROWS)


@pytest.mark.parametrize(
    "name", ["pricing", "laboratory", "members", "settling", "plates", "simulated"]
)
def test_a_measurement_yields_its_rows(name: str) -> None:
    _check(name, bench.measured(name, TINY))


@pytest.mark.broker
@pytest.mark.skipif(mosquitto_path() is None, reason="mosquitto is not installed")
def test_the_backlog_arrives_whole_and_so_does_the_peers() -> None:
    rows = bench.measured("backlog", TINY)
    _check("backlog", rows)
    assert rows[0]["peers"]
    assert rows[0]["details"]["bridge_messages_twice"] == 0


@pytest.mark.broker
@pytest.mark.skipif(mosquitto_path() is None, reason="mosquitto is not installed")
def test_headquarters_is_asked_over_a_real_broker_until_the_lease_is_in_force() -> None:
    rows = bench.measured("authorising", TINY)
    _check("authorising", rows)
    assert rows[0]["value"] > rows[0]["peers"]["the broker alone, there and back"] / 2


def test_a_nozzle_is_released_on_a_line_with_true_byte_times() -> None:
    rows = bench.measured("release", TINY)
    _check("release", rows)
    assert rows[0]["ratio"] > 1, "nobody is quicker than the wire"
    assert rows[0]["details"]["confirming_the_lift_on_the_wire_ms"] < rows[0]["limit"]


def test_the_daemon_is_measured_as_it_polls() -> None:
    _check("footprint", bench.measured("footprint", TINY))


def test_every_row_is_described() -> None:
    text = (ROOT / "docs" / "measurements.md").read_text(encoding="utf-8")
    for names in ROWS.values():
        for name in names:
            assert f"`{name}`" in text


@pytest.mark.parametrize(
    ("sense", "value", "ok"),
    [("at_most", 1.0, True), ("at_most", 1.01, False), ("at_least", 1.0, True),
     ("at_least", 0.99, False)],
)  # fmt: skip
def test_a_goal_is_reached_or_not(sense: str, value: float, ok: bool) -> None:
    assert row(sense=sense, value=value).ok is ok


def test_a_flaw_fails_a_row_however_good_its_number() -> None:
    assert not row(value=0.1, flaws=("a record was lost",)).ok


def test_without_a_limit_nothing_is_reached() -> None:
    assert not row(sense="at_least", limit=0.0).ok


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(n) for n in range(1, 101)]
    assert percentile(values, 0.99) == 99
    assert percentile(values, 1.0) == 100
    assert percentile([5.0], 0.99) == 5


def test_a_timing_notes_every_call() -> None:
    timing = Timing()
    calls: list[int] = []
    for n in range(3):
        timing.add(partial(calls.append, n))
    assert calls == [0, 1, 2]
    assert timing.details()["calls"] == 3


def test_a_quote_that_is_not_the_cheapest_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        pricing,
        "expected",
        lambda *given: replace(brute_force.expected(*given), payable_fen=0),
    )
    rows = pricing.measure(TINY)
    assert rows[0].flaws
    assert not rows[0].ok


def test_the_rule_engine_prices_the_same_cases_and_is_never_cheaper() -> None:
    if not rule_engine.is_installed():
        pytest.skip("zen-engine is not installed")
    for offers in (12, 50):
        policy, chance = pricing.a_policy(offers), random.Random(offers)
        rival = rule_engine.ZenPrices(policy)
        dearer = 0
        for request in (pricing.a_request(chance) for _ in range(150)):
            payable = quote(request, policy).payable.fen
            assert rival.price(request) >= payable
            dearer += rival.price(request) > payable
        assert 0 < dearer < 75, "a greedy price is often the best one, and often not"


def test_what_the_rule_engine_has_no_words_for_is_refused() -> None:
    if not rule_engine.is_installed():
        pytest.skip("zen-engine is not installed")
    texts = {"text_zh": "优惠", "text_en": "offer"}
    for more in ({"floor_milli": 5000}, {"conditions": {"first_fill": True}}):
        offer = {"id": "o", "kind": "amount_off", "off_fen": 5, **texts, **more}
        policy = load_policy(json.dumps({"format": 1, "version": 1, "offers": [offer]}))
        with pytest.raises(ValueError, match="not translated"):
            rule_engine.ZenPrices(policy)


def test_the_table_shows_every_figure_and_flaw() -> None:
    text = bench.table([row(peers={"p": 3.0}, details={"d": 4.0}, flaws=("f",)).as_json()])
    assert text.startswith("MISS n ")
    assert "peer, p: 3" in text
    assert "d: 4" in text
    assert "FLAW: f" in text


def test_json_goes_to_stdout_and_talk_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--only", "pricing", "--json", "--tiny"]) == 0
    said = capsys.readouterr()
    assert [each["name"] for each in json.loads(said.out)] == ROWS["pricing"]
    assert "bench: pricing" in said.err


def test_a_measurement_that_cannot_be_made_is_told_and_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        failed = command[-1] == "members"
        made = json.dumps([row(name=command[-1]).as_json()]).encode()
        return subprocess.CompletedProcess(command, int(failed), b"" if failed else made)

    monkeypatch.setattr(subprocess, "run", run)
    arguments = ["--json", "--only", "members", "--only", "pricing"]
    assert bench.main(arguments) == bench.FAILED
    said = capsys.readouterr()
    assert [each["name"] for each in json.loads(said.out)] == ["pricing"]
    assert "members: could not be measured" in said.err


def _check(name: str, rows: list[dict[str, object]]) -> None:
    module = import_module(f"scripts.benchmarks.{name}")
    assert module.__doc__
    assert [each["name"] for each in rows] == ROWS[name]
    for each in rows:
        assert set(each) >= KEYS
        assert not each["flaws"]
        json.dumps(each)
