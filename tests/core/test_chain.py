"""The chain must show the first record that anybody touched, and accept no other."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.core.chain import genesis, seal, verify
from edge_agent.model.canonical import canonical_json
from edge_agent.model.errors import ChainBroken
from edge_agent.model.ledger import GENESIS_HASH, LedgerHead, LedgerRecord

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
BODIES = st.dictionaries(TEXT, st.integers() | TEXT | st.none() | st.lists(TEXT), max_size=5)
EPOCH = 7


def chained(bodies: list[dict[str, object]], epoch: int = EPOCH) -> list[LedgerRecord]:
    records: list[LedgerRecord] = []
    prev = GENESIS_HASH
    for seq, body in enumerate(bodies, 1):
        text = canonical_json(body).decode()  # type: ignore[arg-type]
        records.append(seal(epoch, seq, "sale.settled", 1_790_000_000_000 + seq, text, prev))
        prev = records[-1].hash
    return records


@given(
    epoch=st.integers(0, 2**48),
    seq=st.integers(1, 2**53),
    kind=TEXT,
    at_ms=st.integers(0, 2**53),
    body=BODIES,
)
def test_hash_covers_the_canonical_record(
    epoch: int, seq: int, kind: str, at_ms: int, body: dict[str, object]
) -> None:
    text = canonical_json(body).decode()  # type: ignore[arg-type]
    record = seal(epoch, seq, kind, at_ms, text, GENESIS_HASH)
    canonical = canonical_json(
        {"epoch": epoch, "seq": seq, "kind": kind, "at_ms": at_ms, "body": json.loads(text)}
    )
    due = hashlib.sha256(GENESIS_HASH.encode("ascii") + canonical).hexdigest()
    assert record == LedgerRecord(epoch, seq, kind, at_ms, text, GENESIS_HASH, due)


def test_known_answer() -> None:
    """The layout is for ever: headquarters and auditors compute it on their own."""
    record = seal(1, 1, "fuelling.completed", 1_790_000_000_000, '{"grade":"92"}', GENESIS_HASH)
    spelled = (
        GENESIS_HASH
        + '{"at_ms":1790000000000,"body":{"grade":"92"},"epoch":1,'
        + '"kind":"fuelling.completed","seq":1}'
    )
    assert record.hash == hashlib.sha256(spelled.encode()).hexdigest()


@given(st.lists(BODIES, max_size=8), st.data())
def test_whole_chain_verifies_from_any_place(
    bodies: list[dict[str, object]], data: st.DataObject
) -> None:
    records = chained(bodies)
    head = verify(records, genesis(EPOCH))
    assert head == (
        LedgerHead(EPOCH, len(records), records[-1].hash) if records else genesis(EPOCH)
    )
    cut = data.draw(st.integers(0, len(records)))
    middle = verify(records[:cut], genesis(EPOCH))
    assert verify(records[cut:], middle) == head


def altered(record: LedgerRecord, field: str) -> LedgerRecord:
    found = getattr(record, field)
    if isinstance(found, int):
        return replace(record, **{field: found + 1})  # type: ignore[arg-type]
    if field in {"hash", "prev_hash"}:
        return replace(record, **{field: ("1" if found[0] == "0" else "0") + found[1:]})
    return replace(record, **{field: found + " "})


@given(st.lists(BODIES, min_size=1, max_size=8), st.data())
def test_any_altered_field_is_named(bodies: list[dict[str, object]], data: st.DataObject) -> None:
    records = chained(bodies)
    place = data.draw(st.integers(0, len(records) - 1))
    field = data.draw(
        st.sampled_from(["epoch", "seq", "kind", "at_ms", "body", "prev_hash", "hash"])
    )
    records[place] = altered(records[place], field)
    with pytest.raises(ChainBroken) as caught:
        verify(records, genesis(EPOCH))
    assert f"epoch {EPOCH} seq {place + 1}:" in caught.value.detail


@given(st.lists(BODIES, min_size=2, max_size=8), st.data())
def test_missing_doubled_and_swapped_records_are_named(
    bodies: list[dict[str, object]], data: st.DataObject
) -> None:
    records = chained(bodies)
    place = data.draw(st.integers(0, len(records) - 2))
    wrong = {
        "missing": records[:place] + records[place + 1 :],
        "doubled": [*records[: place + 1], *records[place:]],
        "swapped": [*records[:place], records[place + 1], records[place], *records[place + 2 :]],
    }
    first_bad = {"missing": place + 1, "doubled": place + 2, "swapped": place + 1}
    for name, bad in wrong.items():
        with pytest.raises(ChainBroken) as caught:
            verify(bad, genesis(EPOCH))
        assert f"seq {first_bad[name]}:" in caught.value.detail


def test_altered_record_with_a_hash_of_its_own_breaks_the_next() -> None:
    records = chained([{"n": n} for n in range(3)])
    forged = seal(EPOCH, 2, "sale.settled", records[1].at_ms, '{"n":9}', records[0].hash)
    with pytest.raises(ChainBroken, match="seq 3: does not continue"):
        verify([records[0], forged, records[2]], genesis(EPOCH))


def test_another_epoch_does_not_continue_this_one() -> None:
    records = chained([{"n": 1}])
    with pytest.raises(ChainBroken):
        verify(records, genesis(EPOCH + 1))


def test_text_that_no_utf8_carries_is_broken_not_an_accident() -> None:
    record = replace(chained([{"n": 1}])[0], body='{"n":"\ud800"}')
    with pytest.raises(ChainBroken):
        verify([record], genesis(EPOCH))
