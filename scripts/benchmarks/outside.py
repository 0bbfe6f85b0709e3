"""What measurements need around the real store: members, prices, a policy, a till."""

from __future__ import annotations

import asyncio
import json
import string
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from edge_agent.model.catalogues import LeaseEntry, MemberEntry
from edge_agent.model.ids import GradeId, PriceSetId
from edge_agent.model.prices import PriceSet
from edge_agent.model.station import Grade
from edge_agent.model.units import UnitPrice
from edge_agent.observe.clock import SystemClock, SystemEntropy
from edge_agent.ports import Inbound, LeaseAnswer
from edge_agent.security.blind_index import KeyedIndex
from edge_agent.security.sealing import Sealer
from edge_agent.store.station import StationStore
from hq.keys import HqKeys

POLICY: Final = Path(__file__).parents[2] / "config" / "policy.json"
KEYS: Final = HqKeys(bytes(range(32, 64)), bytes(range(32)))
INDEX: Final = KeyedIndex(bytes(range(32)))
SEALER: Final = Sealer(bytes(range(32)))
NO_DIGEST: Final = "0" * 64
LENT_FEN: Final = 10**11
LENT_UNTIL_MS: Final = 4_000_000_000_000
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
        path / "ledger.db", clock=SystemClock(), entropy=SystemEntropy(), sealer=SEALER,
        ballast_bytes=0,
    )  # fmt: skip


def policy_text() -> str:
    """Return the sample policy without limits by the minute: the same members pay all day."""
    content = json.loads(POLICY.read_text(encoding="utf-8"))
    content["classes"] = {"standard": {"payments_per_minute": 10**9, "amount_per_day_fen": 10**15}}
    return json.dumps(content, ensure_ascii=False)


def plate(number: int) -> str:
    """Return an invented plate, another one for each number below 33 million."""
    symbols = []
    for _ in range(5):
        number, place = divmod(number, len(_SYMBOLS))
        symbols.append(_SYMBOLS[place])
    return f"云A{''.join(symbols)}"


def member(number: int, index: str | None = None, *, has_account: bool = True) -> MemberEntry:
    """Return an invented member with one plate, `plate(number)`."""
    return MemberEntry.model_construct(
        ref=f"m-{number:07d}",
        tier=TIERS[number % len(TIERS)],
        masked_name="测*",
        account=f"acc-{number:07d}" if has_account else None,
        plate_pay=True,
        indexes={"plate": [index or INDEX.of("plate", plate(number))]},
    )


def lease(number: int) -> LeaseEntry:
    """Return a lease on the account of `member(number)` that no measurement uses up."""
    return LeaseEntry(
        lease_id=f"L{number}", asset="balance", holder=f"acc-{number:07d}", amount=LENT_FEN,
        expires_ms=LENT_UNTIL_MS,
    )  # fmt: skip


class NoLender:
    """`ports.Lender` of a station whose network is down, a minute after it went."""

    def linked(self) -> bool:
        """There is nobody to ask."""
        return False

    async def ask(self, asset: str, holder: str, amount: int) -> LeaseAnswer:
        """Get no answer."""
        del asset, holder, amount
        return LeaseAnswer(0, answered=False)

    async def close_due(self) -> None:
        """Nothing is over."""

    def now_ms(self) -> int:
        """Return the wall time."""
        return SystemClock().wall_ms()

    def heard_ms_ago(self) -> int:
        """Return a minute."""
        return 60_000


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
