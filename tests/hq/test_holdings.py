"""Holdings in double entry: nothing appears or vanishes, and what is promised is there."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.model.errors import CorruptionError
from hq.books import HqBooks
from hq.holdings import Cause, Place, Vault
from tests.hq_kit import NOW

CAUSE = Cause(NOW, "test")
PLACES: tuple[Place, ...] = ("world", "free", "leased", "locked", "spent")


def vault() -> tuple[HqBooks, Vault]:
    books = HqBooks(":memory:")
    return books, Vault(books)


moves = st.lists(
    st.tuples(
        st.sampled_from(["a-1", "a-2"]),
        st.integers(1, 100),
        st.sampled_from(PLACES),
        st.sampled_from(PLACES),
        st.sampled_from([0, NOW + 1, NOW + 2]),
    ),
    max_size=30,
)


@settings(max_examples=60)
@given(moves)
def test_row_v6_every_movement_is_in_the_journal_and_the_journal_proves_every_holding(
    steps: list[tuple[str, int, Place, Place, int]],
) -> None:
    books, found = vault()
    plain: dict[tuple[str, int], dict[Place, int]] = {}
    for holder, amount, source, target, expires_ms in steps:
        if source == target:
            continue
        at = plain.setdefault((holder, expires_ms), dict.fromkeys(PLACES, 0))
        before = dict(at)
        at[source] -= amount
        at[target] += amount
        promised = target in {"leased", "locked"} and source == "free"
        may = min(at["leased"], at["locked"]) >= 0 and (not promised or before["free"] >= amount)
        with books.transaction():
            try:
                with books.part():
                    found.move(
                        "points", holder, amount, (source, target), CAUSE, expires_ms=expires_ms
                    )
            except sqlite3.IntegrityError:
                assert not may
                plain[holder, expires_ms] = before
            else:
                assert may
    for holder in ("a-1", "a-2"):
        buckets = {b.expires_ms: b for b in found.buckets("points", holder)}
        for (name, expires_ms), at in plain.items():
            if name == holder and expires_ms in buckets:
                bucket = buckets[expires_ms]
                assert bucket.free - bucket.debt == at["free"]
                assert (bucket.leased, bucket.locked) == (at["leased"], at["locked"])
                assert min(bucket.free, bucket.debt) == 0
    wrong = [line for line in found.differences() if "journal" in line]
    assert wrong == [], "leases apart, which this test has none of"


def test_row_v3_balance_and_coupons_are_apart() -> None:
    books, found = vault()
    with books.transaction():
        found.credit("balance", "x", 500, CAUSE)
        found.credit("coupon", "x", 1, CAUSE)
        found.move("coupon", "x", 1, ("free", "spent"), CAUSE)
    assert (found.held("balance", "x"), found.held("coupon", "x")) == (500, 0)


def test_a_debt_in_one_bucket_keeps_others_from_being_set_aside() -> None:
    books, found = vault()
    with books.transaction():
        found.credit("points", "m", 100, CAUSE, NOW + 1)
        found.move("points", "m", 30, ("free", "spent"), CAUSE, expires_ms=NOW + 2)
    assert (found.free("points", "m"), found.held("points", "m")) == (70, 70)
    assert found.debt("points", "m") == 0
    with books.transaction():
        found.move("points", "m", 100, ("free", "spent"), CAUSE, expires_ms=NOW + 1)
    assert (found.free("points", "m"), found.debt("points", "m")) == (0, 30)


def test_row_p8_points_that_expire_leave_and_those_at_stations_come_back_first() -> None:
    books, found = vault()
    with books.transaction():
        found.credit("points", "m", 100, CAUSE, NOW)
        found.credit("points", "m", 50, CAUSE, NOW + 1)
        found.move("points", "m", 40, ("free", "leased"), CAUSE, expires_ms=NOW)
        assert found.expire(NOW, 10) == 1
        assert found.expire(NOW, 10) == 0
    assert found.held("points", "m") == 90
    with books.transaction():
        found.move("points", "m", 40, ("leased", "free"), CAUSE, expires_ms=NOW)
        assert found.expire(NOW, 10) == 1
    assert found.held("points", "m") == 50


@pytest.mark.parametrize("amount", [0, -1])
def test_nothing_moves_by_nothing(amount: int) -> None:
    books, found = vault()
    with books.transaction(), pytest.raises(CorruptionError):
        found.credit("balance", "a", amount, CAUSE)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE holding SET free = free + 1",
        "UPDATE holding SET leased = 1, free = free - 1",
        """INSERT INTO lease (lease_id, station, epoch, asset, holder, amount, granted_ms,
        expires_ms) VALUES ('x', 's', 1, 'balance', 'a', 5, 0, 0)""",
    ],
)
def test_what_was_changed_past_the_journal_is_found(tampering: str) -> None:
    books, found = vault()
    with books.transaction():
        found.credit("balance", "a", 10, CAUSE)
    assert found.differences() == []
    books.connection.execute(tampering)
    assert found.differences() != []


@pytest.mark.parametrize("change", ["UPDATE journal SET amount = 1", "DELETE FROM journal"])
def test_the_journal_is_append_only(change: str) -> None:
    books, found = vault()
    with books.transaction():
        found.credit("balance", "a", 10, CAUSE)
    with pytest.raises(sqlite3.IntegrityError, match="append only"):
        books.connection.execute(change)


def test_row_f3_row_v6_what_moved_in_any_stretch_of_time_is_told() -> None:
    books, found = vault()
    with books.transaction():
        for at_ms in (NOW, NOW + 1, NOW + 2):
            found.credit("balance", "a", 10, Cause(at_ms, "top_up"))
    (line,) = found.funds(NOW + 1, NOW + 3)
    assert line == {
        "asset": "balance", "source": "world", "target": "free", "reason": "top_up",
        "movements": 2, "amount": 20,
    }  # fmt: skip
