"""What was wished under which request key: a release that was asked for again happens once."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from edge_agent.app.same_wish import KEY_CONFLICT
from edge_agent.model.errors import SaleRefused
from edge_agent.model.fuelling import AuthoriseRequest
from edge_agent.model.ids import FuellingId

KEPT_S: Final = 24 * 3600.0
MAX_WISHES: Final = 4096
"""Releases under a key that are remembered; a station makes far fewer in an hour."""

Authorise = Callable[[AuthoriseRequest], Awaitable[FuellingId]]


@dataclass(frozen=True, slots=True)
class _Wish:
    request: AuthoriseRequest
    outcome: asyncio.Future[FuellingId]
    since_s: float


class Wishes:
    """Remembers, while the agent runs, which fuelling each request key released.

    A lost answer can be asked for again even after that fuelling ended or was taken back, without
    a second release and so without cash in the books that nobody paid.
    """

    def __init__(self, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._wishes: OrderedDict[str, _Wish] = OrderedDict()

    async def once(self, key: str, request: AuthoriseRequest, authorise: Authorise) -> FuellingId:
        """Release a point, or return the fuelling that this key released before.

        A release that failed is forgotten: the same key may try again.

        Raises:
            SaleRefused: the key came with another request before.
            KeyError, CommandRefused, StorageUnavailable: as `authorise`.
        """
        self._forget_old()
        wish = self._wishes.get(key)
        if wish is None:
            # A task of its own: the release goes on, and is remembered, whoever hangs up.
            outcome = asyncio.ensure_future(authorise(request))
            outcome.add_done_callback(lambda done: self._forget_failed(key, done))
            wish = self._wishes[key] = _Wish(request, outcome, self._monotonic_s())
        elif wish.request != request:
            raise SaleRefused(KEY_CONFLICT, key)
        return await asyncio.shield(wish.outcome)

    def _forget_failed(self, key: str, done: asyncio.Future[FuellingId]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._wishes.pop(key, None)

    def _forget_old(self) -> None:
        now = self._monotonic_s()
        while self._wishes:
            oldest = next(iter(self._wishes.values()))
            if now - oldest.since_s < KEPT_S and len(self._wishes) < MAX_WISHES:
                return
            self._wishes.popitem(last=False)
