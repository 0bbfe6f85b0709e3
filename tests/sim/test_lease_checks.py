"""Each check of leases, coupons, points and limits sees what it is there for, and nothing else."""

from __future__ import annotations

import pytest

from edge_agent.model.policy import ClassLimits
from edge_agent.model.records import (
    AppliedOffer,
    Asset,
    AssetMoved,
    LeaseClosed,
    LeasesTaken,
    LeaseTerms,
    MemberCodeUsed,
    OperatorAction,
    PointsBucket,
    PointsEarned,
    QuoteBody,
    RecordBody,
    RiskFlagged,
    SaleRefunded,
    SaleSettled,
    StoredValueToppedUp,
    Tender,
)
from edge_agent.sim import lease_checks as checks
from edge_agent.sim.held_checks import Held, OpenLease, headquarters_agrees

DAY_MS = 86_400_000
LIMITS = {
    "A": ClassLimits(
        payments_per_minute=2, amount_per_day_fen=10_000, second_factor_above_fen=5_000,
        floor_per_sale_fen=1_000, floor_per_day_fen=1_500, grace_s=3_600,
    )
}  # fmt: skip


def taken(lease: str = "L", asset: Asset = "balance", amount: int = 100) -> LeasesTaken:
    buckets = [PointsBucket(expires_ms=500, points=amount)] if asset == "points" else []
    terms = LeaseTerms(
        lease_id=lease, asset=asset, holder="A", amount=amount, expires_ms=1_000, buckets=buckets
    )
    return LeasesTaken(leases=[terms])


def moved(
    delta: int, lease: str | None = "L", asset: Asset = "balance", *, sale: str = "s",
    age_s: int | None = None, points_until_ms: int = 500,
) -> AssetMoved:  # fmt: skip
    buckets = [PointsBucket(expires_ms=points_until_ms, points=abs(delta))]
    return AssetMoved(
        asset=asset, holder="A", delta=delta, sale_id=sale, lease_id=lease, cache_age_s=age_s,
        reason="sale" if delta < 0 else "refund", buckets=buckets if asset == "points" else [],
    )  # fmt: skip


def closed(spent: int) -> LeaseClosed:
    return LeaseClosed(lease_id="L", spent=spent, reason="recalled")


def sale(name: str = "s", fen: int = 100, **more: object) -> SaleSettled:
    values: dict[str, object] = {
        "policy_version": 1, "grade": "92", "volume_ml": 1_000, "unit_price_milli": 7_850,
        "at_ms": 0, "member_ref": "m", "tier": None, "fuel_amount_fen": fen,
        "list_amount_fen": fen, "payable_fen": fen, "applied": [], "rejected": [],
        "points_earned": 0,
    }  # fmt: skip
    quote = QuoteBody(**(values | more))  # type: ignore[arg-type]
    tender = Tender(means="stored_value", amount_fen=fen, account_ref="A")
    return SaleSettled(
        sale_id=name, fuelling_id=f"f-{name}", quote=quote, explanation_sha256="",
        tenders=[tender], change_fen=0, member_ref="m", plate_ref=None, receipt_no="1",
        idempotency_key=name, operator="till",
    )  # fmt: skip


def refund(name: str = "s") -> SaleRefunded:
    return SaleRefunded(
        refund_id="r", sale_id=name, fuelling_id=f"f-{name}", tenders=[], reason="x",
        idempotency_key="r", operator="till",
    )  # fmt: skip


def top_up(key: str = "k", lease: str = "T") -> StoredValueToppedUp:
    return StoredValueToppedUp(
        top_up_id=lease, account_ref="A", member_ref="m", amount_fen=100, means="cash",
        confirmed_by="member_code", second_operator=None, idempotency_key=key, operator="till",
        expires_ms=1_000,
    )  # fmt: skip


def at(time_ms: int, *bodies: RecordBody) -> list[tuple[int, RecordBody]]:
    return [(time_ms, body) for body in bodies]


COUPON = AppliedOffer(
    offer="o", amount_fen=5, text_zh="", text_en="", stage="basket", coupon="C"
)  # fmt: skip
CODE = MemberCodeUsed(nonce="n", member_ref="m", expires_ms=9)
FLAG = RiskFlagged(
    rule="second_factor", decision="step_up", member_ref="m", account_ref="A", amount_fen=1
)
OTHER = OperatorAction(action="x", fp=None, operator="till")


@pytest.mark.parametrize(
    "ledger",
    [
        at(1, taken(), moved(-60), moved(-40), moved(60), moved(-60), closed(100)),
        at(1, top_up(), moved(-100, "T")),
        at(1, taken(asset="points"), moved(-60, asset="points"), moved(60, asset="points")),
        at(1, taken(asset="coupon", amount=1), moved(-1, asset="coupon"),
           moved(1, asset="coupon"), taken("M", "coupon", 1), moved(-1, "M", "coupon")),
        at(1, moved(-500, None)),
    ],
)  # fmt: skip
def test_what_a_lease_allows_is_no_violation(ledger: list[tuple[int, RecordBody]]) -> None:
    assert list(checks.leases_hold(ledger)) == []


@pytest.mark.parametrize(
    ("ledger", "seen"),
    [
        (at(1, taken(), taken()), "taken twice"),
        (at(1, taken(), moved(-60), moved(-41)), "overspent: 101 of 100"),
        (at(1, taken(), moved(5)), "overspent: -5"),
        (at(1, moved(-5)), "not here"),
        (at(1, taken(), moved(-5, asset="budget")), "another's"),
        (at(1, taken(), moved(-5), closed(5), moved(-5)), "after its end"),
        (at(1, taken()) + at(1_000, moved(-5)), "after its end"),
        (at(1, taken(), moved(-5), closed(4)), "spent 5"),
        (at(1, taken(), closed(0), closed(0)), "closed twice"),
        (at(1, taken(asset="points")) + at(500, moved(-5, asset="points")), "had expired"),
        (at(1, taken(asset="points"), moved(-5, asset="points", points_until_ms=7)), "bucket"),
        (at(1, taken(asset="coupon", amount=1), taken("M", "coupon", 1),
            moved(-1, asset="coupon"), moved(-1, "M", "coupon")), "was used 2 times"),
        (at(1, taken(asset="coupon", amount=1), moved(-1, asset="coupon"),
            moved(1, asset="coupon"), moved(-1, asset="coupon")), "after its end"),
    ],
)  # fmt: skip
def test_a_lease_that_is_misused_is_seen(ledger: list[tuple[int, RecordBody]], seen: str) -> None:
    found = list(checks.leases_hold(ledger))
    assert any(seen in each for each in found), found


def test_a_sale_that_moves_what_it_says_is_right_and_so_is_its_refund() -> None:
    quoted = sale(points_earned=7, applied=[COUPON])
    earned = PointsEarned(member_ref="m", sale_id="s", points=7, expires_ms=9, reason="sale")
    bodies = [
        quoted, moved(-60), moved(-40, None),
        AssetMoved(asset="coupon", holder="C", delta=-1, sale_id="s", reason="sale", lease_id="K"),
        earned, CODE,
    ]  # fmt: skip
    assert list(checks.sales_move_what_they_say(at(1, *bodies))) == []
    undone = [
        refund(),
        *[b.model_copy(update={"delta": -b.delta}) for b in bodies if isinstance(b, AssetMoved)],
        earned.model_copy(update={"points": -7, "reason": "refund"}),
    ]
    assert list(checks.sales_move_what_they_say(at(1, *bodies, *undone))) == []


@pytest.mark.parametrize(
    "bodies",
    [
        [sale()],
        [sale(), moved(-99)],
        [sale(), moved(-100), moved(-1)],
        [sale(applied=[COUPON]), moved(-100)],
        [sale(points_earned=3), moved(-100)],
        [sale(), moved(-100), refund()],
        [sale(), moved(-100), refund(), moved(99)],
        [CODE, CODE],
    ],
)
def test_a_sale_that_moves_something_else_is_seen(bodies: list[RecordBody]) -> None:
    assert len(list(checks.sales_move_what_they_say(at(1, *bodies)))) == 1


def test_row_r1_row_r2_limits_are_counted_without_what_was_refunded() -> None:
    often = [*at(1, sale("a"), sale("b")), *at(60_000, sale("c"))]
    assert list(checks.limits_hold(often, LIMITS)) == ["risk: A paid 3 times within a minute"]
    calm = [*at(1, sale("a"), sale("b")), *at(60_001, sale("c"))]
    assert list(checks.limits_hold(calm, LIMITS)) == []
    given = [*at(1, sale("a"), refund("a"), sale("b")), *at(60_000, sale("c"))]
    assert list(checks.limits_hold(given, LIMITS)) == []
    much = [*at(1, sale("a", 9_000)), *at(70_000, sale("b", 1_001))]
    assert list(checks.limits_hold(much, LIMITS)) == ["risk: A paid 10001 fen within a day"]


@pytest.mark.parametrize(
    ("bodies", "count"),
    [
        ([moved(-1_000, None, age_s=9)], 0),
        ([moved(-1_001, None, age_s=9)], 1),
        ([moved(-1_000, None, age_s=9), moved(-501, None, sale="t", age_s=9)], 1),
        ([moved(-9, None, age_s=3_601)], 1),
        ([moved(-9, None)], 1),
    ],
)
def test_row_s26_what_is_spent_beyond_leases_is_counted(
    bodies: list[RecordBody], count: int
) -> None:
    assert len(list(checks.limits_hold(at(1, *bodies), LIMITS))) == count


def test_row_r10_a_large_charge_without_a_flag_is_seen() -> None:
    flagged = at(1, sale(fen=5_001), moved(-5_001), FLAG, OTHER)
    assert list(checks.proofs_were_asked_for(flagged, LIMITS)) == []
    late = at(1, sale(fen=5_001), moved(-5_001), OTHER, FLAG)
    assert len(list(checks.proofs_were_asked_for(late, LIMITS))) == 1
    assert list(checks.proofs_were_asked_for(at(1, sale(fen=5_000)), LIMITS)) == []


def test_a_top_up_that_was_taken_twice_is_seen() -> None:
    assert list(checks.top_ups_are_single(at(1, top_up(), top_up("j", "U")))) == []
    assert len(list(checks.top_ups_are_single(at(1, top_up(), top_up("k", "U"))))) == 1


def test_row_v6_what_headquarters_holds_is_what_came_less_what_went() -> None:
    balance, points = ("balance", "A"), ("points", "m")
    earned = PointsEarned(member_ref="m", sale_id="s", points=7, expires_ms=9, reason="sale")
    bodies = [taken(), moved(-60), top_up(), earned]
    lease = OpenLease(balance, 100, 60)
    right = Held(
        held={balance: 540, points: 7}, taken_in={balance: 500}, lent={"L": lease},
        here={"L": lease}, unproved=(),
    )  # fmt: skip
    assert list(headquarters_agrees(right, bodies)) == []
    less = Held({balance: 539, points: 7}, right.taken_in, {}, {}, ("the journal",))
    assert len(list(headquarters_agrees(less, bodies))) == 2
    other = Held(right.held, right.taken_in, {"L": OpenLease(balance, 100, 59)}, right.here, ())
    assert len(list(headquarters_agrees(other, bodies))) == 1
