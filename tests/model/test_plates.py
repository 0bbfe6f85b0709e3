"""Grammar of number plates, and the promise that none shows in clear by accident."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model.errors import PlateRefused
from edge_agent.model.ids import BayId, CameraId
from edge_agent.model.plates import (
    PROVINCES,
    SERIAL_SYMBOLS,
    Plate,
    PlateColour,
    PlateKind,
    PlateRead,
    PlateSighting,
    mask,
    normalise,
    parse_plate,
)

SERIAL = st.sampled_from(SERIAL_SYMBOLS)
PROVINCE = st.sampled_from(PROVINCES)
OFFICE = st.sampled_from("ABCDEFGHJKLMNOPQRSTUVWXYZ")
DIGITS = "0123456789"


def joined(*parts: st.SearchStrategy[str] | str) -> st.SearchStrategy[str]:
    return st.tuples(*(st.just(p) if isinstance(p, str) else p for p in parts)).map("".join)


def serial(count: int) -> st.SearchStrategy[str]:
    return st.text(SERIAL, min_size=count, max_size=count)


def digits(count: int) -> st.SearchStrategy[str]:
    return st.text(DIGITS, min_size=count, max_size=count)


ENERGY = st.sampled_from("ABCDEFGHJK")
BY_KIND = {
    PlateKind.ORDINARY: joined(PROVINCE, OFFICE, serial(5)),
    PlateKind.NEW_ENERGY_SMALL: joined(PROVINCE, OFFICE, ENERGY, SERIAL, digits(4)),
    PlateKind.NEW_ENERGY_LARGE: joined(PROVINCE, OFFICE, digits(5), ENERGY),
    PlateKind.COACH: joined(PROVINCE, OFFICE, serial(4), "学"),
    PlateKind.POLICE: joined(PROVINCE, OFFICE, serial(4), "警"),
    PlateKind.TRAILER: joined(PROVINCE, OFFICE, serial(4), "挂"),
    PlateKind.CONSULATE: joined(PROVINCE, OFFICE, serial(4), "领"),
    PlateKind.TEST: joined(PROVINCE, OFFICE, serial(4), "试"),
    PlateKind.OVERSIZE: joined(PROVINCE, OFFICE, serial(4), "超"),
    PlateKind.CROSS_BORDER: joined("粤Z", serial(4), st.sampled_from("港澳")),
    PlateKind.EMBASSY: st.one_of(joined("使", digits(6)), joined(digits(6), "使")),
    PlateKind.ARMED_POLICE: joined("WJ", st.one_of(st.just(""), PROVINCE), digits(4), SERIAL),
    PlateKind.MILITARY: joined(st.sampled_from("ABCVKHZ"), st.sampled_from("ABCVKHZ"), digits(5)),
    PlateKind.RESCUE: joined(PROVINCE, OFFICE, digits(4), "应急"),
    PlateKind.CIVIL_AVIATION: joined("民航", SERIAL, digits(4)),
}
ANY_PLATE = st.sampled_from(sorted(BY_KIND)).flatmap(
    lambda kind: st.tuples(st.just(kind), BY_KIND[kind])
)


def test_every_kind_has_a_strategy() -> None:
    assert set(BY_KIND) == set(PlateKind)


@given(ANY_PLATE)
def test_plates_of_every_kind_are_understood(case: tuple[PlateKind, str]) -> None:
    kind, text = case
    plate = parse_plate(text)
    assert (plate.kind, plate.text) == (kind, text)


@given(ANY_PLATE, st.integers(0, 7), st.sampled_from(["·", " ", "-", "．"]))
def test_separators_case_and_width_do_not_matter(
    case: tuple[PlateKind, str], at: int, separator: str
) -> None:
    text = case[1]
    typed = f"{text[:at]}{separator}{text[at:]}".lower()
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in typed)
    assert parse_plate(typed).text == text
    assert parse_plate(wide).text == text


@given(ANY_PLATE)
def test_normalising_twice_changes_nothing(case: tuple[PlateKind, str]) -> None:
    assert normalise(normalise(case[1])) == normalise(case[1])


@given(PROVINCE, OFFICE, serial(5))
def test_o_and_i_are_zero_and_one_in_the_serial_only(province: str, office: str, tail: str) -> None:
    typed = province + office + tail.replace("0", "O").replace("1", "I")
    assert parse_plate(typed).text == province + office + tail


@given(st.text(max_size=40))
def test_any_text_is_a_plate_or_refused(text: str) -> None:
    try:
        plate = parse_plate(text)
    except PlateRefused:
        return
    assert parse_plate(plate.text, plate.colour) == plate


def test_a_refusal_does_not_repeat_the_text() -> None:
    with pytest.raises(PlateRefused) as caught:
        parse_plate("云A1234567")
    assert "1234" not in str(caught.value)


NO_PLATES = (
    "", "云", "A12345", "云A1234", "云A123456", "云AD1234A", "甲A12345", "云1A2345", "粤Z1234",
    "使12345", "云A12345学", "WJ云123", "云A12345云A12345", "云A12345" * 3,
)  # fmt: skip


@pytest.mark.parametrize("text", NO_PLATES)
def test_what_is_no_plate_is_refused(text: str) -> None:
    with pytest.raises(PlateRefused) as caught:
        parse_plate(text)
    assert caught.value.problem.code == "plate_malformed"
    assert caught.value.problem.text_zh


def test_masks_keep_head_and_tail() -> None:
    assert parse_plate("云A·12345").masked() == "云A**345"
    assert parse_plate("云AD12345").masked() == "云A***345"
    assert mask("12345") == "*****"


@given(ANY_PLATE)
def test_nothing_shows_a_plate_in_clear(case: tuple[PlateKind, str]) -> None:
    text = case[1]
    plate = parse_plate(text)
    corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    read = PlateRead(text, PlateColour.BLUE, plate.kind, 0.9, (0, 0, 1, 1), corners, True)
    sighting = PlateSighting(CameraId("cam"), BayId("b"), plate, 0.9, 2, True, 1)
    for shown in (repr(plate), str(plate), f"{plate}", repr(read), repr(sighting), str([read])):
        assert text not in shown
        assert text[2:] not in shown


def test_provinces() -> None:
    assert len(set(PROVINCES)) == 31
    assert parse_plate("云A12345").province == "云"
    assert parse_plate("WJ云12345").province == "云"
    assert parse_plate("使123456").province is None
    assert parse_plate("WJ12345").province is None


def test_colours_contradict_kinds() -> None:
    assert parse_plate("云AD12345", PlateColour.GREEN).colour_fits
    assert not parse_plate("云AD12345", PlateColour.BLUE).colour_fits
    assert parse_plate("云A12345", PlateColour.UNKNOWN).colour_fits
    assert not parse_plate("云A1234警", PlateColour.BLUE).colour_fits
    for kind in PlateKind:
        assert Plate("云A12345", kind).colour_fits


def test_a_read_gives_a_plate_only_when_the_grammar_fits() -> None:
    corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    read = PlateRead("云A1", PlateColour.BLUE, None, 0.4, (0, 0, 1, 1), corners, False)
    assert read.plate() is None
