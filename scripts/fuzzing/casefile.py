"""Writes a case as a file that `edge-agent quote` prices."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from edge_agent.model.quote import QuoteRequest
from scripts.fuzzing.prices import Case, Trouble

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write(trouble: Trouble, case: Case, folder: Path) -> Path:
    """Write a failing case; return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{trouble.seed}-{trouble.number}.json".replace(":", "-")
    content = {
        "about": f"{trouble.rule}: {trouble.what}"[:500],
        "policy": case.content,
        **case_of(case.request),
    }
    text = json.dumps(content, ensure_ascii=False, indent=2, default=list)
    file.write_text(text + "\n", encoding="utf-8")
    return file


def case_of(request: QuoteRequest) -> dict[str, Any]:
    """Return a question in the format of `edge-agent quote`, its policy apart."""
    member, paying = request.member, request.paying
    zone = timezone(timedelta(minutes=request.utc_offset_minutes))
    return {
        "member": None
        if member is None
        else {
            "ref": member.ref,
            "tier": member.tier,
            "tags": list(member.tags),
            "birthday_week": member.birthday_week,
            "first_fill": member.first_fill,
            "visit_number": member.visit_number,
        },
        "fuelling": {
            "grade": request.grade,
            "volume_ml": request.volume.ml,
            "unit_price_milli": request.unit_price.milli,
            "amount_fen": request.amount.fen,
        },
        "at": _written(request.at_ms, zone),
        "station": request.station,
        "plate_colour": request.plate_colour,
        "goods": [
            {"good": line.good, "pieces": line.pieces, "amount_fen": line.amount.fen}
            for line in request.goods
        ],
        "coupons": [
            {
                "serial": coupon.serial,
                "template": coupon.template,
                "valid_from": _written(coupon.from_ms, zone),
                "valid_until": _written(coupon.until_ms, zone),
            }
            for coupon in request.coupons
        ],
        "paying": None if paying is None else paying.means,
        "paid_otherwise_fen": 0 if paying is None else paying.others.fen,
        "points_redeemed": request.points_redeemed,
        "budgets": {budget.offer: budget.left.fen for budget in request.budgets},
    }


def _written(at_ms: int, zone: timezone) -> str:
    return (EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone).isoformat()


def _moment(at_ms: int, request: QuoteRequest) -> str:
    zone = timezone(timedelta(minutes=request.utc_offset_minutes))
    moment = datetime.fromtimestamp(at_ms // 1000, UTC) + timedelta(milliseconds=at_ms % 1000)
    return moment.astimezone(zone).isoformat()
