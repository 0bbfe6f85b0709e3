"""The promotion laboratory: a quarter of a station's sales priced again under another policy."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from edge_agent.app.laboratory import Replay, replay, replayed
from edge_agent.core.promotions import quote
from edge_agent.model.ids import GradeId, MemberRef
from edge_agent.model.policy import Policy, load_policy
from edge_agent.model.quote import CouponFacts, MemberFacts, Paying, QuoteRequest
from edge_agent.model.quote_record import body_of, without_words
from edge_agent.model.records import SaleSettled, Tender
from edge_agent.model.units import Money, UnitPrice, volume_for
from edge_agent.store.database import connect_writer, prepare, transaction
from edge_agent.store.past_sales import sales_since
from scripts.benchmarks.outside import POLICY, TIERS, folder
from scripts.benchmarks.row import Row, Scale, say, timed_ms

PROMISED: Final = 100_000
PRICES: Final = {"92": 7_850, "95": 8_350, "0": 7_500}
QUARTER_MS: Final = 90 * 86_400_000
ENDS_MS: Final = 1_798_732_800_000  # 2027-01-01, in China
DIFFERENT: Final = 5_000
"""So many different sales are written over and over: deciding each again costs the same."""
CHECKED: Final = 500
WRITTEN_AT_ONCE: Final = 1_000


def measure(scale: Scale) -> list[Row]:
    """Measure reading and pricing a quarter's sales under a changed policy."""
    count = scale.of(PROMISED, 20_000, 60)
    chance = random.Random(7)
    old = load_policy(POLICY.read_text(encoding="utf-8"))
    new_json = changed(POLICY.read_text(encoding="utf-8"))
    different = [_sale(number, old, chance) for number in range(min(DIFFERENT, count))]
    processes = len(os.sched_getaffinity(0))
    with folder() as path:
        _write(path / "ledger.db", different, count)
        say(f"laboratory: {count} sales are written")
        reading_ms = timed_ms(lambda: sum(1 for _ in sales_since(path / "ledger.db", 0)))
        began, processor = time.perf_counter(), _processor_s()
        found = replay(sales_since(path / "ledger.db", 0), new_json, processes)
        wall_s, processor_s = time.perf_counter() - began, _processor_s() - processor
    return [
        Row(
            name="policy_replay", value=processor_s / processes * PROMISED / count,
            unit="s of processor time on each core, 100,000 sales",
            limit=30.0, limit_name="promised", sense="at_most", goal_ratio=1.0,
            goal="100,000 sales under another policy: at most 30 s",
            details={
                "sales": found.sales, "processes": processes, "processor_s": processor_s,
                "wall_s": wall_s,
                "reading_alone_s": reading_ms / 1000, "offers": len(old.offers),
                "cost_fen": found.cost_fen,
            },
            flaws=_flaws(found, count, different[:CHECKED], old),
        )
    ]  # fmt: skip


def changed(policy_json: str) -> str:
    """Return a policy of the next version with a dearer tier, one offer less and one more."""
    raw = json.loads(policy_json)
    raw["version"] += 1
    raw["offers"][0]["off_bp"] += 50
    del raw["offers"][3]
    raw["offers"].append(
        {
            "id": "evening", "kind": "amount_off", "off_fen": 500, "text_zh": "晚间满200减5",
            "text_en": "By evening: 5 off 200",
            "conditions": {
                "hours": [{"start": "18:00", "end": "22:00"}], "min_amount_fen": 20_000,
            },
        }
    )  # fmt: skip
    return json.dumps(raw)


def _processor_s() -> float:
    """Return the processor time of this process and of its children that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _flaws(found: Replay, count: int, sample: list[str], old: Policy) -> tuple[str, ...]:
    flaws = []
    if found.sales != count or found.unreadable:
        flaws.append(f"{found.sales} of {count} sales were priced")
    same = replayed(sample, old)
    if same.payable_before_fen != same.payable_after_fen or same.cheaper_sales:
        flaws.append("the policy in force does not cost what it cost")
    return tuple(flaws)


def _sale(number: int, policy: Policy, chance: random.Random) -> str:
    grade = chance.choice(sorted(PRICES))
    price = UnitPrice(PRICES[grade])
    amount = Money(chance.choice((5_000, 10_000, 20_000, 30_000, chance.randint(1_000, 60_000))))
    member = None
    if chance.random() < 0.7:
        member = MemberFacts(MemberRef(f"m-{number:07d}"), chance.choice(TIERS))
    held = chance.choices(policy.coupon_templates, k=chance.choice((0, 0, 0, 1, 2)))
    request = QuoteRequest(
        grade=GradeId(grade), volume=volume_for(amount, price), amount=amount, unit_price=price,
        at_ms=ENDS_MS - chance.randrange(QUARTER_MS), utc_offset_minutes=480, member=member,
        station="bench", paying=Paying("cash"),
        coupons=tuple(
            CouponFacts(f"S-{number}-{at}", each.code, 0, 2**52) for at, each in enumerate(held)
        ),
    )  # fmt: skip
    quoted = without_words(body_of(quote(request, policy)))
    return SaleSettled(
        sale_id=f"sale-{number}", fuelling_id=f"fuelling-{number}", quote=quoted,
        explanation_sha256="0" * 64,
        tenders=[Tender(means="cash", amount_fen=quoted.payable_fen, account_ref=None)],
        change_fen=0, member_ref=quoted.member_ref, plate_ref=None, receipt_no=f"{number:08d}",
        idempotency_key=f"key-{number}", operator="bench",
    ).model_dump_json()  # fmt: skip


def _write(path: Path, sales: list[str], count: int) -> None:
    """Write the sales as rows of a ledger; the chain's hashes are not looked at."""
    with closing(connect_writer(path, durable=False)) as writer:
        prepare(writer)
        writer.execute("INSERT INTO epoch (number, epoch, base, born_ms) VALUES (1, 7, 0, 0)")
        for first in range(0, count, WRITTEN_AT_ONCE):
            with transaction(writer):
                writer.executemany(
                    "INSERT INTO ledger VALUES (?, 7, ?, 'sale.settled', ?, ?, '', '')",
                    _rows(sales, range(first, min(first + WRITTEN_AT_ONCE, count))),
                )


def _rows(sales: list[str], numbers: range) -> Iterator[tuple[int, int, int, str]]:
    for number in numbers:
        yield number + 1, number + 1, ENDS_MS + number, sales[number % len(sales)]
