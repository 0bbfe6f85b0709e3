"""Tills over real books, closed when the test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.store.station import StationStore
from tests.app.lane import Lane, opened
from tests.app.shop import GRANTED, MEMBERS, POLICY, SEALER, SeededEntropy, SetClock, Shop


@pytest.fixture
def open_shop(tmp_path: Path) -> Iterator[Callable[[], Shop]]:
    opened: list[StationStore] = []

    def open_() -> Shop:
        clock = SetClock()
        store = StationStore.open(
            tmp_path / "books.db",
            clock=clock,
            entropy=SeededEntropy(),
            sealer=SEALER,
            ballast_bytes=0,
            durable=False,
        )
        opened.append(store)
        return Shop(store, clock)

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
async def shop(open_shop: Callable[[], Shop]) -> Shop:
    opened = open_shop()
    await opened.enrol(*MEMBERS)
    await opened.publish(POLICY, version=1)
    for account, amount_fen in GRANTED.items():
        await opened.grant("balance", account, amount_fen)
    return opened


@pytest.fixture
async def lane(tmp_path: Path) -> AsyncIterator[Lane]:
    async with opened(tmp_path) as lane:
        yield lane
