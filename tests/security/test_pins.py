"""PINs are kept as Argon2id, checked in bounded time, and guessed five times at most."""

from __future__ import annotations

import asyncio
import threading

import pytest
from argon2 import PasswordHasher, extract_parameters

from edge_agent.model.errors import SaleRefused
from edge_agent.security import pins
from edge_agent.security.pins import (
    MAX_WRONG,
    MEMORY_KIB,
    PARALLELISM,
    TIME_COST,
    WINDOW_MS,
    GuardedPins,
    hash_pin,
    pin_matches,
)


class Clock:
    trusted = True
    now_ms = 0

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_ms(self) -> int:
        return self.now_ms


def plain(pin_hash: str, pin: str) -> bool:
    """Compares without the cost of Argon2, which other tests pay."""
    return pin_hash == pin


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guarded(clock: Clock) -> GuardedPins:
    return GuardedPins(clock, plain)


async def refusal(guarded: GuardedPins, pin: str, subject: str = "member m-1") -> str:
    with pytest.raises(SaleRefused) as caught:
        await guarded.check(subject, "246810", pin)
    assert pin not in str(caught.value)
    return caught.value.problem.code


async def wrong(guarded: GuardedPins, times: int, subject: str = "member m-1") -> list[str]:
    return [await refusal(guarded, "000000", subject) for _ in range(times)]


# --- the hash -----------------------------------------------------------------------------------


def test_row_l2_a_pin_is_kept_as_argon2id_of_the_stated_cost() -> None:
    pin_hash = hash_pin("246810")
    found = extract_parameters(pin_hash)
    assert pin_hash.startswith("$argon2id$")
    assert "246810" not in pin_hash
    assert (found.time_cost, found.memory_cost, found.parallelism) == (
        TIME_COST,
        MEMORY_KIB,
        PARALLELISM,
    )
    assert pin_matches(pin_hash, "246810")
    assert not pin_matches(pin_hash, "246811")
    assert hash_pin("246810") != pin_hash


@pytest.mark.parametrize(
    "pin", ["", "12345", "1234567890123", "12345a", "１２３４５６", "123456\n"]
)
def test_a_pin_is_six_to_twelve_digits(pin: str) -> None:
    with pytest.raises(ValueError, match="6 to 12 digits"):
        hash_pin(pin)


@pytest.mark.parametrize("pin_hash", ["", "246810", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$$"])
def test_what_is_no_hash_matches_nothing(pin_hash: str) -> None:
    assert not pin_matches(pin_hash, "246810")


def test_a_hash_that_asks_for_too_much_work_is_not_checked() -> None:
    dear = hash_pin("246810").replace(f"m={MEMORY_KIB}", "m=4194304")
    assert not pin_matches(dear, "246810")
    long = PasswordHasher(time_cost=pins.MAX_TIME_COST + 1, memory_cost=8, parallelism=1)
    assert not pin_matches(long.hash("246810"), "246810")


# --- guessing -----------------------------------------------------------------------------------


async def test_row_r6_the_right_pin_is_let_through_and_forgets_what_was_wrong(
    guarded: GuardedPins,
) -> None:
    for _ in range(3):
        assert await wrong(guarded, MAX_WRONG - 1) == ["pin_wrong"] * (MAX_WRONG - 1)
        await guarded.check("member m-1", "246810", "246810")


async def test_row_r6_five_wrong_pins_lock_for_a_quarter_of_an_hour(
    guarded: GuardedPins, clock: Clock
) -> None:
    assert (await wrong(guarded, MAX_WRONG))[-2:] == ["pin_wrong", "pin_locked"]
    assert await refusal(guarded, "246810") == "pin_locked"
    await guarded.check("member m-2", "246810", "246810")
    clock.now_ms = WINDOW_MS - 1
    assert await refusal(guarded, "246810") == "pin_locked"
    clock.now_ms = WINDOW_MS
    await guarded.check("member m-1", "246810", "246810")


async def test_the_lock_counts_from_the_last_guess(guarded: GuardedPins, clock: Clock) -> None:
    await wrong(guarded, MAX_WRONG - 1)
    clock.now_ms = WINDOW_MS - 1
    await wrong(guarded, 1)
    clock.now_ms = WINDOW_MS
    assert await refusal(guarded, "246810") == "pin_locked"


async def test_wrong_pins_of_long_ago_do_not_count(guarded: GuardedPins, clock: Clock) -> None:
    await wrong(guarded, MAX_WRONG - 1)
    clock.now_ms = WINDOW_MS
    assert await wrong(guarded, MAX_WRONG - 1) == ["pin_wrong"] * (MAX_WRONG - 1)


async def test_what_is_no_pin_is_a_wrong_guess_that_costs_nothing(clock: Clock) -> None:
    def never(pin_hash: str, pin: str) -> bool:
        raise AssertionError("hashed what is no PIN")

    assert await refusal(GuardedPins(clock, never), "x" * 10_000) == "pin_wrong"


async def test_guesses_at_once_are_counted_one_by_one_off_the_loop(clock: Clock) -> None:
    threads: set[int] = set()
    busy = threading.Lock()

    def watched(pin_hash: str, pin: str) -> bool:
        assert busy.acquire(blocking=False), "two at a time would take twice the memory"
        threads.add(threading.get_ident())
        busy.release()
        return False

    guarded = GuardedPins(clock, watched)
    found = await asyncio.gather(*(refusal(guarded, "000000") for _ in range(9)))
    assert sorted(found) == ["pin_locked"] * 5 + ["pin_wrong"] * 4
    assert threading.get_ident() not in threads


async def test_guesses_are_remembered_for_a_bounded_number_of_people(
    guarded: GuardedPins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pins, "MAX_SUBJECTS", 2)
    for subject in ("one", "two", "three"):
        await wrong(guarded, MAX_WRONG, subject)
    assert await refusal(guarded, "246810", "three") == "pin_locked"
    await guarded.check("one", "246810", "246810")
