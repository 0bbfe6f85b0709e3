"""A station in memory that has the facade's methods, for tests of the API and the screen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from edge_agent.app.station import StationFacts
from edge_agent.core.authorisation import PROBLEMS
from edge_agent.core.settlement import INSUFFICIENT
from edge_agent.model.books import FuelSums, SettledSale, Totals, UnpaidFuelling
from edge_agent.model.errors import CommandRefused, SaleRefused
from edge_agent.model.fuelling import AuthoriseRequest, FpState
from edge_agent.model.ids import (
    AccountRef,
    FpId,
    FuellingId,
    LogicalNozzle,
    MemberRef,
    SaleId,
)
from edge_agent.model.ledger import LedgerHead, LedgerRecord
from edge_agent.model.membership import Account, Member
from edge_agent.model.policy import Tier
from edge_agent.model.records import (
    FuellingCompleted,
    QuoteBody,
    SaleRefunded,
    SaleSettled,
    Tender,
)
from edge_agent.model.units import Money, UnitPrice, Volume, amount_of
from edge_agent.model.views import (
    FpView,
    ProblemView,
    StationView,
    SyncView,
)
from tests.api.fake_figures import (
    MEMBERS,
    REFUNDED,
    TIERS,
    UNKNOWN_FUELLING,
    UNKNOWN_MEMBER,
    UNKNOWN_SALE,
    empty_view,
    facts_of,
    now_ms,
    quote_of,
    receipt_of,
    unpaid_view,
)


class FakeStation:
    """Fuelling points that tests move by hand, and a till that adds up."""

    def __init__(self, points: int = 8) -> None:
        self.asked: list[tuple[str, object]] = []
        self._wakes: set[asyncio.Event] = set()
        self.views = 0
        self._view = empty_view(points)
        self._accounts = {
            "a-silver": Account(AccountRef("a-silver"), Money(100_000), Money(10_000)),
            "a-poor": Account(AccountRef("a-poor"), Money(5_000), Money(0)),
        }
        self.waiting: dict[str, FuellingCompleted] = {}
        self.sold: dict[str, SettledSale] = {}
        self.by_key: dict[str, SettledSale] = {}
        self.hang_settle: asyncio.Event | None = None
        self.lose_answer = False
        self.forecourt = self.pos = self.sync = self.books = self

    # --- the facade ---------------------------------------------------------------------------

    def view(self) -> StationView:
        self.views += 1
        return replace(self._view, at_ms=now_ms())

    async def changes(self) -> AsyncIterator[None]:
        wake = asyncio.Event()
        self._wakes.add(wake)
        try:
            while True:
                await wake.wait()
                wake.clear()
                yield
        finally:
            self._wakes.discard(wake)

    @property
    def watchers(self) -> int:
        return len(self._wakes)

    # --- what tests do to it ------------------------------------------------------------------

    def change(self, **fields: object) -> None:
        self._view = replace(self._view, **fields)  # type: ignore[arg-type]
        for wake in self._wakes:
            wake.set()

    def point(self, fp: int) -> FpView:
        return next(point for point in self._view.fuelling_points if point.fp == fp)

    def change_point(self, fp: int, **fields: object) -> None:
        if "state" in fields:
            fields.setdefault("since_ms", now_ms())
        points = tuple(
            replace(point, **fields) if point.fp == fp else point  # type: ignore[arg-type]
            for point in self._view.fuelling_points
        )
        self.change(fuelling_points=points)

    def lift(self, fp: int, logical: int = 1) -> None:
        self.change_point(fp, state=FpState.CALLING, lifted=logical, volume_ml=0, amount_fen=0)

    def flow(self, fp: int, volume_ml: int) -> None:
        point = self.point(fp)
        price = self._price(point, point.lifted or 1)
        amount = amount_of(Volume(volume_ml), UnitPrice(price)).fen
        state = {} if point.state is FpState.FUELLING else {"state": FpState.FUELLING}
        self.change_point(fp, volume_ml=volume_ml, amount_fen=amount, **state)

    def deliver(self, fp: int, volume_ml: int, *, logical: int = 1, **more: object) -> str:
        point = self.point(fp)
        nozzle = next(nozzle for nozzle in point.nozzles if nozzle.logical == logical)
        fuelling = f"f-{len(self.waiting) + len(self.sold) + 1:04d}"
        price = nozzle.unit_price_milli or 0
        fields: dict[str, object] = {
            "fuelling_id": fuelling, "fp": fp, "nozzle": logical,
            "nozzle_number": nozzle.number, "grade": nozzle.grade, "price_set": "p-7",
            "unit_price_milli": price, "volume_ml": volume_ml,
            "amount_fen": amount_of(Volume(volume_ml), UnitPrice(price)).fen,
            "totals_before": None, "totals_after": None, "origin": "observed",
            "member_ref": None, "plate_ref": None, "prepaid_fen": 0, "started_ms": None,
            "ended_ms": now_ms(),
        }  # fmt: skip
        done = FuellingCompleted.model_validate(fields | more)
        self.waiting[fuelling] = done
        self.change_point(
            fp, state=FpState.IDLE, lifted=None, volume_ml=volume_ml, amount_fen=done.amount_fen,
            fuelling_id=None, preset_amount_fen=None, preset_volume_ml=None,
        )  # fmt: skip
        self.show_unpaid()
        return fuelling

    def show_unpaid(self) -> None:
        unpaid = tuple(unpaid_view(done) for done in self.waiting.values())
        counts = {point.fp: 0 for point in self._view.fuelling_points}
        for one in unpaid:
            counts[one.fp] += 1
        points = tuple(
            replace(
                point,
                unpaid=counts[point.fp],
                blocked="unpaid_limit" if counts[point.fp] >= 2 else None,
            )
            for point in self._view.fuelling_points
        )
        self.change(unpaid=unpaid, fuelling_points=points)

    def _price(self, point: FpView, logical: int) -> int:
        nozzle = next(nozzle for nozzle in point.nozzles if nozzle.logical == logical)
        return nozzle.unit_price_milli or 0

    def _ask(self, what: str, detail: object) -> None:
        self.asked.append((what, detail))

    # --- forecourt ----------------------------------------------------------------------------

    async def authorise(self, request: AuthoriseRequest) -> FuellingId:
        self._ask("authorise", request)
        point = self.point(request.fp)
        reason = "stop_all" if self._view.stop_all else point.blocked
        if reason is None and point.state not in {FpState.IDLE, FpState.CALLING}:
            reason = "fp_busy"
        if reason is not None:
            raise CommandRefused(PROBLEMS[reason], f"FP {request.fp}")
        preset = request.preset
        self.change_point(
            request.fp,
            state=FpState.STARTED if point.lifted else FpState.AUTHORISED,
            preset_amount_fen=preset.amount.fen if preset and preset.amount else None,
            preset_volume_ml=preset.volume.ml if preset and preset.volume else None,
            member="王**" if request.member else None,
            fuelling_id="f-open",
        )
        return FuellingId("f-open")

    async def stop(self, fp: FpId, operator: str) -> None:
        self._ask("stop", (fp, operator))
        self.change_point(fp, state=FpState.IDLE, lifted=None)

    async def suspend(self, fp: FpId, operator: str) -> None:
        self._ask("suspend", (fp, operator))
        self.change_point(fp, state=FpState.SUSPENDED_FUELLING)

    async def resume(self, fp: FpId, operator: str) -> None:
        self._ask("resume", (fp, operator))
        self.change_point(fp, state=FpState.FUELLING)

    async def stop_all(self, operator: str) -> None:
        self._ask("stop_all", operator)
        self.change(stop_all=True)

    async def release_stop_all(self, operator: str) -> None:
        self._ask("release_stop_all", operator)
        self.change(stop_all=False)

    # --- point of sale ------------------------------------------------------------------------

    def find_member(self, kind: str, identifier: str) -> Member:
        self._ask("find_member", (kind, identifier))
        found = MEMBERS.get((kind, identifier))
        if found is None:
            raise SaleRefused(UNKNOWN_MEMBER)
        return found

    def policy(self) -> FakeStation:
        return self

    def tier(self, code: str) -> Tier | None:
        return TIERS.get(code)

    def member(self, ref: MemberRef) -> Member:
        return next(member for member in MEMBERS.values() if member.ref == ref)

    def points(self) -> dict[int, FpView]:
        return {point.fp: point for point in self._view.fuelling_points}

    def quote(self, fuelling: FuellingId, member: MemberRef | None) -> QuoteBody:
        self._ask("quote", (fuelling, member))
        if fuelling not in self.waiting:
            raise SaleRefused(UNKNOWN_FUELLING)
        return quote_of(self.waiting[fuelling], member)

    async def settle(
        self,
        fuelling: FuellingId,
        tenders: Sequence[object],
        *,
        member: MemberRef | None,
        idempotency_key: str,
        operator: str,
    ) -> SettledSale:
        self._ask("settle", (fuelling, tuple(tenders), member, idempotency_key, operator))
        if self.hang_settle is not None:
            await self.hang_settle.wait()
        if idempotency_key in self.by_key:
            return self.by_key[idempotency_key]
        quote = self.quote(fuelling, member)
        done = self.waiting[fuelling]
        paid, change = self._paid(tenders, member, quote.payable_fen, done.prepaid_fen)
        sale = SettledSale(
            seq=100 + len(self.sold),
            at_ms=now_ms(),
            settled=SaleSettled(
                sale_id=f"s-{fuelling}", fuelling_id=fuelling, quote=quote, tenders=paid,
                change_fen=change, member_ref=quote.member_ref, plate_ref=None,
                receipt_no=f"{len(self.sold) + 1:06d}", idempotency_key=idempotency_key,
                operator=operator,
            ),
            completed=done,
            refunded=None,
        )  # fmt: skip
        del self.waiting[fuelling]
        self.sold[sale.settled.sale_id] = self.by_key[idempotency_key] = sale
        self.show_unpaid()
        if self.lose_answer:
            self.lose_answer = False
            raise ZeroDivisionError
        return sale

    def _paid(
        self, tenders: Sequence[object], member: MemberRef | None, payable: int, prepaid: int
    ) -> tuple[list[Tender], int]:
        left, paid = payable - prepaid, []
        if prepaid:
            paid.append(Tender(means="cash", amount_fen=min(prepaid, payable), account_ref=None))
        for offer in tenders:
            means, amount = offer.means, offer.amount  # type: ignore[attr-defined]
            given = left if amount is None else amount.fen
            if means == "stored_value":
                account = "a-poor" if member == "m-poor" else "a-silver"
                if given > self._accounts[account].available.fen:
                    raise SaleRefused(INSUFFICIENT)
            taken = min(given, left) if means == "stored_value" else min(given, max(left, 0))
            paid.append(
                Tender(
                    means=means,
                    amount_fen=taken,
                    account_ref=None if means == "cash" else "a-silver",
                )
            )
            left -= given
        return paid, max(0, -left)

    async def refund(
        self, sale: SaleId, *, reason: str, idempotency_key: str, operator: str
    ) -> SettledSale:
        self._ask("refund", (sale, reason, idempotency_key, operator))
        known = self.sold.get(sale)
        if known is None:
            raise SaleRefused(UNKNOWN_SALE)
        if known.refunded is not None:
            raise SaleRefused(REFUNDED)
        back = SaleRefunded(
            refund_id=f"r-{sale}", sale_id=sale, fuelling_id=known.settled.fuelling_id,
            tenders=known.settled.tenders, reason=reason, idempotency_key=idempotency_key,
            operator=operator,
        )  # fmt: skip
        self.sold[sale] = replace(known, refunded=back)
        return self.sold[sale]

    def receipt(self, sale: SaleId, reprint: bool = False) -> str:
        known = self.sold.get(sale)
        if known is None:
            raise SaleRefused(UNKNOWN_SALE)
        return receipt_of(known, reprint)

    # --- books and sync -----------------------------------------------------------------------

    def unpaid_fuelling(self, fuelling: FuellingId) -> UnpaidFuelling | None:
        done = self.waiting.get(fuelling)
        return None if done is None else UnpaidFuelling(1, done.ended_ms, done)

    def recent_sales(self, limit: int) -> list[SettledSale]:
        return list(reversed(self.sold.values()))[:limit]

    def account(self, account: AccountRef) -> Account | None:
        return self._accounts.get(account)

    def head(self) -> LedgerHead:
        return LedgerHead(1, 30, "e" * 64)

    def acked_seq(self) -> int:
        return 12

    def records_after(self, seq: int, limit: int) -> list[LedgerRecord]:
        last = min(30, seq + limit)
        return [
            LedgerRecord(1, n, "station.stopped", n, "{}", "0" * 64, "1" * 64)
            for n in range(seq + 1, last + 1)
        ]

    @property
    def facts(self) -> StationFacts:
        return facts_of(self._view)

    def totals(self) -> list[Totals]:
        return [
            Totals(FpId(2), LogicalNozzle(1), Volume(7_000), None),
            Totals(FpId(1), LogicalNozzle(2), Volume(5_000), Money(4_000)),
            Totals(FpId(77), LogicalNozzle(1), Volume(1), None),
        ]

    def sums(self) -> FuelSums:
        return FuelSums(3, Volume(45_000), Money(35_325), 2, Money(20_000), 1, 1)

    async def drained(self) -> None:
        async for _ in self.changes():
            if not self._view.sync.waiting:
                return


class FakeSync:
    """The sync part of a `FakeStation`, whose `view` is another one than the station's."""

    def __init__(self, station: FakeStation) -> None:
        self._station = station

    def view(self) -> SyncView:
        return self._station.view().sync

    async def drained(self) -> None:
        if self._station.view().sync.waiting:
            await self._station.drained()


def fake_station(points: int = 8) -> FakeStation:
    """Return a station with its parts in place."""
    station = FakeStation(points)
    station.sync = FakeSync(station)  # type: ignore[assignment]
    return station


def offline(station: FakeStation, since_ms: int, sales: int) -> None:
    """Take the link to headquarters away."""
    sync = replace(
        station._view.sync, connected=False, since_ms=since_ms, waiting=sales * 4,
        waiting_sales=sales, last_ack_ms=since_ms,
    )  # fmt: skip
    station.change(sync=sync)


def problem(code: str, zh: str, en: str) -> ProblemView:
    """Return a problem that began just now."""
    return ProblemView(code, zh, en, now_ms())
