"""Several stations, lost and doubled messages, crashes and restores: nothing is spent twice.

The same property is run for a million operations by `scripts/fuzz leases`.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hq.headquarters import Headquarters
from hq.message import Message
from tests.hq_kit import NOW
from tests.lease_kit import DAY_MS, LeaseStation, banking, codes

NAMES = ("S-1", "S-2", "S-3")
OPENING_FEN = 90_000
STEPS = (
    "spend", "refund", "ask", "publish", "tell", "birth", "close", "wait", "crash", "restore",
    "deaf", "hear", "recall",
)  # fmt: skip
steps = st.lists(
    st.tuples(st.sampled_from(STEPS), st.integers(0, 2), st.integers(1, 30_000)), max_size=40
)


class Network:
    """Stations around one headquarters, each with a line that may be cut."""

    def __init__(self) -> None:
        self.hq: Headquarters = banking(stations=NAMES, opening_fen=OPENING_FEN)
        self.stations = [LeaseStation(self.hq, name) for name in NAMES]
        self.paid: dict[str, int] = {}
        for station in self.stations:
            station.come_up()

    def step(self, what: str, place: int, amount: int) -> None:
        station = self.stations[place]
        cut = station.deaf is not hears
        if what == "spend":
            fen = min(amount, station.available("balance", "a-1"))
            if fen:
                station.spend("a-1", fen)
                self.paid[f"{station.name}-{station.sales}"] = fen
        elif what == "wait":
            for each in self.stations:
                each.now_ms += amount * DAY_MS // 10_000
        elif what == "close":
            station.close_due()
        elif what == "deaf":
            station.deaf = lambda message: True
        elif what == "hear":
            station.deaf = hears
        elif what == "recall":
            self.recall(station)
        elif what == "restore":
            self.restore(station)
        elif what == "crash":
            station.sent = 0  # what was acknowledged is not known any more: all is sent again
        elif not cut:
            self.talk(what, station, amount)
        else:
            self.hq.publish(station.now_ms)  # nobody hears what is sent

    def talk(self, what: str, station: LeaseStation, amount: int) -> None:
        if what == "ask":
            station.ask("balance", "a-1", amount)
        elif what == "tell":
            station.tell()
        elif what == "birth":
            station.come_up()
        else:
            messages = self.hq.publish(station.now_ms)
            for each in self.stations:
                each.take([*messages, *messages])
        for each in self.stations:
            waiting, station.outbox = station.outbox, []
            each.take(waiting)

    def recall(self, station: LeaseStation) -> None:
        for lease in self.hq.leases.open_leases("balance", "a-1"):
            if lease.station == station.name:
                with self.hq.books.transaction():
                    self.hq.leases.recall(lease.lease_id, station.now_ms)

    def restore(self, station: LeaseStation) -> None:
        """The disk is lost after everything was told; a backup of half the books comes back."""
        station.tell()
        station.restore(len(station.records) // 2)
        station.past.clear()

    def heal(self) -> None:
        for _ in range(3):
            for station in self.stations:
                station.deaf = hears
                station.now_ms = max(each.now_ms for each in self.stations) + 8 * DAY_MS
                station.come_up()
                station.close_due()
                station.tell()


def hears(message: Message) -> bool:
    return False


@settings(max_examples=30)
@given(steps)
def test_row_v19_whatever_happens_no_fen_is_spent_twice(what: list[tuple[str, int, int]]) -> None:
    network = Network()
    for step in what:
        network.step(*step)
        assert sum(network.paid.values()) <= OPENING_FEN
    network.heal()
    hq = network.hq
    assert hq.vault.held("balance", "a-1") == OPENING_FEN - sum(network.paid.values())
    assert hq.vault.debt("balance", "a-1") == 0
    assert hq.vault.differences() == []
    assert [code for code in codes(hq) if code != "lease_spent_differs"] == []
    ready = sum(station.available("balance", "a-1") for station in network.stations)
    assert ready <= hq.vault.held("balance", "a-1")


def test_after_everything_ran_out_all_that_is_left_is_free() -> None:
    network = Network()
    network.step("spend", 0, 10_000)
    network.step("spend", 1, 20_000)
    with network.hq.books.transaction():
        network.hq.standing.settle("balance", "a-1", {})
    network.heal()
    assert network.hq.vault.free("balance", "a-1") == OPENING_FEN - 30_000
    assert network.hq.leases.open_leases("balance", "a-1") == []
    assert network.stations[0].now_ms > NOW
