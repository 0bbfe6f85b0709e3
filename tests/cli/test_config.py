"""`edge-agent config`: everything that is wrong at once, and what keys mean."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge_agent.security.pins import pin_matches
from edge_agent.security.staff import load_staff
from tests.cli.conftest import ROOT, CommandLine

SHIPPED = ROOT / "config" / "station.toml"


@pytest.fixture
def configured(edge_agent: CommandLine) -> CommandLine:
    edge_agent.paths.create()
    shutil.copy(SHIPPED, edge_agent.paths.config)
    return edge_agent


def test_the_shipped_configuration_is_right(configured: CommandLine) -> None:
    ran = configured("config", "check", "--json")
    assert ran.code == 0
    assert ran.json["ok"] is True
    assert ran.json["errors"] == ran.json["doubts"] == []


def spoil(command: CommandLine, old: str, new: str) -> None:
    text = command.paths.config.read_text(encoding="utf-8")
    assert old in text
    command.paths.config.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_an_unknown_key_names_file_table_key_and_the_nearest(configured: CommandLine) -> None:
    spoil(configured, "[uplink]", "[uplink]\nhots = 1")
    ran = configured("config", "check")
    assert ran.code == 1
    line = ran.err.splitlines()[-1].strip()
    assert str(configured.paths.config) in line
    assert "table [uplink]" in line
    assert "'hots'" in line
    assert "did you mean 'host'" in line


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("decimals_confirmed", "decimal_confirmed", "did you mean 'decimals_confirmed'"),
        ('driver = "dart"', 'driver = "drat"', "dart, modbus"),
        ('profile = "reference"', 'profile = "./absent.toml"', "absent.toml"),
    ],
)
def test_drivers_check_their_own_options(
    configured: CommandLine, old: str, new: str, told: str
) -> None:
    spoil(configured, old, new)
    ran = configured("config", "check", "--json")
    assert ran.code == 1
    assert told in ran.json["errors"][0]


def test_check_takes_a_file_of_its_own(edge_agent: CommandLine) -> None:
    assert edge_agent("config", "check", str(SHIPPED)).code == 0
    assert edge_agent("config", "check").code == 1


@pytest.mark.parametrize("file", sorted((ROOT / "config" / "examples").glob("*.toml")), ids=str)
def test_examples_are_right(edge_agent: CommandLine, file: Path) -> None:
    ran = edge_agent("config", "check", str(file), "--json")
    assert (ran.json["errors"], ran.json["doubts"]) == ([], [])


def test_explain_says_what_a_key_means(edge_agent: CommandLine) -> None:
    [entry] = edge_agent("config", "explain", "uplink.port", "--json").json["keys"]
    assert entry["default"] == "8883"
    below = edge_agent("config", "explain", "uplink.tls", "--json").json["keys"]
    assert [entry["key"] for entry in below][1:] == [
        "uplink.tls.ca",
        "uplink.tls.certificate",
        "uplink.tls.key",
    ]
    unknown = edge_agent("config", "explain", "uplink.prt")
    assert unknown.code == 1
    assert "did you mean 'uplink.port'" in unknown.err


def test_schema_is_json_schema(edge_agent: CommandLine) -> None:
    schema = edge_agent("config", "schema").json
    assert "station" in schema["properties"]
    assert schema["additionalProperties"] is False


def test_a_member_of_staff_gets_a_pin_that_is_never_shown(configured: CommandLine) -> None:
    ran = configured("config", "staff", "李", stdin="246810\n")
    assert ran.code == 0
    assert "246810" not in ran.out + ran.err
    (pin_hash,) = load_staff(configured.paths.key("staff.json")).values()
    assert pin_matches(pin_hash, "246810")


def test_the_folder_of_the_keys_is_made_where_it_is_missing(configured: CommandLine) -> None:
    configured.paths.keys.rmdir()
    assert configured("config", "staff", "李", stdin="246810\n").code == 0
    assert configured.paths.keys.stat().st_mode & 0o777 == 0o700


def test_keys_that_cannot_be_written_are_told(configured: CommandLine) -> None:
    configured.paths.keys.rmdir()
    configured.paths.keys.symlink_to("absent/keys")
    ran = configured("config", "staff", "李", stdin="246810\n")
    assert (ran.code, ran.err.split(":")[0]) == (1, "keys_unwritten")


def test_what_is_no_pin_enrols_nobody(configured: CommandLine) -> None:
    ran = configured("config", "staff", "李", stdin="12\n")
    assert ran.code == 2
    assert not configured.paths.key("staff.json").exists()
