"""Headquarters in virtual time: the real service's rules and books, on the broker in memory."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from edge_agent.model import topics
from edge_agent.model.errors import LinkLost
from edge_agent.model.ids import StationId
from edge_agent.model.ledger import LedgerRecord
from edge_agent.model.records import Asset
from edge_agent.ports import Clock, Inbound
from edge_agent.sim.memory_broker import MemoryBroker
from hq.books import HqBooks
from hq.enrolment import NewMember
from hq.headquarters import Headquarters
from hq.keys import HqKeys
from hq.message import Message

PUBLISH_S: Final = 10.0
AUDIT_ROWS: Final = 500


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
        names = ("fuellings", "volume_ml", "amount_fen", "sales", "payable_fen", "differences")
        row = self.books.connection.execute(
            "SELECT fuellings, volume_ml, amount_fen, sales, payable_fen, differences FROM sums"
            " WHERE station = ?",
            (station,),
        ).fetchone()
        return dict(zip(names, row or (0,) * len(names), strict=True))

    def granted(self) -> dict[str, int]:
        """Return all that was ever set aside of each account, top-ups at tills included."""
        rows = self.books.connection.execute(
            "SELECT holder, sum(amount) FROM lease WHERE asset = 'balance' GROUP BY holder"
        )
        return dict(rows.fetchall())

    def unproved(self) -> list[str]:
        """Return where what is held is not what the journal and the leases say."""
        return self.rules.vault.differences()

    def held(self, asset: Asset, holder: str) -> int:
        """Return all that headquarters holds for somebody, less what was spent."""
        return self.rules.vault.held(asset, holder)

    def issue_coupon(self, template: str, member: str) -> str:
        """Give a member a coupon; return its serial."""
        with self.books.transaction():
            policy, now_ms = self.rules.desk.policy_in_force(), self._clock.wall_ms()
            return self.rules.coupons.issue(policy, template, now_ms, member=member)
