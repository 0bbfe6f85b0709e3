"""Receipts of the station's sales, with what only the station can add to the records."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from edge_agent.app.till import Surroundings, Till
from edge_agent.core.membership import tier_progress
from edge_agent.core.receipt import ReceiptFacts, render
from edge_agent.core.station_calendar import date_of
from edge_agent.core.wallet import expiring
from edge_agent.model.books import SettledSale
from edge_agent.model.ids import GradeId, MemberRef, PlateRef
from edge_agent.model.policy import Policy
from edge_agent.model.records import SaleSettled

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O, U to misread."""


def receipt_number(at_ms: int, utc_offset_minutes: int, chance: bytes) -> str:
    """Return the number of a receipt: the station's day, and eight characters of chance."""
    day = date_of(at_ms, utc_offset_minutes).strftime("%y%m%d")
    number = int.from_bytes(chance, "big")
    return f"{day}-{''.join(ALPHABET[number >> 5 * place & 31] for place in range(8))}"


class Receipts:
    """Prints sales and refunds."""

    def __init__(self, around: Surroundings, till: Till) -> None:
        self._around = around
        self._till = till

    def render(self, sale: SettledSale, policy: Policy, *, reprint: bool) -> str:
        """Return the receipt, or the refund slip, as plain text."""
        plan, quoted = self._till.station, sale.settled.quote
        names = {grade.grade: grade.name for grade in plan.grades}
        tier = None if quoted.tier is None else policy.tier(quoted.tier)
        facts = ReceiptFacts(
            station_zh=plan.name_zh,
            station_en=plan.name_en,
            utc_offset_minutes=self._till.utc_offset_minutes,
            grade_name=names.get(GradeId(sale.completed.grade), sale.completed.grade),
            member=self._masked_name(sale.settled.member_ref),
            tier=None if tier is None else tier.label_zh,
            plate=self._masked_plate(sale.settled.plate_ref),
            ledger_hash=self._ledger_hash(sale),
            goods={good.code: good.label_zh for good in policy.goods},
        )
        if sale.refunded is None and not reprint:
            facts = self._with_prospects(facts, sale.settled.member_ref, policy)
        return render(sale, facts, reprint=reprint)

    def _with_prospects(
        self, facts: ReceiptFacts, member_ref: str | None, policy: Policy
    ) -> ReceiptFacts:
        """Add what lies ahead of the member; a copy printed later would tell it wrongly."""
        member = (
            None if member_ref is None else self._around.catalogues.member(MemberRef(member_ref))
        )
        if member is None:
            return facts
        standing = tier_progress(member, policy)
        progress = None
        if standing.text_zh is not None and standing.text_en is not None:
            progress = standing.text_zh, standing.text_en
        lapsing = expiring(
            member,
            self._around.books.coupons_of(member.ref),
            policy,
            self._around.lender.now_ms(),
            self._till.utc_offset_minutes,
        )
        return replace(facts, progress=progress, expiring=lapsing)

    def _ledger_hash(self, sale: SettledSale) -> str:
        """The hash of the sale's record; empty for one of an earlier epoch, before a restore."""
        for record in self._around.books.records_after(sale.seq - 1, 1):
            if record.kind == SaleSettled.kind and sale.settled.sale_id in record.body:
                return record.hash
        return ""

    def _masked_name(self, member_ref: str | None) -> str | None:
        if member_ref is None:
            return None
        member = self._around.catalogues.member(MemberRef(member_ref))
        return "***" if member is None else member.masked_name

    def _masked_plate(self, plate_ref: str | None) -> str | None:
        if plate_ref is None:
            return None
        return self._till.mask_of(PlateRef(plate_ref)) or f"#{plate_ref[:8]}"
