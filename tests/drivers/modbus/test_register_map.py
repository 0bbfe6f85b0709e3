"""Numbers in registers: widths, BCD, word order and scales, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.pdu import Function
from drivers.modbus.register_map import Number, span


def number(
    words: int = 2, *, bcd: bool = False, low_first: bool = False, scale: int = 1, divisor: int = 1,
    address: int = 0,
) -> Number:  # fmt: skip
    largest = int(10 ** (4 * words) if bcd else 0x10000**words) - 1
    return Number(Function.READ_INPUT, address, words, bcd, low_first, scale, divisor, largest)


@pytest.mark.parametrize(
    ("where", "registers", "value"),
    [
        (number(1), (785,), 785),
        (number(2), (0x0001, 0x0002), 65_538),
        (number(2, low_first=True), (0x0002, 0x0001), 65_538),
        (number(2, scale=10), (0, 2548), 25_480),
        (number(2, scale=1, divisor=10), (0, 254_8), 255),
        (number(1, bcd=True, scale=10), (0x0785,), 7_850),
        (number(2, bcd=True), (0x0123, 0x4567), 1_234_567),
        (number(2, bcd=True, low_first=True), (0x4567, 0x0123), 1_234_567),
        (number(3, bcd=True), (0x1234, 0x5678, 0x9012), 123_456_789_012),
    ],
)
def test_examples(where: Number, registers: tuple[int, ...], value: int) -> None:
    assert where.read(registers, 0) == value


@given(st.integers(1, 3), st.booleans(), st.booleans(), st.integers(1, 1000), st.integers(0, 2**48))
def test_what_is_written_is_read(
    words: int, bcd: bool, low_first: bool, scale: int, count: int
) -> None:
    where = number(words, bcd=bcd, low_first=low_first, scale=scale, address=7)
    value = count % (where.largest + 1) * scale
    registers = where.write(value)
    assert len(registers) == words
    assert all(0 <= word <= 0xFFFF for word in registers)
    assert where.read((0, *registers), 6) == value


@given(st.integers(1, 3), st.booleans(), st.integers(2, 1000), st.integers(0, 2**50))
def test_what_does_not_fit_is_never_written(words: int, bcd: bool, scale: int, value: int) -> None:
    where = number(words, bcd=bcd, scale=scale)
    if value % scale or value // scale > where.largest:
        with pytest.raises(ValueError, match="exactly"):
            where.write(value)
    else:
        assert where.read(where.write(value), 0) == value


def test_letters_are_no_bcd() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        number(1, bcd=True).read((0x001A,), 0)


def test_a_full_counter_starts_again() -> None:
    where = number(1, scale=10)
    assert where.read(where.wrapped(65_535 * 10), 0) == 655_350
    assert where.read(where.wrapped(65_536 * 10), 0) == 0


def test_span_covers_all() -> None:
    block = span([number(2, address=10), number(3, address=20), number(1, address=15)])
    assert (block.address, block.count) == (10, 13)
