"""Members' dynamic codes: signed here, believed once, by whichever station sees one first."""

from __future__ import annotations

import pytest

from edge_agent.model.member_code import MAX_LIFETIME_MS, decode, signing_bytes
from edge_agent.model.records import MemberCodeUsed
from edge_agent.security.signatures import TrustedKeys
from hq.member_codes import issue_code
from tests.hq_kit import KEYS, NOW
from tests.lease_kit import DAY_MS, LeaseStation, banking, codes


def used(nonce: str = "n-1", at_ms: int = NOW) -> MemberCodeUsed:
    return MemberCodeUsed(nonce=nonce, member_ref="m-1", expires_ms=at_ms)


def test_a_code_holds_for_two_minutes_and_is_never_the_same_twice() -> None:
    texts = {issue_code(KEYS, "m-1", NOW) for _ in range(20)}
    assert len(texts) == 20
    for text in texts:
        found = decode(text)
        TrustedKeys({KEYS.key_id: KEYS.public}).verify(
            found.key_id, signing_bytes(found.code), found.signature
        )
        assert found.code.expires_ms == NOW + MAX_LIFETIME_MS


def test_a_name_that_fits_into_no_code_is_refused() -> None:
    with pytest.raises(ValueError, match="reference"):
        issue_code(KEYS, "m" * 58, NOW)


def test_a_code_that_two_stations_believed_is_an_alarm() -> None:
    hq = banking()
    first, second = LeaseStation(hq), LeaseStation(hq, "S-2")
    first.append(used(), used("n-2"))
    first.tell()
    assert codes(hq) == []
    second.append(used())
    second.tell()
    assert codes(hq) == ["code_used_twice"]


def test_used_codes_are_kept_until_no_station_can_tell_of_them_any_more() -> None:
    hq = banking()
    station = LeaseStation(hq)
    station.append(used())
    station.tell()
    station.now_ms += 91 * DAY_MS
    station.append(used("n-2", station.now_ms))
    station.tell()
    left = hq.books.connection.execute("SELECT nonce FROM code_used").fetchall()
    assert left == [("n-2",)]


def test_a_station_whose_clock_is_ahead_makes_nobody_forget_used_codes() -> None:
    hq = banking()
    first, ahead = LeaseStation(hq), LeaseStation(hq, "S-2")
    first.append(used())
    first.tell()
    ahead.now_ms += 400 * DAY_MS
    ahead.append(used("n-2", ahead.now_ms), used())
    ahead.tell_at(NOW)
    assert codes(hq) == ["code_used_twice"]
