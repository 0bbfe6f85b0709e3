"""Number plates of mainland China: their grammar, and what a camera says about them.

The grammar follows GA 36-2018 as far as its text is public: a province character, the letter of the
issuing office and a serial without the letters I and O; eight places for new-energy vehicles; a
character at the end for coaches, police, trailers and their like. No serial contains O or I, and
both are often read or typed for 0 and 1, so they are put right here.

A plate is personal data: no `repr` and no error message in this module shows one in clear.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edge_agent.model.errors import PlateRefused, Problem
from edge_agent.model.ids import BayId, CameraId

PROVINCES: Final = "京津沪渝冀晋蒙辽吉黑苏浙皖闽赣鲁豫鄂湘粤桂琼川贵云藏陕甘青宁新"
"""The 31 province characters, each first on the civil plates of its province."""

SERIAL_SYMBOLS: Final = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""What a serial is made of: digits and letters without I and O."""

MAX_TEXT_LENGTH: Final = 16
"""Longest text that is looked at; the longest plate has nine characters."""


class PlateColour(StrEnum):
    """The ground of a plate."""

    BLUE = "blue"
    YELLOW = "yellow"
    GREEN = "green"
    YELLOW_GREEN = "yellow-green"
    WHITE = "white"
    BLACK = "black"
    UNKNOWN = "unknown"


class PlateKind(StrEnum):
    """What a plate's text says about the vehicle; its colour says the rest."""

    ORDINARY = "ordinary"
    NEW_ENERGY_SMALL = "new-energy-small"
    NEW_ENERGY_LARGE = "new-energy-large"
    COACH = "coach"
    POLICE = "police"
    TRAILER = "trailer"
    CONSULATE = "consulate"
    TEST = "test"
    OVERSIZE = "oversize"
    CROSS_BORDER = "cross-border"
    EMBASSY = "embassy"
    ARMED_POLICE = "armed-police"
    MILITARY = "military"
    RESCUE = "rescue"
    CIVIL_AVIATION = "civil-aviation"


_OFFICE: Final = f"[{PROVINCES}][A-Z]"
_SERIAL: Final = "[A-HJ-NP-Z0-9]"
_ENERGY: Final = "[ABCDEFGHJK]"  # D and F first; A, B, C, E and G, H, J, K when those run out
_GRAMMAR: Final = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (PlateKind.ORDINARY, rf"{_OFFICE}{_SERIAL}{{5}}"),
        (PlateKind.NEW_ENERGY_SMALL, rf"{_OFFICE}{_ENERGY}{_SERIAL}[0-9]{{4}}"),
        (PlateKind.NEW_ENERGY_LARGE, rf"{_OFFICE}[0-9]{{5}}{_ENERGY}"),
        (PlateKind.COACH, rf"{_OFFICE}{_SERIAL}{{4}}学"),
        (PlateKind.POLICE, rf"{_OFFICE}{_SERIAL}{{4}}警"),
        (PlateKind.TRAILER, rf"{_OFFICE}{_SERIAL}{{4}}挂"),
        (PlateKind.CONSULATE, rf"{_OFFICE}{_SERIAL}{{4}}领"),
        (PlateKind.TEST, rf"{_OFFICE}{_SERIAL}{{4}}试"),
        (PlateKind.OVERSIZE, rf"{_OFFICE}{_SERIAL}{{4}}超"),
        (PlateKind.CROSS_BORDER, rf"粤Z{_SERIAL}{{4}}[港澳]"),
        (PlateKind.EMBASSY, r"使[0-9]{6}|[0-9]{6}使"),
        (PlateKind.ARMED_POLICE, rf"WJ[{PROVINCES}]?[0-9]{{4}}[0-9A-HJ-NP-Z]"),
        (PlateKind.MILITARY, r"[A-HJ-NP-Z]{2}[0-9]{5}"),
        (PlateKind.RESCUE, rf"{_OFFICE}[0-9]{{4,5}}应急"),
        (PlateKind.CIVIL_AVIATION, rf"民航{_SERIAL}[0-9]{{4}}"),
    )
)
_COLOURS: Final = {
    PlateKind.ORDINARY: {PlateColour.BLUE, PlateColour.YELLOW, PlateColour.BLACK},
    PlateKind.NEW_ENERGY_SMALL: {PlateColour.GREEN},
    PlateKind.NEW_ENERGY_LARGE: {PlateColour.YELLOW_GREEN, PlateColour.GREEN, PlateColour.YELLOW},
    PlateKind.COACH: {PlateColour.YELLOW, PlateColour.GREEN},
    PlateKind.POLICE: {PlateColour.WHITE},
    PlateKind.TRAILER: {PlateColour.YELLOW},
    PlateKind.CONSULATE: {PlateColour.BLACK},
    PlateKind.TEST: {PlateColour.BLUE, PlateColour.YELLOW, PlateColour.WHITE},
    PlateKind.OVERSIZE: {PlateColour.BLUE, PlateColour.YELLOW, PlateColour.WHITE},
    PlateKind.CROSS_BORDER: {PlateColour.BLACK},
    PlateKind.EMBASSY: {PlateColour.BLACK},
    PlateKind.ARMED_POLICE: {PlateColour.WHITE},
    PlateKind.MILITARY: {PlateColour.WHITE},
    PlateKind.RESCUE: {PlateColour.WHITE},
    PlateKind.CIVIL_AVIATION: {PlateColour.GREEN},
}
_SEPARATORS: Final = re.compile(r"[\s·•.\-_・‧]+")
_SERIAL_FIX: Final = str.maketrans("OI", "01")
_MASK_HEAD, _MASK_TAIL = 2, 3


@dataclass(frozen=True, slots=True, repr=False)
class Plate:
    """A plate whose text follows the grammar; made by `parse_plate`.

    Two reads of one vehicle may differ in colour (a dusk frame says UNKNOWN), so identity is the
    `text`; colour is evidence, compared by `colour_fits`.
    """

    text: str
    kind: PlateKind
    colour: PlateColour = PlateColour.UNKNOWN

    @property
    def province(self) -> str | None:
        """The province character, None on plates that carry none."""
        if self.text[0] in PROVINCES:
            return self.text[0]
        if self.kind is PlateKind.ARMED_POLICE and self.text[2] in PROVINCES:
            return self.text[2]
        return None

    @property
    def colour_fits(self) -> bool:
        """Whether plates of this kind have this ground; an unknown ground contradicts nothing."""
        return self.colour is PlateColour.UNKNOWN or self.colour in _COLOURS[self.kind]

    def masked(self) -> str:
        """Return what a log or a screen may show: 云A12345 becomes 云A**345."""
        return mask(self.text)

    def __repr__(self) -> str:
        return f"Plate({self.masked()}, {self.kind.value}, {self.colour.value})"

    def __str__(self) -> str:
        return self.masked()


def mask(text: str) -> str:
    """Hide the middle of a plate's text; texts of five characters or fewer become stars alone."""
    if len(text) <= _MASK_HEAD + _MASK_TAIL:
        return "*" * len(text)
    hidden = len(text) - _MASK_HEAD - _MASK_TAIL
    return f"{text[:_MASK_HEAD]}{'*' * hidden}{text[-_MASK_TAIL:]}"


def normalise(text: str) -> str:
    """Return a plate's text in upper case, without separators, O and I put right in the serial.

    The letter of the issuing office (second place) is left alone: 粤O exists.
    """
    plain = _SEPARATORS.sub("", unicodedata.normalize("NFKC", text)).upper()
    head = _head_length(plain)
    return plain[:head] + plain[head:].translate(_SERIAL_FIX)


def kind_of(text: str) -> PlateKind | None:
    """Return the kind that a normalised text belongs to, None when no grammar fits."""
    for kind, pattern in _GRAMMAR:
        if pattern.fullmatch(text):
            return kind
    return None


def parse_plate(text: str, colour: PlateColour = PlateColour.UNKNOWN) -> Plate:
    """Return the plate that a text means, however it was typed or read.

    Raises:
        PlateRefused: the text follows the grammar of no kind of plate.
    """
    plain = normalise(text) if len(text) <= MAX_TEXT_LENGTH else ""
    kind = kind_of(plain)
    if kind is None:
        raise PlateRefused(
            Problem(
                "plate_malformed",
                "车牌号格式不正确，请核对后重新输入",
                "this is no valid plate number; check it and enter it again",
            ),
            f"{len(text)} characters",
        )
    return Plate(plain, kind, colour)


Corners = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
"""Top left, top right, bottom right, bottom left, in pixels of the frame."""

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels of the frame."""


@dataclass(frozen=True, slots=True, repr=False)
class PlateRead:
    """What the readers made of one plate in one frame.

    `kind` is None when the text follows no grammar. `confidence` is between 0 and 1. `confirmed`
    says that this frame alone gives no reason to doubt the text; it takes `vote` over several
    frames before anything is charged.
    """

    text: str
    colour: PlateColour
    kind: PlateKind | None
    confidence: float
    box: Box
    corners: Corners
    confirmed: bool

    def plate(self) -> Plate | None:
        """Return the plate, None when the text follows no grammar."""
        return None if self.kind is None else Plate(self.text, self.kind, self.colour)

    def __repr__(self) -> str:
        return (
            f"PlateRead({mask(self.text)}, {self.colour.value}, {self.confidence:.2f}, "
            f"confirmed={self.confirmed})"
        )


@dataclass(frozen=True, slots=True)
class PlateSighting:
    """A plate that a camera saw over one or more frames: what the vision process tells the app.

    `confidence` is between 0 and 1, `votes` the number of frames that agree, `at_ms` the wall time
    of the newest of them. `confirmed` is a statement about the reading only: whether the plate may
    be charged is for authorisation to decide.
    """

    camera: CameraId
    bay: BayId
    plate: Plate
    confidence: float
    votes: int
    confirmed: bool
    at_ms: int


def _head_length(plain: str) -> int:
    """Return how many leading places lie before the serial."""
    if plain.endswith("使"):
        return 0
    return 1 if plain.startswith("使") else 2
