"""What happens at a till, whole: fuelled, priced under the policy, settled, refunded."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from edge_agent.core import refunding
from edge_agent.core.points import most_redeemable
from edge_agent.core.promotions import quote
from edge_agent.core.purse import Purse
from edge_agent.core.settlement import SaleIdentity, settle
from edge_agent.model.ids import GradeId, SaleId
from edge_agent.model.leases import Lease
from edge_agent.model.policy import Policy, load_policy
from edge_agent.model.quote import BudgetFacts, CouponFacts, MemberFacts, QuoteRequest
from edge_agent.model.quote_record import body_of
from edge_agent.model.records import FuellingCompleted, QuoteBody
from edge_agent.model.units import Money, UnitPrice, Volume, amount_of
from edge_agent.model.wishes import TenderOffer
from edge_agent.store.books import LedgerBooks
from scripts.fuzzing.lending.people import CAMPAIGN, POLICY, PRICE_MILLI, PRICE_SET, Person
from scripts.fuzzing.lending.station import Station
from scripts.fuzzing.lending.till import FLOOR_FEN, MOST_REMEMBERED, BareTill

OFFSET_MINUTES: Final = 480
RULES: Final[Policy] = load_policy(POLICY)


@dataclass(slots=True)
class WholeTill:
    """Sales with all their records, over real books."""

    chance: random.Random
    made: int = 0
    sales: dict[str, list[str]] = field(default_factory=dict)
    """Sales that may be refunded, by station."""

    async def sell(self, station: Station, person: Person) -> None:
        """Fuel, price, pay by points, stored value and cash."""
        self.made += 1
        sale, now_ms = f"{station.name}-{self.made}", station.now_ms()
        completed = self._fuelled(f"f-{sale}", now_ms)
        await station.ledger.append([completed])
        purse = self._purse(station, person)
        body = self._priced(completed, person, purse, now_ms)
        points_fen = body.points_redeemed // 100 * 100
        due = Money(body.payable_fen - points_fen)
        spendable = purse.spendable(now_ms)
        if due > spendable:
            station.ask("balance", person.account, due.fen - purse.leased(now_ms).fen)
        stored = min(due, spendable)
        tenders = [TenderOffer("points")] if body.points_redeemed else []
        tenders += [TenderOffer("stored_value", stored)] if stored else []
        tenders += [TenderOffer("cash")] if due > stored else []
        identity = SaleIdentity(sale, f"r-{sale}", f"paid-{sale}", "till")
        await station.ledger.append(
            settle(completed, body, tenders, purse, identity, RULES.points, now_ms)
        )
        remembered = self.sales.setdefault(station.name, [])
        remembered.append(sale)
        del remembered[:-MOST_REMEMBERED]

    def _fuelled(self, name: str, now_ms: int) -> FuellingCompleted:
        volume = Volume(self.chance.choice((1_000, 10_000, self.chance.randint(100, 60_000))))
        return FuellingCompleted(
            fuelling_id=name, fp=1, nozzle=1, nozzle_number=1, grade="92", price_set=PRICE_SET,
            unit_price_milli=PRICE_MILLI, volume_ml=volume.ml,
            amount_fen=amount_of(volume, UnitPrice(PRICE_MILLI)).fen, totals_before=None,
            totals_after=None, origin="observed", member_ref=None, plate_ref=None, prepaid_fen=0,
            started_ms=now_ms, ended_ms=now_ms,
        )  # fmt: skip

    def _purse(self, station: Station, person: Person) -> Purse:
        books, rich = station.books, self.chance.random() < 0.05
        return Purse(
            account_ref=person.account,
            account=books.holding("balance", person.account),
            points=books.holding("points", person.ref),
            coupons=tuple(books.coupons_of(person.ref)),
            budgets=(books.holding("budget", CAMPAIGN),),
            floor=Money(FLOOR_FEN if rich else 0),
            cache_age_s=60,
        )

    def _priced(
        self, completed: FuellingCompleted, person: Person, purse: Purse, now_ms: int
    ) -> QuoteBody:
        [budget] = purse.budgets
        request = QuoteRequest(
            grade=GradeId(completed.grade),
            volume=Volume(completed.volume_ml),
            amount=Money(completed.amount_fen),
            unit_price=UnitPrice(completed.unit_price_milli),
            at_ms=completed.ended_ms,
            utc_offset_minutes=OFFSET_MINUTES,
            member=MemberFacts(person.ref, "regular"),
            station="",
            coupons=tuple(_presented(each) for each in purse.coupons if each.available(now_ms)),
            budgets=(BudgetFacts(CAMPAIGN, Money(budget.available(now_ms))),),
        )
        first = quote(request, RULES)
        redeemed = 0
        if self.chance.random() < 0.2:
            here = purse.points_available(now_ms)
            redeemed = most_redeemable(min(here, 800), first.payable, RULES.points.redeem)
        if not redeemed:
            return body_of(first)
        facts = {name: getattr(request, name) for name in request.__dataclass_fields__}
        return body_of(quote(QuoteRequest(**(facts | {"points_redeemed": redeemed})), RULES))

    async def refund(self, station: Station) -> None:
        """Pay a sale back; one that a restore has forgotten, nobody can."""
        remembered, books = self.sales.get(station.name, []), station.books
        if not remembered or not isinstance(books, LedgerBooks):
            return
        name = self.chance.choice(remembered)
        sale = books.sale(SaleId(name))
        if sale is None or sale.refunded is not None:
            return
        self.made += 1
        await station.ledger.append(
            refunding.refund(
                sale,
                books.movements(SaleId(name)),
                RULES.points,
                refund_id=f"back-{self.made}",
                reason="fuzz",
                idempotency_key=f"back-{self.made}",
                operator="till",
            )
        )

    async def top_up(self, station: Station, person: Person) -> None:
        """Pay money in at the till."""
        await BareTill(self.chance, made=self._next()).top_up(station, person)

    def _next(self) -> int:
        self.made += 1
        return self.made


def _presented(lease: Lease) -> CouponFacts:
    terms = lease.terms
    return CouponFacts(terms.holder, terms.template or "", terms.from_ms, terms.until_ms)
