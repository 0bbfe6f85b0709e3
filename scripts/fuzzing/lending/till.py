"""What happens at a till, with nothing but its movements: for a million operations."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from edge_agent.core import leases
from edge_agent.model.ids import MemberRef
from edge_agent.model.records import AssetMoved, PointsEarned, RecordBody, StoredValueToppedUp
from scripts.fuzzing.lending.paper_books import PaperBooks
from scripts.fuzzing.lending.people import CAMPAIGN, DAY_MS, Person
from scripts.fuzzing.lending.station import Station, drawn

FLOOR_FEN: Final = 300
MOST_REMEMBERED: Final = 50


class Till(Protocol):
    """What people do at stations. Every method raises `Died`."""

    async def sell(self, station: Station, person: Person) -> None: ...
    async def refund(self, station: Station) -> None: ...
    async def top_up(self, station: Station, person: Person) -> None: ...


@dataclass(slots=True)
class BareTill:
    """Sales of which only what they moved is written down."""

    chance: random.Random
    made: int = 0
    sales: dict[str, list[tuple[str, list[PointsEarned]]]] = field(default_factory=dict)
    """Sales that may be refunded, by station: id, and the points that were earned."""

    async def sell(self, station: Station, person: Person) -> None:
        """Draw stored value, and now and then points, a coupon, a budget, or the floor limit."""
        self.made += 1
        sale = f"{station.name}-{self.made}"
        now_ms = station.now_ms()
        bodies: list[RecordBody] = list(self._paid(station, person, sale, now_ms))
        bodies += self._points(station, person, sale, now_ms)
        bodies += self._coupon(station, person, sale, now_ms)
        bodies += self._budget(station, sale, now_ms)
        if not bodies:
            return
        points = self.chance.randint(0, 300)
        earned = [_earned(person.ref, sale, points, now_ms)] if points else []
        await station.ledger.append([*bodies, *earned])
        remembered = self.sales.setdefault(station.name, [])
        remembered.append((sale, earned))
        del remembered[:-MOST_REMEMBERED]

    def _paid(self, station: Station, person: Person, sale: str, now_ms: int) -> list[AssetMoved]:
        wanted = self.chance.choice((1, self.chance.randint(1, 30_000), 100, 8_000))
        holding = station.books.holding("balance", person.account)
        here = holding.available(now_ms)
        if wanted > here:
            station.ask("balance", person.account, wanted - here)
        moved = drawn(holding, min(wanted, here), sale, now_ms) if here else []
        if wanted > here and self.chance.random() < 0.05:
            moved.append(
                AssetMoved(
                    asset="balance",
                    holder=person.account,
                    delta=-min(wanted - here, FLOOR_FEN),
                    sale_id=sale,
                    reason="sale",
                    lease_id=None,
                    cache_age_s=60,
                )
            )
        return moved

    def _points(self, station: Station, person: Person, sale: str, now_ms: int) -> list[AssetMoved]:
        if self.chance.random() > 0.2:
            return []
        wanted = 100 * self.chance.randint(1, 8)
        holding = station.books.holding("points", person.ref)
        here = holding.available(now_ms)
        if here < wanted:
            station.ask("points", person.ref, wanted - here)
        usable = min(wanted, here) // 100 * 100
        return drawn(holding, usable, sale, now_ms) if usable else []

    def _coupon(
        self, station: Station, person: Person, sale: str, now_ms: int
    ) -> Sequence[AssetMoved]:
        if self.chance.random() > 0.4:
            return []
        for lease in station.books.coupons_of(person.ref):
            if lease.available(now_ms):
                draw = leases.Draw(lease.terms.lease_id, 1)
                return leases.movements("coupon", lease.terms.holder, (draw,), sale)
        return []

    def _budget(self, station: Station, sale: str, now_ms: int) -> list[AssetMoved]:
        if self.chance.random() > 0.1:
            return []
        holding = station.books.holding("budget", CAMPAIGN)
        usable = min(holding.available(now_ms), self.chance.randint(1, 120))
        return drawn(holding, usable, sale, now_ms) if usable else []

    async def refund(self, station: Station) -> None:
        """Give back what a sale took."""
        remembered = self.sales.get(station.name, [])
        if not remembered:
            return
        # Some are asked for again: books that came back from a backup do not know the first time.
        sale, earned = self.chance.choice(remembered)
        books = station.books
        moved = books.movements(sale) if isinstance(books, PaperBooks) else []
        back: list[RecordBody] = list(leases.given_back(moved))
        if not back:
            return  # given back already, or forgotten by a restore
        back += [
            body.model_copy(update={"points": -body.points, "reason": "refund"}) for body in earned
        ]
        await station.ledger.append(back)

    async def top_up(self, station: Station, person: Person) -> None:
        """Pay money in at the till."""
        self.made += 1
        now_ms = station.now_ms()
        body = StoredValueToppedUp(
            top_up_id=f"T-{station.name}-{self.made}",
            account_ref=person.account,
            member_ref=person.ref,
            amount_fen=self.chance.choice((1_000, 5_000, 10_000)),
            means="cash",
            confirmed_by="second_person",
            second_operator="lead",
            idempotency_key=f"k-{station.name}-{self.made}",
            operator="till",
            expires_ms=now_ms + self.chance.choice((3_600_000, 7 * DAY_MS)),
        )
        await station.ledger.append([body])


def _earned(member: MemberRef, sale: str, points: int, now_ms: int) -> PointsEarned:
    return PointsEarned(
        member_ref=member,
        sale_id=sale,
        points=points,
        expires_ms=now_ms // DAY_MS * DAY_MS + 30 * DAY_MS,
        reason="sale",
    )
