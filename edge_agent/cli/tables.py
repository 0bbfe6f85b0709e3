"""Tables for a terminal of 80 columns, where a Chinese character takes two."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Final

WIDTH: Final = 80
GAP: Final = "  "


def width(text: str) -> int:
    """Return how many columns a text takes: two for wide characters, none for combining ones."""
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def cut(text: str, columns: int) -> str:
    """Return a text cut to so many columns, with … where something is missing."""
    if width(text) <= columns:
        return text
    kept = ""
    for char in text:
        if width(kept + char) >= columns:
            break
        kept += char
    return kept + "…"


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """Return a text filled up with blanks to so many columns, on the left for figures."""
    blanks = " " * max(0, columns - width(text))
    return blanks + text if right else text + blanks


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    whole_last: bool = False,
) -> str:
    """Return a table; the columns named in `right` hold figures. The widest column gives way.

    Args:
        head: the columns' names.
        rows: one text a column each.
        right: indices of the columns that are set to the right.
        whole_last: the last column is never cut, however wide the table becomes.
    """
    lines = [list(head), *(list(row) for row in rows)]
    columns = [max(width(line[i]) for line in lines) for i in range(len(head))]
    room = WIDTH - len(GAP) * (len(head) - 1)
    while not whole_last and sum(columns) > room:
        columns[columns.index(max(columns))] -= 1
    return "\n".join(
        GAP.join(
            pad(cut(cell, columns[i]), columns[i], right=i in right) for i, cell in enumerate(line)
        ).rstrip()
        for line in lines
    )


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Return lines of a name and what stands for it."""
    columns = max((width(name) for name, _ in rows), default=0)
    return "\n".join(f"{pad(name, columns)}{GAP}{text}".rstrip() for name, text in rows)


def yuan(fen: int | None) -> str:
    """Return an amount in yuan with two decimals; a dash for none."""
    if fen is None:
        return "-"
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02}"


def litres(ml: int | None) -> str:
    """Return a volume in litres, two decimals or three where needed; a dash for none."""
    if ml is None:
        return "-"
    sign = "-" if ml < 0 else ""
    whole, part = divmod(abs(ml), 1000)
    return f"{sign}{whole}.{part // 10:02}" if part % 10 == 0 else f"{sign}{whole}.{part:03}"


def unit_price(milli: int | None) -> str:
    """Return a price in yuan per litre, two decimals or three; a dash where none is confirmed."""
    return "-" if milli is None else litres(milli)


def clock_time(at_ms: int | None) -> str:
    """Return a wall time as the machine's local date and time; a dash for none."""
    if at_ms is None:
        return "-"
    return f"{datetime.fromtimestamp(at_ms / 1000).astimezone():%Y-%m-%d %H:%M:%S}"


def size(count: int) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count} {unit}"
        count //= 1024
    return f"{count} GiB"
