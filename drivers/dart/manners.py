"""How a simulated DART pump misbehaves. All off: a pump by the book.

Each switch is something that real heads were seen to do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from drivers.dart.orders import Ask


@dataclass(slots=True)
class Manners:
    """Switches of one simulated point; they may be turned while it runs."""

    ignores: dict[Ask, int] = field(default_factory=dict)
    """Commands that are acknowledged but not done, and how many more times."""
    price_lag_ms: int = 0
    """From CD5 to the new prices."""
    reset_wants_status: bool = False
    """RESET is ignored unless RETURN STATUS came shortly before it."""
    nozzle_flickers: bool = False
    """A nozzle that is out is reported in, every third time."""
    nozzle_out_only_after_totals: bool = False
    """A lifted nozzle is reported out only after a question for totals."""
    running_figures_after_end: int = 0
    """So many centilitres are missing from the first figures after the end,"""
    running_readings: int = 1
    """and that many times."""
    volunteers_figures: bool = True
    """Running figures come with polls instead of only when asked for."""
    late_ms: int = 0
    """From a frame to its answer."""
    deaf_to_acks: int = 0
    """So many more acknowledgements are not heard: the block is sent again."""
    same_number: bool = False
    """The pump's own block number never moves, whatever it sends."""
    strict_sequence: bool = False
    """A block that is neither the next, nor the last again, nor 0, is refused."""
    preset_wants_lift: bool = False
    """A preset sent before the nozzle is lifted is dropped."""
    totals_layout: Literal[16, 13] = 16
    has_amount_totals: bool = True
    has_prices_report: bool = True
    lifts_reported_unasked: bool = False
    """Every nozzle counts as allowed before the first CD2."""
    echoes: bool = False
    """The adapter returns what the controller sends."""
    is_silent: bool = False
