"""Everything that may happen, drawn from one seed: business, mishaps, and the passing of time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from edge_agent.model.errors import EdgeAgentError
from edge_agent.security.signatures import TrustedKeys
from hq.enrolment import NewMember
from hq.headquarters import Headquarters
from hq.keys import HqKeys
from hq.message import Message
from scripts.fuzzing.lending.line import Faults, Line
from scripts.fuzzing.lending.mishap import Died
from scripts.fuzzing.lending.office import Office
from scripts.fuzzing.lending.people import (
    CAMPAIGN,
    DAY_MS,
    POLICY,
    PRICE_MILLI,
    PRICE_SET,
    TEMPLATE,
    Person,
    people,
)
from scripts.fuzzing.lending.station import SkewedClock, Station
from scripts.fuzzing.lending.till import Till
from scripts.fuzzing.lending.truth import Key, Truth

BEGINS_MS: Final = 1_793_548_800_000
SKEW_MS: Final = 300_000
OPENING_FEN: Final = 60_000
OPENING_POINTS: Final = 4_000

WEIGHTS: Final = {
    "sell": 620, "refund": 110, "top_up": 30, "close": 60, "pay_in": 35, "coupon": 45,
    "recall": 8, "link": 50, "weather": 12, "skew": 12, "die": 20, "office_dies": 12,
    "office_away": 5, "backup": 8, "restore": 1.2, "lose_disk": 0.4, "sleep": 12,
}  # fmt: skip
"""How often each thing happens, beside the others."""
ROUGH: Final = frozenset({"recall", "die", "office_dies", "backup", "restore", "lose_disk"})


@dataclass(frozen=True, slots=True)
class Size:
    """How large a world is, and how rough."""

    stations: int = 20
    people: int = 40
    roughness: float = 1.0
    """How many times as often as usual something dies, is restored or called back."""


class Building(Protocol):
    """Where a station's books are: how they are opened, copied, and lost."""

    def open(self, station: Station) -> None:
        """Start a life over the books as they are."""

    def back_up(self, station: Station) -> None:
        """Copy the books."""

    def restore(self, station: Station) -> bool:
        """Replace the books by their copy and start; False when there is no copy."""

    def lose(self, station: Station) -> None:
        """Begin with an empty database."""


@dataclass(slots=True)
class WorldClock:
    """True time."""

    ms: int = BEGINS_MS

    @property
    def trusted(self) -> bool:
        """Always."""
        return True

    def wall_ms(self) -> int:
        """Return the true time."""
        return self.ms

    def monotonic_ms(self) -> int:
        """Return the true time."""
        return self.ms


class World:
    """Stations, headquarters, what lies between them, and what goes wrong."""

    def __init__(
        self, seed: str, size: Size, building: Building, till: Till, *, whole: bool = False
    ) -> None:
        """Make a world; `whole` says that sales are settled with all their records, so that
        headquarters prices them again, and that members are published to stations."""
        self.whole = whole
        self.chance = random.Random(f"{seed}:world")
        self.clock = WorldClock()
        self.truth = Truth()
        self.till = till
        self.building = building
        self.keys = HqKeys(self.chance.randbytes(32), self.chance.randbytes(32))
        self.office = Office(self.keys, told_of_sales=self.whole)
        self.faults = Faults()
        self.up = Line(random.Random(f"{seed}:up"), self.faults)
        self.happened: Counter[str] = Counter()
        self.desk: Counter[Key] = Counter()
        """What headquarters itself took in."""
        self.found: list[str] = []
        """What must not have happened, from stations and truth alike."""
        names = [f"S-{number:02d}" for number in range(1, size.stations + 1)]
        verifier = TrustedKeys({self.keys.key_id: self.keys.public})
        self.down: dict[str, Line] = {}
        self.stations: dict[str, Station] = {}
        for name in names:
            self.down[name] = Line(random.Random(f"{seed}:{name}:down"), self.faults)
            own = random.Random(f"{seed}:{name}")
            clock = SkewedClock(self.clock)
            station = Station(name, clock, self.up, verifier, self.truth, own)
            station.found = self.found
            self.stations[name] = station
        self.people = people(self.chance, names, size.people)
        self._deeds: dict[str, Callable[[], Awaitable[None]]] = {
            name: getattr(self, f"_{name}") for name in WEIGHTS
        }
        self._weights = [
            weight * (size.roughness if name in ROUGH else 1) for name, weight in WEIGHTS.items()
        ]

    # --- the beginning ---------------------------------------------------------------------------

    async def open(self) -> None:
        """Let headquarters take members in, and every station open for the first time."""
        rules, now_ms = self.office.rules, self.clock.wall_ms()
        with self.office.books.transaction():
            rules.publish_policy(POLICY, now_ms)
            rules.desk.publish_prices(PRICE_SET, 0, {"92": PRICE_MILLI})
            self._credit("budget", CAMPAIGN, 400_000)
            for person in self.people:
                self._enrol(person, now_ms + self.chance.choice((2, 60)) * DAY_MS, now_ms)
            if not self.whole:
                self._keep_members_here()
        for station in self.stations.values():
            self.building.open(station)
            station.connect(True)
        for _ in range(6 * len(self.stations)):
            await self._turn(most=20)
            self.clock.ms += 500

    def _enrol(self, person: Person, ends_ms: int, now_ms: int) -> None:
        member = NewMember(
            ref=person.ref,
            name="测试",
            tier="regular",
            account=person.account,
            stations=person.homes,
            opening_fen=OPENING_FEN if person.opens_account else 0,
            opening_points=[(ends_ms, OPENING_POINTS)],
        )
        self.office.rules.enrolment.enrol(member, now_ms)
        self._credit("points", person.ref, OPENING_POINTS, ends_ms)
        if person.opens_account:
            self._credit("balance", person.account, OPENING_FEN)

    def _keep_members_here(self) -> None:
        """Publish no members: composing them for every station would take most of the time."""
        self.office.books.connection.execute("UPDATE member SET version = 0")
        self.office.books.connection.execute(
            "UPDATE dataset SET version = 0 WHERE dataset = 'members'"
        )

    def _credit(self, asset: str, holder: str, amount: int, expires_ms: int = 0) -> None:
        self.desk[asset, holder, expires_ms] += amount
        self.truth.credit(asset, holder, amount, expires_ms)

    # --- one operation ---------------------------------------------------------------------------

    async def operate(self) -> None:
        """Let one thing happen, a little time pass, and some messages arrive."""
        [deed] = self.chance.choices(list(WEIGHTS), self._weights)
        self.happened[deed] += 1
        await self._deeds[deed]()
        self.clock.ms += self.chance.randint(0, 4_000)
        await self._turn(most=3)

    def _somewhere(self) -> Station:
        return self.chance.choice(list(self.stations.values()))

    async def _at(self, station: Station, work: Awaitable[None]) -> None:
        """Do something at a station; when it dies of it, it starts again."""
        try:
            await work
        except Died:
            self.building.open(station)

    def _customer(self) -> tuple[Station, Person]:
        person = self.chance.choice(self.people)
        if self.chance.random() < 0.85:
            return self.stations[self.chance.choice(person.homes)], person
        return self._somewhere(), person

    async def _sell(self) -> None:
        station, person = self._customer()
        await self._at(station, self.till.sell(station, person))

    async def _refund(self) -> None:
        station = self._somewhere()
        await self._at(station, self.till.refund(station))

    async def _top_up(self) -> None:
        station, person = self._customer()
        await self._at(station, self.till.top_up(station, person))

    async def _close(self) -> None:
        station = self._somewhere()
        await self._at(station, station.close_due())

    # --- at headquarters -------------------------------------------------------------------------

    async def _pay_in(self) -> None:
        person, fen = self.chance.choice(self.people), self.chance.randint(1, 20_000)

        def paid(rules: Headquarters, now_ms: int) -> object:
            caps = rules.desk.policy_in_force().stored_value
            return rules.enrolment.pay_in(person.account, fen, caps, now_ms)

        if self._at_desk(paid) is not None:
            self._credit("balance", person.account, fen)

    async def _coupon(self) -> None:
        person = self.chance.choice(self.people)

        def issued(rules: Headquarters, now_ms: int) -> object:
            policy = rules.desk.policy_in_force()
            return rules.coupons.issue(policy, TEMPLATE, now_ms, member=person.ref)

        serial = self._at_desk(issued)
        if serial is not None:
            self._credit("coupon", str(serial), 1)

    async def _recall(self) -> None:
        luck, latest = self.chance.random(), self.chance.random() < 0.5

        def recalled(rules: Headquarters, now_ms: int) -> object:
            rows = self.office.ask(
                "SELECT lease_id FROM lease WHERE state = 'open' ORDER BY granted_ms, lease_id"
            )
            if rows:  # the latest is perhaps on its way yet
                place = -1 if latest else int(luck * len(rows))
                rules.leases.recall(rows[place][0], now_ms)
            return None

        self._at_desk(recalled)

    def _at_desk(self, work: Callable[[Headquarters, int], object]) -> object | None:
        """Do something at headquarters' desk; return None when it refused or died of it."""
        found: object | None = None
        try:
            with self.office.books.transaction():
                found = work(self.office.rules, self.clock.wall_ms())
        except Died as death:
            self.office.restart()
            if not death.committed:
                return None
        except EdgeAgentError:
            return None
        return True if found is None else found

    # --- what goes wrong -------------------------------------------------------------------------

    async def _link(self) -> None:
        station = self._somewhere()
        station.connect(not station.connected or self.chance.random() < 0.4)
        if not station.connected:
            self.down[station.name].drop(self.chance.random())

    async def _weather(self) -> None:
        if self.chance.random() < 0.4:
            self.faults.lost = self.faults.doubled = self.faults.overtaking = 0.0
        else:
            self.faults.lost, self.faults.doubled = self.chance.random() / 4, 0.2
            self.faults.overtaking = self.chance.random() / 2

    async def _skew(self) -> None:
        self._somewhere().clock.skew_ms = self.chance.randint(-SKEW_MS, SKEW_MS)

    async def _die(self) -> None:
        self._somewhere().mishap.arm(self.chance.randint(1, 4), late=self.chance.random() < 0.5)

    async def _office_dies(self) -> None:
        late = self.chance.random() < 0.3
        writes = self.chance.randint(1, 3 if late else 120)
        self.office.mishap.arm(writes, late=late)

    async def _office_away(self) -> None:
        self.office.up = not self.office.up or self.chance.random() < 0.7

    async def _backup(self) -> None:
        self.building.back_up(self._somewhere())

    async def _restore(self) -> None:
        station = self._somewhere()
        self._look_at_the_clock(station)
        if self.building.restore(station):
            self._forget(station)
            # People come with receipts of sales that these books do not know to be refunded.
            for _ in range(4):
                await self._at(station, self.till.refund(station))

    async def _lose_disk(self) -> None:
        station = self._somewhere()
        self._look_at_the_clock(station)
        self.building.lose(station)
        self._forget(station)

    def _look_at_the_clock(self, station: Station) -> None:
        """Whoever replaces a disk makes sure that the clock is not slow.

        Epochs are numbered by it: one below an epoch that headquarters knows, and that the new
        books do not, would never be lent anything.
        """
        station.clock.skew_ms = SKEW_MS

    def _forget(self, station: Station) -> None:
        """Write off what neither the books have that came back nor headquarters."""
        # What is under way may still arrive. Dropped, it is lost like the rest of the disk.
        self.up.waiting = [
            message for message in self.up.waiting if f"/{station.name}/" not in message.topic
        ]
        kept = {each.epoch: each.last_seq for each in station.books.epochs()}
        known = dict(
            self.office.ask("SELECT epoch, up_to_seq FROM stream WHERE station = ?", station.name)
        )
        for epoch in self.truth.epochs(station.name):
            self.truth.forget(station.name, epoch, max(kept.get(epoch, 0), known.get(epoch, 0)))

    async def _sleep(self) -> None:
        self.clock.ms += self.chance.choice((600_000, 3_700_000, 3_700_000, 10 * 3_600_000))
        for station in self.stations.values():
            await self._at(station, station.close_due())

    # --- messages, and the office's day -----------------------------------------------------------

    async def _turn(self, most: int) -> None:
        """Let some stations speak, some messages arrive, and headquarters do its work."""
        for _ in range(2):
            self._somewhere().speak(2)
        if self.office.up and self.chance.random() < 0.4:
            self._office_turn(3 * most)
        for _ in range(2):
            await self._listen(self._somewhere())

    async def _listen(self, station: Station) -> None:
        line = self.down[station.name]
        while station.connected and (message := line.take()) is not None:
            await self._at(station, station.hear(message))

    def _office_turn(self, most: int) -> None:
        now_ms = self.clock.wall_ms()
        arrived: list[Message] = []
        while len(arrived) < most and (message := self.up.take()) is not None:
            arrived.append(message)
        try:
            if arrived:
                self._answer(self.office.handle(arrived, now_ms))
            if self.chance.random() < 0.15:
                self.office.examine(400, now_ms)
            if self.chance.random() < 0.04:
                self._answer(self.office.publish(now_ms))
        except Died:
            # The broker hands over again what was not acknowledged, or has forgotten it too.
            if self.chance.random() < 0.5:
                self.up.waiting[:0] = arrived

    def _answer(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.down[message.topic.split("/")[2]].send(message)

    # --- the end ---------------------------------------------------------------------------------

    def calm(self) -> None:
        """Mend everything: nothing goes wrong any more."""
        self.faults.lost = self.faults.doubled = self.faults.overtaking = 0.0
        self.office.mishap.disarm()
        self.office.up = True
        for station in self.stations.values():
            station.mishap.disarm()
            station.clock.skew_ms = 0
            station.connect(True)

    async def deliver_all(self) -> bool:
        """Let everybody say and hear everything once; return whether anybody spoke."""
        for station in self.stations.values():
            station.speak(100)
        spoken = bool(self.up.waiting)
        self._office_turn(most=10_000)
        self._answer(self.office.publish(self.clock.wall_ms()))
        spoken = spoken or any(line.waiting for line in self.down.values())
        for station in self.stations.values():
            await self._listen(station)
        return spoken

    def examine_all(self) -> bool:
        """Read what headquarters has not read yet; whether there was anything."""
        return self.office.examine(100_000, self.clock.wall_ms()) > 0
