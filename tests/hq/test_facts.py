"""What a sale was priced from is held against what headquarters published and enrolled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agent.model.policy import load_policy
from edge_agent.model.records import CatalogueAccepted, EpochOpened, FuellingCompleted, RecordBody
from hq.books import HqBooks
from hq.catalogues import NewMember
from hq.facts import _IN_FORCE
from hq.headquarters import Headquarters
from tests.hq_kit import (
    EPOCH,
    NOW,
    POLICY_1,
    alarms,
    audit_all,
    batch,
    chain,
    completed,
    headquarters,
    settled,
    sums,
)
from tests.sync_kit import KEYS, action

TIERS = ("silver", "gold")
_TEXT = json.loads(POLICY_1)
POLICY_TEXT = json.dumps(
    _TEXT
    | {
        "tiers": [_TEXT["tiers"][0] | {"code": code} for code in TIERS],
        "offers": [
            offer | {"id": tier, "off_bp": 200 * place, "conditions": {"tiers": [tier]}}
            for offer in _TEXT["offers"]
            for place, tier in enumerate(TIERS, 1)
        ],
    }
)
POLICY = load_policy(POLICY_TEXT)


def trading() -> Headquarters:
    hq = headquarters()
    with hq.books.transaction():
        hq.desk.publish_policy(POLICY_TEXT)
        hq.desk.publish_prices("ps-1", 0, {"92": 7_850})
        hq.desk.publish_prices("ps-2", 0, {"92": 8_000})
        hq.desk.publish_prices("theirs", 0, {"92": 10}, scope="S-2")
        enrol(hq, "silver")
    return hq


def enrol(hq: Headquarters, tier: str, ref: str = "m-1") -> None:
    hq.desk.enrol(NewMember(ref, "王", tier))


def found(hq: Headquarters, *bodies: RecordBody, epoch: int = EPOCH) -> tuple[list[str], int]:
    """Return the alarms after these rows, and the price differences."""
    hq.handle([batch(chain(bodies, epoch=epoch))], NOW)
    audit_all(hq)
    return [code for _, code in alarms(hq)], sums(hq)["differences"]


def fuelled(**changes: object) -> FuellingCompleted:
    return completed(1).model_copy(update=changes)


def took(version: int, dataset: str = "members") -> CatalogueAccepted:
    return CatalogueAccepted(dataset=dataset, version=version, sha256="0" * 64)


def sold(tier: str | None, number: int = 1) -> list[RecordBody]:
    return [completed(number), settled(completed(number), POLICY, tier)]


# --- unit prices ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "codes", "differences"),
    [
        ({}, [], 0),
        ({"price_set": "ps-2", "unit_price_milli": 8_000}, [], 0),
        ({"unit_price_milli": 7_849}, ["unit_price_differs"], 1),
        ({"price_set": "ps-2"}, ["unit_price_differs"], 1),
        ({"grade": "95"}, ["unit_price_differs"], 1),
        ({"price_set": "ps-9"}, ["price_set_unknown"], 1),
        ({"price_set": "unknown"}, ["price_set_unknown"], 1),
        ({"price_set": "theirs", "unit_price_milli": 10}, ["price_set_unknown"], 1),
        ({"origin": "offline", "price_set": "unknown"}, [], 0),
        ({"origin": "recovered", "price_set": "ps-2"}, [], 0),
        ({"origin": "offline", "unit_price_milli": 7_848}, [], 0),
        ({"origin": "offline", "unit_price_milli": 7_000}, ["unit_price_unproven"], 0),
        ({"origin": "offline", "unit_price_milli": 9_000}, ["unit_price_unproven"], 0),
        ({"origin": "recovered", "unit_price_milli": 10}, ["unit_price_unproven"], 0),
        ({"origin": "recovered", "grade": "95"}, ["unit_price_unproven"], 0),
        ({"origin": "offline", "price_set": "ps-9"}, ["price_set_unknown"], 1),
    ],
)
def test_a_unit_price_is_one_that_was_published(
    changes: dict[str, object], codes: list[str], differences: int
) -> None:
    assert found(trading(), fuelled(**changes)) == (codes, differences)


# --- tiers ---------------------------------------------------------------------------------------


def test_a_tier_that_the_member_never_had_is_a_price_difference() -> None:
    assert found(trading(), took(1), *sold("gold")) == (["tier_differs"], 1)
    assert found(trading(), *sold("gold")) == (["tier_differs"], 1)
    assert found(trading(), *sold("silver")) == ([], 0)


def test_a_member_whom_nobody_enrolled_is_a_price_difference() -> None:
    hq = headquarters()
    with hq.books.transaction():
        hq.desk.publish_policy(POLICY_TEXT)
        hq.desk.publish_prices("ps-1", 0, {"92": 7_850})
    assert found(hq, *sold("silver")) == (["member_unknown"], 1)


def test_a_tier_needs_a_member() -> None:
    honest = settled(completed(1), POLICY)
    quoted = honest.quote.model_copy(update={"tier": "gold"})
    sale = honest.model_copy(update={"quote": quoted})
    assert found(trading(), completed(1), sale) == (["tier_differs"], 1)


@pytest.mark.parametrize(
    ("before", "codes", "differences"),
    [
        ([took(1)], [], 0),
        ([took(1), took(9, "prices"), took(9, "policy")], [], 0),
        ([], ["tier_differs"], 0),
        ([took(1), took(2)], ["tier_differs"], 0),
        ([took(1), took(2), took(3)], ["tier_differs"], 1),
        ([took(3)], ["tier_differs"], 1),
    ],
)
def test_a_tier_is_the_one_that_the_station_knew(
    before: list[RecordBody], codes: list[str], differences: int
) -> None:
    """Members 1: silver. 2: gold. 3: another member."""
    hq = trading()
    with hq.books.transaction():
        enrol(hq, "gold")
        enrol(hq, "silver", "m-2")
    assert found(hq, *before, *sold("silver")) == (codes, differences)


def test_a_top_up_and_new_numbers_change_no_tier() -> None:
    hq = trading()
    with hq.books.transaction():
        enrol(hq, "silver", "m-2")
        enrol(hq, "silver")
        hq.desk.remove("m-2")
        enrol(hq, "gold")
        newest = hq.desk.version("members")
    rows = [took(newest - 1), *sold("silver", 1), took(newest), *sold("gold", 2)]
    assert found(hq, *rows) == ([], 0)


def test_a_member_that_left_may_buy_until_the_station_hears_of_it() -> None:
    hq = trading()
    with hq.books.transaction():
        hq.desk.remove("m-1")
        newest = hq.desk.version("members")
    assert found(hq, took(1), *sold("silver")) == ([], 0)
    hq = trading()
    with hq.books.transaction():
        hq.desk.remove("m-1")
    assert found(hq, took(newest), *sold("silver")) == (["tier_differs"], 1)


def test_after_a_restore_a_former_tier_is_shown_and_not_counted() -> None:
    hq = trading()
    with hq.books.transaction():
        enrol(hq, "gold")
    rows = chain([took(1), action(1), took(2)])
    hq.handle([batch(rows)], NOW)
    audit_all(hq)
    opened = EpochOpened(
        reason="restore", previous_epoch=EPOCH, previous_seq=2, previous_hash=rows[1].hash
    )
    codes, differences = found(hq, opened, *sold("silver"), epoch=EPOCH + 1)
    assert (codes, differences) == (["rows_after_backup", "tier_differs"], 0)


def test_an_older_database_learns_the_tiers_that_its_members_have(tmp_path: Path) -> None:
    books = HqBooks(tmp_path / "hq.db")
    hq = Headquarters(books, KEYS)
    with books.transaction():
        hq.desk.publish_policy(POLICY_TEXT)
        hq.desk.publish_prices("ps-1", 0, {"92": 7_850})
        enrol(hq, "silver")
    books.connection.execute("DROP TABLE member_tier")
    books.close()
    hq = Headquarters(HqBooks(tmp_path / "hq.db"), KEYS)
    with hq.books.transaction():
        enrol(hq, "gold")
    assert found(hq, took(1), *sold("silver"), took(2), *sold("gold", 2)) == ([], 0)
    hq.books.close()


def test_the_search_for_what_a_station_had_taken_reads_no_other_rows() -> None:
    hq = trading()
    plan = hq.books.connection.execute(f"EXPLAIN QUERY PLAN {_IN_FORCE}", (1, 2, 2)).fetchall()
    assert "ledger_catalogues" in str(plan)
