"""What customers, attendants and the mains do to a station: nothing is lost, nothing is twice."""

from __future__ import annotations

import asyncio

import pytest

from edge_agent.model.ids import LogicalNozzle
from tests.e2e.station import Station, until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.broker,
    pytest.mark.timeout(240),
]

CASH = {"tenders": [{"means": "cash"}]}


async def becomes(station: Station, fp: int, state: str) -> None:
    async def is_so() -> bool:
        return bool((await station.point(fp))["state"] == state)

    await until(is_so, f"point {fp} is {state}")


@pytest.mark.parametrize("fp", [1, 3], ids=["dart", "modbus"])
async def test_two_equal_sales_in_a_row_are_two(station: Station, fp: int) -> None:
    first, second = await station.sell(fp, 2_000), await station.sell(fp, 2_000)
    figures = ("volume_ml", "amount_fen", "unit_price_milli", "nozzle")
    assert [first[key] for key in figures] == [second[key] for key in figures]
    assert first["fuelling_id"] != second["fuelling_id"]
    assert first["totals_after"] == second["totals_before"]
    await station.agrees()


async def test_a_button_pressed_twice_acts_once(station: Station) -> None:
    answers = await asyncio.gather(
        *(station.ask("POST", "/v1/fuelling-points/2/authorise", {}) for _ in range(3))
    )
    assert sorted(answer.status for answer in answers) == [200, 409, 409]
    pump = station.pump(2)
    pump.lift(station.now_ms(), LogicalNozzle(1))
    pump.squeeze(station.now_ms(), 2_000)

    async def full() -> bool:
        pump.advance(station.now_ms())
        return pump.volume_ml == 2_000 and not pump.is_flowing

    await until(full, "the tank is full")
    fuelling = (await station.hang(2))["fuelling_id"]
    before = await station.figure("edge_sales_total")
    key = {"Idempotency-Key": "one-touch-of-a-finger"}
    path = f"/v1/fuellings/{fuelling}/settle"
    paid = await asyncio.gather(*(station.ask("POST", path, CASH, key) for _ in range(3)))
    assert [answer.status for answer in paid] == [200] * 3
    assert len({answer.body["sale_id"] for answer in paid}) == 1
    assert await station.figure("edge_sales_total") == before + 1
    await station.agrees()


async def test_a_nozzle_lifted_over_lunch_sells_nothing(station: Station) -> None:
    delivered = station.rig.pumps.delivered()
    for fp in (1, 4):
        station.pump(fp).lift(station.now_ms(), LogicalNozzle(1))
        station.pump(fp).squeeze(station.now_ms(), 5_000)
        await becomes(station, fp, "calling")
    await station.sell(2)
    for fp in (1, 4):
        assert (await station.point(fp))["state"] == "calling"
        station.pump(fp).hang(station.now_ms())
        await becomes(station, fp, "idle")
    assert station.rig.pumps.delivered()[0] == delivered[0] + 2_000
    await station.agrees()


async def test_cars_that_leave_unpaid_hold_the_point_at_its_limit(station: Station) -> None:
    unpaid = []
    for _ in range(2):
        await station.begin(3, 2_000)
        unpaid.append((await station.end(3))["fuelling_id"])
    refused = await station.ask("POST", "/v1/fuelling-points/3/authorise", {})
    assert (refused.status, refused.body["code"]) == (409, "unpaid_limit")
    waiting = [item["fuelling_id"] for item in (await station.view())["unpaid"]]
    assert waiting == unpaid
    await station.sell(4)  # the next point does not care
    for fuelling in reversed(unpaid):  # the second car's driver comes back first
        await station.pay(fuelling)
    await station.sell(3)
    await station.agrees()


async def test_a_pump_without_power_comes_back_with_its_fuelling(station: Station) -> None:
    fuelling = await station.begin(1)
    pump = station.pump(1)
    pump.power_off(station.now_ms())
    pump.hang(station.now_ms())
    delivered = (pump.volume_ml, pump.amount_fen)
    await becomes(station, 1, "offline")
    await station.sell(2)  # the other pump of the same bus
    pump.power_on(station.now_ms())

    async def recorded() -> bool:
        done = await station.records("fuelling.completed")
        return any(record["body"]["fuelling_id"] == fuelling for record in done)

    await until(recorded, "the interrupted fuelling is recorded")
    done = [r["body"] for r in await station.records("fuelling.completed")]
    found = [body for body in done if body["fuelling_id"] == fuelling]
    assert [(body["volume_ml"], body["amount_fen"]) for body in found] == [delivered]
    await station.pay(fuelling)
    await station.selling()
    await station.agrees()


async def test_the_main_switch_at_closing_time(station: Station) -> None:
    """Pumps and PC lose power in the same instant, with fuel flowing; in the morning all is on."""
    fuellings = {await station.begin(fp): fp for fp in (2, 3)}
    for pump in station.rig.pumps.pumps.values():
        pump.power_off(station.now_ms())
    station.rig.kill_agent()
    delivered = {}
    for fuelling, fp in fuellings.items():
        pump = station.pump(fp)
        pump.hang(station.now_ms())
        delivered[fuelling] = (pump.volume_ml, pump.amount_fen)
    for pump in station.rig.pumps.pumps.values():
        pump.power_on(station.now_ms())

    await station.rig.start_agent()
    await station.selling()
    done = [record["body"] for record in await station.records("fuelling.completed")]
    found = [body for body in done if body["fuelling_id"] in fuellings]
    assert delivered == {
        body["fuelling_id"]: (body["volume_ml"], body["amount_fen"]) for body in found
    }
    assert [body["origin"] for body in found] == ["recovered"] * 2
    for fuelling in fuellings:
        await station.pay(fuelling)
    await station.agrees()
