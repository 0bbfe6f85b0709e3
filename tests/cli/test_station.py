"""Status, screen and sync, as a person and as a monitor see them."""

from __future__ import annotations

import re

from tests.api.fake_figures import now_ms
from tests.api.fake_station import FakeStation, offline, problem
from tests.cli.conftest import CommandLine


def test_a_healthy_station_is_ok(running: CommandLine) -> None:
    ran = running("status", "--json")
    assert (ran.code, ran.json["state"]) == (0, "ok")
    assert ran.json["fuelling_points"] == {"idle": 8}


def test_a_problem_makes_it_degraded_and_is_told(
    running: CommandLine, station: FakeStation
) -> None:
    station.change(problems=(problem("clock_untrusted", "时钟未同步", "the clock is off"),))
    ran = running("status", "--json")
    assert (ran.code, ran.json["state"]) == (5, "degraded")
    assert ran.json["problems"][0]["code"] == "clock_untrusted"
    assert "the clock is off" in running("status").out


def test_status_speaks_the_persons_language(running: CommandLine, chinese: None) -> None:
    assert "8 空闲" in running("status").out


def test_an_offline_station_says_since_when_and_how_much_waits(
    running: CommandLine, station: FakeStation
) -> None:
    offline(station, now_ms() - 3_600_000, 7)
    assert re.search(r"OFFLINE since 20\d\d-", running("status").out)
    ran = running("sync", "status", "--json")
    assert ran.code == 5
    assert (ran.json["waiting_sales"], ran.json["waiting"]) == (7, 28)
    assert "DOWN" in running("sync", "status").out


def test_drain_fails_while_something_waits(running: CommandLine, station: FakeStation) -> None:
    assert running("sync", "drain", "--json").json == {"drained": True, "waiting": 0}
    offline(station, now_ms(), 2)
    ran = running("sync", "drain", "--timeout", "0", "--json")
    assert (ran.code, ran.json) == (1, {"drained": False, "waiting": 8})


def test_screen_prints_a_link_that_works_once(running: CommandLine) -> None:
    ran = running("screen", "--json")
    assert ran.code == 0
    assert ran.json["url"].endswith(f"/enrol?code={ran.json['code']}")
    assert running("screen").out.startswith("http://127.0.0.1:")
