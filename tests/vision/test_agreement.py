"""Two readers settle on one text."""

import numpy as np
import pytest

from edge_agent.vision.agreement import settle
from edge_agent.vision.decoding import ALPHABET, LogProbabilities, normalise_columns
from tests.vision.test_decoding import columns_of, spoken


def doubtful(
    text: str, place: int, instead: str, share: float, certainty: float = 0.9
) -> LogProbabilities:
    """Columns of a text, where `instead` takes a share of one symbol."""
    columns = np.exp(columns_of(spoken(text), certainty))
    row = columns[2 * place]
    row[1 + ALPHABET.index(instead)] = share
    row[1 + ALPHABET.index(text[place])] = 1 - share
    return normalise_columns(columns)


def test_readers_that_agree() -> None:
    settled = settle([columns_of(spoken("云A12345"))] * 2)
    assert settled is not None
    assert settled.text == "云A12345"
    assert settled.agreed
    assert settled.confidence > 0.8


def test_a_sure_reader_outweighs_an_unsure_one() -> None:
    settled = settle([columns_of(spoken("云A12345")), doubtful("云A12345", 0, "贵", 0.6)])
    assert settled is not None
    assert settled.text == "云A12345"
    assert not settled.agreed


def test_readers_that_contradict_each_other_are_not_confident() -> None:
    settled = settle([columns_of(spoken("云A12345")), columns_of(spoken("云A12385"))])
    assert settled is not None
    assert not settled.agreed
    assert settled.confidence < 0.6


def test_the_grammar_chooses_among_what_was_seen() -> None:
    # the likeliest text has a letter where a small new-energy plate has digits
    settled = settle([doubtful("云AD1234B", 7, "8", 0.4)] * 2)
    assert settled is not None
    assert settled.text == "云AD12348"
    assert not settled.agreed


@pytest.mark.parametrize("text", ["A12345", "云A1", "WJ", "12"])
def test_what_follows_no_grammar_is_no_read(text: str) -> None:
    assert settle([columns_of(spoken(text))] * 2) is None


def test_an_office_may_be_o_but_q_is_likelier() -> None:
    zero = settle([columns_of(spoken("粤012345"))] * 2)
    assert zero is not None
    assert zero.text == "粤O12345"
    unsure = settle([doubtful("粤012345", 1, "Q", 0.45)] * 2)
    assert unsure is not None
    assert unsure.text == "粤Q12345"


def test_no_views_at_all() -> None:
    assert settle([columns_of([0] * 6, 0.999)]) is None
