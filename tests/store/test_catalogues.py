"""Catalogues come into force whole or not at all, once, and hold nobody's name in clear."""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest

from edge_agent.model.catalogues import BucketEntry, LeaseEntry, MemberEntry, UsageRulesEntry
from edge_agent.model.errors import CorruptionError, MessageRefused, StorageUnavailable
from edge_agent.model.ids import AccountRef, GradeId, MemberRef, PriceSetId
from edge_agent.model.membership import ExpiringPoints, Member, UsageRules
from edge_agent.model.prices import PriceSet
from edge_agent.model.records import BODIES, CatalogueAccepted, LeaseClosed, LeasesTaken
from edge_agent.model.units import UnitPrice
from edge_agent.security.sealing import Sealer
from edge_agent.store.rebuild import rebuild_books
from edge_agent.store.station import StationStore
from edge_agent.store.verify import verify_books
from tests.store.conftest import FAR_MS

OpenStore = Callable[..., StationStore]
DIGEST = "d" * 64
Kind = Literal["card", "phone", "plate"]


def blind(kind: str, identifier: str) -> str:
    return hmac.new(b"key", f"{kind}:{identifier}".encode(), hashlib.sha256).hexdigest()


def entry(ref: str, **more: Any) -> MemberEntry:
    indexes: dict[Kind, list[str]] = more.pop("indexes", {"card": [blind("card", ref)]})
    values: dict[str, Any] = {
        "tier": "gold",
        "masked_name": "王**",
        "account": f"A-{ref}",
        "plate_pay": False,
    }
    return MemberEntry(ref=ref, indexes=indexes, **(values | more))


def prices(set_id: str, valid_from_ms: int, version: int = 1, milli: int = 7850) -> PriceSet:
    return PriceSet(PriceSetId(set_id), version, valid_from_ms, {GradeId("92"): UnitPrice(milli)})


async def take(
    store: StationStore, counter: int, *members: MemberEntry, replaced: bool = False
) -> None:
    await store.catalogues.accept_members(
        counter, counter, members, replaced=replaced, sha256=DIGEST
    )


def by_card(store: StationStore, ref: str) -> Member | None:
    return store.catalogues.member_by_index("card", blind("card", ref))


async def test_members_are_found_by_reference_and_by_index(store: StationStore) -> None:
    indexes = {"plate": ["a" * 64, "b" * 64], "phone": ["c" * 64]}
    await take(store, 1, entry("M1", indexes=indexes, plate_pay=True), entry("M2", account=None))
    expected = Member(MemberRef("M1"), "gold", "王**", AccountRef("A-M1"), True)
    assert store.catalogues.member(MemberRef("M1")) == expected
    for kind, found in indexes.items():
        assert [store.catalogues.member_by_index(kind, index) for index in found] == (
            [expected] * len(found)
        )
    assert store.catalogues.member_by_index("card", "a" * 64) is None
    second = by_card(store, "M2")
    assert second is not None
    assert second.account is None
    assert store.catalogues.member(MemberRef("M3")) is None


async def test_each_acceptance_is_a_record_in_the_same_transaction(store: StationStore) -> None:
    await take(store, 7, entry("M1"))
    (record,) = store.books.records_after(0, 9)
    assert CatalogueAccepted.model_validate_json(record.body) == CatalogueAccepted(
        dataset="members", version=7, sha256=DIGEST
    )
    assert store.catalogues.versions() == {"members": 7}


async def test_changes_replace_a_member_and_a_snapshot_replaces_all(store: StationStore) -> None:
    await take(store, 1, entry("M1"), entry("M2"))
    await take(store, 2, entry("M1", tier="silver", indexes={"card": [blind("card", "new")]}))
    assert by_card(store, "M1") is None
    changed = by_card(store, "new")
    assert changed is not None
    assert (changed.ref, changed.tier) == ("M1", "silver")
    assert by_card(store, "M2") is not None
    await take(store, 3, entry("M3"), replaced=True)
    assert [by_card(store, ref) is not None for ref in ("new", "M2", "M3")] == [False, False, True]


async def test_a_card_that_changes_hands_goes_with_the_later_word(store: StationStore) -> None:
    card = {"card": [blind("card", "K")]}
    await take(store, 1, entry("M1", indexes=card))
    await take(store, 2, entry("M2", indexes=card))
    found = by_card(store, "K")
    assert found is not None
    assert found.ref == "M2"


async def test_row_s11_all_that_is_known_of_a_member_comes_back(store: StationStore) -> None:
    rules = UsageRulesEntry(
        grades=["92"],
        stations=["S-1", "S-2"],
        hours=[(360, 1_320), (1_380, 60)],
        max_volume_ml=80_000,
        max_amount_fen=60_000,
        visits_per_day=1,
        visits_per_week=3,
        visits_per_month=9,
        amount_per_month_fen=500_000,
        odometer=True,
        pin=True,
        amount_per_day_fen=60_000,
        amount_per_week_fen=150_000,
        volume_per_day_ml=80_000,
        volume_per_week_ml=200_000,
        volume_per_month_ml=700_000,
    )
    await take(
        store,
        1,
        entry(
            "M1",
            account_kind="fleet",
            limit_class="lorry",
            tags=["diesel", "night"],
            birthday_week=("12-29", "01-04"),
            fills=12,
            spent_fen=345_600,
            points=[BucketEntry(expires_ms=5, points=7), BucketEntry(expires_ms=6, points=8)],
            rules=rules,
            pin_hash="$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA",
            locked="lost",
        ),
        entry("M2", rules=UsageRulesEntry()),
    )
    assert store.catalogues.member(MemberRef("M1")) == Member(
        MemberRef("M1"),
        "gold",
        "王**",
        AccountRef("A-M1"),
        False,
        "fleet",
        "lorry",
        ("diesel", "night"),
        ("12-29", "01-04"),
        12,
        345_600,
        (ExpiringPoints(5, 7), ExpiringPoints(6, 8)),
        UsageRules(
            ("92",),
            ("S-1", "S-2"),
            ((360, 1_320), (1_380, 60)),
            80_000,
            60_000,
            1,
            3,
            9,
            500_000,
            True,
            True,
            60_000,
            150_000,
            80_000,
            200_000,
            700_000,
        ),
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA",
        "lost",
    )
    plain = store.catalogues.member(MemberRef("M2"))
    assert plain is not None
    assert plain.rules == UsageRules()


async def test_row_s11_swapped_cells_do_not_open(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    await take(store, 1, entry("M1"), entry("M2", tier="diamond"))
    with closing(sqlite3.connect(tmp_path / "books.db", isolation_level=None)) as outside:
        (one,) = outside.execute("SELECT personal FROM members WHERE ref = 'M1'").fetchone()
        (two,) = outside.execute("SELECT personal FROM members WHERE ref = 'M2'").fetchone()
        outside.execute("UPDATE members SET personal = ? WHERE ref = 'M1'", (two,))
        outside.execute("UPDATE members SET personal = ? WHERE ref = 'M2'", (one,))
    for ref in ("M1", "M2"):
        with pytest.raises(CorruptionError) as caught:
            store.catalogues.member(MemberRef(ref))
        assert caught.value.problem.code == "seal_broken"


async def test_members_under_another_key_are_laid_aside(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store()
    await take(store, 7, entry("M1"))
    store.close()
    other = Sealer(bytes(reversed(range(32))))
    again = open_store(sealer=other)
    assert by_card(again, "M1") is None
    assert again.catalogues.versions() == {"members": 0}  # so headquarters sends them anew
    await take(again, 8, entry("M1"))
    assert by_card(again, "M1") is not None
    again.close()
    same = open_store(sealer=other)
    assert same.catalogues.versions() == {"members": 8}
    assert by_card(same, "M1") is not None


# --- leases -------------------------------------------------------------------------------------


def lease(lease_id: str, amount: int = 1_000, **more: Any) -> LeaseEntry:
    values: dict[str, Any] = {"asset": "balance", "holder": "A", "expires_ms": FAR_MS}
    return LeaseEntry(lease_id=lease_id, amount=amount, **(values | more))


class Leases:
    """Takes in catalogues of leases, one after the other."""

    def __init__(self, store: StationStore) -> None:
        self.store = store
        self.counter = 0

    async def take(self, *granted: LeaseEntry, recalled: Sequence[str] = ()) -> list[Any]:
        """Return the records that this made after its own."""
        before = self.store.books.head().seq
        self.counter += 1
        await self.store.catalogues.accept_leases(
            self.counter, self.counter, granted, recalled, sha256=DIGEST
        )
        accepted, *rest = self.store.books.records_after(before, 99)
        assert CatalogueAccepted.model_validate_json(accepted.body).dataset == "leases"
        assert self.store.catalogues.versions()["leases"] == self.counter
        return [BODIES[record.kind].model_validate_json(record.body) for record in rest]

    def open(self) -> list[str]:
        return sorted(each.terms.lease_id for each in self.store.books.open_leases())


async def test_leases_come_into_force_with_their_records(store: StationStore) -> None:
    leases = Leases(store)
    points = lease(
        "L2",
        300,
        asset="points",
        holder="M",
        holding=900,
        buckets=[BucketEntry(expires_ms=FAR_MS, points=300)],
    )
    coupon = lease(
        "L3", 1, asset="coupon", holder="K", template="T", member_ref="M", from_ms=1, until_ms=2
    )
    (taken,) = await leases.take(lease("L1"), points, coupon)
    assert isinstance(taken, LeasesTaken)
    assert [each.lease_id for each in taken.leases] == ["L1", "L2", "L3"]
    (held,) = store.books.holding("points", "M").leases
    assert held.terms == taken.leases[1]
    (coupons,) = store.books.coupons_of(MemberRef("M"))
    assert coupons.terms == taken.leases[2]
    assert await leases.take() == []


async def test_a_lease_that_comes_again_is_passed_over(store: StationStore) -> None:
    leases = Leases(store)
    await leases.take(lease("L1"))
    (taken,) = await leases.take(lease("L1"), lease("L1", 5_000), lease("L2"), lease("L2"))
    assert [each.lease_id for each in taken.leases] == ["L2"]
    assert store.books.holding("balance", "A").available(0) == 2_000


async def test_a_recalled_lease_is_closed_at_once_with_what_was_spent(
    store: StationStore, bodies: Any
) -> None:
    leases = Leases(store)
    await leases.take(lease("L-A", 10_000), lease("L2"))
    completed = bodies.completed()
    sale = bodies.settled(completed, [bodies.stored_value("A", completed.amount_fen)])
    await store.books.append([completed, sale, *bodies.moved(sale)])
    closed = await leases.take(recalled=["L-A", "L-A"])
    assert closed == [LeaseClosed(lease_id="L-A", spent=7_850, reason="recalled")]
    assert leases.open() == ["L2"]
    assert await leases.take(lease("L-A"), recalled=["L-A"]) == []


async def test_a_lease_recalled_before_it_came_never_opens(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store()
    leases = Leases(store)
    never = LeaseClosed(lease_id="L1", spent=0, reason="recalled")
    assert await leases.take(recalled=["L1"]) == [never]
    assert await leases.take(recalled=["L1"]) == []
    assert await leases.take(lease("L1")) == []
    in_one = LeaseClosed(lease_id="L2", spent=0, reason="recalled")
    assert await leases.take(lease("L2"), recalled=["L2"]) == [in_one]
    assert leases.open() == []
    store.close()
    rebuild_books(tmp_path / "books.db")
    again = Leases(open_store())
    again.counter = leases.counter
    assert await again.take(lease("L1"), lease("L2")) == []
    assert verify_books(tmp_path / "books.db").ok


async def test_a_frozen_coupon_is_headquarters_to_decide(store: StationStore, bodies: Any) -> None:
    leases = Leases(store)
    await leases.take(lease("L-K", 1, asset="coupon", holder="K", template="T", member_ref="M"))
    completed = bodies.completed()
    quote = bodies.quote(
        completed, applied=[bodies.applied("T", 0, "K")], payable_fen=completed.amount_fen
    )
    sale = bodies.settled(completed, quote=quote)
    moved = [bodies.drawn(sale, "K", 1, "coupon")]
    await store.books.append([completed, sale, *moved])
    await store.books.append([bodies.refunded(sale), *bodies.given_back(moved)])
    assert await leases.take(recalled=["L-K"]) == []


async def test_a_lease_that_contradicts_itself_is_refused_with_all_others(
    store: StationStore,
) -> None:
    bad = lease("L2", 300, asset="points", holder="M")
    head = store.books.head()
    with pytest.raises(MessageRefused) as caught:
        await store.catalogues.accept_leases(1, 1, [lease("L1"), bad], [], sha256=DIGEST)
    assert caught.value.problem.code == "bad_content"
    assert store.books.head() == head
    assert store.books.open_leases() == []
    assert store.catalogues.versions() == {}


async def test_a_lease_catalogue_is_taken_once(store: StationStore) -> None:
    await Leases(store).take(lease("L1"))
    with pytest.raises(MessageRefused) as caught:
        await store.catalogues.accept_leases(1, 1, [lease("L2")], ["L1"], sha256=DIGEST)
    assert caught.value.problem.code == "replayed"
    assert Leases(store).open() == ["L1"]


async def test_the_largest_catalogue_of_leases_fits_into_records(store: StationStore) -> None:
    """As much as the wire allows in one message, with the longest names in four bytes each."""
    long = "\N{PILE OF POO}" * 60
    buckets = [BucketEntry(expires_ms=FAR_MS + n, points=10**9) for n in range(256)]
    granted = [
        lease(f"{n:04d}{long}", 1, asset="coupon", holder=long, template=long, member_ref=long)
        for n in range(497)
    ]
    granted += [
        lease(f"P{n}", 256 * 10**9, asset="points", holder=long, buckets=buckets) for n in range(3)
    ]
    await Leases(store).take(*granted)
    assert len(store.books.open_leases()) == 500


# --- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize("counter", [0, 4, 5])
async def test_a_counter_that_is_not_greater_changes_nothing(
    store: StationStore, counter: int
) -> None:
    await take(store, 5, entry("M1"))
    head = store.books.head()
    with pytest.raises(MessageRefused) as caught:
        await take(store, counter, entry("M2"), replaced=True)
    assert caught.value.problem.code == "replayed"
    assert store.books.head() == head
    assert by_card(store, "M1") is not None
    assert by_card(store, "M2") is None
    # Each dataset counts by itself.
    await store.catalogues.accept_prices(1, 1, [prices("P1", 0)], sha256=DIGEST)


async def test_price_sets_come_into_force_by_their_time(store: StationStore) -> None:
    def in_force(at_ms: int) -> str | None:
        found = store.catalogues.price_set(at_ms)
        return None if found is None else found.id

    assert in_force(10**12) is None
    today, tomorrow = prices("P1", 1000), prices("P2", 2000, milli=7990)
    await store.catalogues.accept_prices(1, 1, [today, tomorrow], sha256=DIGEST)
    assert [in_force(at) for at in (999, 1000, 2000, 1999)] == [None, "P1", "P2", "P1"]
    assert store.catalogues.price_set(2000) == tomorrow
    # A newer set of the same beginning takes the place of the older.
    await store.catalogues.accept_prices(2, 2, [prices("P3", 2000, version=2)], sha256=DIGEST)
    assert [in_force(at) for at in (1999, 2000)] == ["P1", "P3"]
    # The same set again is fine; under other prices it is not the same set.
    await store.catalogues.accept_prices(3, 3, [tomorrow], sha256=DIGEST)
    head = store.books.head()
    for other in (prices("P2", 2000), prices("P2", 2001, milli=7990)):
        with pytest.raises(MessageRefused) as caught:
            await store.catalogues.accept_prices(4, 4, [prices("P4", 0), other], sha256=DIGEST)
        assert caught.value.problem.code == "version_rewritten"
    assert store.books.head() == head
    assert in_force(0) is None


async def test_the_policy_last_accepted_is_in_force(store: StationStore) -> None:
    assert store.catalogues.policy_json() is None
    for version, counter in [(3, 1), (4, 2), (3, 3)]:  # HQ may go back to an earlier one
        text = json.dumps({"version": version})
        await store.catalogues.accept_policy(version, counter, text, sha256=DIGEST)
        assert store.catalogues.policy_json() == text
        assert store.catalogues.versions() == {"policy": version}
    with pytest.raises(MessageRefused) as caught:
        await store.catalogues.accept_policy(4, 4, "{}", sha256=DIGEST)
    assert caught.value.problem.code == "version_rewritten"
    assert store.catalogues.versions() == {"policy": 3}


async def test_catalogues_outlive_a_restart_and_a_rebuild(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store()
    await take(store, 1, entry("M1"))
    await store.catalogues.accept_prices(1, 1, [prices("P1", 0)], sha256=DIGEST)
    store.close()
    again = open_store()
    assert by_card(again, "M1") is not None
    assert again.catalogues.price_set(5) == prices("P1", 0)
    with pytest.raises(MessageRefused):
        await take(again, 1, entry("M1"))
    assert verify_books(tmp_path / "books.db").ok


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("books.db*"))


async def test_row_s11_nothing_personal_stands_in_the_file(
    open_store: OpenStore, bodies: Any, tmp_path: Path
) -> None:
    """As `strings` would read it: neither phone nor plate nor card of a member who bought fuel."""
    phone, plate, card = "13912345678", "云A·D12345", "9900112233445566"
    store = open_store()
    indexes = {
        "phone": [blind("phone", phone)],
        "plate": [blind("plate", plate)],
        "card": [blind("card", card)],
    }
    await store.books.append([bodies.taken(bodies.terms("A-M1", 100_000))])
    name, tag, hashed = "欧阳**", "night-shift-nurse", "$argon2id$v=19$m=8,t=1,p=1$c2FsdA"
    await take(
        store,
        1,
        entry(
            "M1",
            indexes=indexes,
            masked_name=name,
            tags=[tag],
            birthday_week=("02-26", "03-04"),
            pin_hash=hashed,
            spent_fen=8_765_432,
        ),
    )
    member = store.catalogues.member_by_index("plate", blind("plate", plate))
    assert member is not None
    completed = bodies.completed(member_ref=member.ref, plate_ref=blind("plate", plate))
    await store.books.append([completed])
    settled = bodies.settled(
        completed,
        [bodies.stored_value("A-M1", completed.amount_fen)],
        member_ref=member.ref,
        plate_ref=blind("plate", plate),
    )
    await store.books.append([settled, *bodies.moved(settled)])
    store.close()
    content = all_bytes(tmp_path)
    known = (name, tag, hashed, "02-26", "8765432")
    for personal in (phone, plate, plate.replace("·", ""), "A·D12345", card, *known):
        for encoding in ("utf-8", "utf-16-le", "gb18030"):
            assert personal.encode(encoding) not in content


async def test_an_erased_member_leaves_no_bytes_behind(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store()
    await take(store, 1, entry("M1"), entry("M2"))
    with closing(sqlite3.connect(tmp_path / "books.db")) as outside:
        (sealed,) = outside.execute("SELECT personal FROM members WHERE ref = 'M1'").fetchone()
    assert sealed in all_bytes(tmp_path)
    await take(store, 2, entry("M2"), replaced=True)
    store.close()
    content = all_bytes(tmp_path)
    assert sealed not in content
    assert blind("card", "M1").encode() not in content
    assert blind("card", "M2").encode() in content


async def test_closed_catalogues_take_nothing(open_store: OpenStore) -> None:
    store = open_store()
    store.close()
    with pytest.raises(StorageUnavailable):
        await take(store, 1, entry("M1"))
