from __future__ import annotations

import asyncio

import pytest

from drivers.transport.link import BUFFER_BYTES
from drivers.transport.memory import memory_pair
from edge_agent.model.errors import LinkLost
from tests.drivers.transport.kit import read_exactly, run_virtual


def test_bytes_cross_in_order() -> None:
    async def main() -> None:
        near, far = memory_pair()
        await near.open()
        await far.open()
        await near.write(b"one")
        await near.write(b"two")
        assert await far.read() == b"onetwo"
        await far.write(b"three")
        assert await near.read() == b"three"

    run_virtual(main())


def test_one_byte_at_a_time() -> None:
    async def main() -> None:
        near, far = memory_pair(one_byte_at_a_time=True)
        await near.open()
        await far.open()
        await near.write(b"ab")
        assert [await far.read(), await far.read()] == [b"a", b"b"]

    run_virtual(main())


def test_a_line_takes_its_time() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = memory_pair(byte_us=1146)
        await near.open()
        await far.open()
        await near.write(bytes(10))
        assert loop.time() == pytest.approx(0.01146)
        assert await read_exactly(far, 10) == bytes(10)

    run_virtual(main())


def test_nobody_listens_to_a_closed_end() -> None:
    async def main() -> None:
        near, far = memory_pair()
        await near.open()
        await near.write(b"lost")
        await far.open()
        await near.write(b"heard")
        assert await far.read() == b"heard"
        await far.close()
        with pytest.raises(LinkLost):
            await far.read()
        with pytest.raises(LinkLost):
            await far.write(b"x")
        await near.write(b"a serial line does not notice")

    run_virtual(main())


def test_a_cut_wire_is_lost_at_both_ends_until_mended() -> None:
    async def main() -> None:
        near, far = memory_pair()
        await near.open()
        await far.open()
        reading = asyncio.create_task(far.read())
        await asyncio.sleep(0)
        near.cut()
        with pytest.raises(LinkLost):
            await reading
        for end in (near, far):
            with pytest.raises(LinkLost):
                await end.write(b"x")
            with pytest.raises(LinkLost):
                await end.open()
        near.mend()
        await near.open()
        await far.open()
        await near.write(b"again")
        assert await far.read() == b"again"

    run_virtual(main())


def test_a_reader_who_does_not_come_costs_bounded_memory() -> None:
    async def main() -> None:
        near, far = memory_pair()
        await near.open()
        await far.open()
        for _ in range(100):
            await near.write(bytes(4096))
        received = 0
        while True:
            try:
                async with asyncio.timeout(1):
                    received += len(await far.read())
            except TimeoutError:
                break
        assert BUFFER_BYTES <= received < BUFFER_BYTES + 4096

    run_virtual(main())
