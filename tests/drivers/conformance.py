"""What every driver must do, told as a customer, an attendant and a storm would see it.

Each scenario takes a `Rig` and must hold for every driver on every line.
"""

from __future__ import annotations

import asyncio

from drivers.transport.memory import MemoryTransport
from edge_agent.model.dispenser import (
    Clear,
    CommandFailed,
    DispenserStatus,
    FuellingEnded,
    Preset,
    Progress,
    ReadTotals,
    ReadTransaction,
    Resume,
    SetPrices,
    StatusChanged,
    Stop,
    Suspend,
    TotalsRead,
)
from edge_agent.model.ids import FpId
from edge_agent.model.units import Money, UnitPrice, Volume
from tests.drivers.rig import FP, ONE, TWO, Rig


async def postpay_sale(rig: Rig) -> None:
    """Lift, authorise, fuel, hang up, read the totals, clear."""
    await rig.make_ready()
    await rig.call()
    await rig.authorise()
    await rig.fuel(12_340)
    ended = await rig.hang_up()
    assert (ended.nozzle, ended.volume, ended.amount) == (ONE, Volume(12_340), Money(9_687))
    assert ended.unit_price == UnitPrice(7_850)
    statuses = [event.status for event in rig.of(StatusChanged)]
    assert statuses[-2:] == [DispenserStatus.FUELLING, DispenserStatus.COMPLETE]
    shown = [event.volume for event in rig.of(Progress)]
    assert shown == sorted(shown)
    assert rig.of(Progress)
    await read_totals(rig)
    await rig.insist(Clear(FP))
    assert rig.status() is DispenserStatus.IDLE


async def preset_by_amount(rig: Rig) -> None:
    """The dispenser's own amount counts: 25.48 L for exactly 200.00."""
    await rig.make_ready()
    ended = await rig.sell(wish_ml=None, preset=Preset(amount=Money(20_000)))
    assert (ended.volume, ended.amount) == (Volume(25_480), Money(20_000))


async def preset_by_volume(rig: Rig) -> None:
    """A preset of 10 litres ends at 10 litres, however long the customer squeezes."""
    await rig.make_ready()
    ended = await rig.sell(wish_ml=None, preset=Preset(volume=Volume(10_000)))
    assert (ended.volume, ended.amount) == (Volume(10_000), Money(7_850))


async def stop_while_fuelling(rig: Rig) -> None:
    """A stop ends the flow; what flowed is told."""
    await rig.make_ready()
    await rig.call()
    await rig.authorise()
    rig.pump.squeeze(rig.now_ms)
    await rig.until(lambda: bool(rig.of(Progress)), "progress")
    await rig.insist(Stop(FP))
    await rig.until(lambda: bool(rig.of(FuellingEnded)), "fuelling ended")
    assert rig.of(FuellingEnded)[0].volume.ml > 0


async def stop_before_flow(rig: Rig) -> None:
    """An authorisation taken back delivers nothing; the next customer is served."""
    await rig.make_ready()
    await rig.call()
    await rig.authorise()
    await rig.insist(Stop(FP))
    rig.pump.hang(rig.now_ms)
    await rig.until(lambda: bool(rig.of(FuellingEnded)), "fuelling ended")
    assert rig.of(FuellingEnded)[0].volume == Volume(0)
    await rig.until(lambda: rig.lifted() is None, "hung up")
    await rig.insist(Clear(FP))
    await rig.sell()


async def suspend_and_resume(rig: Rig) -> None:
    """A paused fuelling is one fuelling."""
    await rig.make_ready()
    await rig.call()
    await rig.authorise()
    rig.pump.squeeze(rig.now_ms, 30_000)
    await rig.until(lambda: bool(rig.of(Progress)), "progress")
    await rig.insist(Suspend(FP))
    assert rig.status() is DispenserStatus.SUSPENDED
    standing = rig.pump.volume_ml
    await asyncio.sleep(2)
    assert rig.pump.volume_ml == standing
    await rig.insist(Resume(FP))
    await rig.until(lambda: rig.status() is DispenserStatus.FUELLING, "fuelling again")
    await rig.stands()
    assert (await rig.hang_up()).volume == Volume(30_000)


async def two_nozzles(rig: Rig) -> None:
    """Each nozzle has its own price and its own totals."""
    await rig.make_ready()
    first = await rig.sell(ONE, 5_000)
    second = await rig.sell(TWO, 5_000)
    assert (first.nozzle, first.amount) == (ONE, Money(3_925))
    assert (second.nozzle, second.amount) == (TWO, Money(4_180))
    await read_totals(rig)


async def two_points(rig: Rig) -> None:
    """Two fuelling points fuel at once and do not disturb each other."""
    other = FpId(2)
    await rig.make_ready()
    await rig.make_ready(other)
    await rig.call()
    await rig.call(TWO, other)
    await rig.authorise()
    await rig.authorise(TWO, None, other)
    rig.pump.squeeze(rig.now_ms, 8_000)
    await rig.fuel(6_000, other)
    assert (await rig.hang_up(other)).volume == Volume(6_000)
    await rig.stands()
    assert (await rig.hang_up()).volume == Volume(8_000)


async def equal_sales(rig: Rig) -> None:
    """Two equal sales in a row are two sales."""
    await rig.make_ready()
    first = await rig.sell()
    second = await rig.sell()
    assert first == second
    assert len(rig.of(FuellingEnded)) == 2


async def zero_sale(rig: Rig) -> None:
    """Lifted, authorised and hung up again: a fuelling of nothing, even after a real one."""
    await rig.make_ready()
    await rig.sell()
    await rig.call()
    await rig.authorise()
    ended = await rig.hang_up()
    assert (ended.volume, ended.amount) == (Volume(0), Money(0))


async def price_change(rig: Rig) -> None:
    """New prices count from the next fuelling on, and are refused during one."""
    await rig.make_ready()
    await rig.call()
    await rig.authorise()
    await rig.fuel(2_000)
    raised = ((ONE, UnitPrice(8_000)), (TWO, UnitPrice(8_500)))
    refused = await rig.ask(SetPrices(FP, raised))
    assert isinstance(refused, CommandFailed)
    assert refused.reason == "fuelling"
    assert (await rig.hang_up()).unit_price == UnitPrice(7_850)
    await rig.until(lambda: rig.lifted() is None, "hung up")
    await rig.insist(SetPrices(FP, raised))
    await rig.insist(Clear(FP))
    assert (await rig.sell(wish_ml=1_000)).amount == Money(800)


async def link_lost_while_fuelling(rig: Rig) -> None:
    """A cable cut in the middle of a fuelling: told offline, then told what was delivered, once."""
    assert isinstance(rig.near, MemoryTransport)
    await rig.make_ready()
    await rig.call()
    await rig.authorise()
    rig.pump.squeeze(rig.now_ms, 20_000)
    await rig.until(lambda: bool(rig.of(Progress)), "progress")
    waiting = ReadTotals(FP, ONE)
    rig.submitted.append(waiting)
    rig.runner.submit(waiting)
    rig.near.cut()
    await rig.until(lambda: not rig.is_online(), "offline")
    await asyncio.sleep(10)
    rig.pump.hang(rig.now_ms)
    refused = await rig.ask(ReadTotals(FP, TWO))
    assert isinstance(refused, CommandFailed)
    rig.near.mend()
    await rig.until(rig.is_online, "online again")
    await rig.until(lambda: bool(rig.of(FuellingEnded)), "fuelling ended")
    assert rig.of(FuellingEnded)[0].volume == Volume(20_000)
    await read_totals(rig)
    await rig.insist(Clear(FP))
    await rig.sell()


async def pump_loses_power(rig: Rig) -> None:
    """One dead pump goes offline alone, and comes back."""
    other = FpId(2)
    await rig.make_ready()
    await rig.make_ready(other)
    rig.pump.power_off(rig.now_ms)
    await rig.until(lambda: not rig.is_online(), "offline")
    await rig.sell(fp=other)
    assert rig.is_online(other)
    rig.pump.power_on(rig.now_ms)
    await rig.until(rig.is_online, "online again")
    await rig.insist(Clear(FP))
    await rig.sell()


async def sold_while_nobody_listened(rig: Rig) -> None:
    """A sale made without the agent stands on the display and in the totals."""
    assert isinstance(rig.near, MemoryTransport)
    await rig.make_ready()
    rig.near.cut()
    await rig.until(lambda: not rig.is_online(), "offline")
    rig.pump.sell_offline(ONE, Volume(7_770))
    rig.near.mend()
    await rig.until(lambda: rig.status() is not None, "online again")
    await rig.insist(ReadTransaction(FP))
    for told in rig.of(FuellingEnded):  # a protocol that numbers its sales may tell it unasked
        assert (told.nozzle, told.volume, told.amount) == (ONE, Volume(7_770), Money(6_099))
        rig.events.remove(told)
    await read_totals(rig)
    await rig.insist(Clear(FP))
    await rig.sell()


async def read_totals(rig: Rig) -> None:
    """Totals are the pump's own."""
    for nozzle, hose in rig.pump.hoses.items():
        await rig.insist(ReadTotals(FP, nozzle))
        read = rig.of(TotalsRead)[-1]
        assert read.nozzle == nozzle
        assert read.volume == Volume(hose.total_volume_ml)
        assert read.amount in {None, Money(hose.total_amount_fen)}


async def a_morning(rig: Rig) -> None:
    """A sale of each kind, one after the other: what a bad line has to survive."""
    await rig.make_ready()
    await rig.sell(wish_ml=6_000)
    await rig.sell(TWO, None, Preset(amount=Money(5_000)))
    await rig.call()
    await rig.authorise()
    await rig.hang_up()
    await rig.until(lambda: rig.lifted() is None, "hung up")
    await rig.insist(Clear(FP))
    await rig.sell(wish_ml=6_000)
    await read_totals(rig)


SCENARIOS = (
    postpay_sale,
    preset_by_amount,
    preset_by_volume,
    stop_while_fuelling,
    stop_before_flow,
    suspend_and_resume,
    two_nozzles,
    two_points,
    equal_sales,
    zero_sale,
    price_change,
    link_lost_while_fuelling,
    pump_loses_power,
    sold_while_nobody_listened,
)
