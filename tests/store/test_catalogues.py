"""Catalogues come into force whole or not at all, once, and hold nobody's name in clear."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from edge_agent.model.catalogues import MemberEntry
from edge_agent.model.errors import MessageRefused, StorageUnavailable
from edge_agent.model.ids import AccountRef, GradeId, MemberRef, PriceSetId
from edge_agent.model.membership import Member
from edge_agent.model.prices import PriceSet
from edge_agent.model.records import CatalogueAccepted
from edge_agent.model.units import UnitPrice
from edge_agent.store.station import StationStore
from edge_agent.store.verify import verify_books

OpenStore = Callable[..., StationStore]
DIGEST = "d" * 64
Kind = Literal["card", "phone", "plate"]


def blind(kind: str, identifier: str) -> str:
    return hmac.new(b"key", f"{kind}:{identifier}".encode(), hashlib.sha256).hexdigest()


def entry(ref: str, granted_fen: int = 0, **more: Any) -> MemberEntry:
    indexes: dict[Kind, list[str]] = more.pop("indexes", {"card": [blind("card", ref)]})
    values: dict[str, Any] = {
        "tier": "gold",
        "masked_name": "王**",
        "account": f"A-{ref}",
        "plate_pay": False,
    }
    return MemberEntry(ref=ref, granted_fen=granted_fen, indexes=indexes, **(values | more))


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


async def test_grants_only_grow(store: StationStore) -> None:
    def granted() -> int:
        account = store.books.account(AccountRef("A-M1"))
        assert account is not None
        return account.granted.fen

    for counter, offered, expected in [(1, 500, 500), (2, 900, 900), (3, 100, 900), (4, 901, 901)]:
        await take(store, counter, entry("M1", offered))
        assert granted() == expected
    await take(store, 5, entry("M2"), replaced=True)
    assert granted() == 901  # the account outlives its member: what was spent stays accounted for


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
    assert [in_force(at) for at in (999, 1000, 1999, 2000)] == [None, "P1", "P1", "P2"]
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
    await take(store, 1, entry("M1", 500))
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


async def test_nothing_personal_stands_in_the_file(
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
    await take(store, 1, entry("M1", 100_000, indexes=indexes, masked_name="王**"))
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
    for personal in (phone, plate, plate.replace("·", ""), "A·D12345", card):
        for encoding in ("utf-8", "utf-16-le", "gb18030"):
            assert personal.encode(encoding) not in content


async def test_an_erased_member_leaves_no_bytes_behind(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store()
    await take(store, 1, entry("M1", masked_name="欧阳**"), entry("M2"))
    assert "欧阳".encode() in all_bytes(tmp_path)
    await take(store, 2, entry("M2"), replaced=True)
    store.close()
    content = all_bytes(tmp_path)
    assert "欧阳".encode() not in content
    assert blind("card", "M1").encode() not in content
    assert blind("card", "M2").encode() in content


async def test_closed_catalogues_take_nothing(open_store: OpenStore) -> None:
    store = open_store()
    store.close()
    with pytest.raises(StorageUnavailable):
        await take(store, 1, entry("M1"))
