"""Run as a program: appends until the kernel lets no file grow, then with the limit lifted."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from pathlib import Path

from edge_agent.model.errors import StorageUnavailable
from edge_agent.model.records import FuellingCompleted
from edge_agent.security.sealing import Sealer
from edge_agent.store.health import PROBE_INTERVAL_MS
from edge_agent.store.station import StationStore

SEALER = Sealer(bytes(32))

FILE_LIMIT_BYTES = 400_000


class Surroundings:
    """A clock that jumps from probe to probe, and chance."""

    trusted = True
    now_ms = 1_790_000_000_000

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_ms(self) -> int:
        return self.now_ms

    def token(self, bytes_count: int) -> bytes:
        return os.urandom(bytes_count)

    def uniform(self) -> float:
        return 0.5


async def main(path: Path, completed: list[FuellingCompleted]) -> None:
    around = Surroundings()
    store = StationStore.open(path, clock=around, entropy=around, sealer=SEALER, ballast_bytes=0)

    async def probed() -> bool:
        around.now_ms += PROBE_INTERVAL_MS
        store.books.storage_healthy()
        await store.writer.submit(lambda connection: None)
        return store.books.storage_healthy()

    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT_BYTES, resource.RLIM_INFINITY))
    written, code = 0, ""
    while not code:
        try:
            await store.books.append([completed[written]])
            written += 1
        except StorageUnavailable as error:
            code = error.problem.code
    healthy = [store.books.storage_healthy(), await probed()]
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    healthy.append(await probed())
    await store.books.append([completed[written]])
    store.close()
    print(json.dumps({"written": written, "code": code, "healthy": healthy}))


if __name__ == "__main__":
    lines = Path(sys.argv[2]).read_text(encoding="utf-8").splitlines()
    bodies = [FuellingCompleted.model_validate_json(line) for line in lines]
    asyncio.run(main(Path(sys.argv[1]), bodies))
