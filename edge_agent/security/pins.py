"""PINs of members and staff: Argon2id hashes, and a bound on guesses (rows S07, X4, Z10).

Hashing takes 64 MiB and tens of milliseconds by design, so it runs in a thread, one at a time. The
count of guesses is kept in memory: a restart forgets it, which a guesser cannot bring about.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.ports import Clock

PIN_PATTERN: Final = re.compile(r"[0-9]{6,12}")
TIME_COST: Final = 3
MEMORY_KIB: Final = 64 * 1024
PARALLELISM: Final = 4
MAX_TIME_COST: Final = 10
MAX_MEMORY_KIB: Final = 128 * 1024
MAX_PARALLELISM: Final = 8
"""Hashes that ask for more are not checked: they would stall the machine that fuels cars."""
MAX_WRONG: Final = 5
WINDOW_MS: Final = 15 * 60_000
"""Five wrong guesses within it close a subject until it is over."""
MAX_SUBJECTS: Final = 10_000
"""Subjects whose guesses are counted; the longest untouched gives way."""

PIN_WRONG: Final = Problem("pin_wrong", "密码错误", "the PIN is wrong")
PIN_LOCKED: Final = Problem(
    "pin_locked",
    "密码错误次数过多，请15分钟后再试",
    "too many wrong PINs: try again in 15 minutes",
)

_HASHER: Final = PasswordHasher(TIME_COST, MEMORY_KIB, PARALLELISM, type=Type.ID)


def hash_pin(pin: str) -> str:
    """Return the hash of a PIN in Argon2's own text form.

    Raises:
        ValueError: a PIN has 6 to 12 digits.
    """
    if not PIN_PATTERN.fullmatch(pin):
        raise ValueError("a PIN has 6 to 12 digits")
    return _HASHER.hash(pin)


def pin_matches(pin_hash: str, pin: str) -> bool:
    """Whether a PIN is the one that was hashed; blocks for tens of milliseconds.

    A hash that is none, or asks for more work than this program spends, matches nothing.
    """
    try:
        asked = extract_parameters(pin_hash)
        bounded = (
            asked.type is Type.ID
            and asked.time_cost <= MAX_TIME_COST
            and asked.memory_cost <= MAX_MEMORY_KIB
            and asked.parallelism <= MAX_PARALLELISM
        )
        return bounded and _HASHER.verify(pin_hash, pin)
    except (InvalidHashError, VerificationError):
        return False


@dataclass(slots=True)
class _Guesses:
    wrong: int
    since_ms: int


class GuardedPins:
    """`ports.Pins`: checks PINs off the event loop and counts wrong ones by subject."""

    def __init__(self, clock: Clock, matches: Callable[[str, str], bool] = pin_matches) -> None:
        self._clock = clock
        self._matches = matches
        self._guesses: OrderedDict[str, _Guesses] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    async def check(self, subject: str, pin_hash: str, pin: str) -> None:
        """Return when the PIN is right.

        Args:
            subject: whose PIN it is; guesses are counted by it.
            pin_hash: Argon2id, in its own text form.
            pin: what was typed.

        Raises:
            SaleRefused: `pin_wrong`, or `pin_locked` after too many guesses.
        """
        async with self._one_at_a_time:
            if self._locked(subject):
                raise SaleRefused(PIN_LOCKED)
            typed = PIN_PATTERN.fullmatch(pin) is not None
            if typed and await asyncio.to_thread(self._matches, pin_hash, pin):
                self._guesses.pop(subject, None)
                return
            self._count(subject)
            raise SaleRefused(PIN_LOCKED if self._locked(subject) else PIN_WRONG)

    def _locked(self, subject: str) -> bool:
        found = self._guesses.get(subject)
        if found is None:
            return False
        if self._clock.monotonic_ms() - found.since_ms >= WINDOW_MS:
            del self._guesses[subject]
            return False
        return found.wrong >= MAX_WRONG

    def _count(self, subject: str) -> None:
        found = self._guesses.setdefault(subject, _Guesses(0, self._clock.monotonic_ms()))
        found.wrong += 1
        if found.wrong == MAX_WRONG:
            found.since_ms = self._clock.monotonic_ms()
        self._guesses.move_to_end(subject)
        while len(self._guesses) > MAX_SUBJECTS:
            self._guesses.popitem(last=False)
