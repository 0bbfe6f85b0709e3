"""What was really delivered: a dispenser's display held against its totalisers.

The display is the legal figure of a fuelling that was watched to its end. After a restart or a
lost link it proves nothing, since it may still show an older sale: then only totalisers tell.
All functions are pure; the bodies they return are written in one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.model.dispenser import FuellingEnded
from edge_agent.model.ids import FpId
from edge_agent.model.records import (
    FuellingDisputed,
    NozzleTotals,
    RecordBody,
    TotaliserBaseline,
    TotaliserJumped,
)
from edge_agent.model.units import Money, UnitPrice, Volume, amount_of

TOLERANCE_ML = 10
"""Display and totaliser may differ by one count of the coarser of the two."""

MOST_UNSEEN_ML = 5_000_000
"""More than 5,000 litres through one nozzle while nobody watched is no sale that anybody pays: the
totaliser was replaced, or two dispensers swapped addresses. It is recorded for a person."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The figures to record for one nozzle, and the findings to record beside them."""

    volume: Volume
    amount: Money
    findings: tuple[RecordBody, ...] = ()


def moved_since(before: NozzleTotals | None, after: NozzleTotals | None) -> int | None:
    """Return by how many millilitres a totaliser moved on; None where that cannot be known.

    A totaliser that went backwards or further than belief was replaced, swapped or rolled over:
    it says nothing about this fuelling.
    """
    if before is None or after is None:
        return None
    moved = after.volume_ml - before.volume_ml
    return moved if 0 <= moved <= MOST_UNSEEN_ML else None


def totaliser_findings(
    fp: FpId, before: NozzleTotals | None, after: NozzleTotals | None
) -> tuple[RecordBody, ...]:
    """Return the record that a first sight or an unbelievable move of a totaliser deserves."""
    if after is None:
        return ()
    if before is None:
        return (TotaliserBaseline(fp=fp, totals=after),)
    if moved_since(before, after) is None:
        return (TotaliserJumped(fp=fp, nozzle=after.nozzle, before=before, after=after),)
    return ()


def watched(
    fuelling_id: str,
    ended: FuellingEnded,
    before: NozzleTotals | None,
    after: NozzleTotals | None,
    price: UnitPrice | None,
) -> Delivered:
    """Decide a fuelling that was watched to its end: the display counts, differences are recorded.

    A display of zero beside totalisers that moved is fuel that must not be lost: the totalisers
    count then.
    """
    findings = list(totaliser_findings(ended.fp, before, after))
    moved = moved_since(before, after)
    volume, amount = ended.volume, ended.amount
    if moved is not None and abs(moved - volume.ml) > TOLERANCE_ML:
        findings.append(_dispute(fuelling_id, ended, "volume", moved, volume.ml))
        if not volume:
            volume, amount = Volume(moved), _amount_moved(before, after, moved, ended.unit_price)
    if price is not None and price != ended.unit_price:
        findings.append(
            _dispute(fuelling_id, ended, "unit_price", price.milli, ended.unit_price.milli)
        )
    expected = amount_of(volume, ended.unit_price)
    if abs(expected.fen - amount.fen) > _amount_tolerance_fen(ended.unit_price):
        findings.append(_dispute(fuelling_id, ended, "amount", expected.fen, amount.fen))
    return Delivered(volume, amount, tuple(findings))


def unwatched(
    display: FuellingEnded | None,
    before: NozzleTotals | None,
    after: NozzleTotals,
    fp: FpId,
    price: UnitPrice,
) -> Delivered | None:
    """Decide what a nozzle delivered while nobody watched; None where it delivered nothing.

    The display is believed only where it shows exactly what the totaliser moved by.
    """
    findings = totaliser_findings(fp, before, after)
    moved = moved_since(before, after)
    if not moved:
        return Delivered(Volume(0), Money(0), findings) if findings else None
    shown = display is not None and display.nozzle == after.nozzle and display.volume.ml == moved
    if shown and display is not None:
        return Delivered(display.volume, display.amount, findings)
    return Delivered(Volume(moved), _amount_moved(before, after, moved, price), findings)


def interrupted(
    fuelling_id: str,
    display: FuellingEnded | None,
    before: NozzleTotals | None,
    after: NozzleTotals,
    fp: FpId,
    price: UnitPrice,
) -> Delivered | None:
    """Decide a fuelling that was begun under our eyes and ended without them.

    As `unwatched`; but where the totalisers say nothing, because they were replaced or rolled over
    in between, the display is all there is: it counts, and is disputed.
    """
    found = unwatched(display, before, after, fp, price)
    jumped = before is not None and moved_since(before, after) is None
    if not jumped or display is None or display.nozzle != after.nozzle or not display.volume:
        return found
    dispute = _dispute(fuelling_id, display, "volume", 0, display.volume.ml)
    findings = found.findings if found is not None else ()
    return Delivered(display.volume, display.amount, (*findings, dispute))


def _amount_moved(
    before: NozzleTotals | None, after: NozzleTotals | None, moved_ml: int, price: UnitPrice
) -> Money:
    start = None if before is None else before.amount_fen
    end = None if after is None else after.amount_fen
    if start is not None and end is not None and end >= start:
        return Money(end - start)
    return amount_of(Volume(moved_ml), price)


def _amount_tolerance_fen(price: UnitPrice) -> int:
    """One count of the display's centilitres in money, and the fen that both sides round."""
    return amount_of(Volume(TOLERANCE_ML), price).fen + 1


def _dispute(
    fuelling_id: str, ended: FuellingEnded, reason: str, expected: int, found: int
) -> FuellingDisputed:
    return FuellingDisputed.model_validate(
        {
            "fuelling_id": fuelling_id,
            "fp": int(ended.fp),
            "nozzle": int(ended.nozzle),
            "reason": reason,
            "expected": expected,
            "found": found,
        }
    )
