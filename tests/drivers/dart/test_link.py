"""Block numbers: what counts as taken, as repeated, as refused."""

from __future__ import annotations

from typing import Literal

import pytest

from drivers.dart.codec import DataFrame, Transaction, decode
from drivers.dart.link import HARMLESS, Heard, Link
from drivers.dart.manners import Manners
from drivers.dart.orders import Ask, Command, RequestTotal
from drivers.dart.reports import PumpStatus, Status
from edge_agent.model.dispenser import (
    Clear,
    CommandFailed,
    DispenserCommand,
    LinkChanged,
    ReadTotals,
    ReadTransaction,
    Stop,
    TotalsRead,
)
from edge_agent.model.units import Volume
from tests.drivers.dart.bench import FP, ONE, Bench

BLOCK = (RequestTotal(1).encode(),)
OTHER = (RequestTotal(2).encode(),)


def waiting(link: Link) -> tuple[int, tuple[Transaction, ...]]:
    frame = decode(link.frame)
    assert isinstance(frame, DataFrame)
    return frame.number, frame.transactions


def told(link: Link, times: int) -> None:
    """Send and acknowledge so many blocks."""
    for _ in range(times):
        link.tell(BLOCK)
        assert link.on_ack(waiting(link)[0]) is Heard.TAKEN


def test_numbers_run_from_0_to_f_and_on_from_1() -> None:
    link = Link(0x50)
    numbers = []
    for _ in range(18):
        link.tell(BLOCK)
        numbers.append(waiting(link)[0])
        link.on_ack(numbers[-1])
    assert numbers == [*range(16), 1, 2]


def test_a_block_waits_unchanged_until_acknowledged() -> None:
    link = Link(0x50)
    link.tell(BLOCK)
    before = link.frame
    assert link.is_waiting
    assert link.frame == before
    assert link.on_ack(0) is Heard.TAKEN
    assert not link.is_waiting


def test_an_acknowledgement_of_the_block_before_changes_nothing() -> None:
    link = Link(0x50)
    told(link, 3)
    link.tell(BLOCK)
    assert link.on_ack(2) is Heard.STALE
    assert link.is_waiting
    assert link.on_ack(3) is Heard.TAKEN
    assert link.on_ack(3) is Heard.STALE


@pytest.mark.parametrize("refused_by", ["nak", "other_number"])
def test_numbering_starts_again_with_a_harmless_block(refused_by: str) -> None:
    link = Link(0x50)
    told(link, 5)
    link.tell(BLOCK)
    heard = link.on_nak() if refused_by == "nak" else link.on_ack(9)
    assert heard is Heard.AGAIN
    assert waiting(link) == (0, HARMLESS)
    assert link.on_ack(0) is Heard.AGAIN
    assert waiting(link) == (1, BLOCK)
    assert link.on_ack(1) is Heard.TAKEN


def test_what_is_refused_again_and_again_is_given_up() -> None:
    link = Link(0x50)
    link.tell(BLOCK)
    heard = [link.on_nak() for _ in range(3)]
    assert heard == [Heard.AGAIN, Heard.AGAIN, Heard.REFUSED]
    assert not link.is_waiting


def test_a_dropped_block_keeps_its_number_used() -> None:
    link = Link(0x50)
    told(link, 2)
    link.tell(BLOCK)
    link.drop()
    link.tell(OTHER)
    assert waiting(link) == (3, OTHER)
    assert link.on_ack(2) is Heard.STALE, "the dropped block's acknowledgement may still come"
    assert link.on_ack(3) is Heard.TAKEN


def test_a_repeated_report_is_known_again() -> None:
    link = Link(0x50)
    report = DataFrame(0x50, 4, (PumpStatus(Status.RESET).encode(),))
    assert not link.is_repeated(report)
    assert link.is_repeated(report)
    link.forget()
    assert not link.is_repeated(report)


def test_the_same_from_a_pump_that_numbers_its_blocks_is_a_repetition() -> None:
    link = Link(0x50)
    before, report = (
        DataFrame(0x50, number, (PumpStatus(status).encode(),))
        for number, status in ((3, Status.FILLING), (4, Status.RESET))
    )
    assert not link.is_repeated(before)
    assert not link.is_repeated(report)
    told(link, 1)
    assert link.is_repeated(report), "our acknowledgement was lost, and it is sent again"


def test_the_same_from_a_pump_that_does_not_is_an_answer_once_it_was_asked() -> None:
    link = Link(0x50)
    before, report = (
        DataFrame(0x50, 4, (PumpStatus(status).encode(),))
        for status in (Status.FILLING, Status.RESET)
    )
    assert not link.is_repeated(before)
    assert not link.is_repeated(report)
    assert link.is_repeated(report), "nothing was told to it since"
    told(link, 1)
    assert not link.is_repeated(report)
    assert link.is_repeated(report)
    link.forget()
    assert not link.is_repeated(report)
    told(link, 1)
    assert not link.is_repeated(report), "a pump does not change its ways with the link"


@pytest.mark.parametrize("last_number", [*range(16), None])
def test_an_agent_that_starts_anew_is_understood(last_number: int | None) -> None:
    """Whatever number the pump saw last, nothing of the first commands is swallowed."""
    bench = Bench().ready()
    bench.manners.strict_sequence = True
    bench.disconnect()
    bench.side.points[FP]._last_order_number = last_number
    bench.connect()
    bench.run_until(lambda: bool(bench.of(LinkChanged)) and bench.of(LinkChanged)[-1].online)
    bench.do(ReadTotals(FP, ONE))
    bench.do(Clear(FP))
    assert bench.of(TotalsRead) == [TotalsRead(FP, ONE, Volume(0), bench.of(TotalsRead)[0].amount)]


def test_a_pump_that_refuses_everything_fails_the_command_and_stays_online() -> None:
    bench = Bench().ready()
    naks: list[bytes] = []

    def refuse(data: bytes) -> bytes:
        if data[1] & 0xF0 == 0xC0:
            naks.append(data)
            return bytes((data[0], 0x50 | data[1] & 0x0F, data[2]))
        return data

    bench.back = refuse
    answer = bench.ask(Clear(FP))
    assert isinstance(answer, CommandFailed)
    assert answer.reason == "refused"
    assert bench.alarms == ["command_refused"]
    assert len(naks) == 3
    bench.run(3_000)
    assert not bench.of(LinkChanged)


def test_a_pump_whose_own_number_never_moves_is_heard() -> None:
    bench = Bench()
    bench.side.points[FP].manners = Manners(same_number=True)
    bench.ready()
    assert bench.sell(2_000).volume == Volume(2_000)


@pytest.mark.parametrize("layout", [13, 16])
def test_a_pump_whose_own_number_never_moves_may_answer_the_same_twice(
    layout: Literal[13, 16],
) -> None:
    bench = Bench()
    bench.side.points[FP].manners = Manners(same_number=True, totals_layout=layout)
    bench.ready()
    commands: list[DispenserCommand] = [
        Stop(FP),
        Clear(FP),
        ReadTotals(FP, ONE),
        ReadTransaction(FP),
    ]
    for command in commands:
        for _ in range(3):
            bench.do(command)
    assert not bench.alarms


def test_a_pump_that_restarts_is_brought_up_again() -> None:
    bench = Bench().ready()
    bench.side.points[FP].restart()
    bench.run(2_000)
    assert bench.alarms == ["pump_restarted"]
    assert Command(Ask.RETURN_STATUS) in bench.told()
    assert bench.sell(2_000).volume == Volume(2_000)
