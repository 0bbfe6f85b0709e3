"""When everything is mended and time has run out: do truth, stations and headquarters agree?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from scripts.fuzzing.lending.people import DAY_MS
from scripts.fuzzing.lending.truth import Key
from scripts.fuzzing.lending.world import World

ROUNDS: Final = 400
QUIET: Final = 3
"""Rounds without a word, an hour apart, after which all is said."""
EXPECTED_ALARMS: Final = frozenset(
    {
        "epoch_changed", "born_anew", "rows_after_backup",  # disks were lost and restored
        # messages came late, or twice
        "leases_refused", "policy_refused", "members_refused", "prices_refused",
        "floor_debt", "points_debt", "debt",  # the floor limit, or earned points spent and refunded
        "over_cap",  # two tills took money at the same time
    }
)  # fmt: skip
PAID_BACK_TWICE: Final = frozenset(
    {"refund_beyond_sale", "refunded_twice", "points_reversal_differs", "movements_differ"}
)
"""Alarms about a restored station that pays a sale back a second time: it cannot know the first.
Headquarters credits nothing twice, which the sums prove."""


async def settle_down(world: World) -> list[str]:
    """Mend everything, let every lease run out, and return what does not agree."""
    world.calm()
    if not await _drain(world):
        return ["the stations' books did not all arrive at headquarters"]
    _lend_no_more(world)
    for _ in range(3):
        world.clock.ms += 60 * DAY_MS
        for station in world.stations.values():
            await station.close_due()
            await station.close_due()
        if not await _drain(world):
            return ["what was closed did not arrive at headquarters"]
    return [*world.found, *_troubles(world)]


async def _drain(world: World) -> bool:
    """Let messages flow until nobody has anything to say, not even after a while."""
    quiet = 0
    for _ in range(ROUNDS):
        world.clock.ms += 1_500
        spoken = await world.deliver_all()
        if spoken or world.examine_all():
            quiet = 0
            continue
        quiet += 1
        if quiet == QUIET:
            return all(each.drained for each in world.stations.values())
        # What was lost is sent again after half a minute, what was refused after an hour.
        world.clock.ms += 3_700_000
    return False


def _lend_no_more(world: World) -> None:
    office = world.office
    with office.books.transaction():
        for asset, holder in office.ask("SELECT DISTINCT asset, holder FROM home"):
            office.rules.standing.settle(asset, holder, {})


# --- what has to agree --------------------------------------------------------------------------


def _troubles(world: World) -> Iterator[str]:
    yield from world.office.rules.vault.differences()
    open_leases = world.office.ask("SELECT lease_id, station FROM lease WHERE state = 'open'")
    yield from (
        f"lease {lease_id} at {station} is open for ever" for lease_id, station in open_leases
    )
    yield from _all_rows_arrived(world)
    yield from _holdings_agree(world)
    expected = EXPECTED_ALARMS | (PAID_BACK_TWICE if world.happened["restore"] else set())
    for code, times in world.office.ask("SELECT code, count(*) FROM alarm GROUP BY code"):
        if code not in expected:
            yield f"{times} alarms {code}"
    if world.office.ask("SELECT 1 FROM parked"):
        yield "headquarters could not read a message"


def _all_rows_arrived(world: World) -> Iterator[str]:
    """Every row that a station still has is at headquarters, with the same hash."""
    for station in world.stations.values():
        for standing in station.books.epochs():
            ours = [row.hash for row in station.books.records_of(standing, 0, standing.last_seq)]
            theirs = world.office.ask(
                "SELECT hash FROM ledger JOIN stream ON stream.id = stream"
                " WHERE station = ? AND epoch = ? ORDER BY seq LIMIT ?",
                station.name, standing.epoch, len(ours),
            )  # fmt: skip
            if ours != [row[0] for row in theirs]:
                yield f"{station.name}, epoch {standing.epoch}: rows differ"


def _holdings_agree(world: World) -> Iterator[str]:
    """What headquarters holds is what came in less what went out, by its own rows and by truth."""
    rows = _Rows()
    for station, kind, body in world.office.ask(
        "SELECT station, kind, body FROM ledger JOIN stream ON stream.id = stream"
        " WHERE kind IN ('asset.moved', 'points.earned', 'stored_value.topped_up')"
        " ORDER BY stream, seq"
    ):
        rows.read(station, kind, json.loads(body))
    expired: Counter[Key] = Counter()
    for asset, holder, expires_ms, amount in world.office.ask(
        "SELECT asset, holder, expires_ms, sum(amount) FROM journal WHERE reason = 'expired'"
        " GROUP BY 1, 2, 3"
    ):
        expired[asset, holder, expires_ms] = amount
        if asset == "points" and expires_ms > world.clock.ms:
            yield f"points of {holder} were let go before their time"
    held = {
        (asset, holder, expires_ms): (amount, leased, debt)
        for asset, holder, expires_ms, amount, leased, debt in world.office.ask(
            "SELECT asset, holder, expires_ms, free + leased + locked - debt, leased, debt"
            " FROM holding"
        )
    }
    truth = world.truth
    for key in sorted({*held, *truth.put_in, *rows.put_in}):
        amount, leased, debt = held.get(key, (0, 0, 0))
        spent = truth.spent[key] + truth.beyond[key]
        if spent != rows.spent[key]:
            yield f"{key}: {spent} were spent, headquarters' rows say {rows.spent[key]}"
        due = world.desk[key] + rows.put_in[key] - spent - expired[key]
        if amount != due:
            yield f"{key}: {amount} held, {due} due"
        if leased:
            yield f"{key}: {leased} still set aside"
        if debt > truth.beyond[key] + rows.reversed[key]:
            yield f"{key}: {debt} owed, {truth.beyond[key]} were spent beyond the leases"


class _Rows:
    """Sums of what stations told headquarters, read anew from the rows."""

    def __init__(self) -> None:
        self.put_in: Counter[Key] = Counter()
        self.spent: Counter[Key] = Counter()
        self.reversed: Counter[Key] = Counter()
        self._of_sale: Counter[object] = Counter()
        self._earned: dict[tuple[str, str], Key] = {}

    def read(self, station: str, kind: str, body: dict[str, Any]) -> None:
        """Add one row."""
        if kind == "stored_value.topped_up":
            self.put_in["balance", body["account_ref"], 0] += body["amount_fen"]
        elif kind == "points.earned":
            self._points(station, body)
        else:
            self._moved(station, body)

    def _points(self, station: str, body: dict[str, Any]) -> None:
        sale = (station, body["sale_id"])
        if body["points"] > 0:
            key = ("points", body["member_ref"], body["expires_ms"])
            self._earned[sale] = key
            self.put_in[key] += body["points"]
        elif sale in self._earned:
            key = self._earned.pop(sale)
            self.put_in[key] += body["points"]
            self.reversed[key] -= body["points"]

    def _moved(self, station: str, body: dict[str, Any]) -> None:
        parts = [(part["expires_ms"], part["points"]) for part in body["buckets"]]
        for expires_ms, amount in parts or [(0, abs(body["delta"]))]:
            key = (body["asset"], body["holder"], expires_ms)
            sale = (station, body["sale_id"], body["lease_id"], key)
            if body["delta"] < 0:
                self._of_sale[sale] += amount
                self.spent[key] += amount
            else:
                back = min(amount, self._of_sale[sale])
                self._of_sale[sale] -= back
                self.spent[key] -= back
