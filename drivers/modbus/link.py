"""One request at a time on a half-duplex bus: framing, time-outs, echoes, late replies. No I/O.

RTU replies carry no transaction number, so a reply that comes after its time-out could be taken
for the answer to the next request of the same shape. After a time-out the bus therefore stays
quiet for a while (`late_ms`), and what comes then is counted, not used. TCP tells by number.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, TypeAlias

from drivers.modbus.codec import (
    Frame,
    FrameDecoder,
    Framing,
    Listening,
    Rejected,
    add_header,
    encode_body,
)
from drivers.modbus.pdu import (
    ExceptionReply,
    ReadReply,
    ReadRequest,
    Reply,
    Request,
    WriteReply,
    WriteRequest,
    WriteSingle,
    function_of,
)
from edge_agent.ports import Fault

FRAME_GAP_MS: Final = 20
"""Silence after which a frame behind a false start is looked for; RTU itself asks for 3.5 bytes,
which serial adapters stretch."""

_BODY_AT: Final = {Framing.RTU: 0, Framing.TCP: 6}
REMEMBERED_MAX: Final = 1024
"""Bound of the requests and replies kept: a handful for each of at most 247 units."""


@unique
class Echo(Enum):
    """Whether the adapter gives back what it sends."""

    UNKNOWN = "auto"
    PRESENT = "on"
    ABSENT = "off"


@dataclass(frozen=True, slots=True)
class LinkTiming:
    """Milliseconds.

    Attributes:
        timeout_ms: how long a reply may take, from the request's first byte on.
        gap_ms: silence between a reply and the next request.
        late_ms: further silence after a time-out.
    """

    timeout_ms: int
    gap_ms: int
    late_ms: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    unit: int
    transaction: int
    request: Request
    body: bytes
    raw: bytes
    until_ms: int


Received: TypeAlias = tuple[Reply | None, list[Fault]]
"""The reply waited for, if it came, and what was wrong on the way."""


class Link:
    """The controller's end of a bus."""

    def __init__(self, framing: Framing, timing: LinkTiming, echo: Echo) -> None:
        self._framing = framing
        self._timing = timing
        self._decoder = FrameDecoder(framing, Listening.REPLIES)
        self._echo_option = echo
        self._echo = echo
        self._unsorted = b""  # received, but may still turn out to be our own echo
        self._sorted = True
        self._echo_cut = False
        self._transaction = 0
        self._waiting: _Waiting | None = None
        self._bodies: dict[tuple[int, ReadRequest], bytes] = {}
        self._known: dict[bytes, tuple[bytes, Reply]] = {}
        self._heard_ms: int | None = None
        self._free_ms = 0

    @property
    def is_waiting(self) -> bool:
        """Whether a reply is outstanding."""
        return self._waiting is not None

    @property
    def free_ms(self) -> int:
        """When the next request may be sent."""
        return self._free_ms

    def next_deadline_ms(self) -> int | None:
        """When `on_timer` wants to be called; None while nothing is outstanding."""
        if self._waiting is None:
            return None
        if self._heard_ms is None:
            return self._waiting.until_ms
        return min(self._waiting.until_ms, self._heard_ms + FRAME_GAP_MS)

    def reset(self, now_ms: int) -> None:
        """Forget everything received and outstanding: the transport was opened or lost."""
        self._decoder.discard()
        self._waiting = None
        self._unsorted, self._sorted = b"", True
        self._heard_ms = None
        self._echo = self._echo_option
        self._free_ms = now_ms

    def ask(self, now_ms: int, unit: int, request: Request) -> bytes:
        """Return the bytes of a request and wait for its reply."""
        self._transaction = self._transaction % 0xFFFF + 1
        body = self._body(unit, request)
        raw = add_header(self._framing, self._transaction, body)
        until_ms = now_ms + self._timing.timeout_ms
        self._waiting = _Waiting(unit, self._transaction, request, body, raw, until_ms)
        self._unsorted, self._heard_ms = b"", None
        self._echo_cut = False
        may_echo = self._framing is Framing.RTU and self._echo_option is not Echo.ABSENT
        tells = isinstance(request, ReadRequest)
        self._sorted = not (may_echo and (tells or self._echo is Echo.PRESENT))
        return raw

    def _body(self, unit: int, request: Request) -> bytes:
        """Return the request's bytes; reads are always the same ones and are kept."""
        if not isinstance(request, ReadRequest):
            return encode_body(self._framing, unit, request)
        body = self._bodies.get((unit, request))
        if body is None:
            body = encode_body(self._framing, unit, request)
            if len(self._bodies) < REMEMBERED_MAX:
                self._bodies[unit, request] = body
        return body

    def on_bytes(self, now_ms: int, data: bytes) -> Received:
        """Take in bytes."""
        self._heard_ms = now_ms
        waiting = self._waiting
        if waiting is not None:
            reply = self._same_as_before(data, waiting)
            if reply is not None:
                return self._accepted(now_ms, waiting, reply, is_clean=True), []
            if not self._sorted:
                data = self._without_echo(self._unsorted + data, waiting)
        return self._sift(now_ms, self._decoder.feed(data))

    def _same_as_before(self, data: bytes, waiting: _Waiting) -> Reply | None:
        """Return the last reply to the same request if it came again: polls mostly do."""
        known = self._known.get(waiting.body)
        if known is None or self._unsorted or not self._decoder.is_clean:
            return None
        body, reply = known
        return reply if data == add_header(self._framing, waiting.transaction, body) else None

    def on_timer(self, now_ms: int) -> tuple[bool, Received]:
        """Look behind a false start once the line is silent; return whether the time is out."""
        waiting = self._waiting
        if waiting is None:
            return False, (None, [])
        if now_ms < waiting.until_ms:
            self._heard_ms = None
            return False, self._sift(now_ms, self._decoder.resynchronise())
        found = self._decoder.feed(self._unsorted)
        self._unsorted, self._sorted = b"", True
        reply, faults = self._sift(now_ms, found + self._decoder.flush())
        if reply is not None:
            return False, (reply, faults)
        self._waiting = None
        self._free_ms = now_ms + self._timing.late_ms
        return True, (None, faults)

    def _without_echo(self, data: bytes, waiting: _Waiting) -> bytes:
        """Cut our own bytes off the front of what came; return nothing while that is unclear.

        The echo of a write of one register equals its reply. Whether the adapter echoes is learnt
        from the read requests, which nobody answers with themselves.
        """
        own = waiting.raw
        if own.startswith(data) and len(data) < len(own):
            self._unsorted = data
            return b""
        self._unsorted, self._sorted = b"", True
        self._echo_cut = data.startswith(own)
        return data[len(own) :] if self._echo_cut else data

    def _sift(self, now_ms: int, found: list[Frame | Rejected]) -> Received:
        answer: Reply | None = None
        faults = []
        for each in found:
            if isinstance(each, Rejected):
                faults.append(Fault(each.reason, each.raw))
                continue
            waiting = self._waiting
            reply = None if waiting is None else _reply_in(each, waiting, self._framing)
            if waiting is None or reply is None:
                faults.append(Fault("unexpected_reply", each.raw))
                continue
            if isinstance(reply, ReadReply) and len(self._known) < REMEMBERED_MAX:
                self._known[waiting.body] = each.raw[_BODY_AT[self._framing] :], reply
            answer = self._accepted(now_ms, waiting, reply, is_clean=not faults)
        return answer, faults

    def _accepted(self, now_ms: int, waiting: _Waiting, reply: Reply, *, is_clean: bool) -> Reply:
        self._learn_echo(waiting.request, is_clean=is_clean)
        self._waiting = None
        self._free_ms = now_ms + self._timing.gap_ms
        return reply

    def _learn_echo(self, request: Request, *, is_clean: bool) -> None:
        if self._echo_option is not Echo.UNKNOWN or not isinstance(request, ReadRequest):
            return
        if self._echo_cut:
            self._echo = Echo.PRESENT
        elif is_clean:
            self._echo = Echo.ABSENT


def _reply_in(frame: Frame, waiting: _Waiting, framing: Framing) -> Reply | None:
    """Return the reply if the frame can only be that, as far as Modbus lets one tell."""
    if frame.unit != waiting.unit:
        return None
    if framing is Framing.TCP and frame.transaction != waiting.transaction:
        return None
    pdu, request = frame.pdu, waiting.request
    match request:
        case _ if isinstance(pdu, ExceptionReply):
            return pdu if pdu.function == function_of(request) else None
        case ReadRequest() if isinstance(pdu, ReadReply):
            is_whole = len(pdu.registers) == request.count
            return pdu if pdu.function is request.function and is_whole else None
        case WriteSingle() if pdu == request:
            return request
        case WriteRequest() if pdu == WriteReply(request.address, len(request.registers)):
            return WriteReply(request.address, len(request.registers))
    return None
