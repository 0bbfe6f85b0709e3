"""The till of a fake station: prices that add up, tenders, second factors, top-ups, refunds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from edge_agent.core import settlement
from edge_agent.core.points import value_of
from edge_agent.core.purse import Purse
from edge_agent.core.spending import INSUFFICIENT, NO_ACCOUNT
from edge_agent.core.tender_plan import plan
from edge_agent.model.books import SettledSale, UnpaidFuelling
from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.model.ids import FpId, FuellingId, MemberRef, SaleId
from edge_agent.model.leases import Holding, Lease, LeaseState
from edge_agent.model.membership import Member
from edge_agent.model.policy import Policy
from edge_agent.model.records import (
    Asset,
    FuellingCompleted,
    LeaseTerms,
    QuoteBody,
    SaleRefunded,
    SaleSettled,
    StoredValueToppedUp,
    Tender,
)
from edge_agent.model.units import Money, UnitPrice, Volume, amount_of
from edge_agent.model.views import WalletView
from edge_agent.model.wishes import SaleWish, SecondFactor, TenderOffer, TopUpWish
from tests.api.fake_figures import now_ms, receipt_of
from tests.api.fake_prices import quote_of
from tests.api.fake_wallets import (
    GOLD_CODE,
    GOLD_PIN,
    MEMBERS,
    POLICY,
    SOME_DAY_MS,
    STAFF,
    STAFF_PIN,
    wallets,
)

UNKNOWN_MEMBER = Problem("member_unknown", "查无此会员", "no such member")
UNKNOWN_FUELLING = Problem("fuelling_unknown", "没有这笔加油", "no such unpaid fuelling")
UNKNOWN_SALE = Problem("sale_unknown", "没有这笔销售", "no such sale")
REFUNDED = Problem("already_refunded", "已退款", "this sale was refunded before")
SECOND_FACTOR = Problem(
    "second_factor_required", "需要会员确认", "it needs the member's code or PIN"
)
PIN_WRONG = Problem("pin_wrong", "密码错误", "the PIN is wrong")
CODE_USED = Problem("member_code_used", "会员码已使用", "the code was used before")
PRICE_CHANGED = Problem("price_changed", "价格已变化", "the price has changed")

NOW_MS = 1


class FakeTill:
    """The point of sale of a `FakeStation`, and the books behind it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object]] = []
        self.wallets = wallets()
        self.waiting: dict[str, FuellingCompleted] = {}
        self.sold: dict[str, SettledSale] = {}
        self.by_key: dict[str, SettledSale] = {}
        self.topped_up: dict[str, StoredValueToppedUp] = {}
        self.second_above_fen = 100_000
        self.codes_used: set[str] = set()
        self.hang_settle: asyncio.Event | None = None
        self.lose_answer = False

    def show_unpaid(self) -> None:
        """Show what waits to be paid; a station has a view to show it in."""

    def _ask(self, what: str, detail: object) -> None:
        self.asked.append((what, detail))

    # --- members ------------------------------------------------------------------------------

    async def find_member(self, kind: str, identifier: str) -> Member:
        self._ask("find_member", (kind, identifier))
        found = MEMBERS.get((kind, identifier))
        if found is None:
            raise SaleRefused(UNKNOWN_MEMBER)
        if kind == "code":
            self._use(identifier)
        return found

    def _use(self, code: str) -> None:
        if code in self.codes_used:
            raise SaleRefused(CODE_USED)
        self.codes_used.add(code)

    def member(self, ref: MemberRef) -> Member:
        found = next((member for member in MEMBERS.values() if member.ref == ref), None)
        if found is None:
            raise SaleRefused(UNKNOWN_MEMBER)
        return found

    def wallet(self, ref: MemberRef) -> WalletView:
        self.member(ref)
        return self.wallets[ref]

    def policy(self) -> Policy:
        return POLICY

    def staff(self) -> tuple[str, ...]:
        return (STAFF, "赵六")

    def cache_age_s(self) -> int:
        return 540

    def lent(self) -> dict[Asset, int]:
        return {"balance": 81_200, "points": 1_200, "coupon": 1, "budget": 9_900}

    # --- prices -------------------------------------------------------------------------------

    def quote(self, fuelling: FuellingId, wish: SaleWish) -> QuoteBody:
        self._ask("quote", (fuelling, wish))
        if fuelling not in self.waiting:
            raise SaleRefused(UNKNOWN_FUELLING)
        done = self.waiting[fuelling]
        member = wish.member or done.member_ref
        wallet = None if member is None else self.wallet(MemberRef(member))
        return quote_of(done, wish, wallet)

    def estimate(self, fp: FpId, nozzle: int, amount: Money, wish: SaleWish) -> QuoteBody:
        self._ask("estimate", (fp, nozzle, amount, wish))
        price = UnitPrice(7_850)
        done = FuellingCompleted.model_validate({
            "fuelling_id": "f-none", "fp": fp, "nozzle": nozzle, "nozzle_number": nozzle,
            "grade": "92", "price_set": "p-7", "unit_price_milli": price.milli,
            "volume_ml": amount.fen * 10_000 // price.milli, "amount_fen": amount.fen,
            "totals_before": None, "totals_after": None, "origin": "observed",
            "member_ref": None, "plate_ref": None, "prepaid_fen": 0, "started_ms": None,
            "ended_ms": now_ms(),
        })  # fmt: skip
        return quote_of(done, wish, None if wish.member is None else self.wallet(wish.member))

    def plan(self, fuelling: FuellingId, wish: SaleWish) -> tuple[TenderOffer, ...]:
        quoted, prepaid = self.quote(fuelling, wish), self.waiting[fuelling].prepaid_fen
        return plan(
            Money(quoted.payable_fen),
            Money(prepaid),
            self._purse(quoted),
            wish,
            POLICY.points.redeem,
            NOW_MS,
        )

    def _purse(self, quoted: QuoteBody) -> Purse:
        if quoted.member_ref is None:
            return Purse()
        member, wallet = self.member(MemberRef(quoted.member_ref)), self.wallets[quoted.member_ref]
        if member.account is None:
            return Purse()
        lease = _lease("balance", member.account, wallet.balance_here_fen)
        return Purse(member.account, Holding("balance", member.account, (lease,)))

    # --- what moves money ---------------------------------------------------------------------

    async def settle(
        self,
        fuelling: FuellingId,
        wish: SaleWish,
        tenders: Sequence[TenderOffer],
        *,
        idempotency_key: str,
        operator: str,
        second: SecondFactor | None = None,
    ) -> SettledSale:
        self._ask("settle", (fuelling, wish, tuple(tenders), idempotency_key, operator, second))
        if self.hang_settle is not None:
            await self.hang_settle.wait()
        if idempotency_key in self.by_key:
            return self.by_key[idempotency_key]
        quote = self.quote(fuelling, wish)
        if wish.shown is not None and wish.shown.fen != quote.payable_fen:
            raise SaleRefused(PRICE_CHANGED)
        done = self.waiting[fuelling]
        shares = settlement.shares(
            Money(quote.payable_fen),
            Money(done.prepaid_fen),
            _with_points(tenders, value_of(wish.redeem_points, POLICY.points.redeem)),
        )
        self._charge(quote, shares.of("stored_value").fen, second)
        references = {offer.means: offer.reference for offer in tenders}
        sale = SettledSale(
            seq=100 + len(self.sold),
            at_ms=now_ms(),
            settled=SaleSettled(
                sale_id=f"s-{fuelling}", fuelling_id=fuelling, quote=quote,
                explanation_sha256="0" * 64,
                tenders=[
                    Tender(
                        means=means, amount_fen=amount.fen,
                        account_ref="a-some" if means == "stored_value" else None,
                        points=wish.redeem_points if means == "points" else 0,
                        reference=references.get(means, ""),
                    )
                    for means, amount in shares.parts
                ],
                change_fen=shares.change.fen, member_ref=quote.member_ref, plate_ref=None,
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

    def _charge(self, quote: QuoteBody, stored_fen: int, second: SecondFactor | None) -> None:
        if not stored_fen:
            return
        if quote.member_ref is None:
            raise SaleRefused(NO_ACCOUNT)
        wallet = self.wallets[quote.member_ref]
        if stored_fen > (wallet.balance_known_fen or 0):
            raise SaleRefused(INSUFFICIENT)
        if stored_fen > self.second_above_fen:
            self._confirm(second)
        left = max(0, wallet.balance_here_fen - stored_fen)
        self.wallets[quote.member_ref] = replace(wallet, balance_here_fen=left)

    def _confirm(self, second: SecondFactor | None) -> str:
        if second is None or second == SecondFactor():
            if GOLD_CODE in self.codes_used:
                return "member_code"
            raise SaleRefused(SECOND_FACTOR)
        if second.member_code is not None:
            if second.member_code != GOLD_CODE:
                raise SaleRefused(CODE_USED)
            self._use(second.member_code)
            return "member_code"
        if second.operator is not None:
            if (second.operator, second.operator_pin) != (STAFF, STAFF_PIN):
                raise SaleRefused(PIN_WRONG)
            return "second_person"
        if second.member_pin != GOLD_PIN:
            raise SaleRefused(PIN_WRONG)
        return "member_pin"

    async def top_up(
        self, wish: TopUpWish, *, second: SecondFactor, idempotency_key: str, operator: str
    ) -> StoredValueToppedUp:
        self._ask("top_up", (wish, second, idempotency_key, operator))
        if idempotency_key in self.topped_up:
            return self.topped_up[idempotency_key]
        member, wallet = self.member(wish.member), self.wallet(wish.member)
        if member.account is None:
            raise SaleRefused(NO_ACCOUNT)
        confirmed_by = self._confirm(second)
        record = StoredValueToppedUp.model_validate({
            "top_up_id": f"t-{len(self.topped_up) + 1}", "account_ref": member.account,
            "member_ref": member.ref, "amount_fen": wish.amount.fen, "means": wish.means,
            "reference": wish.reference, "confirmed_by": confirmed_by,
            "second_operator": second.operator, "idempotency_key": idempotency_key,
            "operator": operator, "expires_ms": SOME_DAY_MS,
        })  # fmt: skip
        self.topped_up[idempotency_key] = record
        self.wallets[member.ref] = replace(
            wallet,
            balance_here_fen=wallet.balance_here_fen + wish.amount.fen,
            balance_known_fen=(wallet.balance_known_fen or 0) + wish.amount.fen,
            low_balance=False,
        )
        return record

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

    # --- books --------------------------------------------------------------------------------

    def unpaid_fuelling(self, fuelling: FuellingId) -> UnpaidFuelling | None:
        done = self.waiting.get(fuelling)
        return None if done is None else UnpaidFuelling(1, done.ended_ms, done)

    def recent_sales(self, limit: int) -> list[SettledSale]:
        return list(reversed(self.sold.values()))[:limit]


def fuelling_of(fuelling: str, fp: int, volume_ml: int, price_milli: int) -> dict[str, object]:
    """Return the fields of a fuelling that everybody could see."""
    return {
        "fuelling_id": fuelling, "fp": fp, "price_set": "p-7", "unit_price_milli": price_milli,
        "volume_ml": volume_ml,
        "amount_fen": amount_of(Volume(volume_ml), UnitPrice(price_milli)).fen,
        "totals_before": None, "totals_after": None, "origin": "observed", "member_ref": None,
        "plate_ref": None, "prepaid_fen": 0, "started_ms": None, "ended_ms": now_ms(),
    }  # fmt: skip


def _with_points(tenders: Sequence[TenderOffer], worth: Money) -> list[TenderOffer]:
    offers = [offer for offer in tenders if offer.means != "points"]
    return [TenderOffer("points", worth), *offers] if worth else offers


def _lease(asset: str, holder: str, amount: int) -> Lease:
    terms = LeaseTerms.model_validate(
        {
            "lease_id": f"l-{asset}-{holder}", "asset": asset, "holder": holder,
            "amount": amount, "expires_ms": SOME_DAY_MS,
        }
    )  # fmt: skip
    return Lease(terms, 0, LeaseState.OPEN)
