"""One station for each module: a start costs some seconds, and its tests leave it selling."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.station import Station, running_station


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def station(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Station]:
    """A station that sells: agent, broker, headquarters, pumps and a camera."""
    async with running_station(tmp_path_factory.mktemp("station")) as running:
        yield running
