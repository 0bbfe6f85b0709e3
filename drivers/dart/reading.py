"""Reading a recording of a DART bus, where nobody says which direction a frame went.

Orders and reports share their codes, and a command and a status look alike (CD1 and DC1, CD3 and
DC3). What settles it: the length of a transaction, another transaction in the same frame, or a poll
just before, which only a pump answers with data.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from drivers.contract import DecodedFrame
from drivers.dart.codec import ControlFrame, ControlKind, DataFrame, Frame, FrameDecoder, Rejected
from drivers.dart.codec import Transaction as Raw
from drivers.dart.orders import Order, OtherOrder, decode_order
from drivers.dart.reports import OtherReport, Report, decode_report
from edge_agent.model.canonical import Json
from edge_agent.model.errors import FrameRejected

Direction: TypeAlias = Literal["order", "report", "either"]

FROM_CONTROLLER = frozenset({ControlKind.POLL, ControlKind.ACKPOLL})
FROM_PUMP = frozenset({ControlKind.EOT})


def read_frames(data: bytes) -> list[DecodedFrame]:
    """Decode a recording, in the order of the wire."""
    decoder = FrameDecoder()
    found: list[DecodedFrame] = []
    polled: int | None = None
    for frame in decoder.feed(data):
        if isinstance(frame, Rejected):
            found.append(DecodedFrame(ok=False, raw=frame.raw, error=frame.reason))
            continue
        found.append(_read(frame, is_polled=polled == frame.address))
        is_poll = isinstance(frame, ControlFrame) and frame.kind in FROM_CONTROLLER
        polled = frame.address if is_poll else None
    if len(decoder):
        found.append(DecodedFrame(ok=False, raw=data[-len(decoder) :], error="unfinished"))
    return found


def _read(frame: Frame, *, is_polled: bool) -> DecodedFrame:
    fields: dict[str, Json] = {"address": f"{frame.address:02X}", "number": frame.number}
    if isinstance(frame, ControlFrame):
        fields["frame"] = frame.kind.name
        if frame.kind in FROM_CONTROLLER | FROM_PUMP:
            fields["direction"] = "order" if frame.kind in FROM_CONTROLLER else "report"
        return DecodedFrame(ok=True, raw=frame.encode(), fields=fields)
    fields["frame"] = "DATA"
    direction = "report" if is_polled else direction_of(frame)
    fields["direction"] = direction
    try:
        fields["transactions"] = [_transaction(raw, direction) for raw in frame.transactions]
    except FrameRejected as rejected:
        return DecodedFrame(ok=False, raw=frame.encode(), fields=fields, error=rejected.detail)
    return DecodedFrame(ok=True, raw=frame.encode(), fields=fields)


def direction_of(frame: DataFrame) -> Direction:
    """Tell the direction of a data frame by its contents alone."""
    possible = [_possible(transaction) for transaction in frame.transactions]
    for direction in possible:
        if direction != "either":
            return direction
    return "either"


def _possible(transaction: Raw) -> Direction:
    as_order = _try(decode_order, transaction)
    as_report = _try(decode_report, transaction)
    is_order = as_order is not None and not isinstance(as_order, OtherOrder)
    is_report = as_report is not None and not isinstance(as_report, OtherReport)
    if is_order and is_report:
        return "either"
    if is_order or is_report:
        return "order" if is_order else "report"
    return "either"


def _transaction(raw: Raw, direction: Direction) -> Json:
    if direction == "order":
        return {"name": f"CD{raw.code}", **_fields(decode_order(raw))}
    if direction == "report":
        return {"name": f"DC{raw.code}", **_fields(decode_report(raw))}
    readings: list[Json] = []
    for name, element in (
        (f"CD{raw.code}", _try(decode_order, raw)),
        (f"DC{raw.code}", _try(decode_report, raw)),
    ):
        if element is not None:
            readings.append({"name": name, **_fields(element)})
    if not readings:
        decode_report(raw)  # says what is wrong
    return {"either": readings}


def _try(
    decode: Callable[[Raw], Order] | Callable[[Raw], Report], transaction: Raw
) -> Order | Report | None:
    try:
        return decode(transaction)
    except FrameRejected:
        return None


def _fields(element: Order | Report) -> dict[str, Json]:
    fields: dict[str, Json] = {"kind": type(element).__name__}
    for field in dataclasses.fields(element):
        fields[field.name] = _plain(getattr(element, field.name))
    return fields


def _plain(value: object) -> Json:
    if isinstance(value, enum.IntEnum):
        return value.name
    if isinstance(value, bytes):
        return value.hex(" ").upper()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value if isinstance(value, (bool, int, str)) else str(value)
