"""A till over a real store, with members who pay from stored value, and fuellings to settle."""

from __future__ import annotations

from typing import Final

from edge_agent.app.point_of_sale import PointOfSale
from edge_agent.app.purse import Purses
from edge_agent.app.till import Surroundings, Till
from edge_agent.core.settlement import SaleIdentity, settle
from edge_agent.model.errors import invariant
from edge_agent.model.ids import FuellingId, MemberRef, StationId
from edge_agent.model.records import FuellingCompleted, RecordBody
from edge_agent.model.station import StationPlan
from edge_agent.model.wishes import SaleWish, TenderOffer
from edge_agent.observe.clock import SystemClock, SystemEntropy
from edge_agent.security.member_codes import SignedMemberCodes
from edge_agent.security.pins import GuardedPins
from edge_agent.security.signatures import TrustedKeys
from edge_agent.store.station import StationStore
from scripts.benchmarks.outside import (
    GRADES,
    INDEX,
    KEYS,
    NO_DIGEST,
    NoLender,
    lease,
    member,
    policy_text,
)

PLAN: Final = StationPlan(StationId("bench-1"), "测量站", "Bench", GRADES, ())
STORED: Final = TenderOffer("stored_value")
WISH: Final = SaleWish(paying="stored_value")
MEMBERS: Final = 50


class BusyTill:
    """Makes fuellings and the records that settle them; `pos` settles them for real."""

    def __init__(self, store: StationStore) -> None:
        clock = SystemClock()
        verifier = TrustedKeys({KEYS.key_id: KEYS.public})
        around = Surroundings(
            store.books, store.catalogues, INDEX, clock, SystemEntropy(), NoLender(),
            SignedMemberCodes(verifier), GuardedPins(clock),
        )  # fmt: skip
        self.books = store.books
        self.pos = PointOfSale(around, Till(PLAN))
        self._purses = Purses(around, Till(PLAN))
        self._clock = clock
        self._catalogues = store.catalogues
        self._made = 0

    async def open(self) -> None:
        """Bring a policy, the members and their leases into force."""
        people = [member(number) for number in range(MEMBERS)]
        leases = [lease(number) for number in range(MEMBERS)]
        await self._catalogues.accept_policy(1, 1, policy_text(), sha256=NO_DIGEST)
        await self._catalogues.accept_members(1, 1, people, replaced=False, sha256=NO_DIGEST)
        await self._catalogues.accept_leases(1, 1, leases, [], sha256=NO_DIGEST)

    async def delivered(self) -> FuellingId:
        """Complete a fuelling of a member, so that it can be settled."""
        body = self._completed()
        await self.books.append([body])
        return FuellingId(body.fuelling_id)

    async def prepared(self) -> list[RecordBody]:
        """Complete a fuelling; return the records that settle it, ready to be committed."""
        fuelling = await self.delivered()
        unpaid = self.books.unpaid_fuelling(fuelling)
        invariant(unpaid is not None, "a completed fuelling is payable")
        if unpaid is None:
            return []
        quoted, policy = self.pos.quote(fuelling, WISH), self.pos.policy()
        payer = self.pos.member(MemberRef(f"m-{self._made % MEMBERS:07d}"))
        purse = self._purses.open(payer, policy)
        identity = SaleIdentity(f"s-{self._made}", f"r-{self._made}", f"k-{self._made}", "bench")
        now_ms = self._clock.wall_ms()
        completed = unpaid.completed
        return settle(completed, quoted, [STORED], purse, identity, policy.points, now_ms)

    async def fill(self, records: int, at_once: int) -> int:
        """Append at least so many records of settled sales, many sales to a transaction.

        Returns how many records the ledger holds then.
        """
        template = await self.prepared()
        await self.books.append(template)
        while self.books.head().seq < records:
            bodies: list[RecordBody] = []
            while len(bodies) < at_once and self.books.head().seq + len(bodies) < records:
                bodies += self._sale(template)
            await self.books.append(bodies)
        return self.books.head().seq

    def _sale(self, template: list[RecordBody]) -> list[RecordBody]:
        """Return the records of one more sale like the first, by another member."""
        completed = self._completed()
        number = self._made
        names = {
            "sale_id": f"s-{number}", "receipt_no": f"r-{number}", "idempotency_key": f"k-{number}",
            "fuelling_id": completed.fuelling_id,
        }  # fmt: skip
        return [
            completed,
            *(
                body.model_copy(update={k: v for k, v in names.items() if hasattr(body, k)})
                for body in template
            ),
        ]

    def _completed(self) -> FuellingCompleted:
        self._made += 1
        return FuellingCompleted(
            fuelling_id=f"f-{self._made}", fp=1, nozzle=1, nozzle_number=1, grade="92",
            price_set="bench-1", unit_price_milli=7_850, volume_ml=30_000, amount_fen=23_550,
            totals_before=None, totals_after=None, origin="observed",
            member_ref=f"m-{self._made % MEMBERS:07d}", plate_ref=None, prepaid_fen=0,
            started_ms=None, ended_ms=SystemClock().wall_ms(),
        )  # fmt: skip
