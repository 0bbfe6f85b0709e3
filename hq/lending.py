"""Answers a station that asks for more than is leased there, while a customer waits.

The lease itself goes out as a catalogue before the answer. Every method runs inside
`HqBooks.transaction`.
"""

from __future__ import annotations

from edge_agent.model.wire import LeaseReply, LeaseRequest
from hq.books import HqBooks
from hq.holdings import Vault
from hq.leases import ASKED_MS, DAY_MS, HeldLease, LeaseDesk
from hq.members import is_locked
from hq.standing import RECALL_HOLD_MS, StandingPlan

MOST_REQUESTS_KEPT_MS = DAY_MS


class Lending:
    """Decides about requests."""

    def __init__(
        self, books: HqBooks, vault: Vault, leases: LeaseDesk, standing: StandingPlan
    ) -> None:
        self._db = books.connection
        self._vault = vault
        self._leases = leases
        self._standing = standing

    def answer(self, request: LeaseRequest, now_ms: int) -> tuple[LeaseReply, list[str]]:
        """Grant what is free of what was asked for; the same question has one answer, ever.

        Return the answer, and the stations at which something was recalled for it.
        """
        recalled_at: list[str] = []
        row = self._db.execute(
            "SELECT granted, reason FROM lease_answer WHERE station = ? AND request_id = ?",
            (request.station, request.request_id),
        ).fetchone()
        granted, reason = row or self._decide(request, now_ms, recalled_at)
        if row is None:
            self._db.execute(
                "INSERT INTO lease_answer (station, request_id, granted, reason, at_ms)"
                " VALUES (?, ?, ?, ?, ?)",
                (request.station, request.request_id, granted, reason, now_ms),
            )
            self._db.execute(
                "DELETE FROM lease_answer WHERE at_ms < ?", (now_ms - MOST_REQUESTS_KEPT_MS,)
            )
        reply = LeaseReply(
            station=request.station,
            request_id=request.request_id,
            granted=granted,
            reason=reason,
        )
        return reply, recalled_at

    def _decide(
        self, request: LeaseRequest, now_ms: int, recalled_at: list[str]
    ) -> tuple[int, str]:
        station, asset, holder = request.station, request.asset, request.holder
        if request.epoch != self._leases.epoch(station) or not self._leases.trusts(station):
            return 0, "out_of_order"
        if not self._vault.knows(asset, holder):
            return 0, "unknown_holder"
        if is_locked(self._db, asset, holder):
            return 0, "locked"
        # What was set aside for this station and did not arrive is sent again before the answer.
        in_force = self._in_force(station)
        waiting = self._leases.on_the_way(station, asset, holder, in_force)
        missing = request.amount - waiting
        if waiting:
            self._send_again(station)
        granted = self._grant(request, missing, now_ms) if missing > 0 else 0
        if waiting + granted >= request.amount:
            return request.amount, ""
        return waiting + granted, self._fetch(request, missing - granted, now_ms, recalled_at)

    def _grant(self, request: LeaseRequest, missing: int, now_ms: int) -> int:
        asset, holder = request.asset, request.holder
        amount = min(missing, self._vault.free(asset, holder))
        expires_ms = now_ms + ASKED_MS
        if asset == "coupon":
            expires_ms = min(expires_ms, self._coupon_until(holder))
        if amount <= 0 or expires_ms <= now_ms:
            return 0
        lease = self._leases.grant(request.station, asset, holder, amount, expires_ms, now_ms)
        return lease.amount

    def _fetch(
        self, request: LeaseRequest, missing: int, now_ms: int, recalled_at: list[str]
    ) -> str:
        """Recall what lies at other stations that can hear it; return why not all was granted.

        What lies here in a lease that is over, and whose end was not read yet, is not gone.
        """
        elsewhere = [
            lease
            for lease in self._leases.open_leases(request.asset, request.holder)
            if lease.spent < lease.amount
            and (
                (lease.station, lease.epoch) != (request.station, request.epoch)
                or lease.expires_ms <= now_ms
            )
        ]
        for lease in elsewhere:
            if missing > 0 and self._hears(lease):
                self._leases.recall(lease.lease_id, now_ms)
                recalled_at.append(lease.station)
                missing -= lease.amount - lease.spent
        if not elsewhere:
            return "nothing_left"
        self._standing.hold(request.asset, request.holder, now_ms + RECALL_HOLD_MS)
        return "elsewhere"

    def _hears(self, lease: HeldLease) -> bool:
        row = self._db.execute(
            "SELECT online FROM station WHERE station = ?", (lease.station,)
        ).fetchone()
        return bool(row and row[0]) and lease.epoch == self._leases.epoch(lease.station)

    def _in_force(self, station: str) -> int:
        row = self._db.execute(
            "SELECT in_force FROM delivery WHERE station = ? AND dataset = 'leases'", (station,)
        ).fetchone()
        return int(row[0]) if row else 0

    def _send_again(self, station: str) -> None:
        self._db.execute(
            "UPDATE delivery SET sent_ms = 0, sent_version = 0"
            " WHERE station = ? AND dataset = 'leases'",
            (station,),
        )

    def _coupon_until(self, serial: str) -> int:
        row = self._db.execute(
            "SELECT until_ms FROM coupon WHERE serial = ? AND state = 'held'", (serial,)
        ).fetchone()
        return int(row[0]) if row else 0
