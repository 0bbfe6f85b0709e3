"""The demo's attendant at the till: a client of the agent's local API, like the screen."""

from __future__ import annotations

import asyncio
import http.client
import json
from typing import Final, cast
from urllib.parse import urlsplit

from edge_agent.config.paths import StationPaths
from edge_agent.model.canonical import Json

TIMEOUT_S: Final = 10.0


class TillError(Exception):
    """The agent refused, with its stable code, or did not answer ("unreachable")."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class TillClient:
    """One request at a time, each on a connection of its own: the agent may die in between."""

    def __init__(self, paths: StationPaths) -> None:
        self._paths = paths

    async def get(self, path: str) -> Json:
        """Return the answer to a GET. Raises `TillError`."""
        return await asyncio.to_thread(self._ask, "GET", path, None, "")

    async def post(self, path: str, body: dict[str, Json], key: str = "") -> Json:
        """Return the answer to a POST, idempotent by `key`. Raises `TillError`."""
        return await asyncio.to_thread(self._ask, "POST", path, body, key)

    async def view(self) -> dict[str, Json]:
        """Return the station's view. Raises `TillError`."""
        return cast("dict[str, Json]", await self.get("/v1/station"))

    def _ask(self, method: str, path: str, body: dict[str, Json] | None, key: str) -> Json:
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        try:
            address = urlsplit(self._paths.address.read_text(encoding="ascii").strip())
            token = self._paths.token.read_text(encoding="ascii").strip()
            headers["Authorization"] = f"Bearer {token}"
            connection = http.client.HTTPConnection(
                address.hostname or "", address.port, timeout=TIMEOUT_S
            )
            try:
                text = None if body is None else json.dumps(body).encode()
                connection.request(method, path, text, headers)
                response = connection.getresponse()
                content = response.read()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            raise TillError("unreachable") from error
        return _answer(response.status, content)


def _answer(status: int, content: bytes) -> Json:
    try:
        answer = cast("Json", json.loads(content)) if content else None
    except ValueError:
        answer = content.decode(errors="replace")
    if status >= http.client.BAD_REQUEST:
        code = answer.get("code") if isinstance(answer, dict) else None
        raise TillError(str(code or status))
    return answer
