"""When the wall clock is believed, and who is asked."""

from __future__ import annotations

import math
import socket
import struct
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.observe.clock import ASK_AGAIN_MS, BUILT_MS, SystemClock, SystemEntropy
from edge_agent.observe.time_service import (
    Synchronisation,
    ask_chronyd,
    ask_kernel,
    ask_timesyncd,
    read_tracking,
    synchronisation,
)


@pytest.mark.parametrize(
    ("kept", "wall_ms", "trusted"),
    [
        (True, BUILT_MS, True),
        (False, BUILT_MS, False),
        (True, BUILT_MS - 1, False),
        (True, 0, False),
    ],
)
def test_trust_needs_a_time_service_and_a_plausible_year(
    kept: bool, wall_ms: int, trusted: bool
) -> None:
    clock = SystemClock(lambda: Synchronisation(kept, 0, "test"), lambda: wall_ms)
    assert clock.trusted is trusted


def test_an_answer_is_believed_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    now = [0]
    monkeypatch.setattr(SystemClock, "monotonic_ms", lambda _: now[0])

    def ask() -> Synchronisation:
        asked.append(now[0])
        return Synchronisation(now[0] > 0, 0, "test")

    clock = SystemClock(ask)
    assert clock.trusted is False
    now[0] = ASK_AGAIN_MS - 1
    assert clock.trusted is False
    now[0] = ASK_AGAIN_MS
    assert bool(clock.trusted) is True
    assert asked == [0, ASK_AGAIN_MS]


def test_monotonic_time_does_not_go_back() -> None:
    clock = SystemClock()
    seen = [clock.monotonic_ms() for _ in range(100)]
    assert seen == sorted(seen)
    assert clock.wall_ms() > BUILT_MS


def test_chance() -> None:
    entropy = SystemEntropy()
    assert len(entropy.token(16)) == 16
    assert entropy.token(16) != entropy.token(16)
    assert all(0 <= entropy.uniform() < 1 for _ in range(100))


def test_this_machine_gives_some_answer() -> None:
    assert synchronisation().source in {"kernel", "chronyd", "timesyncd"}


def test_where_the_kernel_may_not_be_asked_the_services_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge_agent.observe.time_service.ask_kernel", lambda: None)
    told = Synchronisation(True, 2, "chronyd")
    monkeypatch.setattr("edge_agent.observe.time_service.ask_chronyd", lambda: told)
    assert synchronisation() == told
    monkeypatch.setattr("edge_agent.observe.time_service.ask_chronyd", lambda: None)
    assert synchronisation().source == "timesyncd"


def test_the_kernels_answer_is_read_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offsets of `struct timex`: filled here by native alignment, as the kernel does."""

    class Library:
        def __init__(self, *_: object, **__: object) -> None:
            return

        def adjtimex(self, buffer: object) -> int:
            laid = struct.pack("@Illlli", 0, 0, 0, 12_000, 0, status)
            buffer[: len(laid)] = laid  # type: ignore[index]
            return state

    monkeypatch.setattr("edge_agent.observe.time_service.ctypes.CDLL", Library)
    state, status = 0, 0x2001
    assert ask_kernel() == Synchronisation(True, 12, "kernel")
    status = 0x2041
    assert ask_kernel() == Synchronisation(False, 12, "kernel")
    state, status = 5, 0x2001
    assert ask_kernel() == Synchronisation(False, 12, "kernel")
    state = -1
    assert ask_kernel() is None


# --- chronyd ------------------------------------------------------------------------------------


def chrony_float(value: float) -> int:
    """Encode as chrony does: 7 bits of exponent, 25 bits of coefficient."""
    if value == 0:
        return 0
    mantissa, exponent = math.frexp(value)
    return ((exponent + 1) & 0x7F) << 25 | (int(mantissa * (1 << 24)) & 0x1FFFFFF)


def tracking(
    leap: int = 0, *, correction: float = 0.0, delay: float = 0.0, dispersion: float = 0.0
) -> bytes:
    """Lay out a tracking reply (candm.h, protocol 6)."""
    head = struct.pack("!BBBBHHHHHHIII", 6, 2, 0, 0, 33, 5, 0, 0, 0, 0, 1, 0, 0)
    body = struct.pack("!I20sHH12s", 0x7F7F0101, bytes(20), 3, leap, bytes(12))
    floats = [correction, 0, 0, 0, 0, 0, delay, dispersion, 64.0]
    return head + body + b"".join(struct.pack("!I", chrony_float(value)) for value in floats)


@pytest.mark.parametrize(("leap", "kept"), [(0, True), (1, True), (2, True), (3, False)])
def test_chronyds_leap_status_says_whether_it_is_synchronised(leap: int, kept: bool) -> None:
    assert read_tracking(tracking(leap)) == Synchronisation(kept, 0, "chronyd")


def test_the_error_is_correction_half_the_delay_and_dispersion() -> None:
    reply = tracking(correction=-0.25, delay=0.5, dispersion=0.125)
    assert read_tracking(reply) == Synchronisation(True, 625, "chronyd")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_report_or_nothing(reply: bytes) -> None:
    found = read_tracking(reply)
    assert found is None or found.source == "chronyd"


def test_chronyd_is_asked_on_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as chronyd:
        chronyd.bind(("127.0.0.1", 0))
        asked: list[bytes] = []

        def answer() -> None:
            request, client = chronyd.recvfrom(1024)
            asked.append(request)
            chronyd.sendto(tracking(), client)

        thread = threading.Thread(target=answer)
        thread.start()
        found = None
        while found is None and thread.is_alive():
            found = ask_chronyd(chronyd.getsockname()[1])
        thread.join()
    assert found == Synchronisation(True, 0, "chronyd")
    assert len(asked[0]) >= len(tracking())


def test_no_chronyd_is_no_answer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert ask_chronyd(port) is None


def test_timesyncd_leaves_a_file(tmp_path: Path) -> None:
    file = tmp_path / "synchronized"
    assert not ask_timesyncd(file).synchronised
    file.touch()
    assert ask_timesyncd(file) == Synchronisation(True, None, "timesyncd")
