"""Draw a car's front with a number plate, for the demo's camera and for tests.

Nobody's photo is needed. Plates have their published geometry (GA 36: a plate of 440 x 140 mm,
symbols of 45 x 90 mm, 12 mm apart, 34 mm with a dot after the second; 480 x 140 mm for new energy,
symbols of 43 mm, 9 mm apart; 440 x 220 mm in two lines) and OpenCV's own font, which has Chinese
symbols. They stand on a plain car seen at an angle, with blur, noise and changing light. The same
arguments give the same picture, pixel by pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.model.plates import Plate, PlateColour, PlateKind
from edge_agent.vision.picture import Image

Bgr = tuple[int, int, int]
Mask = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_PX_PER_MM: Final = 2
_GLYPH_HEIGHT: Final = 90
_CAR_WIDTH: Final = 1800  # millimetres, one pixel each
_CAR_HEIGHT: Final = 1450
_PLATE_CENTRE: Final = (900, 1130)
_RED: Final[Bgr] = (40, 40, 200)
_WHITE: Final[Bgr] = (245, 245, 245)
_BLACK: Final[Bgr] = (25, 25, 25)
_GROUNDS: Final[dict[PlateColour, tuple[Bgr, Bgr]]] = {
    PlateColour.BLUE: ((160, 70, 15), _WHITE),
    PlateColour.YELLOW: ((20, 175, 240), _BLACK),
    PlateColour.GREEN: ((110, 200, 90), _BLACK),
    PlateColour.YELLOW_GREEN: ((110, 200, 90), _BLACK),
    PlateColour.WHITE: (_WHITE, _BLACK),
    PlateColour.BLACK: (_BLACK, _WHITE),
}
_NEW_ENERGY: Final = (PlateKind.NEW_ENERGY_SMALL, PlateKind.NEW_ENERGY_LARGE)
_RED_SYMBOLS: Final = "警使领港澳应急"


@dataclass(frozen=True, slots=True)
class View:
    """How the camera sees the car. The defaults are what the demo's camera shows.

    `size` is width and height of the frame in pixels; `car_share` the car's share of its width;
    `yaw` and `roll` are degrees; `blur` and `noise` standard deviations in pixels and grey levels;
    `brightness` multiplies the light.
    """

    size: tuple[int, int] = (960, 540)
    car_share: float = 0.6
    yaw: float = 12.0
    roll: float = 2.0
    blur: float = 0.7
    noise: float = 5.0
    brightness: float = 1.0


def draw_plate(plate: Plate, *, two_lines: bool = False) -> Image:
    """Return a plate from the front, 2 pixels to the millimetre, without its frame of the car.

    A plate of unknown colour gets the usual one of its kind.
    """
    colour = ground_of(plate)
    height = 220 if two_lines else 140
    width = 480 if plate.kind in _NEW_ENERGY and not two_lines else 440
    canvas = _ground(colour, width, height)
    places = _two_line_places(plate.text) if two_lines else _one_line_places(plate)
    ink = _GROUNDS[colour][1]
    for symbol, (x, y, w, h) in zip(plate.text, places, strict=True):
        own_ink = _RED if symbol in _RED_SYMBOLS and colour is not PlateColour.BLACK else ink
        _stamp(canvas, symbol, (x, y, w, h), own_ink)
    if plate.kind not in _NEW_ENERGY:
        _dot(canvas, places, ink)
    edge = tuple(round(0.7 * channel + 0.3 * 255) for channel in ink)
    corner = (width * _PX_PER_MM - 9, height * _PX_PER_MM - 9)
    cv2.rectangle(canvas, (8, 8), corner, edge, 3)
    return canvas


def draw_car(
    plate: Plate, seed: int, view: View | None = None, *, frame: int = 0, two_lines: bool = False
) -> Image:
    """Return a picture of a car's front with this plate in a bay, as `view` sees it.

    `seed` decides the car and where it stands, `frame` the noise and a flicker of the light: the
    same car over several frames has one seed.
    """
    view = view or View()
    rng = np.random.default_rng(seed)
    front, opaque = _car_front(rng)
    _mount(front, draw_plate(plate, two_lines=two_lines))
    to_frame = _perspective(view, rng)
    car = cv2.warpPerspective(front, to_frame, view.size, flags=cv2.INTER_AREA)
    cover = cv2.warpPerspective(opaque, to_frame, view.size, flags=cv2.INTER_LINEAR)
    share = cover.astype(np.float32)[..., None] / 255
    mixed = _bay(view.size) * (1 - share) + car.astype(np.float32) * share
    return _photographed(mixed.astype(np.float32), view, np.random.default_rng((seed, frame)))


def draw_empty_bay(view: View | None = None, *, frame: int = 0) -> Image:
    """Return a picture of the same bay without a car."""
    view = view or View()
    return _photographed(_bay(view.size), view, np.random.default_rng(frame))


def ground_of(plate: Plate) -> PlateColour:
    """Return the plate's colour, or the usual one of its kind when that is unknown."""
    if plate.colour is not PlateColour.UNKNOWN:
        return plate.colour
    return {
        PlateKind.ORDINARY: PlateColour.BLUE,
        PlateKind.NEW_ENERGY_SMALL: PlateColour.GREEN,
        PlateKind.NEW_ENERGY_LARGE: PlateColour.YELLOW_GREEN,
        PlateKind.COACH: PlateColour.YELLOW,
        PlateKind.TRAILER: PlateColour.YELLOW,
        PlateKind.CONSULATE: PlateColour.BLACK,
        PlateKind.CROSS_BORDER: PlateColour.BLACK,
        PlateKind.EMBASSY: PlateColour.BLACK,
        PlateKind.CIVIL_AVIATION: PlateColour.GREEN,
    }.get(plate.kind, PlateColour.WHITE)


def _ground(colour: PlateColour, width: int, height: int) -> Image:
    size = (height * _PX_PER_MM, width * _PX_PER_MM, 3)
    canvas = np.empty(size, np.float32)
    canvas[:] = _GROUNDS[colour][0]
    if colour is PlateColour.GREEN:
        fade = np.linspace(0.75, 0.0, size[0], dtype=np.float32)[:, None, None]
        canvas = canvas * (1 - fade) + 250 * fade
    if colour is PlateColour.YELLOW_GREEN:
        canvas[:, : 125 * _PX_PER_MM] = _GROUNDS[PlateColour.YELLOW][0]
    return canvas.astype(np.uint8)


def _one_line_places(plate: Plate) -> list[tuple[int, int, int, int]]:
    """Return x, y, width, height in millimetres of each symbol of a one-line plate."""
    new_energy = plate.kind in _NEW_ENERGY
    widths = [45] + [43 if new_energy else 45] * (len(plate.text) - 1)
    gap, wide_gap = (9, 49) if new_energy else (12, 34)
    gaps = [wide_gap if index == 1 else gap for index in range(len(widths) - 1)]
    total = 480 if new_energy else 440
    squeeze = min(1.0, (total - 31) / (sum(widths) + sum(gaps)))
    at = (total - squeeze * (sum(widths) + sum(gaps))) / 2
    places = []
    for width, after in zip(widths, [*gaps, 0], strict=True):
        places.append((round(at), 25, round(width * squeeze), _GLYPH_HEIGHT))
        at += (width + after) * squeeze
    return places


def _two_line_places(text: str) -> list[tuple[int, int, int, int]]:
    """Upper line: two symbols of 80 x 60 mm; lower line: the rest, 65 x 110 mm, 15 mm apart.

    More than five symbols in the lower line stand on no real plate; they are squeezed.
    """
    lower = len(text) - 2
    width = min(65, 410 // lower - 15)
    left = (440 - lower * width - (lower - 1) * 15) // 2
    return [(110, 15, 80, 60), (250, 15, 80, 60)] + [
        (left + index * (width + 15), 90, width, 110) for index in range(lower)
    ]


@lru_cache(maxsize=128)
def _glyph(symbol: str) -> Mask:
    """Return a symbol as white on black, cut to its ink, a little bolder than the font has it."""
    canvas = np.zeros((320, 320, 3), np.uint8)
    cv2.putText(canvas, symbol, (40, 240), _WHITE, cv2.FontFace("uni"), 200)
    ink = np.asarray(canvas[..., 0], np.uint8)
    bold = cv2.dilate(ink, np.ones((7, 7) if symbol.isascii() else (3, 3), np.uint8))
    x, y, width, height = cv2.boundingRect(bold)
    return np.asarray(bold[y : y + height, x : x + width], np.uint8)


def _stamp(canvas: Image, symbol: str, place: tuple[int, int, int, int], ink: Bgr) -> None:
    x, y, width, height = (value * _PX_PER_MM for value in place)
    glyph = _glyph(symbol)
    if symbol == "1":  # the one symbol that is not stretched to full width
        narrow = min(width, height * glyph.shape[1] // glyph.shape[0])
        x, width = x + (width - narrow) // 2, narrow
    mask = cv2.resize(glyph, (width, height), interpolation=cv2.INTER_AREA)
    share = mask.astype(np.float32)[..., None] / 255
    field = canvas[y : y + height, x : x + width]
    field[:] = (field * (1 - share) + np.array(ink, np.float32) * share).astype(np.uint8)


def _dot(canvas: Image, places: list[tuple[int, int, int, int]], ink: Bgr) -> None:
    second, third = places[1], places[2]
    one_line = second[1] == third[1]
    x = (second[0] + second[2] + third[0]) // 2 if one_line else 220
    y = second[1] + second[3] // 2
    cv2.circle(canvas, (x * _PX_PER_MM, y * _PX_PER_MM), 5 * _PX_PER_MM, ink, -1, cv2.LINE_AA)


def _car_front(rng: np.random.Generator) -> tuple[Image, Mask]:
    """Return a car's front, a pixel to the millimetre, and where it covers what is behind."""
    paint = tuple(int(value) for value in rng.integers(40, 215, 3))
    dark = tuple(round(0.45 * channel) for channel in paint)
    front = np.zeros((_CAR_HEIGHT, _CAR_WIDTH, 3), np.uint8)
    opaque = np.zeros((_CAR_HEIGHT, _CAR_WIDTH), np.uint8)
    cabin = np.array([[420, 40], [1380, 40], [1560, 560], [240, 560]], np.int32)
    glass = np.array([[470, 90], [1330, 90], [1480, 530], [320, 530]], np.int32)
    for layer, body, shade in ((front, paint, dark), (opaque, (255,), (255,))):
        cv2.fillConvexPoly(layer, cabin, shade)
        cv2.rectangle(layer, (60, 540), (1740, 1290), body, -1)
        for x in (90, 1450):
            cv2.rectangle(layer, (x, 1250), (x + 260, 1440), (30,) * len(body), -1)
    opaque[1250:1440, 90:351] = opaque[1250:1440, 1450:1711] = 255
    cv2.fillConvexPoly(front, glass, (95, 80, 70))
    cv2.rectangle(front, (480, 800), (1320, 980), (30, 30, 30), -1)
    for y in range(815, 980, 30):
        cv2.line(front, (490, y), (1310, y), (105, 105, 105), 6)
    for x in (250, 1550):
        cv2.ellipse(front, (x, 850), (150, 75), 0, 0, 360, (225, 225, 215), -1, cv2.LINE_AA)
    cv2.rectangle(front, (120, 1020), (1680, 1260), dark, -1)
    return front, opaque


def _mount(front: Image, plate: Image) -> None:
    """Screw the plate to the bumper, in its dark frame."""
    height, width = plate.shape[0] // _PX_PER_MM, plate.shape[1] // _PX_PER_MM
    left, top = _PLATE_CENTRE[0] - width // 2, _PLATE_CENTRE[1] - height // 2
    outer = (left + width + 11, top + height + 11)
    cv2.rectangle(front, (left - 12, top - 12), outer, (35, 35, 35), -1)
    shrunk = cv2.resize(plate, (width, height), interpolation=cv2.INTER_AREA)
    front[top : top + height, left : left + width] = shrunk


def _bay(size: tuple[int, int]) -> Floats:
    """Return the bay: wall, concrete, two painted lines."""
    width, height = size
    horizon = height * 2 // 5
    frame = np.empty((height, width, 3), np.uint8)
    frame[:horizon] = (150, 152, 150)
    frame[horizon:] = (112, 116, 118)
    cv2.rectangle(frame, (width // 12, height // 8), (width // 4, horizon), (70, 90, 165), -1)
    for side in (-1, 1):
        near = (width // 2 + side * width // 2, height)
        far = (width // 2 + side * width // 4, horizon)
        cv2.line(frame, near, far, (205, 210, 210), max(2, width // 160), cv2.LINE_AA)
    stains = np.random.default_rng(0).normal(0, 6, (9, 16)).astype(np.float32)
    blotches = np.asarray(cv2.resize(stains, size, interpolation=cv2.INTER_CUBIC), np.float32)
    return frame.astype(np.float32) + blotches[..., None]


def _perspective(view: View, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return the transform from the car's front to the frame, jittered within `view`'s angles."""
    width, height = view.size
    yaw, roll = np.radians(rng.uniform(-1, 1, 2) * (view.yaw, view.roll))
    car = width * view.car_share * rng.uniform(0.92, 1.08)
    scale = car / _CAR_WIDTH
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    across = corners[:, 0] * _CAR_WIDTH * np.cos(yaw)
    depth = 1 + corners[:, 0] * _CAR_WIDTH * np.sin(yaw) / 6000  # seen from six metres away
    up = corners[:, 1] * _CAR_HEIGHT
    x, y = across * scale / depth, up * scale / depth
    turned = np.stack([x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)], 1)
    centre = np.array([width / 2, height * 0.56]) + rng.uniform(-0.03, 0.03, 2) * view.size
    flat = np.array([[0, 0], [_CAR_WIDTH, 0], [_CAR_WIDTH, _CAR_HEIGHT], [0, _CAR_HEIGHT]])
    return np.asarray(
        cv2.getPerspectiveTransform(flat.astype(np.float32), (turned + centre).astype(np.float32)),
        np.float64,
    )


def _photographed(scene: Floats, view: View, rng: np.random.Generator) -> Image:
    """Return what the sensor makes of a scene: light, blur, noise."""
    lit = scene * np.float32(view.brightness * rng.uniform(0.97, 1.03))
    if view.blur > 0:
        lit = np.asarray(cv2.GaussianBlur(lit, (0, 0), view.blur), np.float32)
    if view.noise > 0:
        grain = rng.standard_normal(lit.shape[:2], dtype=np.float32) * np.float32(view.noise)
        lit = lit + grain[..., None]
    photographed: Image = np.clip(lit, 0, 255).astype(np.uint8)
    return photographed
