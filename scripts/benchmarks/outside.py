"""What measurements need around the real store: members, prices, a policy, a till."""

from __future__ import annotations

import asyncio
import string
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from edge_agent.model.catalogues import MemberEntry
from edge_agent.model.ids import GradeId, PriceSetId
from edge_agent.model.prices import PriceSet
from edge_agent.model.station import Grade
from edge_agent.model.units import UnitPrice
from edge_agent.observe.clock import SystemClock, SystemEntropy
from edge_agent.ports import Inbound
from edge_agent.security.blind_index import KeyedIndex
from edge_agent.store.station import StationStore
from hq.keys import HqKeys

POLICY: Final = Path(__file__).parents[2] / "config" / "policy.json"
KEYS: Final = HqKeys(bytes(range(32, 64)), bytes(range(32)))
INDEX: Final = KeyedIndex(bytes(range(32)))
NO_DIGEST: Final = "0" * 64
GRANTED_FEN: Final = 10**11
PRICES: Final = PriceSet(
    PriceSetId("bench-1"), 1, 0, {GradeId("92"): UnitPrice(7_850), GradeId("95"): UnitPrice(8_350)}
)
GRADES: Final = (Grade(GradeId("92"), "92#"), Grade(GradeId("95"), "95#"))
TIERS: Final = ("regular", "silver", "gold", "diamond")
_SYMBOLS: Final = string.digits + "ABCDEFGHJKLMNPQRSTUVWXYZ"


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder on a real disk, since fsync on a RAM disk costs nothing, and remove it."""
    with tempfile.TemporaryDirectory(prefix="forecourt-bench-") as name:
        yield Path(name)


def open_store(path: Path) -> StationStore:
    """Open a store as the daemon does, without the room that it keeps aside for a full disk."""
    return StationStore.open(
        path / "ledger.db", clock=SystemClock(), entropy=SystemEntropy(), ballast_bytes=0
    )


def plate(number: int) -> str:
    """Return an invented plate, another one for each number below 33 million."""
    symbols = []
    for _ in range(5):
        number, place = divmod(number, len(_SYMBOLS))
        symbols.append(_SYMBOLS[place])
    return f"云A{''.join(symbols)}"


def member(number: int, index: str | None = None, *, has_account: bool = True) -> MemberEntry:
    """Return an invented member with one plate, `plate(number)`, and money to spend."""
    return MemberEntry.model_construct(
        ref=f"m-{number:07d}",
        tier=TIERS[number % len(TIERS)],
        masked_name="测*",
        account=f"acc-{number:07d}" if has_account else None,
        granted_fen=GRANTED_FEN if has_account else 0,
        plate_pay=True,
        indexes={"plate": [index or INDEX.of("plate", plate(number))]},
    )


class NoUplink:
    """`ports.Uplink` of a station whose network is down: nothing on the pump's path needs it."""

    connected = False

    async def publish(self, topic: str, payload: bytes, *, expiry_s: int | None = None) -> None:
        """Never called while there is no connection."""

    async def messages(self) -> AsyncIterator[Inbound | bool]:
        """Wait for ever."""
        await asyncio.Event().wait()
        yield False


class NoParking:
    """`ports.Parking` where nothing comes in."""

    def park(self, topic: str, reason: str, payload: bytes) -> None:
        """Never called without an uplink."""
