import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.framing.bcd import from_bcd, to_bcd


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, 100**n - 1))))
def test_there_and_back(case: tuple[int, int]) -> None:
    length, value = case
    assert from_bcd(to_bcd(value, length)) == value
    assert len(to_bcd(value, length)) == length


def test_known_value() -> None:
    assert to_bcd(785, 3) == bytes.fromhex("000785")


@given(st.binary(max_size=8))
def test_any_bytes_are_a_number_or_refused(data: bytes) -> None:
    is_decimal = bool(data) and all(byte >> 4 < 10 and byte & 0x0F < 10 for byte in data)
    if is_decimal:
        assert to_bcd(from_bcd(data), len(data)) == data
    else:
        with pytest.raises(ValueError, match="invalid literal"):
            from_bcd(data)


@pytest.mark.parametrize("value", [-1, 100, 12345])
def test_too_long_or_negative_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        to_bcd(value, 1)
