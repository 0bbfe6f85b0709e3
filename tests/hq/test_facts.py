"""What a sale was priced from is held against what headquarters published and enrolled."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edge_agent.core.promotions import quote
from edge_agent.model.ids import MemberRef
from edge_agent.model.policy import load_policy
from edge_agent.model.quote import GoodsLine, MemberFacts
from edge_agent.model.quote_record import body_of, request_of
from edge_agent.model.records import (
    CatalogueAccepted,
    EpochOpened,
    FuellingCompleted,
    PointsEarned,
    RecordBody,
    SaleSettled,
    Tender,
)
from edge_agent.model.units import Money
from hq.enrolment import NewMember
from hq.facts import _IN_FORCE
from hq.headquarters import Headquarters
from tests.hq_kit import (
    EPOCH,
    NOW,
    POLICY_1,
    action,
    alarms,
    audit_all,
    batch,
    chain,
    completed,
    earned,
    headquarters,
    priced,
    refunded,
    sale_of,
    settled,
    sums,
)

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
        hq.publish_policy(POLICY_TEXT, NOW)
        hq.desk.publish_prices("ps-1", 0, {"92": 7_850})
        hq.desk.publish_prices("ps-2", 0, {"92": 8_000})
        hq.desk.publish_prices("theirs", 0, {"92": 10}, scope="S-2")
        enrol(hq, "silver")
    return hq


def enrol(hq: Headquarters, tier: str, ref: str = "m-1") -> None:
    hq.enrolment.enrol(NewMember(ref, "王", tier), NOW)


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
    sale = settled(completed(number), POLICY, tier)
    return [completed(number), sale, *([] if tier is None else [earned(sale)])]


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
        hq.publish_policy(POLICY_TEXT, NOW)
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
        hq.enrolment.remove("m-2")
        enrol(hq, "gold")
        newest = hq.members.version()
    rows = [took(newest - 1), *sold("silver", 1), took(newest), *sold("gold", 2)]
    assert found(hq, *rows) == ([], 0)


def test_a_member_that_left_may_buy_until_the_station_hears_of_it() -> None:
    hq = trading()
    with hq.books.transaction():
        hq.enrolment.remove("m-1")
        newest = hq.members.version()
    assert found(hq, took(1), *sold("silver")) == ([], 0)
    hq = trading()
    with hq.books.transaction():
        hq.enrolment.remove("m-1")
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


def test_the_search_for_what_a_station_had_taken_reads_no_other_rows() -> None:
    hq = trading()
    plan = hq.books.connection.execute(f"EXPLAIN QUERY PLAN {_IN_FORCE}", (1, 2, 2)).fetchall()
    assert "ledger_catalogues" in str(plan)


# --- what else is known of a member --------------------------------------------------------------

TAGGED = json.dumps(
    {
        "format": 1,
        "version": 1,
        "tiers": [{"code": "silver", **dict.fromkeys(("label_zh", "label_en"), "s"),
                   **dict.fromkeys(("text_zh", "text_en"), "s")}],
        "goods": [{"code": "water", "label_zh": "水", "label_en": "water", "price_fen": 300}],
    }
)  # fmt: skip
PLAIN = load_policy(TAGGED)


def knowing(**facts: object) -> Headquarters:
    hq = headquarters()
    with hq.books.transaction():
        hq.publish_policy(TAGGED, NOW)
        hq.desk.publish_prices("ps-1", 0, {"92": 7_850})
        hq.enrolment.enrol(NewMember("m-1", "王", "silver", **facts), NOW)  # type: ignore[arg-type]
    return hq


def bought(number: int = 1, **facts: object) -> list[RecordBody]:
    """A sale to m-1 that says this of the member, priced accordingly."""
    fuelling = completed(number)
    member = MemberFacts(MemberRef("m-1"), "silver", **facts)  # type: ignore[arg-type]
    request = replace(request_of(priced(fuelling, PLAIN, "silver")), member=member)
    quoted = body_of(quote(request, PLAIN))
    cash = Tender(means="cash", amount_fen=quoted.payable_fen, account_ref=None)
    sale = sale_of(fuelling, quoted, [cash])
    return [fuelling, sale, earned(sale)]


TODAY = ("09-21", "09-23")
"""NOW is 2026-09-22 in China."""


@pytest.mark.parametrize(
    ("known", "said", "codes", "differences"),
    [
        ({}, {}, [], 0),
        ({"tags": ["night", "lorry"]}, {"tags": ("lorry", "night")}, [], 0),
        ({"tags": ["night"]}, {}, ["tags_differ"], 1),
        ({}, {"tags": ("vip",)}, ["tags_differ"], 1),
        ({"birthday_week": TODAY}, {"birthday_week": True}, [], 0),
        ({"birthday_week": TODAY}, {}, ["birthday_differs"], 1),
        ({"birthday_week": ("01-01", "01-07")}, {"birthday_week": True}, ["birthday_differs"], 1),
        ({}, {"birthday_week": True}, ["birthday_differs"], 1),
        ({}, {"first_fill": True}, [], 0),
    ],
)
def test_row_m17_row_m18_facts_of_a_member_are_those_that_headquarters_knows(
    known: dict[str, object], said: dict[str, object], codes: list[str], differences: int
) -> None:
    assert found(knowing(**known), *bought(1, **said)) == (codes, differences)


def test_tags_that_were_changed_lately_are_right_at_a_station_that_did_not_know() -> None:
    hq = knowing(tags=["night"])
    with hq.books.transaction():
        hq.enrolment.enrol(NewMember("m-1", "王", "silver", tags=["day"]), NOW)
    assert found(hq, took(1), *bought(tags=("night",))) == ([], 0)


def test_a_second_first_fill_in_the_same_books_is_a_price_difference() -> None:
    hq = knowing()
    codes, differences = found(hq, *bought(1, first_fill=True), *bought(2, first_fill=True))
    assert (codes, differences) == (["first_fill_differs"], 1)


def test_a_first_fill_that_was_one_as_far_as_the_station_knew_is_shown_only() -> None:
    hq = knowing()
    hq.handle([batch(chain(bought(1)), "S-2")], NOW)
    codes, _ = found(hq, *bought(2, first_fill=True))
    assert codes == ["first_fill_differs"]
    assert sums(hq)["differences"] == 0


def test_row_m7_stations_hear_of_the_first_fill_at_once_and_of_others_by_and_by() -> None:
    hq = knowing()
    before = hq.members.version()
    found(hq, *bought(1))
    assert hq.members.version() == before + 1
    hq.handle([batch(chain(bought(2), epoch=EPOCH + 1))], NOW)
    audit_all(hq)
    assert hq.members.version() == before + 1
    with hq.books.transaction():
        assert (hq.members.refresh(10), hq.members.refresh(10)) == (1, 0)
    content = hq.members.lacking(before)
    assert content is not None
    (entry,) = json.loads(content.payload)["members"]
    sale = settled(completed(1), PLAIN)
    assert (entry["fills"], entry["spent_fen"]) == (2, 2 * sale.quote.payable_fen)
    assert sum(bucket["points"] for bucket in entry["points"]) == hq.vault.held("points", "m-1")


def test_a_refund_takes_a_fill_back() -> None:
    hq = knowing()
    fuelling, sale, points = bought(1)
    assert isinstance(sale, SaleSettled)
    assert isinstance(points, PointsEarned)
    back = points.model_copy(update={"points": -points.points, "reason": "refund"})
    assert found(hq, fuelling, sale, points, refunded(sale), back, action(1)) == ([], 0)
    assert hq.members.sums("m-1") == (0, 0)
    assert hq.vault.held("points", "m-1") == 0


# --- the rest of the question --------------------------------------------------------------------


def with_goods(amount_fen: int, good: str = "water") -> list[RecordBody]:
    fuelling = completed(1)
    request = replace(
        request_of(priced(fuelling, PLAIN, None)), goods=(GoodsLine(good, 2, Money(amount_fen)),)
    )
    quoted = body_of(quote(request, PLAIN))
    cash = Tender(means="cash", amount_fen=quoted.payable_fen, account_ref=None)
    return [fuelling, sale_of(fuelling, quoted, [cash])]


@pytest.mark.parametrize(
    ("amount_fen", "good", "codes"),
    [
        (600, "water", []),
        (599, "water", ["goods_price_differs"]),
        (600, "oil", ["goods_price_differs"]),
    ],
)
def test_goods_cost_what_the_policy_says(amount_fen: int, good: str, codes: list[str]) -> None:
    assert found(knowing(), *with_goods(amount_fen, good)) == (codes, len(codes))


def test_a_sale_is_priced_as_at_its_own_station() -> None:
    fuelling = completed(1)
    request = replace(request_of(priced(fuelling, PLAIN, None)), station="S-9")
    quoted = body_of(quote(request, PLAIN))
    cash = Tender(means="cash", amount_fen=quoted.payable_fen, account_ref=None)
    rows = [fuelling, sale_of(fuelling, quoted, [cash])]
    assert found(knowing(), *rows) == (["station_differs"], 1)


def test_an_explanation_that_the_same_rules_do_not_give_is_shown() -> None:
    fuelling, sale, *rest = bought(1)
    assert isinstance(sale, SaleSettled)
    told = sale.model_copy(update={"explanation_sha256": "0" * 64})
    assert found(knowing(), fuelling, told, *rest) == (["explanation_differs"], 0)
