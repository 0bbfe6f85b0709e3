"""Coupons: handed out within their counts, used once ever, frozen by a refund, then given back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.core import leases as rules
from edge_agent.model.coupon_serials import channel_of, is_genuine, make_serial
from edge_agent.model.errors import ConfigRefused
from edge_agent.model.leases import LeaseState
from edge_agent.model.records import AssetMoved
from hq.headquarters import Headquarters
from tests.hq_kit import NOW, STATION
from tests.lease_kit import DAY_MS, LeaseStation, banking, codes, enrol, quiet

TEMPLATE = {
    "offer": {
        "id": "voucher", "kind": "amount_off", "off_fen": 500, "text_zh": "5元券",
        "text_en": "5 yuan off",
    },
    "valid_days": 30,
    "total": 3,
    "per_member": 2,
}  # fmt: skip


def handing_out(**more: object) -> Headquarters:
    hq = banking(**more)
    policy = json.dumps({"format": 1, "version": 1, "coupon_templates": [TEMPLATE]})
    with hq.books.transaction():
        hq.publish_policy(policy, NOW)
    return hq


def issue(hq: Headquarters, member: str | None = "m-1", template: str = "voucher") -> str:
    with hq.books.transaction():
        return hq.coupons.issue(hq.desk.policy_in_force(), template, NOW, member=member)


def state(hq: Headquarters, serial: str) -> str:
    row = hq.books.connection.execute("SELECT state FROM coupon WHERE serial = ?", (serial,))
    return str(row.fetchone()[0])


def use(station: LeaseStation, serial: str, sale: str = "s-1") -> list[AssetMoved]:
    draws = rules.draw(station.holding("coupon", serial), 1, station.now_ms)
    bodies = rules.movements("coupon", serial, draws, sale)
    station.append(*bodies)
    return bodies


# --- serials -------------------------------------------------------------------------------------


@given(st.integers(0, 10**20 - 1), st.sampled_from(["HQ", "WX", "AA", "ZZ"]))
def test_row_c30_a_serial_is_verified_offline(number: int, channel: str) -> None:
    serial = make_serial(channel, number)
    assert is_genuine(serial)
    assert channel_of(serial) == channel


@given(st.integers(0, 10**15), st.data())
def test_row_c30_a_wrong_or_swapped_digit_is_found(number: int, data: st.DataObject) -> None:
    serial = make_serial("WX", number)
    place = data.draw(st.integers(2, len(serial) - 1))
    digit = data.draw(st.sampled_from("0123456789"))
    assert is_genuine(serial[:place] + digit + serial[place + 1 :]) == (serial[place] == digit)
    if place + 1 < len(serial):
        swapped = serial[:place] + serial[place + 1] + serial[place] + serial[place + 2 :]
        assert is_genuine(swapped) == (serial[place] == serial[place + 1])


@pytest.mark.parametrize("text", ["", "HQ", "hq000000000000100", "HQ12", "HQ" + "9" * 40, "１２"])
def test_what_is_no_serial_is_not_genuine(text: str) -> None:
    assert not is_genuine(text)
    assert channel_of(text) is None


@pytest.mark.parametrize(("channel", "number"), [("H", 1), ("hq", 1), ("HQX", 1), ("HQ", -1)])
def test_no_serial_is_made_of_nonsense(channel: str, number: int) -> None:
    with pytest.raises(ValueError, match="two capitals"):
        make_serial(channel, number)


# --- handing out ---------------------------------------------------------------------------------


def test_row_c16_row_c3_every_coupon_has_a_trace_code_that_names_its_channel() -> None:
    hq = handing_out()
    with hq.books.transaction():
        policy = hq.desk.policy_in_force()
        serials = [hq.coupons.issue(policy, "voucher", NOW, channel="WX") for _ in range(3)]
    assert len(set(serials)) == 3
    assert {channel_of(serial) for serial in serials} == {"WX"}


def test_row_c2_no_more_are_handed_out_than_the_template_allows() -> None:
    hq = handing_out()
    enrol(hq, "m-2")
    issue(hq), issue(hq)
    with pytest.raises(ConfigRefused, match="had 2"):
        issue(hq)
    issue(hq, "m-2")
    with pytest.raises(ConfigRefused, match="all 3"):
        issue(hq, "m-2")
    with pytest.raises(ConfigRefused, match="has none"):
        issue(hq, template="nothing")


def test_a_printed_coupon_is_given_once_and_within_the_count() -> None:
    hq = handing_out()
    serial = issue(hq, None)
    assert state(hq, serial) == "issued"
    with hq.books.transaction():
        hq.coupons.give(hq.desk.policy_in_force(), serial, "m-1")
    assert state(hq, serial) == "held"
    issue(hq)
    for wrong in (serial, "HQ00", make_serial("HQ", 1)):
        with hq.books.transaction(), pytest.raises(ConfigRefused):
            hq.coupons.give(hq.desk.policy_in_force(), wrong, "m-1")
    third = issue(hq, None)
    with hq.books.transaction(), pytest.raises(ConfigRefused, match="had 2"):
        hq.coupons.give(hq.desk.policy_in_force(), third, "m-1")


# --- at a station --------------------------------------------------------------------------------


def test_a_coupon_lies_ready_at_its_members_first_home_with_all_that_is_needed_offline() -> None:
    hq = handing_out(stations=[STATION, "S-2"])
    serial = issue(hq)
    station, other = LeaseStation(hq), LeaseStation(hq, "S-2")
    station.come_up()
    other.come_up()
    terms = station.holding("coupon", serial).leases[0].terms
    assert (terms.template, terms.member_ref, terms.amount) == ("voucher", "m-1", 1)
    assert (terms.from_ms, terms.until_ms) == (NOW, NOW + 30 * DAY_MS)
    assert terms.expires_ms <= terms.until_ms
    assert other.available("coupon", serial) == 0
    assert state(hq, serial) == "reserved"


def test_row_c2_a_coupon_is_used_once_ever() -> None:
    hq = handing_out()
    serial = issue(hq)
    station, other = LeaseStation(hq), LeaseStation(hq, "S-2")
    station.come_up()
    other.come_up()
    use(station, serial)
    station.tell()
    assert (state(hq, serial), codes(hq)) == ("used", [])
    assert other.ask("coupon", serial, 1).reason == "nothing_left"
    stolen = AssetMoved(
        asset="coupon", holder=serial, delta=-1, sale_id="s-7", reason="sale", lease_id=None
    )
    other.write(stolen)
    other.tell()
    assert {"coupon_used_twice", "movement_without_lease"} <= set(codes(hq))


def test_row_v5_a_refund_freezes_a_coupon_and_headquarters_gives_it_back() -> None:
    hq = handing_out()
    serial = issue(hq)
    station = LeaseStation(hq)
    station.come_up()
    taken = use(station, serial)
    station.tell()
    station.append(*rules.given_back(taken))
    assert station.leases[str(taken[0].lease_id)].state is LeaseState.FROZEN
    assert station.available("coupon", serial) == 0, "nobody uses it again before HQ looked"
    station.write(quiet())
    station.tell()
    assert (state(hq, serial), hq.vault.held("coupon", serial)) == ("held", 1)
    station.publish()
    assert station.available("coupon", serial) == 1
    use(station, serial, "s-2")
    station.tell()
    assert (state(hq, serial), codes(hq)) == ("used", [])
    assert hq.vault.differences() == []


def test_a_coupon_whose_time_is_over_expires_wherever_it_lies() -> None:
    hq = handing_out()
    leased, printed = issue(hq), issue(hq, None)
    station = LeaseStation(hq)
    station.come_up()
    station.now_ms += 31 * DAY_MS
    station.publish()
    assert (state(hq, printed), state(hq, leased)) == ("expired", "reserved")
    station.close_due()
    station.tell()
    station.publish()
    assert (state(hq, leased), hq.vault.held("coupon", leased)) == ("expired", 0)
    assert station.ask("coupon", leased, 1).granted == 0
    assert hq.vault.differences() == []


def test_a_coupon_follows_its_member_to_another_home_and_rests_while_the_member_is_locked() -> None:
    hq = handing_out()
    serial = issue(hq)
    with hq.books.transaction():
        hq.enrolment.lock("m-1", "lost", NOW)
    enrol(hq, stations=["S-2"], locked="lost")
    station = LeaseStation(hq, "S-2")
    station.come_up()
    assert station.available("coupon", serial) == 0
    with hq.books.transaction():
        hq.enrolment.unlock("m-1")
    station.publish()
    assert station.available("coupon", serial) == 1


def test_a_coupon_is_leased_again_when_its_lease_ran_out_unused() -> None:
    hq = handing_out()
    serial = issue(hq)
    station = LeaseStation(hq)
    station.come_up()
    for _ in range(3):
        station.now_ms += 8 * DAY_MS
        station.close_due()
        station.tell()
        station.publish()
        assert station.available("coupon", serial) == 1
