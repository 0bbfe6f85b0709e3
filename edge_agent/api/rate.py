"""How many requests a client may send: a token bucket for each."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MAX_CLIENTS = 256
"""Buckets kept; the client that was silent longest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """`burst` requests at once, and `per_second` in the long run."""

    per_second: float
    burst: int


ALLOWANCES: Mapping[str, Allowance] = {
    "client": Allowance(per_second=10, burst=60),
    # Counted apart, so that a stranger on the station PC does not use up what the tools may ask.
    "stranger": Allowance(per_second=10, burst=60),
    # A one-time code has 40 bits: nobody guesses one of four at this pace in a quarter of an hour.
    "enrolment": Allowance(per_second=0.2, burst=5),
    # People cannot touch faster than this; it only stops a screen gone mad.
    "screen": Allowance(per_second=50, burst=200),
}


class RateLimit:
    """Counts requests by client. 10 a second and address is the trade's usual figure."""

    def __init__(
        self,
        allowances: Mapping[str, Allowance] = ALLOWANCES,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowances = allowances
        self._monotonic_s = monotonic_s
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def wait_s(self, kind: str, client: str) -> int:
        """Take one request from a client's bucket: 0, or the whole seconds after which to retry."""
        allowance, now = self._allowances[kind], self._monotonic_s()
        left, since = self._buckets.pop((kind, client), (float(allowance.burst), now))
        left = min(float(allowance.burst), left + (now - since) * allowance.per_second)
        wait = 0 if left >= 1 else math.ceil((1 - left) / allowance.per_second)
        self._buckets[kind, client] = (left if wait else left - 1, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return wait
