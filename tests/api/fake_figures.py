"""What a fake station shows: views, quotes and receipts that add up."""

from __future__ import annotations

import time

from edge_agent.app.station import StationFacts
from edge_agent.model.books import SettledSale
from edge_agent.model.fuelling import FpState
from edge_agent.model.ids import (
    BusId,
    FpId,
    GradeId,
    LogicalNozzle,
    NozzleNumber,
    StationId,
)
from edge_agent.model.records import FuellingCompleted
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
