"""Coupons: printed, given to a member, leased to a station, used once ever, frozen by a refund.

Each is something that headquarters holds, of amount 1, under its own serial. Every method runs
inside `HqBooks.transaction`.
"""

from __future__ import annotations

from edge_agent.model.coupon_serials import is_genuine, make_serial
from edge_agent.model.errors import ConfigRefused, Problem
from edge_agent.model.policy import CouponTemplate, Policy
from hq.books import HqBooks
from hq.holdings import Cause, Vault
from hq.leases import DAY_MS
from hq.standing import StandingPlan

DESK_CHANNEL = "HQ"


class CouponDesk:
    """Hands coupons out, and knows where each of them is."""

    def __init__(self, books: HqBooks, vault: Vault, standing: StandingPlan) -> None:
        self._books = books
        self._db = books.connection
        self._vault = vault
        self._standing = standing

    def issue(
        self,
        policy: Policy,
        template: str,
        now_ms: int,
        *,
        member: str | None = None,
        channel: str = DESK_CHANNEL,
        from_ms: int | None = None,
    ) -> str:
        """Make a coupon of a template, for a member or printed for whoever gets it; return its
        serial.

        Raises:
            ConfigRefused: there is no such template, or it may not be handed out any more.
        """
        found = policy.template(template)
        if found is None:
            raise _refused(f"template {template}: the policy in force has none")
        self._check_counts(found, member)
        begins_ms = now_ms if from_ms is None else from_ms
        until_ms = begins_ms + found.valid_days * DAY_MS
        try:
            serial = make_serial(channel, self._books.number("coupon", now_ms))
        except ValueError:
            raise _refused(f"channel {channel[:8]}: two capitals are expected") from None
        self._db.execute(
            "INSERT INTO coupon (serial, template, channel, member_ref, state, issued_ms, from_ms,"
            " until_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                serial, template, channel, member, "issued" if member is None else "held", now_ms,
                begins_ms, until_ms,
            ),
        )  # fmt: skip
        self._vault.credit("coupon", serial, 1, Cause(now_ms, "issued"))
        if member is not None:
            self._settle(serial, member)
        return serial

    def give(self, policy: Policy, serial: str, member: str) -> None:
        """Give a printed coupon to a member.

        Raises:
            ConfigRefused: it is none, it is somebody's already, or the member has enough of them.
        """
        row = self._db.execute(
            "SELECT template, state FROM coupon WHERE serial = ?", (serial,)
        ).fetchone()
        if not is_genuine(serial) or row is None or row[1] != "issued":
            raise _refused(f"coupon {serial[:32]}: there is none to give")
        found = policy.template(row[0])
        if found is not None:
            self._check_per_member(found, member)
        self._db.execute(
            "UPDATE coupon SET member_ref = ?, state = 'held' WHERE serial = ?", (member, serial)
        )
        self._settle(serial, member)

    def _settle(self, serial: str, member: str) -> None:
        """Let a coupon lie ready where its member usually fills up."""
        home = self._standing.first_home("points", member)
        if home is not None:
            self._standing.settle("coupon", serial, {home: None})

    def _check_counts(self, template: CouponTemplate, member: str | None) -> None:
        (issued,) = self._db.execute(
            "SELECT count(*) FROM coupon WHERE template = ?", (template.code,)
        ).fetchone()
        if template.total is not None and issued >= template.total:
            raise _refused(f"template {template.code}: all {template.total} are handed out")
        if member is not None:
            self._check_per_member(template, member)

    def _check_per_member(self, template: CouponTemplate, member: str) -> None:
        (has,) = self._db.execute(
            "SELECT count(*) FROM coupon WHERE member_ref = ? AND template = ?",
            (member, template.code),
        ).fetchone()
        if template.per_member is not None and has >= template.per_member:
            raise _refused(f"template {template.code}: {member} had {has} of them")

    # --- what stations did with them -------------------------------------------------------------

    def used(self, serial: str, station: str, sale_id: str) -> bool:
        """Note that a coupon was used; return False where it had been used before."""
        row = self._db.execute(
            "UPDATE coupon SET state = 'used', station = ?, sale_id = ?"
            " WHERE serial = ? AND state <> 'used'",
            (station, sale_id, serial),
        )
        return row.rowcount == 1

    def freeze(self, serial: str) -> None:
        """Note that a refund gave a coupon back: its station uses it no more (row V5)."""
        self._db.execute("UPDATE coupon SET state = 'frozen' WHERE serial = ?", (serial,))

    def release(self, serial: str) -> None:
        """Let a frozen coupon be its member's again. This headquarters does so as soon as it has
        read the refund; one with reviews would wait for a person."""
        self._db.execute(
            "UPDATE coupon SET state = 'held', station = '', sale_id = ''"
            " WHERE serial = ? AND state = 'frozen'",
            (serial,),
        )
        self._standing.wake("coupon", serial)

    def expire(self, now_ms: int, most: int) -> int:
        """Let coupons go whose time is over and that lie here; return how many there were."""
        rows = self._db.execute(
            "SELECT serial FROM coupon WHERE until_ms <= ? AND state IN ('issued', 'held')"
            " ORDER BY until_ms LIMIT ?",
            (now_ms, most),
        ).fetchall()
        for (serial,) in rows:
            self._db.execute("UPDATE coupon SET state = 'expired' WHERE serial = ?", (serial,))
            self._standing.settle("coupon", serial, {})
            if self._vault.free("coupon", serial):
                way = Cause(now_ms, "expired")
                self._vault.move("coupon", serial, 1, ("free", "world"), way)
        return len(rows)


def _refused(detail: str) -> ConfigRefused:
    return ConfigRefused(
        Problem("coupon_refused", "优惠券不能发放", "the coupon may not be handed out"), detail
    )
