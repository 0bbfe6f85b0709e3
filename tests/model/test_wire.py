"""Messages between station and headquarters: any bytes give a message or a reason."""

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model.canonical import Json, canonical_json
from edge_agent.model.errors import MessageRefused
from edge_agent.model.wire import (
    MAX_MESSAGE_BYTES,
    MAX_PLAIN_BYTES,
    MAX_ROWS,
    Ack,
    Birth,
    CatalogueReply,
    Death,
    LedgerBatch,
    SignedCatalogue,
    Telemetry,
    WireMessage,
    decode,
    decode_presence,
    encode,
    payload_digest,
    refuse,
    signing_bytes,
)

HASH = "ab" * 32
BATCH: dict[str, Json] = {
    "v": 1,
    "station": "S-1",
    "epoch": 5,
    "first": 3,
    "prev_hash": HASH,
    "rows": [["sale.settled", 1000, '{"a":"油"}', HASH], ["price.applied", 1001, "{}", HASH]],
}
BIRTH: dict[str, Json] = {
    "v": 1,
    "kind": "birth",
    "station": "S-1",
    "epoch": 5,
    "head_seq": 9,
    "head_hash": HASH,
    "acked_seq": 3,
    "boot_id": "b1",
    "hello": "h1",
    "version": "0.1",
    "catalogues": {"members": 3},
    "sent_ms": 1,
    "fork": False,
}
CATALOGUE: dict[str, Json] = {
    "v": 1,
    "dataset": "prices",
    "version": 2,
    "counter": 7,
    "scope": "all",
    "issued_ms": 10,
    "not_before_ms": 5,
    "expires_ms": 90,
    "sha256": payload_digest("{}"),
    "payload": "{}",
    "key_id": "k1",
    "signature": "0" * 128,
}


def packed(value: Json) -> bytes:
    return zlib.compress(canonical_json(value))


def reason(kind: type[WireMessage], payload: bytes, station: str | None = None) -> str:
    with pytest.raises(MessageRefused) as refused:
        decode(kind, payload, station)
    return refused.value.problem.code


MESSAGES: list[tuple[type[WireMessage], dict[str, Json]]] = [
    (LedgerBatch, BATCH),
    (Birth, BIRTH),
    (SignedCatalogue, CATALOGUE),
    (Death, {"v": 1, "kind": "death", "station": "S-1", "boot_id": "b1"}),
    (Telemetry, {"v": 1, "station": "S-1", "sent_ms": 1, "figures": {"a": -1}}),
    (
        Ack,
        {
            "v": 1,
            "station": "S-1",
            "epoch": 5,
            "up_to_seq": 4,
            "head_hash": HASH,
            "credit": 100,
            "gap": True,
            "fork": False,
            "hello": "h1",
        },
    ),
    (
        CatalogueReply,
        {
            "v": 1,
            "kind": "catalogue",
            "station": "S-1",
            "dataset": "members",
            "version": 4,
            "in_force": 3,
            "accepted": False,
            "reason": "expired",
        },
    ),
]


@pytest.mark.parametrize(
    ("kind", "fields"), MESSAGES, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_message_survives_the_wire(kind: type[WireMessage], fields: dict[str, Json]) -> None:
    message = decode(kind, packed(fields))
    payload = encode(message)
    assert decode(kind, payload) == message
    assert json.loads(zlib.decompress(payload)) == fields


def test_rows_keep_their_text_byte_for_byte() -> None:
    batch = decode(LedgerBatch, packed(BATCH), "S-1")
    assert batch.rows[0] == ("sale.settled", 1000, '{"a":"油"}', HASH)
    assert batch.last == 4


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"v": 2}, "unknown_version"),
        ({"v": "1"}, "unknown_version"),
        ({"station": "S/1"}, "malformed"),
        ({"station": "云"}, "malformed"),
        ({"epoch": 0}, "malformed"),
        ({"epoch": 2**63}, "malformed"),
        ({"first": 0}, "malformed"),
        ({"first": "3"}, "malformed"),
        ({"first": True}, "malformed"),
        ({"rows": []}, "malformed"),
        ({"rows": [["k", 1, "{}", "AB" * 32]]}, "malformed"),
        ({"rows": [["k", 1, "{}"]]}, "malformed"),
        ({"rows": [["k", 1, {"a": 1}, HASH]]}, "malformed"),
        ({"rows": [["", 1, "{}", HASH]]}, "malformed"),
        ({"rows": [["k", 1, "{}", HASH]] * (MAX_ROWS + 1)}, "malformed"),
    ],
)
def test_a_batch_that_breaks_a_rule_is_refused(change: dict[str, Json], code: str) -> None:
    assert reason(LedgerBatch, packed(BATCH | change)) == code


def test_a_message_of_another_station_is_refused() -> None:
    assert reason(LedgerBatch, packed(BATCH), "S-2") == "wrong_station"
    with pytest.raises(MessageRefused) as refused:
        decode_presence(packed(BIRTH), "S-2")
    assert refused.value.problem.code == "wrong_station"


def test_a_birth_and_a_death_are_told_apart() -> None:
    assert isinstance(decode_presence(packed(BIRTH), "S-1"), Birth)
    death = encode(Death(station="S-1", boot_id="b1"))
    assert isinstance(decode_presence(death, "S-1"), Death)
    for change, code in (({"kind": "rebirth"}, "malformed"), ({"v": 9}, "unknown_version")):
        with pytest.raises(MessageRefused) as refused:
            decode_presence(packed(BIRTH | change), "S-1")
        assert refused.value.problem.code == code


def test_fields_of_a_newer_peer_are_ignored_but_not_in_what_is_signed() -> None:
    assert decode(LedgerBatch, packed(BATCH | {"later": 1})).first == 3
    assert reason(SignedCatalogue, packed(CATALOGUE | {"later": 1})) == "malformed"


def test_size_is_bounded_before_and_after_unfolding() -> None:
    assert reason(Ack, b"\0" * (MAX_MESSAGE_BYTES + 1)) == "oversized"
    bomb = zlib.compress(b" " * (MAX_PLAIN_BYTES + 1), 9)
    assert len(bomb) < MAX_MESSAGE_BYTES
    assert reason(Ack, bomb) == "oversized"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        packed(BATCH)[:-1],
        packed(BATCH) + b"x",
        zlib.compress(b""),
        zlib.compress(b"\xff\xfe"),
        zlib.compress(b"[" * 100_000),
        zlib.compress(b'{"v":1,"station":NaN}'),
        zlib.compress(b'{"v":' + b"9" * 5000 + b"}"),
        zlib.compress(b'"\\ud800"'),
    ],
)
def test_broken_bytes_are_malformed(payload: bytes) -> None:
    assert reason(LedgerBatch, payload) in {"malformed", "unknown_version"}


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_give_a_message_or_a_reason(content: bytes, folded: bool) -> None:
    payload = zlib.compress(content) if folded else content
    for kind, _ in MESSAGES:
        with pytest.raises(MessageRefused):
            decode(kind, payload)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.data())
def test_any_value_in_any_field_gives_a_message_or_a_reason(data: st.DataObject) -> None:
    kind, fields = data.draw(st.sampled_from(MESSAGES))
    field = data.draw(st.sampled_from(sorted(fields)))
    changed = fields | {field: data.draw(json_values)}
    try:
        message = decode(kind, zlib.compress(json.dumps(changed).encode()))
    except MessageRefused:
        return
    assert decode(kind, encode(message)) == message


def test_a_message_too_large_for_the_peer_is_not_sent() -> None:
    catalogue = SignedCatalogue.model_validate(CATALOGUE | {"payload": "x" * MAX_PLAIN_BYTES})
    with pytest.raises(MessageRefused) as refused:
        encode(catalogue)
    assert refused.value.problem.code == "oversized"


def test_the_signature_covers_every_field() -> None:
    catalogue = SignedCatalogue.model_validate(CATALOGUE)
    other: dict[str, Json] = {
        "dataset": "policy",
        "version": 3,
        "counter": 8,
        "scope": "S-1",
        "issued_ms": 11,
        "not_before_ms": 6,
        "expires_ms": 91,
        "sha256": HASH,
        "key_id": "k2",
    }
    covered = set(CATALOGUE) - {"v", "payload", "signature"}
    assert set(other) == covered, "a field was added: decide whether the signature covers it"
    assert b'"v":1' in signing_bytes(catalogue)
    for field, value in other.items():
        changed = SignedCatalogue.model_validate(CATALOGUE | {field: value})
        assert signing_bytes(changed) != signing_bytes(catalogue), field


def test_every_reason_has_a_text_in_both_languages() -> None:
    refusal = refuse("expired", "by 3 s")
    assert refusal.problem.text_zh
    assert "expired" in str(refusal)
