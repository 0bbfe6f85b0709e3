"""The sales of a past time, as they were written, for who looks back on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from edge_agent.store.database import connect_reader, storage_errors

# Half of a record says why offers did not apply: leaving it out here halves the time to read it.
_SALES = """SELECT json_set(body, '$.quote.rejected', json('[]')) FROM ledger
    WHERE kind = 'sale.settled' AND at_ms >= :since
        AND json_extract(body, '$.sale_id') NOT IN (
            SELECT json_extract(body, '$.sale_id') FROM ledger
            WHERE kind = 'sale.refunded' AND at_ms >= :since)
    ORDER BY position"""


def sales_since(path: Path, since_ms: int) -> Iterator[str]:
    """Yield the bodies of the sales settled since a wall time and not refunded, oldest first.

    What was refused stands in none of them: for who prices a sale again, it is not a fact.
    Reads the books beside a running agent; a sale that is settled meanwhile is not seen.

    Raises:
        StorageUnavailable: the file is absent or cannot be read.
        CorruptionError: the file is no database.
    """
    with storage_errors(), closing(connect_reader(path)) as reader:
        for (body,) in reader.execute(_SALES, {"since": since_ms}):
            yield body
