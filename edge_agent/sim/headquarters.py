"""Headquarters in virtual time: the real service's rules and books, on the broker in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Final

from edge_agent.model import topics
from edge_agent.model.errors import ConfigRefused, LinkLost
from edge_agent.model.ids import StationId
from edge_agent.model.ledger import LedgerRecord
from edge_agent.model.policy import ClassLimits
from edge_agent.ports import Clock, Inbound
from edge_agent.sim.held_checks import Held, OpenLease
from edge_agent.sim.memory_broker import MemoryBroker
from hq.books import HqBooks
from hq.enrolment import NewMember
from hq.headquarters import Headquarters
from hq.keys import HqKeys
from hq.member_codes import issue_code
from hq.message import Message

PUBLISH_S: Final = 10.0
AUDIT_ROWS: Final = 500
DAY_MS: Final = 86_400_000


class SimHeadquarters:
    """One HQ. `up` says whether it listens; what it committed survives its being down."""

    def __init__(self, broker: MemoryBroker, clock: Clock, chance: random.Random) -> None:
        self.keys = HqKeys(chance.randbytes(32), chance.randbytes(32))
        self.books = HqBooks(":memory:")
        self.rules = Headquarters(self.books, self.keys)
        self.up = True
        self._clock = clock
        self._uplink = broker.client("hq", [topics.EVERY_UP])

    def open_for_business(
        self, station: StationId, prices: dict[str, int], policy: str, members: list[NewMember]
    ) -> None:
        """Put prices, policy and members on the desk."""
        with self.books.transaction():
            now_ms = self._clock.wall_ms()
            self.rules.publish_policy(policy, now_ms)
            self.rules.desk.publish_prices("ps-1", 0, prices, station)
            for member in members:
                self.rules.enrolment.enrol(member, now_ms)

    def change_prices(self, station: StationId, name: str, prices: dict[str, int]) -> None:
        """Publish a price set that is in force from now on."""
        with self.books.transaction():
            self.rules.desk.publish_prices(name, self._clock.wall_ms(), prices, station)

    def publish_policy(self, text: str) -> None:
        """Publish a policy that is in force from now on."""
        with self.books.transaction():
            self.rules.publish_policy(text, self._clock.wall_ms())

    def issue_coupon(self, template: str, member: str, lasts_ms: int | None = None) -> str:
        """Give a member a coupon; return its serial. `lasts_ms` None is as the template says.

        Raises:
            ConfigRefused: the template is unknown, or the member had enough of it.
        """
        with self.books.transaction():
            policy, now_ms = self.rules.desk.policy_in_force(), self._clock.wall_ms()
            found = policy.template(template)
            begun_ms = now_ms
            if found is not None and lasts_ms is not None:
                begun_ms += lasts_ms - found.valid_days * DAY_MS
            return self.rules.coupons.issue(
                policy, template, now_ms, member=member, from_ms=begun_ms
            )

    def pay_in(self, member: str, fen: int) -> bool:
        """Take in money for a member's account; False where the law caps it."""
        with self.books.transaction():
            account = self.rules.members.account_of(member)
            caps = self.rules.desk.policy_in_force().stored_value
            try:
                self.rules.enrolment.pay_in(account or "", fen, caps, self._clock.wall_ms())
            except ConfigRefused:
                return False
        return True

    def lock(self, member: str) -> None:
        """Let nothing be charged to a member any more."""
        with self.books.transaction():
            self.rules.enrolment.lock(member, "lost", self._clock.wall_ms())

    def unlock(self, member: str) -> None:
        """Let a member be charged again."""
        with self.books.transaction():
            self.rules.enrolment.unlock(member)

    def show_code(self, member: str, nonce: bytes) -> str:
        """Return what a member's phone shows now: a dynamic code."""
        return issue_code(self.keys, member, self._clock.wall_ms(), nonce)

    def now_ms(self) -> int:
        """Return monotonic time."""
        return self._clock.monotonic_ms()

    async def run(self) -> None:
        """Serve for ever; while it is down, messages go by unheard."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._publish())

    async def _listen(self) -> None:
        async for item in self._uplink.messages():
            if isinstance(item, Inbound) and self.up:
                message = Message(item.topic, item.payload)
                await self._send(self.rules.handle([message], self._clock.wall_ms()))

    async def _publish(self) -> None:
        while True:
            await asyncio.sleep(PUBLISH_S)
            if self.up:
                await self._send(self.rules.publish(self._clock.wall_ms()))
                self.rules.examine(AUDIT_ROWS, self._clock.wall_ms())

    async def _send(self, messages: list[Message]) -> None:
        for message in messages:
            try:
                await self._uplink.publish(message.topic, message.payload)
            except LinkLost:
                return  # the station asks again

    # --- what checkers ask ------------------------------------------------------------------

    def audit_all(self) -> None:
        """Re-price every sale that has arrived."""
        while self.rules.examine(AUDIT_ROWS, self._clock.wall_ms()):
            pass

    def records(self, epoch: int) -> list[LedgerRecord]:
        """Return the rows taken in of one epoch."""
        rows = self.books.connection.execute(
            "SELECT seq, kind, at_ms, body, hash FROM ledger JOIN stream ON stream.id = stream"
            " WHERE epoch = ? ORDER BY seq",
            (epoch,),
        )
        return [LedgerRecord(epoch, seq, kind, at, body, "", h) for seq, kind, at, body, h in rows]

    def alarms(self) -> list[str]:
        """Return what HQ found wrong."""
        rows = self.books.connection.execute("SELECT seq, code, detail FROM alarm ORDER BY id")
        return [f"{code} at {seq}: {detail}" for seq, code, detail in rows]

    def sums(self, station: StationId) -> dict[str, int]:
        """Return what HQ itself has added up of a station."""
        names = (
            "fuellings", "volume_ml", "amount_fen", "sales", "payable_fen", "repriced",
            "differences",
        )  # fmt: skip
        row = self.books.connection.execute(
            f"SELECT {', '.join(names)} FROM sums WHERE station = ?",  # noqa: S608 - our own names
            (station,),
        ).fetchone()
        return dict(zip(names, row or (0,) * len(names), strict=True))

    def held(self, here: Mapping[str, OpenLease]) -> Held:
        """Return what is held, beside the leases that a station has."""
        read = self.books.connection.execute
        held = read(
            "SELECT asset, holder, sum(free) + sum(leased) + sum(locked) - sum(debt) FROM holding"
            " GROUP BY asset, holder"
        ).fetchall()
        taken_in = read(
            "SELECT asset, holder, sum(iif(source = 'world', amount, 0))"
            " - sum(iif(target = 'world', amount, 0)) FROM journal WHERE station = ''"
            " GROUP BY asset, holder"
        ).fetchall()
        lent = read(
            "SELECT lease_id, asset, holder, amount, spent FROM lease WHERE state = 'open'"
        ).fetchall()
        return Held(
            held={(asset, holder): amount for asset, holder, amount in held},
            taken_in={(asset, holder): amount for asset, holder, amount in taken_in},
            lent={name: OpenLease((row[0], row[1]), row[2], row[3]) for name, *row in lent},
            here=here,
            unproved=self.rules.vault.differences(),
        )

    def limits(self) -> dict[str, ClassLimits]:
        """Return the limits of each account, by its class."""
        policy = self.rules.desk.policy_in_force()
        rows = self.books.connection.execute("SELECT account, limit_class FROM account")
        return {account: policy.limits_of(limit_class) for account, limit_class in rows}
