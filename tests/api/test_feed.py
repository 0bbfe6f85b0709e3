"""The feed of the screens: everything at once, the newest view, never a queue."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from edge_agent.api import feed as feed_module
from edge_agent.api.feed import MAX_LISTENERS, StationFeed
from edge_agent.app.station import Station
from edge_agent.model.views import StationView
from tests.api.fake_station import FakeStation


@pytest.fixture
def feed(station: FakeStation) -> StationFeed:
    return StationFeed(cast("Station", station))


async def _next(events: AsyncIterator[bytes]) -> tuple[str, Any]:
    async with asyncio.timeout(5):
        text = (await anext(events)).decode()
    fields = dict(line.split(": ", 1) for line in text.splitlines() if line)
    return fields.get("event", ""), json.loads(fields.get("data", "null"))


async def _events(feed: StationFeed) -> AsyncIterator[bytes]:
    with feed.listening() as place:
        assert place is not None
        async with contextlib.aclosing(feed.events(place)) as events:  # type: ignore[type-var]
            async for event in events:
                yield event


def _full(feed: StationFeed) -> bool:
    with feed.listening() as place:
        return place is None


async def _joined(feed: StationFeed) -> AsyncIterator[bytes]:
    events = _events(feed)
    assert (await anext(events)).startswith(b"retry: ")
    return events


def _failing() -> StationView:
    raise ZeroDivisionError


async def _close(*streams: AsyncIterator[bytes]) -> None:
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]


async def test_the_whole_view_comes_first_then_each_change(
    feed: StationFeed, station: FakeStation
) -> None:
    events = await _joined(feed)
    name, view = await _next(events)
    assert (name, view["fuelling_points"][0]["state"]) == ("station", "idle")
    station.lift(1)
    name, view = await _next(events)
    assert (name, view["fuelling_points"][0]["state"]) == ("station", "calling")
    await _close(events)


async def test_a_storm_of_changes_is_folded_and_the_last_one_arrives(
    feed: StationFeed, station: FakeStation
) -> None:
    events = await _joined(feed)
    await _next(events)
    seen: list[int] = []
    for volume_ml in range(10, 5_010, 10):
        station.flow(1, volume_ml)
        await asyncio.sleep(0)
    while not seen or seen[-1] != 5_000:
        _, view = await _next(events)
        seen.append(view["fuelling_points"][0]["volume_ml"])
    assert len(seen) < 10
    await _close(events)


async def test_a_slow_listener_gets_the_newest_view_only(
    feed: StationFeed, station: FakeStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "MIN_GAP_S", 0)
    slow, quick = await _joined(feed), await _joined(feed)
    await _next(slow)
    await _next(quick)
    for volume_ml in (10, 20, 30):
        station.flow(1, volume_ml)
        view: Any = None
        while view is None or view["fuelling_points"][0]["volume_ml"] != volume_ml:
            _, view = await _next(quick)
    _, view = await _next(slow)
    assert view["fuelling_points"][0]["volume_ml"] == 30
    await _close(slow, quick)


async def test_each_view_is_made_once_for_all(
    feed: StationFeed, station: FakeStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "MIN_GAP_S", 0)
    streams = [await _joined(feed) for _ in range(5)]
    for stream in streams:
        await _next(stream)
    for stream in streams[:-1]:  # whoever joins later brings everybody a fresh view
        await _next(stream)
    before = station.views
    station.lift(2)
    for stream in streams:
        _, view = await _next(stream)
        assert view["fuelling_points"][1]["state"] == "calling"
    assert station.views == before + 1
    await _close(*streams)


async def test_silence_is_broken_by_a_heartbeat(
    feed: StationFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "HEARTBEAT_S", 0.01)
    events = await _joined(feed)
    await _next(events)
    assert (await _next(events))[0] == "beat"
    assert (await _next(events))[0] == "beat"
    await _close(events)


async def test_listeners_are_bounded_and_leave_nothing_behind(
    feed: StationFeed, station: FakeStation
) -> None:
    streams = [await _joined(feed) for _ in range(MAX_LISTENERS)]
    await asyncio.sleep(0)
    assert _full(feed)
    assert station.watchers == 1
    await _close(*streams)
    await asyncio.sleep(0)
    assert not _full(feed)
    assert station.watchers == 0


async def test_closing_ends_every_stream(feed: StationFeed) -> None:
    streams = [await _joined(feed) for _ in range(3)]
    for stream in streams:
        await _next(stream)
    feed.close()
    for stream in streams:
        rest = [event async for event in stream]
        assert len(rest) <= 1


async def test_a_view_that_fails_ends_the_streams_and_the_next_listener_starts_anew(
    feed: StationFeed,
    station: FakeStation,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    events = await _joined(feed)
    await _next(events)
    with monkeypatch.context() as broken:
        broken.setattr(station, "view", _failing)
        station.lift(1)
        rest = [event async for event in events]
    assert rest == []
    assert "the feed of the screens ended" in caplog.text
    again = await _joined(feed)
    assert (await _next(again))[0] == "station"
    await _close(again)
