"""What headquarters can say about what it holds: leases, coupons, points, movements."""

from __future__ import annotations

from dataclasses import asdict

from edge_agent.model.canonical import Json
from edge_agent.model.records import Asset
from hq.books import HqBooks
from hq.holdings import Vault

MOST_SHOWN = 1000


def open_leases(books: HqBooks, station: str | None) -> list[Json]:
    """Return the open leases, of one station or of all, soonest expiry first."""
    return _rows(
        books,
        "SELECT lease_id, station, epoch, asset, holder, amount, spent, expires_ms,"
        " recalled_version IS NOT NULL AS recalled, taken FROM lease"
        " WHERE state = 'open' AND station = coalesce(?, station)"
        " ORDER BY expires_ms, lease_id LIMIT ?",
        station,
        MOST_SHOWN,
    )


def coupons(books: HqBooks, member: str) -> list[Json]:
    """Return a member's coupons, soonest expiry first."""
    return _rows(
        books,
        "SELECT serial, template, state, from_ms, until_ms, station, sale_id FROM coupon"
        " WHERE member_ref = ? ORDER BY until_ms, serial LIMIT ?",
        member,
        MOST_SHOWN,
    )


def holding(vault: Vault, asset: Asset, holder: str) -> dict[str, Json]:
    """Return what is held for somebody, bucket by bucket."""
    buckets = [dict(asdict(bucket)) for bucket in vault.buckets(asset, holder)]
    return {
        "held": vault.held(asset, holder),
        "free": vault.free(asset, holder),
        "debt": vault.debt(asset, holder),
        "buckets": buckets,
    }


def funds(vault: Vault, from_ms: int, to_ms: int) -> dict[str, Json]:
    """Return what moved between two wall times, and whether all holdings are proved (row V6)."""
    differences = vault.differences()
    return {
        "ok": not differences,
        "movements": vault.funds(from_ms, to_ms),
        "differences": list(differences),
    }


def _rows(books: HqBooks, query: str, *values: str | int | None) -> list[Json]:
    cursor = books.connection.execute(query, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
