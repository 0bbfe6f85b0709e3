"""Run as a program: again and again forks an agent that appends, and kills it mid-way.

Prints one line of JSON a kill: the records that were acknowledged, as [seq, hash].
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

from edge_agent.model.records import FuellingCompleted
from edge_agent.security.sealing import Sealer
from edge_agent.store.station import StationStore

SEALER = Sealer(bytes(32))


class Surroundings:
    """The real clock, and chance."""

    trusted = True

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def token(self, bytes_count: int) -> bytes:
        return os.urandom(bytes_count)

    def uniform(self) -> float:
        return 0.5


async def append_for_ever(path: Path, completed: FuellingCompleted, out: int) -> None:
    around = Surroundings()
    store = StationStore.open(path, clock=around, entropy=around, sealer=SEALER, ballast_bytes=0)

    async def till(number: int) -> None:
        # Two tills at once, single records and groups of three.
        while True:
            group = [
                completed.model_copy(update={"fuelling_id": os.urandom(8).hex()})
                for _ in range(1 + 2 * number)
            ]
            records = await store.books.append(group)
            acknowledged = [[record.seq, record.hash] for record in records]
            os.write(out, (json.dumps(acknowledged) + "\n").encode())

    await asyncio.gather(till(0), till(1))


def kill_one(path: Path, completed: FuellingCompleted, chance: random.Random) -> list[object]:
    said, say = os.pipe()
    agent = os.fork()
    if agent == 0:
        os.close(said)
        asyncio.run(append_for_ever(path, completed, say))
        os._exit(0)
    os.close(say)
    # Once it has acknowledged something, it dies at any moment of the next commits.
    select.select([said], [], [], 30)
    time.sleep(chance.uniform(0, 0.02))
    os.kill(agent, signal.SIGKILL)
    os.waitpid(agent, 0)
    with os.fdopen(said) as acknowledged:
        # The last line may have been cut off by the kill: what was not said in full was not said.
        lines = [line for line in acknowledged if line.endswith("\n")]
    return [pair for line in lines for pair in json.loads(line)]


if __name__ == "__main__":
    seeded = random.Random(sys.argv[3])
    body = FuellingCompleted.model_validate_json(sys.argv[2])
    for _ in range(int(sys.argv[4])):
        print(json.dumps(kill_one(Path(sys.argv[1]), body, seeded)))
