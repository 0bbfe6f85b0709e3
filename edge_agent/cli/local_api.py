"""The client's side of the local API: one HTTP request at a time, with the token of this root."""

from __future__ import annotations

import http.client
import json
from typing import Final
from urllib.parse import urlsplit

from edge_agent.config.paths import StationPaths
from edge_agent.model.errors import (
    AgentNotRunning,
    EdgeAgentError,
    NotPermitted,
    Problem,
    ProtocolError,
    RefusedError,
    UnavailableError,
)

TIMEOUT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, never bound to
"""An agent that listens on every address is reached on loopback."""

NOT_RUNNING = Problem(
    "agent_not_running", "加油站程序没有运行，请先启动", "the agent is not running: start it"
)
NOT_PERMITTED = Problem(
    "not_permitted",
    "没有权限访问加油站程序，请用运行它的用户或 root",
    "this user may not speak to the agent; use its own user, or root",
)
SILENT = Problem(
    "agent_silent",
    "加油站程序没有及时回答，请稍后重试或查看日志",
    "the agent does not answer in time; try again, or look at its log",
)
SENSELESS = Problem(
    "answer_senseless",
    "监听该地址的不是加油站程序",
    "whatever listens there does not answer like an agent",
)


class LocalApi:
    """Speaks to the agent that runs under these paths."""

    def __init__(self, paths: StationPaths, timeout_s: float = TIMEOUT_S) -> None:
        self._paths = paths
        self._timeout_s = timeout_s

    def get(self, path: str) -> object:
        """Return what the agent answers to a GET.

        Raises:
            AgentNotRunning: nobody listens.
            NotPermitted: the token cannot be read, or the agent does not take it.
            RefusedError: a rule of the agent forbids it; the problem is the agent's own.
            UnavailableError: the agent cannot do it now, or does not answer.
            ProtocolError: what answers is no agent.
        """
        return _json(self._ask("GET", path, None, self._timeout_s))

    def post(self, path: str, body: object = None, *, timeout_s: float | None = None) -> object:
        """Return what the agent answers to a POST; None for an empty answer. Raises as `get`."""
        return _json(self._ask("POST", path, body, timeout_s or self._timeout_s))

    def text(self, path: str) -> str:
        """Return the text that the agent answers to a GET. Raises as `get`."""
        return self._ask("GET", path, None, self._timeout_s).decode("utf-8", "replace")

    def address(self) -> str:
        """Return the base address of the running agent's API and screen.

        Raises:
            AgentNotRunning: there is none.
        """
        try:
            found = self._paths.address.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise not_running(self._paths) from None
        except OSError as error:
            raise NotPermitted(NOT_PERMITTED, f"{self._paths.address}: {error.strerror}") from error
        parts = urlsplit(found)
        host = parts.hostname or ""
        host = ANYWHERE.get(host, host)
        return f"http://{f'[{host}]' if ':' in host else host}:{parts.port}"

    def _token(self) -> str:
        try:
            return self._paths.token.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise not_running(self._paths) from None
        except OSError as error:
            raise NotPermitted(NOT_PERMITTED, f"{self._paths.token}: {error.strerror}") from error

    def _ask(self, method: str, path: str, body: object, timeout_s: float) -> bytes:
        address = urlsplit(self.address())
        headers = {"Authorization": f"Bearer {self._token()}", "X-Edge-Agent": "cli"}
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=timeout_s
        )
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            answer = response.read(MAX_ANSWER_BYTES + 1)
        except ConnectionRefusedError:
            raise not_running(self._paths) from None
        except http.client.HTTPException as error:
            raise ProtocolError(SENSELESS, f"{address.netloc}: {error!r}") from error
        except OSError as error:
            raise UnavailableError(SILENT, f"{address.netloc}: {error}") from error
        finally:
            connection.close()
        if len(answer) > MAX_ANSWER_BYTES:
            raise ProtocolError(SENSELESS, f"{address.netloc}: more than {MAX_ANSWER_BYTES} bytes")
        if response.status >= 400:
            raise _refusal(response.status, answer)
        return answer


def not_running(paths: StationPaths) -> AgentNotRunning:
    """Return the error of a root where no agent runs, with the line that starts one."""
    if paths.root is None:
        return AgentNotRunning(NOT_RUNNING, "sudo systemctl start edge-agent")
    return AgentNotRunning(NOT_RUNNING, f"edge-agent --root {paths.root} run")


def _refusal(status: int, answer: bytes) -> EdgeAgentError:
    """Turn the agent's problem details (RFC 9457) back into an error."""
    try:
        told = json.loads(answer)
        problem = Problem(str(told["code"]), str(told["text_zh"]), str(told["text_en"]))
        detail = str(told.get("detail", ""))
    except (ValueError, KeyError, TypeError):
        return ProtocolError(SENSELESS, f"HTTP {status}")
    if status in {401, 403}:
        return NotPermitted(problem, detail)
    return UnavailableError(problem, detail) if status >= 500 else RefusedError(problem, detail)


def _json(answer: bytes) -> object:
    if not answer:
        return None
    try:
        return json.loads(answer)
    except ValueError as error:
        raise ProtocolError(SENSELESS, "no JSON") from error
