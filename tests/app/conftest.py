"""Tills over real books, closed when the test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.store.station import StationStore
from tests.app.shop import MEMBERS, POLICY, FixedClock, SeededEntropy, Shop


@pytest.fixture
def open_shop(tmp_path: Path) -> Iterator[Callable[[], Shop]]:
    opened: list[StationStore] = []

    def open_() -> Shop:
        store = StationStore.open(
            tmp_path / "books.db",
            clock=FixedClock(),
            entropy=SeededEntropy(),
            ballast_bytes=0,
            durable=False,
        )
        opened.append(store)
        return Shop(store)

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
async def shop(open_shop: Callable[[], Shop]) -> Shop:
    opened = open_shop()
    await opened.catalogues.accept_members(1, 1, MEMBERS, replaced=True, sha256="0" * 64)
    await opened.publish(POLICY)
    return opened
