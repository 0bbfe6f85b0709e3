"""Vote over frames: many reads of a few cars become one statement about each car."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.model.plates import Box, Plate, PlateColour, PlateRead, parse_plate

WINDOW_MS: Final = 6_000
"""A read counts this long: a car that stopped is read several times, one that drove on is gone."""
FRAMES_TO_CONFIRM: Final = 2
"""Frames that must each be confirmed, with the same text, before the vote is."""
MARGIN: Final = 2.0
"""What the winner needs, as a multiple of what speaks for the next text."""
CONFIRMED_WEIGHT: Final = 2.0
"""What a confirmed read counts, against one of the same confidence that is not."""

_OVERLAP: Final = 0.2


@dataclass(frozen=True, slots=True)
class SeenRead:
    """A read, and when its frame was taken on any steady clock."""

    read: PlateRead
    at_ms: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the frames say about one car: `votes` frames agree, the newest taken at `at_ms`.

    `confidence` is the winner's share of all weight, times the mean confidence of its reads.
    """

    plate: Plate
    confidence: float
    votes: int
    confirmed: bool
    at_ms: int
    box: Box


def vote(seen: Iterable[SeenRead], now_ms: int, window_ms: int = WINDOW_MS) -> list[Verdict]:
    """Return one verdict for each car in the reads of the window, the surest car first.

    Reads of different frames are of one car when their texts differ in at most one place or their
    boxes overlap, unless some frame showed both texts at once. The order of reads does not matter.
    """
    fresh = sorted(
        (one for one in seen if one.read.kind and 0 <= now_ms - one.at_ms <= window_ms),
        key=_order,
    )
    verdicts = [_decide(cluster) for cluster in _clusters(fresh)]
    return sorted(verdicts, key=lambda verdict: (-verdict.confidence, verdict.plate.text))


def _order(one: SeenRead) -> tuple[object, ...]:
    read = one.read
    return one.at_ms, read.text, read.confirmed, read.confidence, read.colour, read.box


def _clusters(seen: Sequence[SeenRead]) -> list[list[SeenRead]]:
    frames: dict[int, set[str]] = defaultdict(set)
    for one in seen:
        frames[one.at_ms].add(one.read.text)
    clusters: list[list[SeenRead]] = []
    for one in seen:
        alike = [
            cluster
            for cluster in clusters
            if any(_same_car(one.read, other.read, frames.values()) for other in cluster)
        ]
        apart = [cluster for cluster in clusters if not any(cluster is same for same in alike)]
        clusters = [*apart, [*(other for cluster in alike for other in cluster), one]]
    return clusters


def _same_car(one: PlateRead, other: PlateRead, frames: Iterable[set[str]]) -> bool:
    if one.text == other.text:
        return True
    if any(one.text in texts and other.text in texts for texts in frames):
        return False
    return _alike(one.text, other.text) or _overlap(one.box, other.box)


def _alike(one: str, other: str) -> bool:
    if len(one) != len(other):
        return False
    return sum(a != b for a, b in zip(one, other, strict=True)) <= 1


def _overlap(one: Box, other: Box) -> bool:
    """Return whether two boxes share `_OVERLAP` of the area that they cover together."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return False
    common = width * height
    return common >= _OVERLAP * (one[2] * one[3] + other[2] * other[3] - common)


def _decide(cluster: Sequence[SeenRead]) -> Verdict:
    by_text: dict[str, dict[int, PlateRead]] = defaultdict(dict)
    for one in cluster:
        by_text[one.read.text][one.at_ms] = one.read
    weights = {text: sum(map(_weight, reads.values())) for text, reads in by_text.items()}
    winner = min(weights, key=lambda text: (-weights[text], text))
    others = [weight for text, weight in weights.items() if text != winner]
    reads = by_text[winner]
    newest = max(reads)
    plate = parse_plate(winner, _colour(reads.values()))
    mean = sum(read.confidence for read in reads.values()) / len(reads)
    rivals = any(
        read.confirmed for text, of in by_text.items() if text != winner for read in of.values()
    )
    confirmed = (
        sum(read.confirmed for read in reads.values()) >= FRAMES_TO_CONFIRM
        and not rivals
        and weights[winner] >= MARGIN * max(others, default=0.0)
        and plate.colour_fits
    )
    share = weights[winner] / sum(weights.values())
    return Verdict(plate, share * mean, len(reads), confirmed, newest, reads[newest].box)


def _weight(read: PlateRead) -> float:
    return read.confidence * (CONFIRMED_WEIGHT if read.confirmed else 1.0)


def _colour(reads: Iterable[PlateRead]) -> PlateColour:
    """Return the colour that most reads saw; UNKNOWN only when none saw any."""
    counts: dict[PlateColour, int] = defaultdict(int)
    for read in reads:
        counts[read.colour] += read.colour is not PlateColour.UNKNOWN
    best = min(counts, key=lambda colour: (-counts[colour], colour.value))
    return best if counts[best] else PlateColour.UNKNOWN
