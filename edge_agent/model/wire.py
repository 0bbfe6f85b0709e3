"""What travels between a station and headquarters: topics, messages and their bytes.

A message is the zlib of its JSON. Size is bounded before and after decompression, every field is
typed and bounded, and any bytes give either a message or `MessageRefused` with a stable reason, so
that a hostile or broken peer can neither stop a loop nor fill a memory. What is signed is signed
over canonical JSON (`signing_bytes`), whatever the order of the fields that travelled.

Messages carry their station and version themselves, so they make sense under MQTT 3.1.1 as well.
Unknown fields are ignored, since a newer peer may add some; a signed catalogue tolerates none,
because its signature covers what is read.
"""

from __future__ import annotations

import zlib
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from edge_agent.model.canonical import Json, canonical_json, sha256_hex
from edge_agent.model.errors import MessageRefused, Problem

MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""Largest payload that is looked at, either way."""
MAX_PLAIN_BYTES: Final = 8 * 1024 * 1024
"""Largest JSON text that a payload may unfold to."""
MAX_ROWS: Final = 1000
"""Most ledger rows in one batch; a station sends about 100."""
ZLIB_LEVEL: Final = 1
"""Level 1 halves the processor time of level 6 for a twentieth more bytes."""

DATASETS: Final = ("members", "prices", "policy", "leases")
EVERY_STATION: Final = "all"

_REASONS: Final = {
    "malformed": ("消息格式错误", "the message cannot be read"),
    "oversized": ("消息过大", "the message is too large"),
    "unknown_version": ("消息版本不支持", "the message has a version that is not understood"),
    "wrong_station": ("消息不属于本站", "the message is for another station"),
    "unknown_topic": ("未知主题", "the topic is not one that this program reads"),
    "bad_signature": ("签名无效", "the signature does not verify"),
    "unknown_key": ("签名密钥不受信任", "the signing key is not trusted"),
    "digest_mismatch": ("内容校验值不符", "the content does not match its digest"),
    "not_yet_valid": ("尚未生效", "the message is not valid yet"),
    "expired": ("已过期", "the message has expired"),
    "replayed": ("重复或过时的消息", "the message is older than what is in force"),
    "version_rewritten": (
        "同一版本的内容不同",
        "a version that was published before, with other content",
    ),
    "out_of_order": ("目录版本不连续", "the delta does not follow the version in force"),
    "bad_content": ("目录内容错误", "the content breaks a rule of its dataset"),
}

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
StationName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
Epoch = Annotated[int, Field(ge=1, lt=2**63)]
Seq = Annotated[int, Field(ge=0, lt=2**63)]
WallMs = Annotated[int, Field(ge=0, lt=2**53)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Token = Annotated[str, Field(min_length=1, max_length=64)]
Row = tuple[
    Annotated[str, Field(min_length=1, max_length=64)],
    WallMs,
    Annotated[str, Field(max_length=256 * 1024)],
    Sha256,
]
"""A ledger row: kind, wall time, body as canonical text, hash. The body stays text so that HQ
hashes exactly what the station hashed. The row's seq is the batch's `first` plus its place."""


def refuse(reason: str, detail: str = "") -> MessageRefused:
    """Return the error for a reason of refusal, with its texts."""
    text_zh, text_en = _REASONS[reason]
    return MessageRefused(Problem(reason, text_zh, text_en), detail)


class WireMessage(BaseModel):
    """Base of all messages."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)
    v: Literal[1] = 1


class LedgerBatch(WireMessage):
    """Station to HQ: consecutive rows of one epoch. `prev_hash` is the hash of row `first - 1`."""

    station: StationName
    epoch: Epoch
    first: Annotated[int, Field(ge=1, lt=2**63)]
    prev_hash: Sha256
    rows: Annotated[list[Row], Field(min_length=1, max_length=MAX_ROWS)]

    @property
    def last(self) -> int:
        """Seq of the last row."""
        return self.first + len(self.rows) - 1


class Birth(WireMessage):
    """Station to HQ on every connection, and again when HQ falls silent: where do we stand?

    HQ answers with an `Ack` that carries `hello`, and with every catalogue newer than `catalogues`.
    """

    kind: Literal["birth"] = "birth"
    station: StationName
    epoch: Epoch
    head_seq: Seq
    head_hash: Sha256
    acked_seq: Seq
    boot_id: Token
    hello: Token
    version: Annotated[str, Field(max_length=64)]
    catalogues: dict[Annotated[str, Field(max_length=32)], Count]
    """Version in force by dataset."""
    sent_ms: WallMs
    """The station's wall clock, from which HQ sees how far it is off."""
    fork: bool = False
    """The station found that HQ's history is not its own: a person has to look."""


class Death(WireMessage):
    """Station to HQ: the station left, in good order or by the broker's last will."""

    kind: Literal["death"] = "death"
    station: StationName
    boot_id: Token


class Ack(WireMessage):
    """HQ to station, after HQ's commit: everything up to `up_to_seq` is durable at HQ."""

    station: StationName
    epoch: Epoch
    up_to_seq: Seq
    head_hash: Sha256
    """Hash of row `up_to_seq` as HQ holds it; the genesis hash for 0."""
    credit: Count
    """How many rows beyond `up_to_seq` HQ will take now."""
    gap: bool = False
    """HQ saw rows that do not follow `up_to_seq`: something was lost, go back."""
    fork: bool = False
    """HQ holds other content for a row that this station also sent: a person has to look."""
    hello: Annotated[str, Field(max_length=64)] = ""
    """The `hello` of the birth that this answers, or empty."""


class CatalogueReply(WireMessage):
    """Station to HQ: a catalogue came into force, or was refused and why."""

    kind: Literal["catalogue"] = "catalogue"
    station: StationName
    dataset: Annotated[str, Field(max_length=32)]
    version: Count
    in_force: Count
    """Version of the dataset that the station now works with."""
    accepted: bool
    reason: Annotated[str, Field(max_length=64)] = ""


class LeaseRequest(WireMessage):
    """Station to HQ: somebody wants to spend more than is leased here. Answered by a `LeaseReply`
    with the same `request_id`; when granted, the lease itself comes as a catalogue before it."""

    kind: Literal["lease"] = "lease"
    station: StationName
    epoch: Epoch
    request_id: Token
    asset: Literal["balance", "points", "coupon", "budget"]
    holder: Token
    amount: Annotated[int, Field(ge=1, lt=2**53)]


class LeaseReply(WireMessage):
    """HQ to station: how a request ended. It grants nothing itself, so it needs no signature."""

    station: StationName
    request_id: Token
    granted: Count
    """How much was granted of what was asked for; 0: refused."""
    reason: Annotated[str, Field(max_length=64)] = ""
    """Why not all: `nothing_left`, `unknown_holder`, `locked`, `elsewhere` (set aside for another
    station, or in an earlier epoch of this one, and not given back yet; it was asked for, so that
    another question may get it), `out_of_order` (headquarters knows another epoch, or a
    fork)."""


class Telemetry(WireMessage):
    """Station to HQ, may be lost: figures by name."""

    station: StationName
    sent_ms: WallMs
    figures: Annotated[dict[Annotated[str, Field(max_length=64)], int], Field(max_length=500)]


class SignedCatalogue(WireMessage):
    """HQ to station: one version of a dataset, signed.

    `payload` is canonical JSON text that stays text, so that digest and signature cover the bytes
    that travelled. `signature` is Ed25519 over `signing_bytes`.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    dataset: Literal["members", "prices", "policy", "leases"]
    version: Annotated[int, Field(ge=1, lt=2**53)]
    counter: Annotated[int, Field(ge=1, lt=2**53)]
    """Grows with every message of the signer; a station takes none twice."""
    scope: StationName
    """A station, or "all"."""
    issued_ms: WallMs
    not_before_ms: WallMs
    expires_ms: WallMs
    sha256: Sha256
    payload: Annotated[str, Field(max_length=MAX_PLAIN_BYTES)]
    key_id: Token
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


_PRESENCE: Final[TypeAdapter[Birth | Death]] = TypeAdapter(
    Annotated[Birth | Death, Field(discriminator="kind")]
)

_REQUEST: Final[TypeAdapter[CatalogueReply | LeaseRequest]] = TypeAdapter(
    Annotated[CatalogueReply | LeaseRequest, Field(discriminator="kind")]
)

MessageT = TypeVar("MessageT", bound=WireMessage)
PayloadT = TypeVar("PayloadT", bound=BaseModel)


def encode(message: WireMessage) -> bytes:
    """Return a message's bytes.

    Raises:
        MessageRefused: `oversized`; the peer would not take it.
    """
    plain = message.model_dump_json().encode()
    payload = zlib.compress(plain, ZLIB_LEVEL)
    if len(plain) > MAX_PLAIN_BYTES or len(payload) > MAX_MESSAGE_BYTES:
        raise refuse("oversized", f"{len(plain)} bytes, {len(payload)} compressed")
    return payload


def decode(kind: type[MessageT], payload: bytes, station: str | None = None) -> MessageT:
    """Read a message of the expected kind; `station` is the one that its topic names.

    Raises:
        MessageRefused: `oversized`, `malformed`, `unknown_version` or `wrong_station`.
    """
    plain = _unfold(payload)
    try:
        message = kind.model_validate_json(plain)
    except ValidationError as error:
        raise _explain(error) from None
    if station is not None and getattr(message, "station", station) != station:
        raise refuse("wrong_station")
    return message


def decode_presence(payload: bytes, station: str) -> Birth | Death:
    """Read what came on a station's birth topic.

    Raises:
        MessageRefused: as `decode`.
    """
    try:
        presence = _PRESENCE.validate_json(_unfold(payload))
    except ValidationError as error:
        raise _explain(error) from None
    if presence.station != station:
        raise refuse("wrong_station")
    return presence


def decode_request(payload: bytes, station: str) -> CatalogueReply | LeaseRequest:
    """Read what came on a station's request topic.

    Raises:
        MessageRefused: as `decode`.
    """
    try:
        request = _REQUEST.validate_json(_unfold(payload))
    except ValidationError as error:
        raise _explain(error) from None
    if request.station != station:
        raise refuse("wrong_station")
    return request


def decode_payload(kind: type[PayloadT], catalogue: SignedCatalogue) -> PayloadT:
    """Read the content of a catalogue whose signature has been verified.

    Raises:
        MessageRefused: `bad_content`.
    """
    try:
        return kind.model_validate_json(catalogue.payload)
    except ValidationError as error:
        raise refuse("bad_content", _first(error)) from None


def signing_bytes(catalogue: SignedCatalogue) -> bytes:
    """Return what a catalogue's signature covers: every field, the payload by its digest."""
    fields: dict[str, Json] = catalogue.model_dump(exclude={"payload", "signature"})
    return b"forecourt/v1/catalogue\0" + canonical_json(fields)


def payload_digest(payload: str) -> str:
    """Return the digest that a catalogue carries of its payload."""
    return sha256_hex(payload.encode())


def _unfold(payload: bytes) -> bytes:
    if len(payload) > MAX_MESSAGE_BYTES:
        raise refuse("oversized", f"{len(payload)} bytes")
    unfolding = zlib.decompressobj()
    try:
        plain = unfolding.decompress(payload, MAX_PLAIN_BYTES)
    except zlib.error:
        raise refuse("malformed", "not zlib") from None
    if unfolding.unconsumed_tail:
        raise refuse("oversized", f"unfolds beyond {MAX_PLAIN_BYTES} bytes")
    if not unfolding.eof or unfolding.unused_data:
        raise refuse("malformed", "zlib stream cut short or followed by other bytes")
    return plain


def _explain(error: ValidationError) -> MessageRefused:
    for problem in error.errors(include_url=False, include_context=False):
        if problem["loc"][-1:] == ("v",):
            return refuse("unknown_version")
    return refuse("malformed", _first(error))


def _first(error: ValidationError) -> str:
    # Place and kind only: the value itself may be personal or hostile.
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(str(step) for step in problem['loc'])}: {problem['type']}"[:200]
