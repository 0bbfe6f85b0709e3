"""Reads what stations did with what headquarters holds: leases, movements, points, top-ups, codes.

Every movement is booked, whatever is wrong with it: the fuel has left. What a lease does not cover
is taken from what is free, and beyond that becomes the holder's debt, with an alarm. Every method
runs inside `HqBooks.transaction`.
"""

from __future__ import annotations

from edge_agent.model.records import (
    AssetMoved,
    LeaseClosed,
    LeasesTaken,
    LeaseTerms,
    MemberCodeUsed,
    PointsEarned,
    StoredValueToppedUp,
)
from hq.books import HqBooks
from hq.catalogues import CatalogueDesk
from hq.coupons import CouponDesk
from hq.enrolment import cap_of
from hq.findings import Row, Troubles
from hq.holdings import Cause, Vault
from hq.intake import Finding
from hq.leases import DAY_MS, HeldLease, LeaseDesk
from hq.owing import Owing
from hq.points import PointsDesk
from hq.standing import StandingPlan

CLOCK_SLACK_MS = 300_000
"""By so much a station's clock may be ahead of ours without anybody being told."""
CODES_KEPT_MS = 90 * DAY_MS
"""A station that was away so long may still tell of a code that was shown twice."""


class AssetAudit:
    """One rule per kind of record about assets."""

    def __init__(
        self,
        books: HqBooks,
        vault: Vault,
        leases: LeaseDesk,
        coupons: CouponDesk,
        points: PointsDesk,
        standing: StandingPlan,
        desk: CatalogueDesk,
    ) -> None:
        self._books = books
        self._db = books.connection
        self._vault = vault
        self._leases = leases
        self._coupons = coupons
        self._points = points
        self._standing = standing
        self._desk = desk
        self.owing = Owing(books)

    # --- leases ----------------------------------------------------------------------------------

    def taken(self, row: Row) -> Troubles:
        """Read which leases came into force."""
        troubles: Troubles = []
        for terms in LeasesTaken.model_validate_json(row.body).leases:
            troubles += self._taken(row, terms)
        return troubles

    def _taken(self, row: Row, terms: LeaseTerms) -> Troubles:
        lease = self._leases.find(terms.lease_id)
        if lease is None:
            self._leases.adopt(terms, _cause(row, "lease_unknown"), row.now_ms)
            return [("lease_unknown", _named(terms.lease_id))]
        ours = (lease.station, lease.epoch, lease.asset, lease.holder, lease.amount)
        theirs = (row.station, row.epoch, terms.asset, terms.holder, terms.amount)
        if ours != theirs:
            return [("lease_misused", f"{_named(terms.lease_id)}: {ours} here, {theirs} there")]
        self._db.execute("UPDATE lease SET taken = 1 WHERE lease_id = ?", (terms.lease_id,))
        return []

    def closed(self, row: Row) -> Troubles:
        """Read that nothing more will be spent from a lease: what is left is free again."""
        body = LeaseClosed.model_validate_json(row.body)
        lease = self._leases.find(body.lease_id)
        if lease is None:
            return [("lease_unknown", _named(body.lease_id))]
        if lease.station != row.station or lease.epoch != row.epoch:
            return [("lease_misused", f"{_named(body.lease_id)}: closed by another station")]
        if lease.state == "closed":
            return [("lease_closed_twice", _named(body.lease_id))]
        if lease.state == "open":
            self._leases.end(lease, "closed", _cause(row, f"lease_{body.reason}"))
            if body.reason == "expired":
                self._expired(row, lease)
        else:
            self._db.execute(
                "UPDATE lease SET state = 'closed' WHERE lease_id = ?", (body.lease_id,)
            )
        if body.spent != lease.spent:
            detail = f"{_named(body.lease_id)}: {lease.spent} spent here, {body.spent} there"
            return [("lease_spent_differs", detail)]
        return []

    def _expired(self, row: Row, lease: HeldLease) -> None:
        """Make another lease soon, unless the station lives in the future: there it would be over
        as soon as it came, and the next one too."""
        early_ms = lease.expires_ms - row.now_ms
        if early_ms <= CLOCK_SLACK_MS:
            self._standing.wake(lease.asset, lease.holder)
            return
        ahead = Finding(0, "lease_closed_early", f"{_named(lease.lease_id)}: by {early_ms} ms")
        self._books.raise_alarm(row.station, row.epoch, ahead, row.now_ms)

    # --- movements -------------------------------------------------------------------------------

    def moved(self, row: Row) -> Troubles:
        """Read that something was spent, or given back."""
        body = AssetMoved.model_validate_json(row.body)
        amount = abs(body.delta)
        if not amount or (body.delta < 0) != (body.reason == "sale"):
            return [("movement_senseless", f"{body.asset} {body.delta} for {body.reason}")]
        self.owing.settle(row, body.sale_id, body.asset, body.holder, body.delta)
        lease = None if body.lease_id is None else self._leases.find(body.lease_id)
        if body.delta > 0:
            return self._given_back(row, body, lease)
        troubles = self._spent(row, body, lease)
        if body.asset == "coupon" and not self._coupons.used(
            body.holder, row.station, body.sale_id
        ):
            troubles.append(("coupon_used_twice", _named(body.holder)))
        self._standing.wake(body.asset, body.holder)
        return troubles

    def _spent(self, row: Row, body: AssetMoved, lease: HeldLease | None) -> Troubles:
        troubles = _misuse(row, body, lease)
        covered = [] if lease is None or _forbids(troubles) else _parts(body)
        left = {} if lease is None else self._leases.parts_left(lease)
        uncovered = [] if covered else _parts(body)
        for expires_ms, amount in covered:
            part = min(amount, max(0, left.get(expires_ms, 0)))
            if lease is not None and part:
                left[expires_ms] -= part
                self._leases.count(lease, expires_ms, part)
                self._book(row, body, (expires_ms, part), lease.lease_id)
            if part < amount:
                uncovered.append((expires_ms, amount - part))
                troubles.append(
                    ("overspent", f"{_named(body.lease_id)}: {amount - part} beyond it")
                )
        for rest in uncovered:
            self._book(row, body, rest, "")
        debt = self._vault.debt(body.asset, body.holder) if uncovered else 0
        if debt:
            code = "floor_debt" if body.lease_id is None else "debt"
            troubles.append((code, f"{body.asset} of {_named(body.holder)}: {debt} owed"))
        return troubles

    def _book(self, row: Row, body: AssetMoved, part: tuple[int, int], lease_id: str) -> None:
        """Book a spent part from a lease, or from what is free (`lease_id` empty)."""
        self._vault.move(
            body.asset, body.holder, part[1], ("leased" if lease_id else "free", "spent"),
            _cause(row, "sale"), expires_ms=part[0], lease_id=lease_id,
        )  # fmt: skip
        self._db.execute(
            "INSERT INTO sale_moved (station, sale_id, asset, holder, lease_id, expires_ms, net)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET net = net + ?7",
            (row.station, body.sale_id, body.asset, body.holder, lease_id, *part),
        )

    def _given_back(self, row: Row, body: AssetMoved, lease: HeldLease | None) -> Troubles:
        """Give back what the sale took, to where it came from; never more than it took."""
        beyond = 0
        for expires_ms, amount in _parts(body):
            left = amount
            for lease_id in dict.fromkeys((body.lease_id or "", "")):
                part = min(left, self._net(row, body, lease_id, expires_ms))
                if part:
                    self._return(row, body, (expires_ms, part), lease if lease_id else None)
                    left -= part
            beyond += left
        if body.asset == "coupon":
            self._coupons.freeze(body.holder)
            self._coupons.release(body.holder)
        self._standing.wake(body.asset, body.holder)
        if beyond:
            detail = f"{body.sale_id[:64]}: {beyond} more than it took of {body.asset}"
            return [("refund_beyond_sale", detail)]
        return []

    def _net(self, row: Row, body: AssetMoved, lease_id: str, expires_ms: int) -> int:
        found = self._db.execute(
            "SELECT net FROM sale_moved WHERE station = ? AND sale_id = ? AND asset = ?"
            " AND holder = ? AND lease_id = ? AND expires_ms = ?",
            (row.station, body.sale_id, body.asset, body.holder, lease_id, expires_ms),
        ).fetchone()
        return int(found[0]) if found else 0

    def _return(
        self, row: Row, body: AssetMoved, part: tuple[int, int], lease: HeldLease | None
    ) -> None:
        """Return a part to its lease while that may be drawn from; else its holder has it free.

        A coupon's lease is never drawn from again: its station has frozen it (row V5).
        """
        lease_id = "" if lease is None else lease.lease_id
        to_lease = lease is not None and lease.state == "open" and body.asset != "coupon"
        self._vault.move(
            body.asset, body.holder, part[1], ("spent", "leased" if to_lease else "free"),
            _cause(row, "refund"), expires_ms=part[0], lease_id=lease_id,
        )  # fmt: skip
        if lease is not None:
            self._leases.count(lease, part[0], -part[1])
            if lease.state == "open" and not to_lease:
                self._db.execute(
                    "UPDATE lease SET state = 'frozen' WHERE lease_id = ?", (lease_id,)
                )
        self._db.execute(
            "UPDATE sale_moved SET net = net - ? WHERE station = ? AND sale_id = ? AND asset = ?"
            " AND holder = ? AND lease_id = ? AND expires_ms = ?",
            (part[1], row.station, body.sale_id, body.asset, body.holder, lease_id, part[0]),
        )

    # --- points, top-ups, codes ------------------------------------------------------------------

    def earned(self, row: Row) -> Troubles:
        """Read that a sale earned points, or its refund took them back."""
        body = PointsEarned.model_validate_json(row.body)
        self.owing.settle(row, body.sale_id, "earned", body.member_ref, -body.points)
        reason = "points_earned" if body.points > 0 else "points_reversed"
        found = self._points.earned(body, _cause(row, reason))
        return [] if found is None else [(found, f"{body.sale_id[:64]}: {body.points}")]

    def topped_up(self, row: Row) -> Troubles:
        """Read that money was paid in at a till: it is that station's lease from the start."""
        body = StoredValueToppedUp.model_validate_json(row.body)
        if body.amount_fen <= 0 or self._leases.find(body.top_up_id) is not None:
            return [("top_up_twice", _named(body.top_up_id))]
        cause = _cause(row, "top_up")
        self._leases.topped_up(
            body.top_up_id, body.account_ref, body.amount_fen, body.expires_ms, cause
        )
        account = self._db.execute(
            "SELECT kind FROM account WHERE account = ?", (body.account_ref,)
        ).fetchone()
        if account is None:
            return [("account_unknown", _named(body.account_ref))]
        cap_fen = cap_of(account[0], self._desk.policy_in_force().stored_value)
        held_fen = self._vault.held("balance", body.account_ref)
        if cap_fen is not None and held_fen > cap_fen:
            return [("over_cap", f"{_named(body.account_ref)}: {held_fen} of {cap_fen} fen")]
        return []

    def code_used(self, row: Row) -> Troubles:
        """Read that a dynamic code was believed; nobody else may have believed it."""
        body = MemberCodeUsed.model_validate_json(row.body)
        self._db.execute(
            "DELETE FROM code_used WHERE expires_ms < ?", (row.now_ms - CODES_KEPT_MS,)
        )
        added = self._db.execute(
            "INSERT OR IGNORE INTO code_used (nonce, station, member_ref, expires_ms)"
            " VALUES (?, ?, ?, ?)",
            (body.nonce, row.station, body.member_ref, body.expires_ms),
        )
        if added.rowcount == 1:
            return []
        (where,) = self._db.execute(
            "SELECT station FROM code_used WHERE nonce = ?", (body.nonce,)
        ).fetchone()
        return [("code_used_twice", f"{_named(body.member_ref)}: first at {where}")]


def _misuse(row: Row, body: AssetMoved, lease: HeldLease | None) -> Troubles:
    """Return what is wrong with drawing on this lease."""
    if body.lease_id is None:
        return [] if body.asset == "balance" else [("movement_without_lease", body.asset)]
    name = _named(body.lease_id)
    if lease is None:
        return [("lease_unknown", name)]
    if (lease.station, lease.asset, lease.holder) != (row.station, body.asset, body.holder):
        return [("lease_misused", f"{name}: of {lease.asset} at {lease.station}")]
    if lease.state != "open" or lease.epoch != row.epoch:
        return [("lease_over", f"{name}: {lease.state}")]
    if row.at_ms >= lease.expires_ms:
        return [("lease_expired", f"{name}: {row.at_ms - lease.expires_ms} ms late")]
    return []


def _forbids(troubles: Troubles) -> bool:
    """Whether nothing may be booked on a lease."""
    return any(code != "lease_expired" for code, _ in troubles)


def _parts(body: AssetMoved) -> list[tuple[int, int]]:
    """Return what moved by bucket; in one part at 0 for what has no buckets, or wrong ones."""
    parts = [(each.expires_ms, each.points) for each in body.buckets if each.points > 0]
    if body.asset == "points" and sum(part for _, part in parts) == abs(body.delta):
        return parts
    return [(0, abs(body.delta))]


def _cause(row: Row, reason: str) -> Cause:
    return Cause(row.at_ms, reason, row.station, row.epoch, row.seq)


def _named(name: str | None) -> str:
    """Return a name from outside, cut to what an alarm may hold."""
    return "" if name is None else name[:64]
