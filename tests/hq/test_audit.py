"""The audit: sums to the last fen, every sale priced again, and an alarm for what cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model.policy import load_policy
from edge_agent.model.records import EpochOpened, RecordBody
from hq.enrolment import NewMember
from hq.headquarters import Headquarters
from tests.hq_kit import (
    EPOCH,
    NOW,
    POLICY_1,
    STATION,
    action,
    alarms,
    audit_all,
    batch,
    chain,
    completed,
    headquarters,
    moved,
    refunded,
    settled,
    sums,
    text_of,
)

POLICY = load_policy(POLICY_1)


def trading() -> Headquarters:
    """A headquarters with policy 1, price set ps-1 and the silver member m-1."""
    hq = headquarters()
    with hq.books.transaction():
        hq.publish_policy(POLICY_1, NOW)
        hq.desk.publish_prices("ps-1", 0, {"92": 7_850})
        hq.enrolment.enrol(NewMember("m-1", "王", "silver"), NOW)
    return hq


def told(*bodies: RecordBody | tuple[str, str]) -> Headquarters:
    """A headquarters that trades and was told these rows."""
    hq = trading()
    hq.handle([batch(chain(bodies))], NOW)
    audit_all(hq)
    return hq


def test_sums_count_completed_fuellings_and_settled_sales() -> None:
    one, two, three = completed(1), completed(2, 12_340), completed(3, 55_550)
    sale_one, sale_two = settled(one, POLICY, "silver"), settled(two)
    hq = told(one, two, three, sale_one, sale_two, refunded(sale_two))
    assert sums(hq) == {
        "fuellings": 3,
        "volume_ml": 30_000 + 12_340 + 55_550,
        "amount_fen": one.amount_fen + two.amount_fen + three.amount_fen,
        "sales": 2,
        "payable_fen": sale_one.quote.payable_fen + sale_two.quote.payable_fen,
        "member_sales": 1,
        "plate_sales": 0,
        "refunds": 1,
        "refunded_fen": sale_two.quote.payable_fen,
        "repriced": 2,
        "differences": 0,
        "unreadable": 0,
    }
    assert sale_one.quote.payable_fen < one.amount_fen
    assert alarms(hq) == []


def test_two_equal_sales_in_a_row_are_two_sales() -> None:
    hq = told(completed(1), completed(2), settled(completed(1)), settled(completed(2)))
    assert sums(hq)["sales"] == 2
    assert alarms(hq) == []


def test_a_price_that_the_same_rules_do_not_give_is_found() -> None:
    fuelling = completed(1)
    honest = settled(fuelling, POLICY, "silver")
    cheaper = honest.quote.model_copy(update={"payable_fen": honest.quote.payable_fen - 1})
    tenders = [honest.tenders[0].model_copy(update={"amount_fen": cheaper.payable_fen})]
    hq = told(fuelling, honest.model_copy(update={"quote": cheaper, "tenders": tenders}))
    assert alarms(hq) == [(2, "price_differs")]
    assert sums(hq)["differences"] == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"volume_ml": 29_999}, "sale_facts_differ"),
        ({"grade": "95"}, "sale_facts_differ"),
        ({"unit_price_milli": 1}, "sale_facts_differ"),
        ({"policy_version": 99}, "policy_unknown"),
        ({"points_earned": 10_000}, "price_differs"),
    ],
)
def test_facts_of_a_sale_are_those_of_its_fuelling(changes: dict[str, object], code: str) -> None:
    sale = settled(completed(1))
    quoted = sale.quote.model_copy(update=changes)
    hq = told(completed(1), sale.model_copy(update={"quote": quoted}))
    assert code in [found for _, found in alarms(hq)]


def test_what_happens_twice_or_without_cause_is_found() -> None:
    one = completed(1)
    sale = settled(one)
    hq = told(
        one, one, sale, sale, settled(completed(9)), refunded(sale), refunded(sale),
        refunded(settled(completed(8))),
    )  # fmt: skip
    assert alarms(hq) == [
        (2, "fuelling_twice"),
        (4, "settled_twice"),
        (5, "sale_without_fuelling"),
        (7, "refunded_twice"),
        (8, "refund_without_sale"),
    ]
    assert (sums(hq)["fuellings"], sums(hq)["sales"], sums(hq)["refunds"]) == (1, 1, 1)


def test_tenders_that_do_not_sum_to_the_price_are_found() -> None:
    sale = settled(completed(1))
    short = [sale.tenders[0].model_copy(update={"amount_fen": 1})]
    hq = told(completed(1), sale.model_copy(update={"tenders": short}))
    assert alarms(hq) == [(2, "tenders_differ")]


@pytest.mark.parametrize(
    "poison",
    [
        ("sale.settled", "{}"),
        ("sale.settled", "not json"),
        ("fuelling.completed", "null"),
        ("no.such.kind", "{}"),
        (
            "asset.moved",
            text_of(moved(settled(completed(1)), "a", "L1")).replace("-23", "-" + "9" * 40),
        ),
        (
            "fuelling.completed",
            text_of(completed(5)).replace('"volume_ml":30000', f'"volume_ml":{2**63 - 1}'),
        ),
    ],
)
def test_a_row_that_nobody_understands_is_parked_and_the_stream_goes_on(
    poison: tuple[str, str],
) -> None:
    hq = told(completed(1), poison, completed(2))
    assert alarms(hq) == [(2, "row_unreadable")]
    assert (sums(hq)["fuellings"], sums(hq)["unreadable"]) == (2, 1)
    topic, payload = hq.books.connection.execute("SELECT topic, payload FROM parked").fetchone()
    assert topic == f"{STATION}/{EPOCH}/2"
    assert payload == poison[1].encode()


def test_nothing_stays_of_a_row_whose_figures_no_sum_can_hold() -> None:
    huge = completed(1).model_copy(update={"volume_ml": 2**62})
    hq = told(huge, huge.model_copy(update={"fuelling_id": "f-2"}), completed(3))
    assert alarms(hq) == [(2, "row_unreadable")]
    known = hq.books.connection.execute("SELECT fuelling_id FROM fuelling").fetchall()
    assert known == [("f-1",), ("f-3",)]
    assert sums(hq)["volume_ml"] == 2**62 + 30_000


@given(st.lists(st.sampled_from([1, 2, 3, 7, 100]), max_size=12))
def test_the_audit_gives_the_same_in_any_pieces(pieces: list[int]) -> None:
    bodies: list[RecordBody] = []
    for number in range(10):
        bodies += [completed(number), settled(completed(number))]
    hq = trading()
    hq.handle([batch(chain(bodies))], NOW)
    for piece in pieces:
        hq.examine(piece, NOW)
    audit_all(hq)
    assert sums(hq)["sales"] == sums(hq)["fuellings"] == sums(hq)["repriced"] == 10
    assert alarms(hq) == []


def test_a_crash_in_the_audit_repeats_nothing() -> None:
    hq = headquarters()
    hq.handle([batch(chain([completed(1), completed(2)]))], NOW)

    def crash() -> None:
        with hq.books.transaction():
            hq.audit.run(10, NOW)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    assert sums(hq) == {}
    audit_all(hq)
    assert sums(hq)["fuellings"] == 2


@pytest.mark.parametrize(
    ("seq", "hash_", "code"), [(3, "0" * 64, "ledger_fork"), (99, "0" * 64, "epoch_missing_rows")]
)
def test_a_restore_that_does_not_fit_is_found(seq: int, hash_: str, code: str) -> None:
    hq = headquarters()
    hq.handle([batch(chain(action(number) for number in range(5)))], NOW)
    opened = EpochOpened(
        reason="restore", previous_epoch=EPOCH, previous_seq=seq, previous_hash=hash_
    )
    hq.handle([batch(chain([opened], epoch=EPOCH + 1))], NOW)
    audit_all(hq)
    assert code in [found for _, found in alarms(hq)]
