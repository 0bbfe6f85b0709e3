"""`edge-agent`, process by process, against a station that runs and against none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agent.model.dispenser import DispenserStatus
from edge_agent.model.ids import LogicalNozzle
from edge_agent.model.plates import parse_plate
from edge_agent.sim.live.rig import CONFIG
from edge_agent.vision.drawing import draw_car
from edge_agent.vision.picture import encode_jpeg
from tests.e2e.station import Station, command, until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.broker]

PLATE = "云A12D45"
OK, FAILED, USAGE, NOT_RUNNING, DEGRADED = 0, 1, 2, 3, 5


async def test_status_tells_health_in_its_exit_code(station: Station) -> None:
    view = await station.view()
    ran = await station.edge_agent("status", "--json")
    assert ran.code == (DEGRADED if view["problems"] else OK)
    assert ran.json["station"] == "demo-1"
    assert ran.json["fuelling_points"] == {"idle": 4}
    assert ran.json["sync"]["connected"] is True
    assert ran.json["cameras"] == {"lane-a": "ok"}
    assert ran.json["price_set"] == "demo-1"
    assert ran.err == ""


async def test_pumps_are_listed_released_and_stopped(station: Station) -> None:
    listed = await station.edge_agent("pump", "list", "--json")
    points = listed.json["fuelling_points"]
    assert [point["fp"] for point in points] == [1, 2, 3, 4]
    assert [n["number"] for point in points for n in point["nozzles"]] == [1, 2, 3, 4, 5, 6]
    released = await station.edge_agent("pump", "authorise", "2", "--litres", "5", "--json")
    assert released.code == OK
    fuelling = released.json["fuelling_id"]
    again = await station.edge_agent("pump", "authorise", "2")
    assert (again.code, again.out) == (FAILED, "")
    assert again.err.startswith("fp_busy")
    point = await station.point(2)
    assert (point["fuelling_id"], point["preset_volume_ml"]) == (fuelling, 5_000)

    pump = station.pump(2)
    pump.lift(station.now_ms(), LogicalNozzle(2))
    pump.squeeze(station.now_ms())

    async def ended_by_preset() -> bool:
        pump.advance(station.now_ms())
        return pump.ended_by_limit or pump.volume_ml == 5_000

    await until(ended_by_preset, "the preset ends the fuelling")
    body = await station.hang(2)
    assert (body["fuelling_id"], body["volume_ml"]) == (fuelling, 5_000)
    await station.pay(fuelling)


async def test_a_stop_ends_the_fuelling_at_the_pump(station: Station) -> None:
    fuelling = await station.begin(4)
    stopped = await station.edge_agent("pump", "stop", "4")
    assert (stopped.code, stopped.out) == (OK, "")
    pump = station.pump(4)

    async def ended() -> bool:
        return pump.status in {DispenserStatus.COMPLETE, DispenserStatus.IDLE}

    await until(ended, "the pump has stopped")
    pump.hang(station.now_ms())

    async def payable() -> bool:
        return any(item["fuelling_id"] == fuelling for item in (await station.view())["unpaid"])

    await until(payable, "what was delivered has to be paid")
    await station.pay(fuelling)
    actions = [record["body"] for record in await station.records("operator.action")]
    assert {"action": "stop", "fp": 4, "operator": "cli", "detail": ""} in actions
    await station.agrees()


async def test_everything_stops_and_is_released(station: Station) -> None:
    assert (await station.edge_agent("pump", "stop-all")).code == OK
    refused = await station.edge_agent("pump", "authorise", "1")
    assert (refused.code, refused.err.split(":")[0]) == (FAILED, "stop_all")
    assert (await station.edge_agent("status")).code == DEGRADED
    assert (await station.edge_agent("pump", "stop-all", "--release")).code == OK
    await station.selling()


async def test_sync_and_ledger_tell_the_same(station: Station, tmp_path: Path) -> None:
    await station.sell(1)
    assert (await station.edge_agent("sync", "drain")).code == OK
    sync = await station.edge_agent("sync", "status", "--json")
    assert sync.code == OK
    assert sync.json["waiting"] == 0
    tail = (await station.edge_agent("ledger", "tail", "-n", "3", "--json")).json["records"]
    assert [record["seq"] for record in tail][-1] == sync.json["head_seq"]
    assert tail[-1]["kind"] == "sale.settled"
    verified = await station.edge_agent("ledger", "verify", "--json")
    assert verified.json["head"]["hash"] == tail[-1]["hash"]

    copy = tmp_path / "copy" / "var" / "ledger.db"
    copy.parent.mkdir(parents=True)
    saved = await station.edge_agent("ledger", "backup", str(copy), "--json")
    assert saved.code == OK
    alone = await command("ledger", "verify", "--json", root=tmp_path / "copy")
    assert (alone.code, alone.json["ok"]) == (OK, True)
    assert alone.json["head"] == verified.json["head"]
    offline = await command("ledger", "tail", "-n", "3", "--json", root=tmp_path / "copy")
    assert offline.json["records"] == tail


async def test_a_drawn_plate_is_read(tmp_path: Path) -> None:
    picture, empty = tmp_path / "car.jpg", tmp_path / "none.jpg"
    picture.write_bytes(encode_jpeg(draw_car(parse_plate(PLATE), 3, frame=1)))
    ran = await command("plate", "read", str(picture), "--json")
    assert ran.code == OK
    told = json.loads(ran.out)
    assert told["file"] == str(picture)
    assert [plate["text"] for plate in told["plates"]] == [PLATE]
    assert len(told["plates"][0]["box"]) == 4
    missing = await command("plate", "read", str(picture), str(empty), "--json")
    assert missing.code == FAILED
    lines = [json.loads(line) for line in missing.out.splitlines()]
    assert [bool(line["error"]) for line in lines] == [False, True]


async def test_frames_are_decoded_a_line_each() -> None:
    ran = await command("bus", "decode", "dart", "5020FA", "50300102")
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert len(lines) == 2
    assert [line["ok"] for line in lines] == [True, False]
    assert lines[0]["fields"]["address"] == "50"
    assert lines[1]["error"]


@pytest.mark.parametrize(
    "words",
    [("status", "--json"), ("pump", "list"), ("pump", "stop", "1"), ("sync", "status")],
    ids=" ".join,
)
async def test_without_an_agent_the_exit_code_says_so(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    ran = await command(*words, root=tmp_path)
    assert (ran.code, ran.out) == (NOT_RUNNING, "")
    assert ran.err.startswith("agent_not_running")
    assert f"edge-agent --root {tmp_path} run" in ran.err


@pytest.mark.parametrize("verb", [("config", "check"), ("run",)], ids=" ".join)
async def test_an_unknown_key_names_what_was_meant(tmp_path: Path, verb: tuple[str, ...]) -> None:
    file = tmp_path / "etc" / "station.toml"
    file.parent.mkdir(parents=True)
    text = (CONFIG / "station.toml").read_text(encoding="utf-8")
    wrong = text.replace("utc_offset_minutes = 480", "utc_ofset_minutes = 480")
    assert wrong != text
    file.write_text(wrong, encoding="utf-8")
    ran = await command(*verb, root=tmp_path)
    assert (ran.code, ran.out) == (FAILED, "")
    for told in (str(file), "[station]", "'utc_ofset_minutes'", "'utc_offset_minutes'"):
        assert told in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "var" / "ledger.db").exists()


async def test_a_wrong_option_is_a_usage_error(tmp_path: Path) -> None:
    ran = await command("pump", "authorise", "two", root=tmp_path)
    assert (ran.code, ran.out) == (USAGE, "")
