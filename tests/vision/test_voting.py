"""Votes: order does not matter, age does, and contradiction never confirms."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.model.plates import Box, PlateColour, PlateRead, kind_of
from edge_agent.vision.voting import WINDOW_MS, SeenRead, vote

HERE: Box = (400, 300, 120, 40)
THERE: Box = (30, 310, 110, 38)


def seen(
    text: str,
    at_ms: int,
    *,
    confidence: float = 0.9,
    confirmed: bool = True,
    box: Box = HERE,
    colour: PlateColour = PlateColour.BLUE,
) -> SeenRead:
    corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    read = PlateRead(text, colour, kind_of(text), confidence, box, corners, confirmed)
    return SeenRead(read, at_ms)


def test_no_reads_no_verdict() -> None:
    assert vote([], 1000) == []


def test_two_confirmed_frames_confirm() -> None:
    once = vote([seen("云A12345", 100)], 100)
    assert [(v.plate.text, v.votes, v.confirmed) for v in once] == [("云A12345", 1, False)]
    (twice,) = vote([seen("云A12345", 100), seen("云A12345", 350)], 400)
    assert (twice.plate.text, twice.votes, twice.confirmed, twice.at_ms) == (
        "云A12345", 2, True, 350,
    )  # fmt: skip


def test_a_frame_counts_once() -> None:
    (verdict,) = vote([seen("云A12345", 100), seen("云A12345", 100)], 100)
    assert (verdict.votes, verdict.confirmed) == (1, False)


def test_unsure_frames_never_confirm() -> None:
    reads = [seen("云A12345", at, confirmed=False) for at in range(0, 2000, 200)]
    (verdict,) = vote(reads, 2000)
    assert (verdict.votes, verdict.confirmed) == (10, False)


def test_a_misread_is_outvoted_but_a_confirmed_rival_prevents_certainty() -> None:
    right = [seen("云A12345", at) for at in (0, 200, 400)]
    (verdict,) = vote([*right, seen("云A12845", 600, confidence=0.4, confirmed=False)], 700)
    assert (verdict.plate.text, verdict.confirmed) == ("云A12345", True)
    (verdict,) = vote([*right, seen("云A12845", 600)], 700)
    assert (verdict.plate.text, verdict.confirmed) == ("云A12345", False)


def test_old_reads_and_reads_from_the_future_do_not_count() -> None:
    assert vote([seen("云A12345", 0)], WINDOW_MS + 1) == []
    assert vote([seen("云A12345", 10)], 9) == []
    assert len(vote([seen("云A12345", 0)], WINDOW_MS)) == 1


def test_reads_without_a_kind_do_not_vote() -> None:
    assert vote([seen("云A1", 0)], 0) == []


def test_two_cars_are_two_verdicts_even_when_they_are_twins() -> None:
    reads = [
        one for at in (0, 300) for one in (seen("云A12345", at), seen("云A12346", at, box=THERE))
    ]
    verdicts = vote(reads, 400)
    assert {(v.plate.text, v.confirmed) for v in verdicts} == {
        ("云A12345", True),
        ("云A12346", True),
    }


def test_the_next_car_at_the_same_place_is_not_sure_at_once() -> None:
    reads = [seen("云A12345", 0), seen("云A12345", 300), seen("云B67890", 3000)]
    (verdict,) = vote(reads, 3000)
    assert not verdict.confirmed
    (verdict,) = vote([*reads, seen("云B67890", 6100), seen("云B67890", 6400)], 6400)
    assert (verdict.plate.text, verdict.confirmed) == ("云B67890", True)


def test_a_ground_that_contradicts_the_kind_is_not_sure() -> None:
    reads = [seen("云AD12345", at, colour=PlateColour.BLUE) for at in (0, 300)]
    assert not vote(reads, 400)[0].confirmed
    reads.append(seen("云AD12345", 350, colour=PlateColour.UNKNOWN))
    assert vote(reads, 400)[0].plate.colour is PlateColour.BLUE


TEXTS = st.sampled_from(["云A12345", "云A12346", "云A12385", "云B67890", "云AD12345"])
READS = st.builds(
    lambda text, at, confidence, confirmed, box: seen(
        text, at * 100, confidence=confidence, confirmed=confirmed, box=box
    ),
    TEXTS,
    st.integers(0, 30),
    st.floats(0.1, 1),
    st.booleans(),
    st.sampled_from([HERE, THERE]),
)


@settings(max_examples=60)
@given(st.lists(READS, max_size=10), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_verdicts_are_in_bounds(
    reads: list[SeenRead], rng: random.Random
) -> None:
    verdicts = vote(reads, 3000)
    shuffled = list(reads)
    rng.shuffle(shuffled)
    assert vote(shuffled, 3000) == verdicts
    assert len({v.plate.text for v in verdicts}) == len(verdicts)
    for verdict in verdicts:
        frames = {r.at_ms for r in reads if r.read.text == verdict.plate.text}
        sure = {r.at_ms for r in reads if r.read.text == verdict.plate.text and r.read.confirmed}
        assert 0 <= verdict.confidence <= 1
        assert verdict.votes == len(frames)
        assert not verdict.confirmed or len(sure) >= 2
