"""What was paid for whom and when: the windows that limits are judged by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_agent.model.books import Usage
from edge_agent.model.ids import MemberRef
from edge_agent.model.units import Money, Volume
from edge_agent.store.station import StationStore
from tests.store.conftest import NOW_MS

OpenStore = Callable[..., StationStore]
MINUTE_MS = 60_000
NOTHING = Usage(0, Money(0), Volume(0))


async def sell(store: StationStore, bodies: Any, *, stored_fen: int = 0, **more: Any) -> Any:
    """Settle ten litres for 78.50, a part from account A; return the sale and what it moved."""
    completed = bodies.completed()
    tenders = [bodies.stored_value("A", stored_fen)] if stored_fen else None
    settled = bodies.settled(completed, tenders, **more)
    moved = bodies.moved(settled)
    await store.books.append([completed, settled, *moved])
    return settled, moved


async def test_row_r1_row_r2_payments_are_counted_in_a_sliding_window(
    store: StationStore, bodies: Any, clock: Any
) -> None:
    books = store.books
    await books.append([bodies.taken(bodies.terms("A", 100_000))])
    for _ in range(3):
        await sell(store, bodies, stored_fen=5_000, member_ref="M", plate_ref="p")
        clock.advance(MINUTE_MS // 2)
    now_ms = clock.wall_ms()
    one = Usage(1, Money(7_850), Volume(10_000))
    assert books.usage("member", "M", now_ms - MINUTE_MS // 2) == one
    assert books.usage("member", "M", now_ms - MINUTE_MS) == Usage(2, Money(15_700), Volume(20_000))
    assert books.usage("plate", "p", NOW_MS) == Usage(3, Money(23_550), Volume(30_000))
    # Of an account counts what was charged to it.
    assert books.usage("account", "A", NOW_MS) == Usage(3, Money(15_000), Volume(30_000))
    assert books.usage("member", "M", now_ms + 1) == NOTHING
    for subject, ref in (("member", "A"), ("account", "M"), ("plate", "M"), ("member", "N")):
        assert books.usage(subject, ref, 0) == NOTHING  # type: ignore[arg-type]


async def test_row_r1_the_window_survives_a_restart(
    open_store: OpenStore, bodies: Any, clock: Any
) -> None:
    store = open_store()
    await sell(store, bodies, member_ref="M")
    store.close()
    clock.advance(1_000)
    assert open_store().books.usage("member", "M", NOW_MS).payments == 1


async def test_row_r1_row_r2_a_clock_set_back_opens_no_limit_anew(
    store: StationStore, bodies: Any, clock: Any
) -> None:
    books = store.books
    await books.append([bodies.taken(bodies.terms("A", 100_000))])
    await sell(store, bodies, stored_fen=5_000, member_ref="M")
    clock.advance(-86_400_000)
    settled, moved = await sell(store, bodies, stored_fen=5_000, member_ref="M")
    since_ms = books.time_floor_ms() - MINUTE_MS
    assert since_ms > clock.wall_ms()
    assert books.usage("account", "A", since_ms).payments == 2
    assert books.visits(MemberRef("M"), since_ms) == 2
    await books.append([bodies.refunded(settled), *bodies.given_back(moved)])
    assert books.usage("account", "A", since_ms).payments == 1


async def test_row_l1_a_refunded_sale_counts_no_more(
    store: StationStore, bodies: Any, clock: Any
) -> None:
    books = store.books
    await books.append([bodies.taken(bodies.terms("A", 100_000))])
    sold = []
    for _ in range(2):
        sold.append(await sell(store, bodies, stored_fen=7_850, member_ref="M", plate_ref="p"))
        clock.advance(MINUTE_MS)
    assert books.visits(MemberRef("M"), 0) == 2
    settled, moved = sold[0]
    await books.append([bodies.refunded(settled), *bodies.given_back(moved)])
    for subject, ref in (("member", "M"), ("account", "A"), ("plate", "p")):
        found = books.usage(subject, ref, 0)  # type: ignore[arg-type]
        assert found == Usage(1, Money(7_850), Volume(10_000))
    assert books.visits(MemberRef("M"), 0) == 1
    assert books.visits(MemberRef("M"), NOW_MS + MINUTE_MS + 1) == 0


async def test_row_l2_the_odometer_shows_what_was_said_last(
    store: StationStore, bodies: Any
) -> None:
    member = MemberRef("M")
    assert store.books.last_odometer_km(member) is None
    await store.books.append([bodies.completed(member_ref="M", odometer_km=120_300)])
    await store.books.append([bodies.completed(member_ref="M")])
    await store.books.append([bodies.completed(member_ref="N", odometer_km=5)])
    assert store.books.last_odometer_km(member) == 120_300
    await store.books.append([bodies.completed(member_ref="M", odometer_km=120_200)])
    assert store.books.last_odometer_km(member) == 120_200


async def test_a_passing_driver_leaves_no_trace(store: StationStore, bodies: Any) -> None:
    await sell(store, bodies)
    rows = await store.writer.submit(
        lambda connection: connection.execute("SELECT count(*) FROM usage").fetchone()
    )
    assert rows == (0,)


async def test_headquarters_was_heard_from(open_store: OpenStore, clock: Any, bodies: Any) -> None:
    store = open_store()
    assert store.books.heard_ms() is None
    await store.books.note_heard(NOW_MS)
    # Kept at once for the running agent, on the disk every half minute.
    await store.books.note_heard(NOW_MS + 29_999)
    assert store.books.heard_ms() == NOW_MS + 29_999
    store.close()
    again = open_store()
    assert again.books.heard_ms() == NOW_MS
    await again.books.note_heard(NOW_MS + 30_000)
    again.close()
    last = open_store()
    assert last.books.heard_ms() == NOW_MS + 30_000
    # A clock that was wrong before is believed when it is right.
    await last.books.note_heard(NOW_MS - 1_000)
    last.close()
    assert open_store().books.heard_ms() == NOW_MS - 1_000
