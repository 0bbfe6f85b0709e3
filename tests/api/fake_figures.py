"""What a fake station shows: views, quotes and receipts that add up."""

from __future__ import annotations

import time

from edge_agent.app.station import StationFacts
from edge_agent.model.books import SettledSale
from edge_agent.model.errors import Problem
from edge_agent.model.fuelling import FpState
from edge_agent.model.ids import (
    AccountRef,
    BusId,
    FpId,
    GradeId,
    LogicalNozzle,
    MemberRef,
    NozzleNumber,
    StationId,
)
from edge_agent.model.membership import Member
from edge_agent.model.policy import Tier
from edge_agent.model.records import AppliedOffer, FuellingCompleted, QuoteBody, RejectedOffer
from edge_agent.model.station import BusPlan, FpPlan, NozzlePlan, StationPlan
from edge_agent.model.units import Money, Volume
from edge_agent.model.views import (
    CameraView,
    FpView,
    NozzleView,
    StationView,
    SyncView,
    UnpaidView,
)

GRADES = {"92": ("92#", 7_850), "95": ("95#", 8_360), "98": ("98#", 9_340), "0": ("0#", 7_450)}
ONE_HOSE_PAIRS = (("92", "95"), ("92", "95"), ("95", "98"), ("0",), ("92", "95"), ("92", "98"))

SILVER = Member(MemberRef("m-silver"), "silver", "王**", AccountRef("a-silver"), True)
POOR = Member(MemberRef("m-poor"), "member", "李*", AccountRef("a-poor"), False)
MEMBERS = {
    ("card", "62000001"): SILVER,
    ("phone", "13900000001"): SILVER,
    ("plate", "云A·D12345"): SILVER,
    ("card", "62000002"): POOR,
}
TIERS = {
    "silver": Tier(
        code="silver",
        label_zh="银牌会员",
        label_en="Silver",
        text_zh="满2000升级",
        text_en="from 2000",
    )
}
UNKNOWN_MEMBER = Problem("member_unknown", "查无此会员", "no such member")
UNKNOWN_FUELLING = Problem("fuelling_unknown", "没有这笔加油", "no such unpaid fuelling")
UNKNOWN_SALE = Problem("sale_unknown", "没有这笔销售", "no such sale")

REFUNDED = Problem("already_refunded", "已退款", "this sale was refunded before")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def empty_view(points: int) -> StationView:
    number = 0
    made = []
    for fp in range(1, points + 1):
        nozzles = []
        for logical, grade in enumerate(ONE_HOSE_PAIRS[(fp - 1) % len(ONE_HOSE_PAIRS)], 1):
            number += 1
            name, price = GRADES[grade]
            nozzles.append(NozzleView(number, logical, grade, name, price))
        made.append(_idle(fp, tuple(nozzles)))
    at = now_ms()
    return StationView(
        station="km-001", name_zh="昆明北站加油站", name_en="Kunming North", at_ms=at,
        version="0.1.0", demo=False, utc_offset_minutes=480, clock_trusted=True,
        storage_ok=True, stop_all=False,
        price_set="p-7", policy_version=3, catalogues={"members": 12, "policy": 3, "prices": 7},
        fuelling_points=tuple(made), unpaid=(),
        sync=SyncView(True, at, 0, 0, 412, 412, 1, at, False),
        cameras=(
            CameraView("cam-1", "bay-1", "ok", at, "云A·D**45"),
            CameraView("cam-2", "bay-2", "ok", at, None),
        ),
        problems=(),
    )  # fmt: skip


def _idle(fp: int, nozzles: tuple[NozzleView, ...]) -> FpView:
    return FpView(
        fp=fp, bay=f"bay-{fp}", state=FpState.IDLE, since_ms=now_ms(), nozzles=nozzles,
        lifted=None, fuelling_id=None, volume_ml=0, amount_fen=0, preset_volume_ml=None,
        preset_amount_fen=None, member=None, plate=None, unpaid=0, blocked=None, price_set="p-7",
    )  # fmt: skip


def unpaid_view(done: FuellingCompleted) -> UnpaidView:
    return UnpaidView(
        fuelling_id=done.fuelling_id, fp=done.fp, nozzle_number=done.nozzle_number,
        grade=done.grade, grade_name=GRADES[done.grade][0],
        unit_price_milli=done.unit_price_milli, volume_ml=done.volume_ml,
        amount_fen=done.amount_fen, prepaid_fen=done.prepaid_fen, ended_ms=done.ended_ms,
        member="王**" if done.member_ref else None,
        plate="云A·D**45" if done.plate_ref else None, origin=done.origin,
    )  # fmt: skip


def quote_of(done: FuellingCompleted, member: str | None) -> QuoteBody:
    ref = member or done.member_ref
    applied = []
    rejected = [
        RejectedOffer(
            offer="save-200-20", reason="amount_below", missing=max(0, 20_000 - done.amount_fen),
            text_zh="满200减20", text_en="20 off from 200",
        )
    ]  # fmt: skip
    if ref == "m-silver":
        off = done.amount_fen * 2 // 100
        applied.append(
            AppliedOffer(
                offer="silver", amount_fen=off, text_zh="银牌会员98折", text_en="Silver tier 2% off"
            )
        )
    off = sum(one.amount_fen for one in applied)
    return QuoteBody(
        policy_version=3, grade=done.grade, volume_ml=done.volume_ml,
        unit_price_milli=done.unit_price_milli, at_ms=now_ms(), utc_offset_minutes=480,
        member_ref=ref,
        tier="silver" if ref == "m-silver" else None, list_amount_fen=done.amount_fen,
        payable_fen=done.amount_fen - off, applied=applied, rejected=rejected,
        points_earned=(done.amount_fen - off) // 100 if ref else 0,
    )  # fmt: skip


def receipt_of(sale: SettledSale, reprint: bool) -> str:
    done, quote = sale.completed, sale.settled.quote
    lines = [
        "       昆明北站加油站",
        "       Kunming North",
        "-" * 32,
        *(["            重打 COPY"] if reprint else []),
        f"小票号 No.{sale.settled.receipt_no:>22}",
        f"枪号 Nozzle{done.nozzle_number:>21}",
        f"油品 Grade{done.grade + '#':>22}",
        f"数量 L{Volume(done.volume_ml)!s:>26}",
        f"应收 List{Money(quote.list_amount_fen)!s:>23}",
        *(f"{one.text_zh}{Money(-one.amount_fen)!s:>20}" for one in quote.applied),
        f"实收 Paid{Money(quote.payable_fen)!s:>23}",
        f"找零 Change{Money(sale.settled.change_fen)!s:>21}",
        "-" * 32,
    ]
    return "\n".join(lines) + "\n"


def facts_of(view: StationView) -> StationFacts:
    points = tuple(
        FpPlan(
            FpId(point.fp),
            point.fp,
            tuple(
                NozzlePlan(
                    NozzleNumber(nozzle.number),
                    LogicalNozzle(nozzle.logical),
                    GradeId(nozzle.grade),
                )
                for nozzle in point.nozzles
            ),
        )
        for point in view.fuelling_points
    )
    bus = BusPlan(BusId("bus-1"), "dart", points)
    plan = StationPlan(StationId(view.station), "", "", (), (bus,))
    return StationFacts(plan, view.version, view.demo)
