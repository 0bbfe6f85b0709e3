"""CTC: checked against the sum over all paths, which is what it is defined as."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.vision.decoding import (
    ALPHABET,
    LogProbabilities,
    likelihoods,
    normalise_columns,
    search,
)

SIZE = 1 + len(ALPHABET)


def columns_of(symbols: list[int], certainty: float = 0.9) -> LogProbabilities:
    """Columns that are rather sure of one class each, 0 for blank."""
    rows = np.full((len(symbols), SIZE), (1 - certainty) / (SIZE - 1), np.float32)
    rows[np.arange(len(symbols)), symbols] = certainty
    return normalise_columns(rows)


def spoken(text: str) -> list[int]:
    """Classes that spell a text with a blank after each symbol."""
    return [c for symbol in text for c in (1 + ALPHABET.index(symbol), 0)]


def collapsed(path: tuple[int, ...]) -> str:
    kept = [c for c, before in zip(path, (0, *path), strict=False) if c and c != before]
    return "".join(ALPHABET[c - 1] for c in kept)


def by_definition(columns: LogProbabilities, text: str, classes: range) -> float:
    paths = itertools.product(classes, repeat=len(columns))
    total = sum(
        math.exp(sum(columns[t, c] for t, c in enumerate(path)))
        for path in paths
        if collapsed(path) == text
    )
    return math.log(total)


@settings(max_examples=40, deadline=None)
@given(st.text(ALPHABET, min_size=1, max_size=9))
def test_a_clear_text_is_found(text: str) -> None:
    columns = columns_of(spoken(text))
    found = search(columns)
    assert found[0][0] == text
    assert found == sorted(found, key=lambda one: -one[1])
    assert likelihoods(columns, [text])[0] >= found[0][1] - 1e-3


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["0", "1", "01", "00", "10", "010", "001"]))
def test_likelihood_is_the_sum_over_all_paths(seed: int, text: str) -> None:
    rows = np.full((5, SIZE), 1e-9, np.float32)
    rows[:, :3] = np.random.default_rng(seed).random((5, 3), dtype=np.float32) + 0.01
    columns = normalise_columns(rows, 1e-12)
    assert likelihoods(columns, [text])[0] == pytest.approx(
        by_definition(columns, text, range(3)), abs=1e-3
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_search_never_claims_more_than_the_likelihood(seed: int) -> None:
    rows = np.random.default_rng(seed).dirichlet(np.full(SIZE, 0.05), 8).astype(np.float32)
    columns = normalise_columns(rows)
    for text, value in search(columns):
        if text:
            assert value <= likelihoods(columns, [text])[0] + 1e-3


def test_texts_of_different_length_are_compared_in_one_call() -> None:
    columns = columns_of(spoken("云A123"))
    together = likelihoods(columns, ["云A123", "云A12", "云A1234"])
    assert together == pytest.approx(
        [likelihoods(columns, [text])[0] for text in ("云A123", "云A12", "云A1234")]
    )
    assert max(together) == together[0]
    assert likelihoods(columns, []) == []


def test_lookalikes_are_one_symbol() -> None:
    columns = columns_of(spoken("01"))
    assert likelihoods(columns, ["OI"]) == likelihoods(columns, ["01"])


def test_no_columns_but_blank_is_no_text() -> None:
    assert search(columns_of([0, 0, 0], 0.999))[0][0] == ""
