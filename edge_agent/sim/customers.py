"""What people do at the till of a simulated station: pay in many ways, top up, take back.

They quote before they pay, press twice, press again when nothing answers, and show a proof when
they are asked for one. What is refused they pay in cash in the end.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeVar

from edge_agent.app.station import Station
from edge_agent.model.errors import SaleRefused
from edge_agent.model.ids import FuellingId, MemberRef, SaleId
from edge_agent.model.member_code import NONCE_BYTES
from edge_agent.model.tenders import TenderMeans
from edge_agent.model.units import Money
from edge_agent.model.wishes import GoodsWish, SaleWish, SecondFactor, TenderOffer, TopUpWish
from edge_agent.sim.members import SimMember

T = TypeVar("T")

PRESSES: Final = 3
"""So often a button is pressed that nothing answers."""
PRESS_AGAIN_S: Final = 8.0
SPLIT_FEN: Final = 5_000
TERMINAL: Final = frozenset({"bank_card", "wallet"})
GOODS: Final = ("washer-fluid", "urea-10l")
TOP_UPS_FEN: Final = (20_000, 50_000, 100_000)
PROOF_ASKED: Final = ("second_factor_required", "risk_second_factor")


class Till(Protocol):
    """A way to ask the running agent, if there is one."""

    async def ask(self, work: Callable[[Station], Awaitable[T]]) -> T | None:
        """Return the answer; None when the agent refused, was down, or died over it."""


class Phones(Protocol):
    """What members' phones show."""

    def show_code(self, member: str, nonce: bytes) -> str:
        """Return a fresh dynamic code."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The agent refused, with its stable code."""

    code: str


@dataclass(slots=True)
class Customers:
    """The people before the till."""

    till: Till
    phones: Phones
    chance: random.Random
    staff: dict[str, str]
    refused: Counter[str]
    """How often what was refused, by its code."""
    _codes: dict[MemberRef, str] = field(default_factory=dict)
    """The code that each phone showed last."""

    # --- paying -----------------------------------------------------------------------------

    async def pay(self, fuelling: FuellingId, member: SimMember | None) -> None:
        """Pay a fuelling by what comes to mind, and in cash where that is refused."""
        if member is not None and self.chance.random() < 0.2:
            await self._scan(member)
        wish = await self._wish(member)
        wish, tenders = await self._agreed(fuelling, wish)
        settled = await self._settle(fuelling, wish, tenders, "first")
        if isinstance(settled, Refused) and settled.code in PROOF_ASKED and member is not None:
            settled = await self._settle(fuelling, wish, tenders, "proved", self.proof(member))
        if isinstance(settled, Refused):
            plain, cash = SaleWish(member=wish.member), (TenderOffer("cash"),)
            settled = await self._settle(fuelling, plain, cash, "cash")
        if isinstance(settled, str) and self.chance.random() < 0.06:
            await asyncio.sleep(self.chance.uniform(5, 300))
            await self._refund(settled)

    async def _scan(self, member: SimMember) -> None:
        """Show the phone's code; sometimes one that was shown before, which is refused."""
        text = self._codes.get(member.ref)
        if text is None or self.chance.random() < 0.9:
            text = self._code(member)
        shown = text

        async def find(station: Station) -> MemberRef:
            return (await station.pos.find_member("code", shown)).ref

        await self.till.ask(find)

    async def _wish(self, member: SimMember | None) -> SaleWish:
        """Say how a fuelling shall be priced."""
        chance = self.chance
        goods: tuple[GoodsWish, ...] = ()
        if chance.random() < 0.15:
            goods = (GoodsWish(chance.choice(GOODS), chance.randint(1, 3)),)
        if member is None:
            return SaleWish(goods=goods, paying=_third_party(chance))
        stored = member.has_account and (member.in_fleet or chance.random() < 0.5)
        wish = SaleWish(
            member=member.ref,
            goods=goods,
            paying="stored_value" if stored else _third_party(chance),
        )
        kind = chance.random()
        if kind < 0.5:
            return wish
        has = await self.till.ask(lambda station: _wallet(station, member.ref))
        serials, points = has or ((), 0)
        chosen = tuple(serial for serial in serials if chance.random() < 0.5)
        if kind < 0.75:
            wish = replace(wish, coupons=chosen)
        if kind > 0.65 and points:
            wish = replace(wish, redeem_points=chance.randint(1, points))
            if chance.random() < 0.95:
                wish = replace(wish, redeem_points=wish.redeem_points // 100 * 100)
        return wish

    async def _agreed(
        self, fuelling: FuellingId, wish: SaleWish
    ) -> tuple[SaleWish, tuple[TenderOffer, ...]]:
        """Look at the price, and say by what it is paid."""
        means = wish.paying or "cash"
        kind = self.chance.random()
        tenders: tuple[TenderOffer, ...] = (_named(TenderOffer(means)),)
        if kind < 0.25:
            split = TenderOffer("cash" if means != "cash" else "wallet", Money(SPLIT_FEN))
            wish = replace(wish, paid_otherwise=Money(SPLIT_FEN))
            tenders = (_named(split), *tenders)
        if kind > 0.75:
            planned = await self.till.ask(lambda station: _plan(station, fuelling, wish))
            tenders = tuple(_named(each) for each in planned or tenders)
        quoted = await self.till.ask(lambda station: _price(station, fuelling, wish))
        if quoted is not None and self.chance.random() < 0.6:
            wish = replace(wish, shown=quoted)
        return wish, tenders

    async def _settle(
        self,
        fuelling: FuellingId,
        wish: SaleWish,
        tenders: tuple[TenderOffer, ...],
        attempt: str,
        second: SecondFactor | None = None,
    ) -> SaleId | Refused | None:
        async def settle(station: Station) -> SaleId:
            sale = await station.pos.settle(
                fuelling, wish, tenders, idempotency_key=f"till-{fuelling}-{attempt}",
                operator="till", second=second,
            )  # fmt: skip
            return SaleId(sale.settled.sale_id)

        return await self._pressed(settle)

    # --- after and beside sales -------------------------------------------------------------

    async def _refund(self, sale: SaleId) -> None:
        async def refund(station: Station) -> None:
            await station.pos.refund(
                sale, reason="complaint", idempotency_key=f"refund-{sale}", operator="till"
            )

        await self._pressed(refund)

    async def top_up(self, member: SimMember) -> None:
        """Pay money into a member's account."""
        means: TenderMeans = "cash" if self.chance.random() < 0.5 else "bank_card"
        amount = Money(self.chance.choice(TOP_UPS_FEN))
        wish = TopUpWish(member.ref, amount, means, "T-7" if means in TERMINAL else "")
        second, key = self.proof(member), f"top-up-{self.chance.randbytes(8).hex()}"

        async def top_up(station: Station) -> str:
            body = await station.pos.top_up(
                wish, second=second, idempotency_key=key, operator="till"
            )
            return body.top_up_id

        await self._pressed(top_up)

    def proof(self, member: SimMember, *, by_member: bool = False) -> SecondFactor:
        """Return what proves that a member wants it; sometimes it proves nothing."""
        kind = self.chance.random()
        if by_member or kind < 0.6:
            return SecondFactor(member_code=self._code(member))
        if kind < 0.7:
            return SecondFactor(member_code=self._codes.get(member.ref) or "no code")
        name, pin = self.chance.choice(sorted(self.staff.items()))
        return SecondFactor(operator=name, operator_pin=pin if kind < 0.95 else "000000")

    def _code(self, member: SimMember) -> str:
        text = self.phones.show_code(member.ref, self.chance.randbytes(NONCE_BYTES))
        self._codes[member.ref] = text
        return text

    async def _pressed(self, work: Callable[[Station], Awaitable[T]]) -> T | Refused | None:
        """Press a button, one in ten times twice, and again as long as nothing answers."""

        async def refusable(station: Station) -> T | Refused:
            try:
                return await work(station)
            except SaleRefused as refusal:
                code = refusal.problem.code
                self.refused[code] = self.refused.get(code, 0) + 1
                return Refused(refusal.problem.code)

        for _ in range(PRESSES):
            times = 2 if self.chance.random() < 0.1 else 1
            answers = await asyncio.gather(*(self.till.ask(refusable) for _ in range(times)))
            told = [answer for answer in answers if answer is not None]
            if told:
                return next((each for each in told if not isinstance(each, Refused)), told[0])
            await asyncio.sleep(PRESS_AGAIN_S)
        return None


def _third_party(chance: random.Random) -> TenderMeans:
    kind = chance.random()
    if kind < 0.6:
        return "cash"
    return "bank_card" if kind < 0.8 else "wallet"


def _named(offer: TenderOffer) -> TenderOffer:
    """Return a tender with what the terminal printed, where one did."""
    return replace(offer, reference="T-42") if offer.means in TERMINAL else offer


async def _wallet(station: Station, member: MemberRef) -> tuple[tuple[str, ...], int]:
    found = station.pos.wallet(member)
    return tuple(coupon.serial for coupon in found.coupons), found.points_here


async def _plan(station: Station, fuelling: FuellingId, wish: SaleWish) -> tuple[TenderOffer, ...]:
    return station.pos.plan(fuelling, wish)


async def _price(station: Station, fuelling: FuellingId, wish: SaleWish) -> Money:
    return Money(station.pos.quote(fuelling, wish).payable_fen)
