"""Any story that customers, attendants, cables and power cuts can write, told truthfully."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge_agent.model.dispenser import (
    Authorise,
    Clear,
    CommandDone,
    CommandFailed,
    DispenserCommand,
    DispenserStatus,
    FuellingEnded,
    LinkChanged,
    NozzleChanged,
    Preset,
    ReadTotals,
    Resume,
    SetPrices,
    StatusChanged,
    Stop,
    Suspend,
    TotalsRead,
)
from edge_agent.model.ids import LogicalNozzle
from edge_agent.model.units import Money, UnitPrice, Volume
from tests.drivers.dart.bench import FP, ONE, TWO, Bench

NOZZLES = st.sampled_from([ONE, TWO])
TIMES_MS = st.sampled_from([1, 7, 40, 150, 700, 3_000])
PRESETS = st.one_of(
    st.none(),
    st.builds(Preset, amount=st.integers(100, 30_000).map(Money)),
    st.builds(Preset, volume=st.integers(10, 3_000).map(lambda steps: Volume(10 * steps))),
)


class Story(RuleBasedStateMachine):
    """One fuelling point with two nozzles; the engine never starts anew."""

    @initialize(layout=st.sampled_from([16, 13]), flickers=st.booleans(), lag=st.booleans())
    def open(self, layout: int, flickers: bool, lag: bool) -> None:
        self.bench = Bench().ready()
        self.submitted: list[DispenserCommand] = []
        self.connected = True
        self.losses: list[int] = []
        manners = self.bench.manners
        manners.totals_layout = 13 if layout == 13 else 16
        manners.nozzle_flickers = flickers
        manners.price_lag_ms = 900 if lag else 0
        manners.strict_sequence = True
        self.bench.wire = self.bench.back = self._lossy
        self.to_lose = 0

    def _lossy(self, data: bytes) -> bytes:
        if self.to_lose:
            self.to_lose -= 1
            return b""
        return data

    def _submit(self, command: DispenserCommand) -> None:
        self.submitted.append(command)
        self.bench.submit(command)

    # --- the customer

    @rule(nozzle=NOZZLES)
    def lift(self, nozzle: LogicalNozzle) -> None:
        self.bench.pump.lift(self.bench.now_ms, nozzle)

    @rule()
    def hang(self) -> None:
        self.bench.pump.hang(self.bench.now_ms)

    @rule(wish_ml=st.sampled_from([None, 10, 770, 12_340]))
    def squeeze(self, wish_ml: int | None) -> None:
        if self.bench.pump.lifted_nozzle is not None:
            self.bench.pump.squeeze(self.bench.now_ms, wish_ml)

    @rule()
    def let_go(self) -> None:
        self.bench.pump.release(self.bench.now_ms)

    # --- the attendant

    @rule(nozzle=NOZZLES, preset=PRESETS)
    def authorise(self, nozzle: LogicalNozzle, preset: Preset | None) -> None:
        self._submit(Authorise(FP, (nozzle,), preset))

    @rule(kind=st.sampled_from([Stop, Suspend, Resume, Clear]))
    def command(self, kind: type[Stop | Suspend | Resume | Clear]) -> None:
        self._submit(kind(FP))

    @rule(nozzle=NOZZLES)
    def totals(self, nozzle: LogicalNozzle) -> None:
        self._submit(ReadTotals(FP, nozzle))

    @rule(raised=st.sampled_from([7_850, 8_000]))
    def prices(self, raised: int) -> None:
        self._submit(SetPrices(FP, ((ONE, UnitPrice(raised)), (TWO, UnitPrice(raised + 500)))))

    @rule(ms=TIMES_MS)
    def wait(self, ms: int) -> None:
        self.bench.run(ms)

    @rule()
    def serve(self) -> None:
        """Do the usual thing, so that stories get somewhere."""
        bench = self.bench
        if bench.pump.lifted_nozzle is None:
            self._submit(Clear(FP))
            bench.run(700)
            bench.pump.lift(bench.now_ms, ONE)
            bench.run(1_500)
            self._submit(Authorise(FP, (ONE,)))
            bench.run(700)
            bench.pump.squeeze(bench.now_ms, 5_000)

    # --- the weather

    @precondition(lambda self: self.connected)
    @rule()
    def cut(self) -> None:
        self.connected = False
        self.bench.disconnect()

    @precondition(lambda self: not self.connected)
    @rule()
    def mend(self) -> None:
        self.connected = True
        self.bench.connect()

    @rule(count=st.integers(1, 6))
    def lose(self, count: int) -> None:
        self.to_lose = count

    @rule()
    def garble(self) -> None:
        if self.connected:
            self.bench.receive(bytes.fromhex("50 31 02 08 10 FA FA 51"))

    @rule(off_ms=TIMES_MS)
    def power_cut(self, off_ms: int) -> None:
        self.bench.pump.power_off(self.bench.now_ms)
        self.bench.run(off_ms)
        self.bench.pump.power_on(self.bench.now_ms)

    # --- what holds at any time

    @invariant()
    def no_command_is_answered_twice(self) -> None:
        assert max(self._answers().values(), default=0) <= 1

    @invariant()
    def no_fuelling_is_made_up(self) -> None:
        told, real = self._told(), self._real()
        assert told == real[: len(told)]

    def teardown(self) -> None:
        """In the end, with everything mended: all is told, all is answered, all agrees."""
        if not hasattr(self, "bench"):
            return
        bench = self.bench
        self.to_lose = 0
        if not self.connected:
            bench.connect()
        bench.run(15_000)
        if bench.pump.status not in {DispenserStatus.COMPLETE, DispenserStatus.IDLE}:
            self._submit(Stop(FP))
        bench.pump.hang(bench.now_ms)
        bench.run(5_000)
        self._submit(Clear(FP))
        for nozzle in (ONE, TWO):
            self._submit(ReadTotals(FP, nozzle))
        bench.run(20_000)
        assert self._told() == self._real()
        assert self._answers() == Counter(id(command) for command in self.submitted)
        assert all(link.online for link in bench.of(LinkChanged)[-1:])
        assert self._lifted() is None
        assert not bench.of(StatusChanged) or bench.last_status == bench.pump.status.value
        for nozzle, read in zip((ONE, TWO), bench.of(TotalsRead)[-2:], strict=True):
            assert read.volume == Volume(bench.pump.hoses[nozzle].total_volume_ml)
            assert read.amount == Money(bench.pump.hoses[nozzle].total_amount_fen)

    def _lifted(self) -> LogicalNozzle | None:
        """Return the nozzle that is out, as the events tell it; a lost link forgets it."""
        lifted: LogicalNozzle | None = None
        for event in self.bench.events:
            if isinstance(event, LinkChanged):
                lifted = None
            elif isinstance(event, NozzleChanged):
                lifted = event.nozzle if event.lifted else None
        return lifted

    def _told(self) -> list[tuple[LogicalNozzle, Volume, Money]]:
        told = self.bench.of(FuellingEnded)
        return [(each.nozzle, each.volume, each.amount) for each in told if each.volume]

    def _real(self) -> list[tuple[LogicalNozzle, Volume, Money]]:
        real = self.bench.deliveries
        return [(each.nozzle, each.volume, each.amount) for each in real if each.volume]

    def _answers(self) -> Counter[int]:
        kinds = (CommandDone, CommandFailed)
        return Counter(id(e.command) for e in self.bench.events if isinstance(e, kinds))


Story.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestStory = Story.TestCase
