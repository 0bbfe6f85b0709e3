"""Cameras beside the pumps: a plate pays, a vision process dies or freezes, and nobody is named."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import random
import signal
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.model.ids import FpId
from edge_agent.sim.live.people import Customer, DemoMember, Lane, Manner
from edge_agent.sim.live.rig import MEMBERS
from tests.e2e.station import Station, until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.broker,
    pytest.mark.timeout(240),
]


def lane(station: Station, fp: int) -> Lane:
    """Return the demo's customers and attendant at a point."""
    rig = station.rig
    bay = next(point.bay for point in rig.plan.fuelling_points() if point.fp == fp)
    camera = None if bay is None else rig.cameras.get(bay)
    return Lane(FpId(fp), station.pump(fp), rig.till, rig.clock, random.Random(fp), camera)


def customer(manner: Manner, number: int, member: DemoMember | None = None) -> Customer:
    return Customer(number, manner, 6_000, member)


# --- the vision process ----------------------------------------------------------------------


def vision_of(agent: int) -> int | None:
    """Return the process that reads plates for the agent, while there is one."""
    children = Path(f"/proc/{agent}/task/{agent}/children").read_text(encoding="ascii")
    for child in children.split():
        try:
            words = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        if b"edge_agent.vision.worker" in words:
            return int(child)
    return None


async def camera_health(station: Station) -> str:
    return str((await station.view())["cameras"][0]["health"])


async def health_becomes(station: Station, *wanted: str) -> None:
    async def is_so() -> bool:
        return await camera_health(station) in wanted

    await until(is_so, f"the camera's health is {wanted}")


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_pumps_do_not_notice_what_becomes_of_the_cameras(
    station: Station, blow: signal.Signals
) -> None:
    await health_becomes(station, "ok")
    first = vision_of(station.agent.pid)
    assert first is not None
    connections = await station.figure("edge_bus_connections_total")
    fuelling = await station.begin(1)
    os.kill(first, blow)
    await health_becomes(station, "lost")
    problems = [problem["code"] for problem in (await station.view())["problems"]]
    assert "camera_trouble" in problems
    assert station.pump(1).is_flowing
    await station.sell(3)
    body = await station.hang(1)
    assert (body["fuelling_id"], body["origin"]) == (fuelling, "observed")
    await station.pay(fuelling)

    await health_becomes(station, "ok")
    second = vision_of(station.agent.pid)
    assert second not in {None, first}
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    assert await station.figure("edge_loop_failures_total") == 0
    assert await station.figure("edge_bus_connections_total") == connections
    await station.agrees()


# --- names, cards and plates -----------------------------------------------------------------


def traces(text: str) -> Iterator[bytes]:
    """Yield how a text may lie in a file: in some encoding, or hashed without a key."""
    yield from (text.encode(code) for code in ("utf-8", "gb18030", "utf-16-le", "utf-16-be"))
    yield ascii(text)[1:-1].encode()  # as JSON escapes it
    whole = text.encode()
    yield base64.b64encode(whole)
    yield whole.hex().encode()
    for hashed in (hashlib.sha256(whole), hashlib.sha1(whole), hashlib.md5(whole)):
        yield hashed.digest()
        yield hashed.hexdigest().encode()


def readings(content: bytes) -> Iterator[bytes]:
    """Yield what a file says, as it is and unfolded if it is a compressed message."""
    yield content
    try:
        yield zlib.decompress(content)
    except zlib.error:
        return


def found_in(root: Path, secrets: dict[str, str]) -> list[str]:
    """Return where one of the secrets (by what it is) stands in clear below a folder."""
    found = []
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            continue  # the camera took a picture away
        for what, secret in secrets.items():
            if any(t in reading for reading in readings(content) for t in traces(secret)):
                found.append(f"{what} in {file.relative_to(root)}")
            if secret in file.name:
                found.append(f"{what} in the name of a file in {file.parent.relative_to(root)}")
    return found


def secrets_of(members: tuple[DemoMember, ...]) -> dict[str, str]:
    named = {}
    for member in members:
        plain = member.plate.replace("·", "")
        named[f"plate of {member.ref}"] = plain
        named[f"plate of {member.ref} without its province"] = plain[1:]
        named[f"card of {member.ref}"] = member.card
    return named


@pytest.mark.parametrize(
    "trace", [0, 1, 2, 5, 7, 8], ids=["utf8", "gb", "utf16", "base64", "sha256", "sha256-hex"]
)
async def test_the_search_would_find_a_secret(tmp_path: Path, trace: int) -> None:
    plate = "云A12D45"
    hidden = list(traces(plate))[trace]
    (tmp_path / "some.db").write_bytes(b"\x00before" + hidden + b"after")
    (tmp_path / "parked.bin").write_bytes(zlib.compress(b'{"plate":"' + hidden + b'"}'))
    assert found_in(tmp_path, {"plate": plate}) == ["plate in parked.bin", "plate in some.db"]
    assert found_in(tmp_path, {"plate": "云A12D46"}) == []


async def test_no_member_is_named_in_any_file(station: Station) -> None:
    """A plate pays, cards are looked up, an unknown plate is turned away; then every byte that
    the agent, its logs and headquarters left on disk is searched."""
    by_plate, by_card = lane(station, 1), lane(station, 2)
    await asyncio.gather(
        by_plate.serve(customer("plate", 1, MEMBERS[0])),
        by_card.serve(customer("card", 1, MEMBERS[1])),
    )
    stranger = {"kind": "plate", "identifier": "云A77K01"}
    assert (await station.ask("POST", "/v1/members/lookup", stranger)).status == 404
    rude = {"kind": "card", "identifier": MEMBERS[2].card, "more": MEMBERS[2].plate}
    assert (await station.ask("POST", "/v1/members/lookup", rude)).status == 422
    sales = (await station.ask("GET", "/v1/sales")).body
    assert [sale["plate"] for sale in sales].count(True) == 1
    assert [sale["member"] for sale in sales].count(True) == 2
    await station.agrees()

    secrets = {**secrets_of(MEMBERS), "the stranger's plate": "云A77K01"}
    assert not (station.rig.root / "import.json").exists()
    assert found_in(station.rig.root, secrets) == []
    said = [
        (await station.ask("GET", path)).body
        for path in ("/v1/station", "/v1/sales", "/v1/ledger/tail?limit=500", "/v1/metrics")
    ]
    shown = repr(said)
    assert [what for what, secret in secrets.items() if secret in shown] == []
