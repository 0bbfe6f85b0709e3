"""What must hold once a simulated station has come to rest, whatever had happened to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from drivers.pump_model import SimulatedPump
from edge_agent.core.chain import genesis, verify
from edge_agent.core.point import Phase, Point
from edge_agent.model.errors import ChainBroken
from edge_agent.model.ids import FpId
from edge_agent.model.ledger import LedgerRecord
from edge_agent.model.policy import ClassLimits
from edge_agent.model.records import (
    BODIES,
    FuellingCompleted,
    FuellingDisputed,
    RecordBody,
    SaleRefunded,
    SaleSettled,
)
from edge_agent.sim.held_checks import Held, headquarters_agrees
from edge_agent.sim.lease_checks import (
    leases_hold,
    limits_hold,
    proofs_were_asked_for,
    sales_move_what_they_say,
    top_ups_are_single,
)

RIGHT_ALARMS: Final = ("floor_debt", "over_cap", "points_debt")
"""What headquarters is right to be alarmed about: an account that spent offline more than it holds,
as the floor limit allows; one that was topped up here and paid into there; points that were spent
before the refund of their sale took them back."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A station at rest: the three sides that must agree."""

    pumps: dict[FpId, SimulatedPump]
    points: dict[FpId, Point]
    ledger: Sequence[LedgerRecord]
    hq: Sequence[LedgerRecord]
    hq_alarms: Sequence[str]
    hq_sums: Mapping[str, int]
    held: Held
    limits: Mapping[str, ClassLimits]
    """Of each account."""


def bodies_of(records: Sequence[LedgerRecord]) -> list[RecordBody]:
    """Return the bodies of records, in order."""
    return [BODIES[record.kind].model_validate_json(record.body) for record in records]


def violations(rest: Rest) -> list[str]:
    """Return everything that does not hold, in words; an empty list is what is wanted."""
    bodies = bodies_of(rest.ledger)
    return [
        *_at_rest(rest),
        *_fuel_is_conserved(rest, bodies),
        *_chain_is_whole(rest),
        *_hq_has_the_same(rest),
        *_hq_counts_the_same(rest, bodies),
        *_money_is_sound(bodies),
        *_nothing_is_disputed(bodies),
        *_what_is_held_is_sound(rest, bodies),
    ]


def _what_is_held_is_sound(rest: Rest, bodies: Sequence[RecordBody]) -> Iterator[str]:
    latest = accumulate((record.at_ms for record in rest.ledger), max)
    dated = list(zip(latest, bodies, strict=True))
    yield from leases_hold(dated)
    yield from sales_move_what_they_say(dated)
    yield from limits_hold(dated, rest.limits)
    yield from proofs_were_asked_for(dated, rest.limits)
    yield from top_ups_are_single(dated)
    yield from headquarters_agrees(rest.held, bodies)


def _at_rest(rest: Rest) -> Iterator[str]:
    for fp, point in rest.points.items():
        if point.phase is not Phase.READY or point.current is not None:
            yield f"FP {fp} did not come to rest: {point.phase}"


def _fuel_is_conserved(rest: Rest, bodies: Sequence[RecordBody]) -> Iterator[str]:
    """Litres and money per nozzle, from the pump's own truth to the ledger, and no sale doubled."""
    volume: Counter[tuple[int, int]] = Counter()
    amount: Counter[tuple[int, int]] = Counter()
    count: Counter[int] = Counter()
    for body in bodies:
        if isinstance(body, FuellingCompleted):
            volume[body.fp, body.nozzle] += body.volume_ml
            amount[body.fp, body.nozzle] += body.amount_fen
            count[body.fp] += 1
    for fp, pump in rest.pumps.items():
        for nozzle, hose in pump.hoses.items():
            if volume[fp, nozzle] != hose.delivered_ml:
                yield (
                    f"fuel: FP {fp} nozzle {nozzle} delivered {hose.delivered_ml} ml,"
                    f" the ledger has {volume[fp, nozzle]} ml"
                )
            if amount[fp, nozzle] != hose.delivered_fen:
                yield (
                    f"money: FP {fp} nozzle {nozzle} delivered {hose.delivered_fen} fen,"
                    f" the ledger has {amount[fp, nozzle]} fen"
                )
        if count[fp] > pump.deliveries:
            yield f"sales: FP {fp} made {pump.deliveries} deliveries, recorded {count[fp]}"


def _chain_is_whole(rest: Rest) -> Iterator[str]:
    try:
        if rest.ledger:
            verify(rest.ledger, genesis(rest.ledger[0].epoch))
    except ChainBroken as error:
        yield f"chain: {error.detail}"
    if [record.seq for record in rest.ledger] != list(range(1, len(rest.ledger) + 1)):
        yield "chain: a seq is missing or repeated"


def _hq_has_the_same(rest: Rest) -> Iterator[str]:
    ours = {record.seq: record.hash for record in rest.ledger}
    theirs = Counter(record.seq for record in rest.hq)
    for seq, times in theirs.items():
        if times > 1:
            yield f"hq: record {seq} was taken {times} times"
    for record in rest.hq:
        if ours.get(record.seq) != record.hash:
            yield f"hq: record {record.seq} differs from the station's"
    if missing := sorted(ours.keys() - theirs.keys()):
        yield f"hq: {len(missing)} records are missing, the first is {missing[0]}"
    for alarm in rest.hq_alarms:
        if not alarm.startswith(RIGHT_ALARMS):
            yield f"hq: alarm {alarm}"


def _hq_counts_the_same(rest: Rest, bodies: Sequence[RecordBody]) -> Iterator[str]:
    """HQ's sums, made by its own audit, are those of the station's ledger; its prices too."""
    fuellings = [body for body in bodies if isinstance(body, FuellingCompleted)]
    sales = [body for body in bodies if isinstance(body, SaleSettled)]
    ours = {
        "fuellings": len(fuellings),
        "volume_ml": sum(body.volume_ml for body in fuellings),
        "amount_fen": sum(body.amount_fen for body in fuellings),
        "sales": len(sales),
        "repriced": len(sales),
        "payable_fen": sum(body.quote.payable_fen for body in sales),
        "differences": 0,
    }
    for name, value in ours.items():
        if rest.hq_sums[name] != value:
            yield f"hq: {name} is {rest.hq_sums[name]} there and {value} here"


def _nothing_is_disputed(bodies: Sequence[RecordBody]) -> Iterator[str]:
    """Simulated displays and totalisers agree, so a dispute is the agent's own mistake."""
    for body in bodies:
        if isinstance(body, FuellingDisputed):
            yield f"dispute: {body.reason} expected {body.expected}, found {body.found}"


def _money_is_sound(bodies: Sequence[RecordBody]) -> Iterator[str]:
    settled: Counter[str] = Counter()
    refunded: Counter[str] = Counter()
    for body in bodies:
        match body:
            case SaleSettled():
                settled[body.fuelling_id] += 1
                tendered = sum(tender.amount_fen for tender in body.tenders)
                if tendered != body.quote.payable_fen:
                    yield f"money: sale {body.sale_id} does not add up"
            case SaleRefunded():
                refunded[body.sale_id] += 1
    for what, counts in (("settled", settled), ("refunded", refunded)):
        for name, times in counts.items():
            if times > 1:
                yield f"money: {name} was {what} {times} times"
