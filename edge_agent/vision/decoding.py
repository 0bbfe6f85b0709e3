"""From a reader's probabilities to texts: connectionist temporal classification (CTC).

A reader says, for each of some 20 to 80 columns of a plate, how likely each symbol or "nothing" is.
`search` finds the likeliest texts; `likelihoods` says how likely one reader finds a text that
another proposed, so that two readers that disagree can still settle on the best common text.
Graves et al., 2006: the forward recursion and prefix search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_agent.model.plates import PROVINCES, SERIAL_SYMBOLS

ALPHABET: Final = SERIAL_SYMBOLS + PROVINCES + "学警挂领使港澳试超应急民航"
"""Symbols that are told apart. O looks like 0 and I like 1: each pair is one symbol here."""

LogProbabilities = npt.NDArray[np.float32]
"""Columns x (1 + len(ALPHABET)): natural logarithms; index 0 is CTC's blank."""

BEAM_WIDTH: Final = 8
FLOOR: Final = 1e-7
_CUT: Final = -7.0  # symbols less likely than e^-7 in a column are not followed
_IMPOSSIBLE: Final = -1e30
_INDEX: Final = {symbol: index for index, symbol in enumerate(ALPHABET, start=1)}
_INDEX.update(O=_INDEX["0"], I=_INDEX["1"])


def normalise_columns(
    probabilities: npt.NDArray[np.float32], floor: float = FLOOR
) -> LogProbabilities:
    """Return logarithms of columns scaled to sum to one, none below `floor` before that."""
    floored = np.maximum(probabilities, np.float32(floor))
    scaled: LogProbabilities = np.log(floored / floored.sum(axis=1, keepdims=True))
    return scaled


def search(columns: LogProbabilities, width: int = BEAM_WIDTH) -> list[tuple[str, float]]:
    """Return up to `width` likeliest texts with their log-likelihoods, likeliest first."""
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, _IMPOSSIBLE)}
    for column in columns:
        followed = np.flatnonzero(column > _CUT)
        grown = _grow(beams, followed.tolist(), column[followed].tolist())
        beams = dict(sorted(grown.items(), key=lambda item: -_add(*item[1]))[:width])
    return [
        ("".join(ALPHABET[symbol - 1] for symbol in prefix), _add(*ends))
        for prefix, ends in beams.items()
    ]


def likelihoods(columns: LogProbabilities, texts: Sequence[str]) -> list[float]:
    """Return the log-likelihood of each text; none is empty, all are of `ALPHABET`, O and I."""
    if not texts:
        return []
    states = _states(texts)
    repeated = np.zeros(states.shape, dtype=bool)
    repeated[:, 2:] = (states[:, 2:] != 0) & (states[:, 2:] != states[:, :-2])
    emitted = columns[:, states].astype(np.float64)
    forward = np.full(states.shape, _IMPOSSIBLE)
    forward[:, :2] = emitted[0, :, :2]
    for emission in emitted[1:]:
        step = forward.copy()
        step[:, 1:] = np.logaddexp(step[:, 1:], forward[:, :-1])
        skipped = np.where(repeated[:, 2:], forward[:, :-2], _IMPOSSIBLE)
        step[:, 2:] = np.logaddexp(step[:, 2:], skipped)
        forward = step + emission
    rows = np.arange(len(texts))
    ends = np.array([2 * len(text) for text in texts])
    total = np.logaddexp(forward[rows, ends], forward[rows, ends - 1])
    return [float(value) for value in total]


def _states(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return CTC's states for each text: blank, symbol, blank, symbol, ..., blank."""
    states = np.zeros((len(texts), 2 * max(map(len, texts)) + 1), dtype=np.int64)
    for row, text in enumerate(texts):
        states[row, 1 : 2 * len(text) : 2] = [_INDEX[symbol] for symbol in text]
    return states


def _grow(
    beams: dict[tuple[int, ...], tuple[float, float]],
    symbols: list[int],
    values: list[float],
) -> dict[tuple[int, ...], tuple[float, float]]:
    """Extend each prefix by one column, keeping its odds of ending in blank and in a symbol."""
    grown: dict[tuple[int, ...], tuple[float, float]] = {}
    nothing = (_IMPOSSIBLE, _IMPOSSIBLE)
    for prefix, (in_blank, in_symbol) in beams.items():
        either = _add(in_blank, in_symbol)
        last = prefix[-1] if prefix else 0
        for symbol, value in zip(symbols, values, strict=True):
            blank, ending = grown.get(prefix, nothing)
            if symbol == 0:
                grown[prefix] = (_add(blank, either + value), ending)
                continue
            if symbol == last:
                grown[prefix] = (blank, _add(ending, in_symbol + value))
            longer = (*prefix, symbol)
            blank, ending = grown.get(longer, nothing)
            odds = in_blank if symbol == last else either
            grown[longer] = (blank, _add(ending, odds + value))
    return grown


def _add(one: float, other: float) -> float:
    """Return log(e^one + e^other)."""
    high, low = (one, other) if one > other else (other, one)
    return high if low <= _IMPOSSIBLE else high + math.log1p(math.exp(low - high))
