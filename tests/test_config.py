"""The station's configuration: what is refused, and that every refusal says what to do."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from edge_agent.config.loading import MAX_BYTES, load_config, models_in, parse_config
from edge_agent.config.paths import StationPaths
from edge_agent.config.reference import entries, schema
from edge_agent.config.station import StationConfig
from edge_agent.model.errors import ConfigRefused
from edge_agent.model.ids import BusId, CameraId

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "config" / "station.toml"
TEXT = SHIPPED.read_text(encoding="utf-8")
FILES = [SHIPPED, *sorted((ROOT / "config" / "examples").glob("*.toml"))]
NAME = "etc/station.toml"


def refused(text: str) -> ConfigRefused:
    with pytest.raises(ConfigRefused) as caught:
        parse_config(text, NAME)
    return caught.value


def changed(*changes: tuple[str, str]) -> str:
    text = TEXT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_shipped_files_load_without_doubts(file: Path) -> None:
    assert load_config(file).doubts == ()


def test_the_plan_says_what_the_file_says(tmp_path: Path) -> None:
    plan = load_config(SHIPPED).config.plan(StationPaths.under(tmp_path))
    assert (plan.station, plan.name_zh, plan.name_en) == ("demo-1", "演示加油站", "Demo station")
    assert [(grade.grade, grade.name) for grade in plan.grades] == [
        ("92", "92#"),
        ("95", "95#"),
        ("0", "0#"),
    ]
    assert [point.fp for point in plan.fuelling_points()] == [1, 2, 3, 4]
    dart, modbus = plan.buses
    assert (dart.driver, dart.options) == ("dart", {"decimals_confirmed": True})
    assert [point.address for point in dart.fuelling_points] == [0x50, 0x51]
    assert dart.fuelling_points[0].bay == "A"
    assert modbus.fuelling_points[1].bay is None
    assert modbus.options["framing"] == "tcp"
    assert plan.cameras[0].source == str(tmp_path / "var" / "camera-a")


def test_paths_of_options_count_from_the_file(tmp_path: Path) -> None:
    text = changed(('profile = "reference"', 'profile = "./board.toml"'))
    plan = parse_config(text, NAME).config.plan(StationPaths.under(tmp_path))
    assert plan.buses[1].options["profile"] == str(tmp_path / "etc" / "board.toml")


# --- refusals -------------------------------------------------------------------------------------

REFUSALS = [
    (
        (('grade = "92"', 'gade = "92"'),),
        [
            "table [[buses.fuelling_points.nozzles]] (buses no. 1, fuelling_points no. 1, nozzles",
            "no. 1), key 'gade': unknown key; did you mean 'grade'?",
            "key 'grade': missing",
        ],
    ),
    ((("[api]", "[ap]"),), ["key 'ap': unknown key; did you mean 'api'?"]),
    (
        (('kind = "tcp", host', 'kind = "tcp", hots'),),
        ["table [buses.transport] (buses no. 2), key 'hots': unknown key; did you mean 'host'?"],
    ),
    ((('kind = "serial"', 'kind = "serail"'),), ["key 'transport'", "'serial', 'tcp'"]),
    ((("port = 18830", 'port = "18830"'),), ["table [uplink], key 'port'", "valid integer"]),
    ((("port = 18830", "port = 0"),), ["table [uplink], key 'port'"]),
    ((("config_version = 1", "config_version = 2"),), ["written for a newer edge-agent"]),
    ((("config_version = 1\n", ""),), ["key 'config_version': missing"]),
    ((('id = "demo-1"', 'id = "demo/1"'),), ["table [station], key 'id'"]),
    ((('grade = "92"', 'grade = "98"'),), ["'98' is not among [[grades]]: 0, 92, 95"]),
    (
        (("number = 5\n", "number = 4\n"),),
        ["[[buses.fuelling_points.nozzles]], key 'number': 4 stands 2 times"],
    ),
    ((("address = 0x51", "address = 0x50"),), ["of bus 'dart', key 'address': 80 stands 2 times"]),
    ((("logical = 2", "logical = 1"),), ["key 'logical': 1 stands 2 times"]),
    ((('id = "modbus"', 'id = "dart"'),), ["[[buses]], key 'id': dart stands 2 times"]),
    ((('id = "95"', 'id = "92"'),), ["[[grades]], key 'id': 92 stands 2 times"]),
    ((("insecure = true", ""),), ["[uplink.tls], missing", "insecure = true"]),
    (
        (('host = "127.0.0.1"\nport = 18830', 'host = "hq.example"\nport = 18830'),),
        ["hq.example is not this machine, so TLS is needed"],
    ),
    (
        (("# [uplink.tls] ", "[uplink.tls]\nca='a'\ncertificate='b'\nkey='c'\n#"),),
        ["exclude each other"],
    ),
    (
        (('source = "../var/camera-a"', 'source = "rtsp://u:hunter2@10.0.0.1/"'),),
        ["no password here"],
    ),
    (
        (("# [keys]", '[keys]\nblind_index = "../x.key"\n#'),),
        ["table [keys], key 'blind_index'", "without a folder"],
    ),
]


@pytest.mark.parametrize(("changes", "told"), REFUSALS, ids=lambda v: str(v)[:40])
def test_a_refusal_names_file_table_and_key(
    changes: tuple[tuple[str, str], ...], told: list[str]
) -> None:
    error = refused(changed(*changes))
    assert error.problem.code == "config_invalid"
    assert all(line.startswith(f"{NAME}: ") for line in error.detail.splitlines())
    assert all(part in error.detail for part in told), error.detail
    assert "hunter2" not in str(error)


def test_everything_wrong_is_told_at_once() -> None:
    error = refused(
        changed(
            ('grade = "92"', 'gade = "92"'),
            ("port = 18830", "prt = 18830"),
            ('name_zh = "演示加油站"', 'name_zh = ""'),
        )
    )
    for key in ("gade", "prt", "name_zh"):
        assert f"'{key}'" in error.detail


def test_no_value_is_repeated_in_a_refusal_of_its_type() -> None:
    error = refused(changed(('id = "demo-1"', 'id = "hunter2 "')))
    assert "hunter2" not in error.detail


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"[station", "config_syntax"),
        (b"a = 1\na = 2", "config_syntax"),
        (b"\xff\xfe", "config_unreadable"),
        (b"#" * (MAX_BYTES + 1), "config_unreadable"),
    ],
)
def test_files_that_are_no_toml(tmp_path: Path, content: bytes, code: str) -> None:
    file = tmp_path / "station.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigRefused) as caught:
        load_config(file)
    assert caught.value.problem.code == code
    assert str(file) in caught.value.detail


def test_an_absent_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match="config_missing"):
        load_config(tmp_path / "station.toml")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KNOWN = [entry.key for entry in entries()]


@given(key=st.sampled_from(KNOWN), value=values, added=st.booleans())
def test_any_value_anywhere_is_taken_or_refused_in_lines(
    key: str, value: object, added: bool
) -> None:
    """Whatever stands in a table, the answer is a configuration or lines that name the file."""
    tables = tomllib.loads(TEXT)
    *above, last = key.split(".")
    place = tables
    for part in above:
        below = place.get(part)
        below = below[0] if isinstance(below, list) else below
        if not isinstance(below, dict):
            return
        place = below
    place[f"{last}s" if added else last] = value
    told = complaint(to_toml(tables))
    assert told is None or told
    assert all(line.startswith(f"{NAME}: ") for line in (told or "").splitlines())


def complaint(text: str) -> str | None:
    try:
        parse_config(text, NAME)
    except ConfigRefused as error:
        return error.detail
    return None


def to_toml(tables: dict[str, object]) -> str:
    """Write tables as TOML, inline; None, which TOML does not know, is left out."""
    return "\n".join(
        f"{json.dumps(key)} = {_inline(value)}"
        for key, value in tables.items()
        if value is not None
    )


def _inline(value: object) -> str:
    if isinstance(value, dict):
        inner = ", ".join(
            f"{json.dumps(k)} = {_inline(v)}" for k, v in value.items() if v is not None
        )
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(_inline(item) for item in value if item is not None)}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


# --- doubts, cameras, paths -------------------------------------------------------------------


def test_doubts_are_told_but_not_refused() -> None:
    text = changed(('bay = "A"\nsource', 'bay = "Z"\nsource'))
    text = text.replace("# --- a line with", '[[grades]]\nid = "98"\nname = "98#"\n# ---', 1)
    doubts = parse_config(text, NAME).doubts
    assert "[[cameras]] 'lane-a' watches bay 'Z', where no fuelling point is" in doubts[0]
    assert "[[grades]] '98' flows through no nozzle" in doubts[1]


def test_credentials_are_put_in_only_when_asked_for(tmp_path: Path) -> None:
    text = changed(
        (
            'source = "../var/camera-a"',
            'source = "rtsp://10.0.0.1:8554/s"\ncredentials = "cam.txt"',
        )
    )
    paths = StationPaths.under(tmp_path)
    config = parse_config(text, NAME).config
    assert config.plan(paths).cameras[0].source == "rtsp://10.0.0.1:8554/s"
    secrets = {"cam.txt": b"admin:p@ss:word/1\n"}
    address = config.camera_address(CameraId("lane-a"), paths, secrets.__getitem__)
    assert address == "rtsp://admin:p%40ss%3Aword%2F1@10.0.0.1:8554/s"
    with pytest.raises(KeyError):
        config.camera_address(CameraId("other"), paths, secrets.__getitem__)


def test_the_transport_of_a_bus() -> None:
    config = load_config(SHIPPED).config
    assert config.transport(BusId("modbus")).kind == "tcp"
    with pytest.raises(KeyError):
        config.transport(BusId("other"))


def test_paths_under_a_root_and_without_one(tmp_path: Path) -> None:
    under = StationPaths.under(tmp_path)
    assert under.config == tmp_path / "etc" / "station.toml"
    assert under.ledger == tmp_path / "var" / "ledger.db"
    assert under.token == tmp_path / "run" / "api.token"
    assert under.key("a.pem") == tmp_path / "keys" / "a.pem"
    under.create()
    under.create()
    assert all(
        folder.stat().st_mode & 0o777 == 0o700
        for folder in (under.etc, under.keys, under.var, under.run)
    )
    installed = StationPaths.under(None, {})
    assert installed.config == Path("/etc/edge-agent/station.toml")
    assert installed.keys == Path("/etc/edge-agent/keys")
    given_by_systemd = StationPaths.under(None, {"CREDENTIALS_DIRECTORY": "/run/credentials/x"})
    assert given_by_systemd.keys == Path("/run/credentials/x")


# --- the reference ----------------------------------------------------------------------------


def test_every_key_has_a_description_and_is_in_the_schema() -> None:
    assert all(entry.text and entry.takes for entry in entries())
    names = set(schema()["properties"])  # type: ignore[call-overload]
    assert names == {entry.key for entry in entries() if "." not in entry.key}


def test_no_table_takes_unknown_keys() -> None:
    def tables(model: type[BaseModel]) -> list[type[BaseModel]]:
        below = [m for f in model.model_fields.values() for m in models_in(f.annotation)]
        return [model, *(found for m in below for found in tables(m))]

    for model in tables(StationConfig):
        assert model.model_config.get("extra") == "forbid"
        assert model.model_config.get("strict") is True
