"""Leases at the station: what is over is closed, and more is asked of headquarters.

Headquarters is asked for at most two seconds while a customer waits; silence is an answer too, and
then the policy's floor limit may hold. Time never goes back here: a lease that was over once stays
over, whatever the wall clock says later (row S27).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from edge_agent.core import leases
from edge_agent.model import topics
from edge_agent.model.errors import LinkLost, SaleRefused, StorageUnavailable
from edge_agent.model.ids import StationId
from edge_agent.model.records import Asset
from edge_agent.model.wire import LeaseReply, LeaseRequest, encode
from edge_agent.ports import Books, Clock, Entropy, LeaseAnswer, Uplink

logger = logging.getLogger(__name__)

ASK_S = 2.0
"""How long a customer waits for headquarters."""
MOST_ASKED = 32
"""Questions that may be open at once."""
LOOK_S = 15.0
"""How often leases that are over are looked for."""
MOST_CLOSED = 200
"""Leases that are closed in one append."""
KEEP_HEARD_MS = 60_000
"""How exactly the last word of headquarters is known after a restart."""

SILENT = LeaseAnswer(0, answered=False)


class Lending:
    """`ports.Lender` over the uplink. Belongs to one event loop."""

    def __init__(
        self, station: StationId, books: Books, uplink: Uplink, clock: Clock, entropy: Entropy
    ) -> None:
        self._station = station
        self._books = books
        self._uplink = uplink
        self._clock = clock
        self._entropy = entropy
        self._asked: dict[str, asyncio.Future[LeaseReply]] = {}
        self._closing = asyncio.Lock()
        self._first_word = asyncio.Event()
        self._began_ms = clock.monotonic_ms()
        self._heard_ms: int | None = None
        self._kept_ms: int | None = None

    async def run(self) -> None:
        """Close what is over, and remember when headquarters was heard, until cancelled."""
        while True:
            try:
                await self.close_due()
                await self._keep_heard()
            except StorageUnavailable as trouble:
                logger.warning("leases cannot be closed: %s", trouble)
            await self._pause()

    async def _pause(self) -> None:
        """Wait for the next look. The first word of headquarters is kept at once: who restarts
        right after it, and has no network, still knows that it heard."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._first_word.wait()
                self._first_word.clear()

    # --- time -------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Return the wall time, or that of the latest record where the clock was set back."""
        return max(self._clock.wall_ms(), self._books.time_floor_ms())

    def on_heard(self) -> None:
        """Headquarters said something that was believed."""
        if self._heard_ms is None:
            self._first_word.set()
        self._heard_ms = self._clock.monotonic_ms()

    def heard_ms_ago(self) -> int:
        """Return how long ago headquarters was last heard from; since 1970 for never.

        Not since this start at the least, however far the wall clock was set back (row S27).
        """
        monotonic_ms = self._clock.monotonic_ms()
        if self._heard_ms is not None:
            return monotonic_ms - self._heard_ms
        by_wall_ms = self.now_ms() - (self._books.heard_ms() or 0)
        return max(by_wall_ms, monotonic_ms - self._began_ms)

    async def _keep_heard(self) -> None:
        heard_ms = self._heard_ms
        if heard_ms is None:
            return
        if self._kept_ms is None or heard_ms - self._kept_ms >= KEEP_HEARD_MS:
            await self._books.note_heard(self.now_ms() - self.heard_ms_ago())
            self._kept_ms = heard_ms

    # --- leases -----------------------------------------------------------------------------

    async def close_due(self) -> None:
        """Close the leases that are over.

        Raises:
            StorageUnavailable: nothing was written.
        """
        async with self._closing:
            now_ms = self.now_ms()
            over = self._books.due_leases(now_ms, MOST_CLOSED)
            if not over:
                return
            try:
                await self._books.append(leases.due_to_close(over, now_ms))
            except SaleRefused as refusal:
                # One was recalled or given back to on the way to the books: the next look sees it.
                logger.info("not closed yet: %s", refusal.problem.code)

    def linked(self) -> bool:
        """Whether headquarters can be asked now."""
        return self._uplink.connected

    async def ask(self, asset: Asset, holder: str, amount: int) -> LeaseAnswer:
        """Ask headquarters for a lease; what it grants is in force when this returns."""
        if not self._uplink.connected or len(self._asked) >= MOST_ASKED:
            return SILENT
        request_id = self._entropy.token(12).hex()
        answer: asyncio.Future[LeaseReply] = asyncio.get_running_loop().create_future()
        self._asked[request_id] = answer
        request = LeaseRequest(
            station=self._station,
            epoch=self._books.head().epoch,
            request_id=request_id,
            asset=asset,
            holder=holder,
            amount=amount,
        )
        topic = topics.up(self._station, "request")
        try:
            async with asyncio.timeout(ASK_S):
                # An old question must not tie money up here once nobody waits for it.
                await self._uplink.publish(topic, encode(request), expiry_s=round(ASK_S))
                reply = await answer
        except (TimeoutError, LinkLost):
            return SILENT
        finally:
            self._asked.pop(request_id, None)
        return LeaseAnswer(reply.granted, answered=True, reason=reply.reason)

    def on_reply(self, reply: LeaseReply) -> None:
        """Hand an answer to who waits for it; one that comes too late is nobody's."""
        answer = self._asked.get(reply.request_id)
        if answer is not None and not answer.done():
            answer.set_result(reply)
