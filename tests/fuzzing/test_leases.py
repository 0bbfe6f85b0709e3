"""Small worlds of lent stations, and planted bugs, each of which the simulation has to find."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from edge_agent.core import leases
from edge_agent.model.leases import Lease, LeaseState
from edge_agent.model.records import AssetMoved, LeaseClosed, RecordBody
from hq.asset_audit import AssetAudit
from hq.headquarters import Headquarters
from hq.holdings import Cause
from hq.message import Message
from scripts.fuzzing import __main__ as fuzz
from scripts.fuzzing.lending import run as lending
from scripts.fuzzing.lending.mishap import Died, Mishap
from scripts.fuzzing.lending.paper_books import PaperBooks
from scripts.fuzzing.lending.run import Part, run
from scripts.fuzzing.lending.world import Size

OPERATIONS, MANY = 500, 1_000
SMALL = Size(stations=4, people=10, roughness=3)
ROUGH = Size(stations=4, people=10, roughness=6)


def test_row_v19_no_mishap_lets_stations_spend_more_than_they_were_lent() -> None:
    outcome = run(Part("small", OPERATIONS, SMALL))
    assert outcome.found == ()
    assert outcome.operations == OPERATIONS
    assert outcome.movements > OPERATIONS // 4
    assert outcome.deaths
    assert outcome.messages_lost
    assert outcome.messages_doubled


def test_the_same_seed_lives_the_same_life() -> None:
    one, other = (run(Part("twice", 150, SMALL)) for _ in range(2))
    assert replace(one, seconds=0) == replace(other, seconds=0)


# --- planted bugs -------------------------------------------------------------------------------

PATCHES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {}


def planted(plant: Callable[[pytest.MonkeyPatch], None]) -> Callable[[pytest.MonkeyPatch], None]:
    PATCHES[plant.__name__] = plant
    return plant


def _applying(patch: pytest.MonkeyPatch, change: Callable[[Lease, RecordBody], Lease]) -> None:
    """Let stations do something else to the leases of a record."""
    apply = leases.apply

    def wrongly(found: dict[str, Lease], body: RecordBody, at_ms: int) -> dict[str, Lease]:
        after = apply(found, body, at_ms)
        return {name: change(lease, body) for name, lease in after.items()}

    patch.setattr(leases, "apply", wrongly)


@planted
def headquarters_frees_what_expired_by_its_own_clock(patch: pytest.MonkeyPatch) -> None:
    publish = Headquarters.publish

    def freely(self: Headquarters, now_ms: int) -> list[Message]:
        over = self.books.connection.execute(
            "SELECT lease_id FROM lease WHERE state = 'open' AND expires_ms < ?", (now_ms,)
        ).fetchall()
        with self.books.transaction():
            for (lease_id,) in over:
                lease = self.leases.find(lease_id)
                assert lease is not None
                self.leases.end(lease, "closed", Cause(now_ms, "guessed"))
        return publish(self, now_ms)

    patch.setattr(Headquarters, "publish", freely)


@planted
def headquarters_gives_back_more_than_a_sale_took(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AssetAudit, "_net", lambda *_: 10**9)


@planted
def a_station_draws_on_what_it_has_closed(patch: pytest.MonkeyPatch) -> None:
    def kept_open(lease: Lease, body: RecordBody) -> Lease:
        return replace(lease, state=LeaseState.OPEN) if isinstance(body, LeaseClosed) else lease

    _applying(patch, kept_open)


@planted
def a_restored_station_keeps_its_leases(patch: pytest.MonkeyPatch) -> None:
    restored = PaperBooks.restored

    def keeping(self: PaperBooks, epoch: int) -> object:
        kept = {**self._leases}
        places = {key: {**names} for key, names in self._open.items()}
        head = restored(self, epoch)
        self._leases, self._open = kept, places
        return head

    patch.setattr(PaperBooks, "restored", keeping)


@planted
def a_coupon_that_came_back_is_used_again(patch: pytest.MonkeyPatch) -> None:
    def thawed(lease: Lease, body: RecordBody) -> Lease:
        if isinstance(body, AssetMoved) and lease.state is LeaseState.FROZEN:
            return replace(lease, state=LeaseState.OPEN)
        return lease

    _applying(patch, thawed)


@planted
def a_lease_that_was_recalled_unseen_opens_when_it_comes(patch: pytest.MonkeyPatch) -> None:
    post = PaperBooks._post

    def forgetful(self: PaperBooks, bodies: list[RecordBody]) -> object:
        posted = post(self, bodies)
        self._unseen.clear()
        return posted

    patch.setattr(PaperBooks, "_post", forgetful)


@planted
def headquarters_forgets_what_it_acknowledged(patch: pytest.MonkeyPatch) -> None:
    handle = Headquarters.handle

    def forgetful(self: Headquarters, messages: Sequence[Message], now_ms: int) -> list[Message]:
        answers = handle(self, messages, now_ms)
        db = self.books.connection
        (rows,) = db.execute("SELECT count(*) FROM ledger").fetchone()
        if rows % 31 == 5:
            db.execute("DROP TRIGGER IF EXISTS ledger_is_never_shortened")
            db.execute(
                "DELETE FROM ledger WHERE (stream, seq) IN (SELECT stream, seq FROM ledger"
                " JOIN stream ON stream.id = stream WHERE seq = up_to_seq LIMIT 1)"
            )
        return answers

    patch.setattr(Headquarters, "handle", forgetful)


@pytest.mark.parametrize("bug", PATCHES)
def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    PATCHES[bug](monkeypatch)
    for number in range(10):
        if run(Part(f"bugs {number}", MANY, ROUGH)).found:
            return
    pytest.fail("nobody noticed")


# --- around the worlds --------------------------------------------------------------------------


def test_worlds_are_shared_out_and_added_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lending, "OPERATIONS", 100)
    monkeypatch.setattr(lending, "run", lambda part: run(replace(part, size=SMALL)))
    assert fuzz.main(["leases", "--operations", "250", "--jobs", "1", "--json"]) == 0
    [report] = json.loads(capsys.readouterr().out)
    assert report["worlds"] == 3
    assert report["operations"] == 250
    assert report["rules"]


def test_a_world_in_which_something_was_found_fails_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lending, "OPERATIONS", 10)
    broken = lending.Outcome("7:1", 3, 0, 0, 0, 0, 0, 0, 0.1, {}, ("a coupon was used twice",))
    fine = lending.Outcome("7:0", 10, 0, 0, 0, 0, 0, 0, 0.1)
    monkeypatch.setattr(lending, "run", lambda part: broken if part.seed == "7:1" else fine)
    assert fuzz.main(["leases", "--seed", "7", "--operations", "20", "--jobs", "1"]) == fuzz.FAILED
    said = capsys.readouterr()
    assert "scripts/fuzz leases --seed 7 --world 1" in said.err
    assert "a coupon was used twice" in said.out


@pytest.mark.parametrize("late", [False, True])
def test_a_mishap_strikes_once_before_or_after_the_commit(late: bool) -> None:
    mishap = Mishap()
    mishap.before()
    mishap.after()
    mishap.arm(2, late=late)
    mishap.before()
    mishap.after()
    if late:
        mishap.before()
    with pytest.raises(Died) as death:
        (mishap.after if late else mishap.before)()
    assert death.value.committed is late
    mishap.before()
    mishap.after()
    assert mishap.deaths == 1
