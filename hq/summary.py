"""What headquarters can say about each station: sums, position, alarms."""

from __future__ import annotations

from edge_agent.model.canonical import Json
from hq.books import HqBooks

MOST_ALARMS = 100


def summary(books: HqBooks) -> dict[str, Json]:
    """Return sums by station and the latest alarms. The station's newest epoch is the one shown."""
    stations = [row[0] for row in books.connection.execute("SELECT DISTINCT station FROM stream")]
    return {
        "stations": {station: _station(books, station) for station in sorted(stations)},
        "alarms": _alarms(books),
        "parked": _one(books, "SELECT count(*) FROM parked"),
    }


def _station(books: HqBooks, station: str) -> dict[str, Json]:
    cursor = books.connection.execute(
        "SELECT fuellings, volume_ml, amount_fen, sales, payable_fen, member_sales, plate_sales,"
        " refunds, refunded_fen, repriced, differences, unreadable FROM sums"
        " WHERE station = ?",
        (station,),
    )
    names = [column[0] for column in cursor.description]
    sums = cursor.fetchone() or (0,) * len(names)
    epoch, acked_seq, head_hash, audited_seq = books.connection.execute(
        "SELECT epoch, up_to_seq, head_hash, audited_seq FROM stream WHERE station = ?"
        " ORDER BY epoch DESC LIMIT 1",
        (station,),
    ).fetchone()
    seen = books.connection.execute(
        "SELECT online, seen_ms, version, clock_off_ms FROM station WHERE station = ?", (station,)
    ).fetchone()
    catalogues = books.connection.execute(
        "SELECT dataset, in_force FROM delivery WHERE station = ? ORDER BY dataset", (station,)
    )
    return {
        **dict(zip(names, sums, strict=True)),
        "epoch": epoch,
        "epochs": _one(books, "SELECT count(*) FROM stream WHERE station = ?", station),
        "rows": _one(books, "SELECT sum(up_to_seq) FROM stream WHERE station = ?", station),
        "acked_seq": acked_seq,
        "audited_seq": audited_seq,
        "head_hash": head_hash,
        "alarms": _one(books, "SELECT count(*) FROM alarm WHERE station = ?", station),
        "catalogues": dict(catalogues.fetchall()),
        "online": bool(seen and seen[0]),
        "seen_ms": seen[1] if seen else None,
        "version": seen[2] if seen else None,
        "clock_off_ms": seen[3] if seen else None,
    }


def _alarms(books: HqBooks) -> list[Json]:
    cursor = books.connection.execute(
        "SELECT station, epoch, seq, code, detail, first_ms, last_ms, times FROM alarm"
        " ORDER BY last_ms DESC, id DESC LIMIT ?",
        (MOST_ALARMS,),
    )
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _one(books: HqBooks, query: str, *values: str) -> int:
    return int(books.connection.execute(query, values).fetchone()[0] or 0)
