from hypothesis import given
from hypothesis import strategies as st

from drivers.framing.buffer import Segment, SegmentBuffer

END, ESCAPE, LONGEST = 0xFA, 0x10, 12

INTERESTING = st.lists(st.sampled_from([END, ESCAPE, 0x00, 0x50]), max_size=60).map(bytes)
PIECES = st.lists(INTERESTING, max_size=12)


def fresh() -> SegmentBuffer:
    return SegmentBuffer(END, ESCAPE, LONGEST)


@given(PIECES)
def test_pieces_do_not_matter(pieces: list[bytes]) -> None:
    piecewise, whole = fresh(), fresh()
    found = [segment for piece in pieces for segment in piecewise.feed(piece)]
    assert found == whole.feed(b"".join(pieces))
    assert len(piecewise) == len(whole)


@given(PIECES)
def test_nothing_is_lost_and_little_is_held(pieces: list[bytes]) -> None:
    buffer = fresh()
    found = [segment for piece in pieces for segment in buffer.feed(piece)]
    assert sum(len(segment.data) for segment in found) + len(buffer) == sum(map(len, pieces))
    assert len(buffer) < LONGEST
    for segment in found:
        assert len(segment.data) <= LONGEST
        ends = segment.data[-1] == END and segment.data[-2:-1] != bytes((ESCAPE,))
        assert ends or not segment.ended


def test_an_escaped_end_does_not_end() -> None:
    data = bytes.fromhex("50 10 FA 2B 03 FA 51")
    buffer = fresh()
    assert buffer.feed(data) == [Segment(data[:-1], ended=True)]
    assert len(buffer) == 1
    buffer.clear()
    assert buffer.is_empty


def test_a_segment_without_an_end_is_cut() -> None:
    assert fresh().feed(bytes(LONGEST)) == [Segment(bytes(LONGEST), ended=False)]
