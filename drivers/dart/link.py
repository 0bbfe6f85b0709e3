"""Block numbers and retransmission with one address.

Each side numbers its data blocks 0 to F, then 1 again. A pump that sees the number of the block
before acknowledges and does nothing, so a block without an answer is sent again as it is, and
everything new takes a new number. After a NAK, or an ACK of another block, numbering starts again
at 0; since a pump whose last block happened to be 0 would swallow that one, it carries a harmless
RETURN STATUS, and the refused block follows as number 1.
"""

from __future__ import annotations

from enum import Enum, auto, unique
from typing import Final

from drivers.dart.codec import DataFrame, Transaction
from drivers.dart.orders import Ask, Command

LAST_NUMBER: Final = 0x0F
RESTARTS_MAX: Final = 2

HARMLESS: Final = (Command(Ask.RETURN_STATUS).encode(),)


@unique
class Heard(Enum):
    """What an answer to a data block meant."""

    TAKEN = auto()  # the block was received
    AGAIN = auto()  # something has to be sent before the block counts as received
    STALE = auto()  # an acknowledgement of an older block: nothing changed
    REFUSED = auto()  # refused too often; the block is dropped


class Link:
    """One address's numbering, and the block that waits for its acknowledgement."""

    def __init__(self, address: int) -> None:
        self._address = address
        self._next = 0
        self._number = 0
        self._previous: int | None = None
        self._block: tuple[Transaction, ...] | None = None
        self._frame = b""
        self._behind: tuple[Transaction, ...] | None = None
        self._restarts = 0
        self._last_received: DataFrame | None = None
        self._is_unnumbered = False  # the pump gives all its blocks one number
        self._has_told = False

    @property
    def is_waiting(self) -> bool:
        """Whether a block has not been acknowledged yet."""
        return self._block is not None

    @property
    def frame(self) -> bytes:
        """The frame that waits for its acknowledgement, to be sent or sent again."""
        return self._frame

    def forget(self) -> None:
        """Start over, as after a power cut at either end."""
        self._next, self._previous = 0, None
        self._last_received = None
        self.drop()

    def drop(self) -> None:
        """Give the waiting block up; its number stays used."""
        self._block = self._behind = None
        self._frame = b""
        self._restarts = 0

    def tell(self, block: tuple[Transaction, ...]) -> None:
        """Make a new block wait to be sent, under the next number."""
        self.drop()
        self._number_block(block)

    def on_ack(self, number: int) -> Heard:
        """Take in an acknowledgement."""
        if self._block is None or (number != self._number and number == self._previous):
            return Heard.STALE
        if number != self._number:
            return self._restart()
        if self._behind is not None:
            self._number_block(self._behind)
            self._behind = None
            return Heard.AGAIN
        self.drop()
        return Heard.TAKEN

    def on_nak(self) -> Heard:
        """Take in a refusal."""
        return Heard.STALE if self._block is None else self._restart()

    def is_repeated(self, frame: DataFrame) -> bool:
        """Tell whether the pump sent this frame before, not having heard our acknowledgement.

        Some pumps give all their blocks one number. What such a pump says again after it was told
        something is an answer to that.
        """
        last, self._last_received = self._last_received, frame
        has_told, self._has_told = self._has_told, False
        if frame == last:
            return not (self._is_unnumbered and has_told)
        if last is not None:
            self._is_unnumbered = frame.number == last.number
        return False

    def _restart(self) -> Heard:
        block = self._behind or self._block
        restarts = self._restarts + 1
        self.drop()
        if block is None or restarts > RESTARTS_MAX:
            self._next = 0
            return Heard.REFUSED
        self._restarts = restarts
        self._next, self._previous = 0, None
        self._number_block(HARMLESS)
        self._behind = block
        return Heard.AGAIN

    def _number_block(self, block: tuple[Transaction, ...]) -> None:
        self._previous = None if self._next == 0 else self._number
        self._number = self._next
        self._next = 1 if self._next == LAST_NUMBER else self._next + 1
        self._block = block
        self._has_told = True
        self._frame = DataFrame(self._address, self._number, block).encode()
