"""The demo's customers, and the attendant who serves them over the local API."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Literal, cast
from uuid import uuid4

from drivers.pump_model import IN_SALE, SimulatedPump
from edge_agent.model.canonical import Json
from edge_agent.model.dispenser import DispenserStatus
from edge_agent.model.ids import FpId
from edge_agent.model.plates import parse_plate
from edge_agent.ports import Clock
from edge_agent.sim.live.camera import BayCamera
from edge_agent.sim.live.till import TillClient, TillError

Manner = Literal["cash", "amount", "volume", "prepay", "card", "plate"]

LOOK_S: Final = 0.1
PATIENCE_S: Final = 60.0
GIVE_UP_S: Final = 15.0
EXTRAS: Final = {4: "points", 7: "split", 10: "goods"}
EVERY: Final = 20
"""What of each twenty customers one does, if a member with a card: redeems points, pays a part in
cash, buys something beside the fuel and pays by bank card."""
MOST_REDEEMED: Final = 500
SPLIT_FEN: Final = 2_000


@dataclass(frozen=True, slots=True)
class DemoMember:
    """An invented member: the card in the wallet, the plate on the car."""

    ref: str
    card: str
    plate: str


@dataclass(frozen=True, slots=True)
class Customer:
    """Who comes, how they want to be served, and how much fuel they want."""

    number: int
    manner: Manner
    wish_ml: int
    member: DemoMember | None = None


@dataclass(slots=True)
class Lane:
    """One fuelling point with its customers, one after the other."""

    fp: FpId
    pump: SimulatedPump
    till: TillClient
    clock: Clock
    chance: random.Random
    camera: BayCamera | None = None
    on_sale: Callable[[], None] = lambda: None
    thinking_s: float = 0.2
    """How long the attendant takes before each touch."""
    served: int = 0
    trouble: list[str] = field(default_factory=list)

    async def serve(self, customer: Customer) -> None:
        """Serve one customer from arrival to payment."""
        if customer.manner == "plate" and customer.member is not None and self.camera is not None:
            self.camera.arrives(parse_plate(customer.member.plate))
            await self._until(self._plate_is_known, GIVE_UP_S)
        if customer.manner == "prepay":
            await self._authorise(customer)
        nozzle = self.chance.choice(sorted(self.pump.hoses))
        self.pump.lift(self._now(), nozzle)
        await self._until_released(customer)
        self.pump.squeeze(self._now(), customer.wish_ml)
        await self._until(self._has_enough, PATIENCE_S)
        await asyncio.sleep(self.thinking_s)
        self.pump.hang(self._now())
        await self._pay(customer)
        if self.camera is not None:
            self.camera.leaves()
        self.served += 1
        self.on_sale()

    # --- at the pump ------------------------------------------------------------------------

    async def _until_released(self, customer: Customer) -> None:
        """Wait for plate or prepayment to release the pump, or for the attendant to do it.

        An agent that was killed in between has taken an unheard authorisation back: the attendant
        hands the prepayment back and takes it anew.
        """
        by_itself = customer.manner in ("plate", "prepay")
        if by_itself and await self._until(self._is_released, GIVE_UP_S):
            return
        while not self._is_released_now():
            await asyncio.sleep(self.thinking_s)
            await self._authorise(customer)
            await self._until(self._is_released, 2.0)

    async def _authorise(self, customer: Customer) -> None:
        wish: dict[str, Json] = {}
        if customer.manner == "amount":
            wish["preset_amount_fen"] = 10_000
        elif customer.manner == "volume":
            wish["preset_volume_ml"] = customer.wish_ml
        elif customer.manner == "prepay":
            wish["prepaid_fen"] = 15_000
        key = f"till-{uuid4().hex}"
        for _ in range(int(PATIENCE_S / 0.5)):
            try:
                await self.till.post(f"/v1/fuelling-points/{self.fp}/authorise", wish, key)
            except TillError as error:
                if error.code == "fp_busy":
                    return  # an earlier touch arrived after all
                await asyncio.sleep(0.5)
            else:
                return

    async def _plate_is_known(self) -> bool:
        try:
            view = await self.till.view()
        except TillError:
            return False
        points = cast("list[dict[str, Json]]", view["fuelling_points"])
        return any(point["fp"] == self.fp and point["plate"] is not None for point in points)

    async def _is_released(self) -> bool:
        return self._is_released_now()

    def _is_released_now(self) -> bool:
        return self.pump.status in IN_SALE

    async def _has_enough(self) -> bool:
        self.pump.advance(self._now())
        if self.pump.status is DispenserStatus.AUTHORISED:
            return False
        return self.pump.status not in IN_SALE or not self.pump.is_flowing

    # --- at the till ------------------------------------------------------------------------

    async def _pay(self, customer: Customer) -> None:
        """Pay what this point owes; a plate or a prepayment pays by itself."""
        if customer.manner in ("plate", "prepay") and await self._until(self._owes_nothing, 10.0):
            return
        for _ in range(int(PATIENCE_S / 0.3)):
            try:
                if await self._settle_one(customer):
                    return
            except TillError as error:
                self.trouble.append(error.code)
            await asyncio.sleep(0.3)

    async def _settle_one(self, customer: Customer) -> bool:
        waiting = [item for item in await self._unpaid() if item["fp"] == self.fp]
        if not waiting:
            return False
        await asyncio.sleep(self.thinking_s)
        wish: dict[str, Json] = {"tenders": [{"means": "cash"}]}
        if customer.member is not None:
            wish = await self._member_wish(customer, customer.member)
        key = f"till-{uuid4().hex}"
        await self.till.post(f"/v1/fuellings/{waiting[0]['fuelling_id']}/settle", wish, key)
        return True

    async def _member_wish(self, customer: Customer, member: DemoMember) -> dict[str, Json]:
        """Say how a member pays: by balance or in cash, now and then with something more.

        Of coupons, the best ones are taken without anybody's word.
        """
        lookup: dict[str, Json] = {"kind": "card", "identifier": member.card}
        found = await self.till.post("/v1/members/lookup", lookup)
        means = "stored_value" if customer.number % 2 else "cash"
        wish: dict[str, Json] = {
            "tenders": [{"means": means}], "member": cast("dict[str, Json]", found)["ref"],
        }  # fmt: skip
        extra = EXTRAS.get(customer.number % EVERY)
        if extra == "points":
            wallet = await self.till.get(f"/v1/members/{wish['member']}/wallet")
            here = cast("dict[str, int]", wallet)["points_here"]
            wish["redeem_points"] = min(here // 100 * 100, MOST_REDEEMED)
        elif extra == "split":
            wish["tenders"] = [{"means": "cash", "amount_fen": SPLIT_FEN}, {"means": means}]
        elif extra == "goods":
            wish["goods"] = [{"good": "washer-fluid", "pieces": 1}]
            wish["tenders"] = [{"means": "bank_card", "reference": f"T-{customer.number}"}]
        return wish

    async def _unpaid(self) -> list[dict[str, Json]]:
        return cast("list[dict[str, Json]]", await self.till.get("/v1/unpaid"))

    async def _owes_nothing(self) -> bool:
        """Whether the sale has been settled: the pump is clear again and nothing waits."""
        if self.pump.status is not DispenserStatus.IDLE:
            return False
        try:
            return all(item["fp"] != self.fp for item in await self._unpaid())
        except TillError:
            return False

    async def _until(self, holds: Callable[[], Awaitable[bool]], within_s: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while loop.time() < deadline:
            if await holds():
                return True
            await asyncio.sleep(LOOK_S)
        return False

    def _now(self) -> int:
        return self.clock.monotonic_ms()
