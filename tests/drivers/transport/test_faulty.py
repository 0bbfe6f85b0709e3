from __future__ import annotations

import asyncio
import random

import pytest

from drivers.transport.faulty import Faults, FaultyTransport
from drivers.transport.memory import MemoryTransport, memory_pair
from edge_agent.model.errors import LinkLost
from tests.drivers.transport.kit import read_exactly, run_virtual


async def opened(faults: Faults, seed: int = 1) -> tuple[FaultyTransport, MemoryTransport]:
    near, far = memory_pair()
    faulty = FaultyTransport(near, faults, random.Random(seed).random)
    await faulty.open()
    await far.open()
    return faulty, far


async def all_of(far: MemoryTransport) -> bytes:
    """Return what has arrived by now."""
    try:
        async with asyncio.timeout(0.001):
            return await far.read()
    except TimeoutError:
        return b""


def test_without_faults_nothing_changes() -> None:
    async def main() -> None:
        faulty, far = await opened(Faults())
        await faulty.write(b"question")
        assert await far.read() == b"question"
        await far.write(b"answer")
        assert await faulty.read() == b"answer"

    run_virtual(main())


def test_losses_are_about_as_many_as_asked_for_and_the_same_for_a_seed() -> None:
    async def lost(seed: int) -> int:
        faulty, far = await opened(Faults(loss=0.3), seed)
        for _ in range(1000):
            await faulty.write(b"x")
        return 1000 - len(await all_of(far))

    async def main() -> None:
        assert 230 < await lost(1) < 370
        assert await lost(1) == await lost(1)

    run_virtual(main())


def test_noise_changes_bytes_and_keeps_their_number() -> None:
    async def main() -> None:
        faulty, far = await opened(Faults(noise=0.1))
        await faulty.write(bytes(4000))
        arrived = await all_of(far)
        assert len(arrived) == 4000
        assert 250 < sum(byte != 0 for byte in arrived) < 550

    run_virtual(main())


def test_halves_and_strays() -> None:
    async def main() -> None:
        faulty, far = await opened(Faults(halves=1.0))
        await faulty.write(b"0123456789")
        half = await all_of(far)
        assert len(half) < 10
        assert b"0123456789".startswith(half)
        faulty, far = await opened(Faults(strays=1.0))
        await faulty.write(b"0123456789")
        more = await all_of(far)
        assert more.endswith(b"0123456789")
        assert 1 <= len(more) - 10 <= 6

    run_virtual(main())


def test_an_echo_comes_before_the_answer() -> None:
    async def main() -> None:
        faulty, far = await opened(Faults(echo=True))
        reading = asyncio.create_task(read_exactly(faulty, 5))
        await asyncio.sleep(0)
        await faulty.write(b"poll")
        await far.write(b"!")
        assert await reading == b"poll!"

    run_virtual(main())


def test_what_arrives_is_held_up() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        faulty, far = await opened(Faults(delay_ms=50))
        await far.write(b"late")
        assert await faulty.read() == b"late"
        assert 0 < loop.time() <= 0.05

    run_virtual(main())


def test_one_byte_at_a_time() -> None:
    async def main() -> None:
        faulty, far = await opened(Faults(one_byte_at_a_time=True))
        await far.write(b"ab")
        assert [await faulty.read(), await faulty.read()] == [b"a", b"b"]

    run_virtual(main())


def test_faults_come_and_go_while_in_use() -> None:
    async def main() -> None:
        faults = Faults()
        faulty, far = await opened(faults)
        faults.loss = 1.0
        await faulty.write(b"x")
        faults.clear()
        assert faults.is_none
        await faulty.write(b"y")
        assert await all_of(far) == b"y"

    run_virtual(main())


def test_a_lost_link_is_lost_behind_faults_too() -> None:
    async def main() -> None:
        faulty, far = await opened(Faults(loss=0.5))
        reading = asyncio.create_task(faulty.read())
        await asyncio.sleep(0)
        far.cut()
        with pytest.raises(LinkLost):
            await reading
        await faulty.close()
        await faulty.close()

    run_virtual(main())


def test_a_reader_that_gives_up_loses_nothing() -> None:
    async def main() -> None:
        faulty, far = await opened(Faults(noise=1e-9))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await faulty.read()
        await far.write(b"later")
        assert await faulty.read() == b"later"

    run_virtual(main())
