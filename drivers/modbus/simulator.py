"""The pump's side of a Modbus bus, without I/O: simulated dispensers that can misbehave."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from drivers.modbus.codec import Frame, FrameDecoder, Framing, Listening, add_header, encode_body
from drivers.modbus.image import RegisterImage
from drivers.modbus.pdu import (
    ExceptionCode,
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

NEW_FRAME_AFTER_MS: Final = 50
"""Silence after which what was received of an unfinished request is dropped."""
LATE_MAX: Final = 64
REMEMBERED_MAX: Final = 1024


@dataclass(slots=True)
class Misbehaviour:
    """What simulated dispensers do wrong, switched at any time.

    Attributes:
        late_ms: replies come so much later.
        lose_replies: so many of the next requests are obeyed, but not answered.
        refuse: the next requests are refused with these codes, one each, and not obeyed.
        is_stuck: writes are acknowledged and nothing happens.
        absent: units that hear and say nothing.
        echoes: the adapter returns what was sent before the reply.
    """

    late_ms: int = 0
    lose_replies: int = 0
    refuse: deque[ExceptionCode] = field(default_factory=deque)
    is_stuck: bool = False
    absent: set[int] = field(default_factory=set)
    echoes: bool = False

    def loses_reply(self) -> bool:
        """Whether the reply at hand is to be lost; counts it."""
        lost = self.lose_replies > 0
        self.lose_replies -= lost
        return lost


class ModbusPumpSide:
    """All units of one bus. Follows `drivers.contract.PumpSide`."""

    def __init__(
        self,
        framing: Framing,
        images: Mapping[int, RegisterImage],
        misbehaviour: Misbehaviour | None = None,
    ) -> None:
        self.misbehaviour = misbehaviour or Misbehaviour()
        self._framing = framing
        self._images = images
        self._decoder = FrameDecoder(framing, Listening.REQUESTS)
        self._heard_ms = 0
        self._late: deque[tuple[int, bytes]] = deque()
        self._reads: dict[bytes, Frame] = {}
        self._replies: dict[tuple[int, ReadRequest], tuple[int, bytes]] = {}

    def on_bytes(self, now_ms: int, data: bytes) -> list[bytes]:
        """Take in what the site controller sent; return the answers."""
        if now_ms - self._heard_ms > NEW_FRAME_AFTER_MS:
            self._decoder.discard()
        self._heard_ms = now_ms
        known = self._reads.get(data)
        if known is not None and self._decoder.is_clean:  # most requests are the same poll again
            return self._answer(now_ms, known)
        answers = []
        for found in self._decoder.feed(data):
            if isinstance(found, Frame):
                answers += self._answer(now_ms, found)
                self._remember(found)
        return answers

    def _remember(self, asked: Frame) -> None:
        if self._framing is Framing.RTU and isinstance(asked.pdu, ReadRequest):
            if len(self._reads) >= REMEMBERED_MAX:
                self._reads.clear()
            self._reads[asked.raw] = asked

    def on_timer(self, now_ms: int) -> list[bytes]:
        """Return the late answers that have become due."""
        answers = []
        while self._late and self._late[0][0] <= now_ms:
            answers.append(self._late.popleft()[1])
        return answers

    def next_deadline_ms(self) -> int | None:
        """When the next late answer is due."""
        return self._late[0][0] if self._late else None

    def _answer(self, now_ms: int, asked: Frame) -> list[bytes]:
        wrong = self.misbehaviour
        answers = [asked.raw] * wrong.echoes
        image = self._images.get(asked.unit)
        request = asked.pdu
        if image is None or not image.is_answering or asked.unit in wrong.absent:
            return answers
        if not isinstance(request, ReadRequest | WriteSingle | WriteRequest):
            return answers
        body = self._body(image, now_ms, asked.unit, request)
        if wrong.loses_reply():
            return answers
        raw = add_header(self._framing, asked.transaction, body)
        if not wrong.late_ms:
            return [*answers, raw]
        if len(self._late) < LATE_MAX:
            self._late.append((now_ms + wrong.late_ms, raw))
        return answers

    def _body(self, image: RegisterImage, now_ms: int, unit: int, request: Request) -> bytes:
        """Return the reply's bytes; what nothing changed since is not encoded again."""
        wrong = self.misbehaviour
        if not isinstance(request, ReadRequest) or wrong.refuse:
            return encode_body(self._framing, unit, carry_out(image, wrong, now_ms, request))
        version, body = self._replies.get((unit, request), (-1, b""))
        if version != image.version(now_ms):
            body = encode_body(self._framing, unit, carry_out(image, wrong, now_ms, request))
            if len(self._replies) >= REMEMBERED_MAX:
                self._replies.clear()
            self._replies[unit, request] = (image.version(now_ms), body)
        return body


def carry_out(image: RegisterImage, wrong: Misbehaviour, now_ms: int, request: Request) -> Reply:
    """Do what a request asks of a unit and return its reply."""
    function = function_of(request)
    if wrong.refuse:
        return ExceptionReply(function, wrong.refuse.popleft())
    if isinstance(request, ReadRequest):
        shown = image.read(now_ms, request.function, request.address, request.count)
        if isinstance(shown, ExceptionCode):
            return ExceptionReply(function, shown)
        return ReadReply(request.function, shown)
    values = (request.value,) if isinstance(request, WriteSingle) else request.registers
    refused = None if wrong.is_stuck else image.write(now_ms, request.address, values)
    if refused is not None:
        return ExceptionReply(function, refused)
    if isinstance(request, WriteSingle):
        return request
    return WriteReply(request.address, len(request.registers))
