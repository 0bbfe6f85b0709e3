"""What the command line says when the agent is down, silent, strange or not its own."""

from __future__ import annotations

import http.server
import os
import socket
import threading
from pathlib import Path

import pytest

from edge_agent.cli.local_api import MAX_ANSWER_BYTES, LocalApi
from edge_agent.config.paths import StationPaths
from edge_agent.model.errors import AgentNotRunning, NotPermitted, ProtocolError, UnavailableError
from tests.cli.conftest import CommandLine

READS = [
    ("status",),
    ("pump", "list"),
    ("pump", "totals"),
    ("pump", "price"),
    ("sync", "status"),
    ("sync", "drain"),
    ("screen",),
]


@pytest.mark.parametrize("words", READS, ids=" ".join)
def test_without_an_agent_every_read_exits_3_and_says_how_to_start(
    edge_agent: CommandLine, words: tuple[str, ...]
) -> None:
    ran = edge_agent(*words, "--json")
    assert ran.code == 3
    assert ran.out == ""
    assert f"edge-agent --root {edge_agent.root} run" in ran.err


@pytest.mark.parametrize("words", READS, ids=" ".join)
def test_every_read_answers_json_alone_on_stdout(
    running: CommandLine, words: tuple[str, ...]
) -> None:
    ran = running(*words, "--json")
    assert ran.code in {0, 5}
    assert isinstance(ran.json, dict)


def test_both_languages_are_told_the_persons_first(edge_agent: CommandLine, chinese: None) -> None:
    first, second, _ = edge_agent("status").err.splitlines()
    assert first == "agent_not_running: 加油站程序没有运行，请先启动"
    assert second == "  the agent is not running: start it"


def test_a_stale_address_means_not_running(paths: StationPaths) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    point_to(paths, port)
    with pytest.raises(AgentNotRunning):
        LocalApi(paths).get("/v1/health")


def test_a_wrong_token_is_not_permitted(running: CommandLine) -> None:
    running.paths.token.write_text("another", encoding="ascii")
    assert running("status").code == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_token_is_not_permitted(running: CommandLine) -> None:
    running.paths.token.chmod(0)
    assert running("status").code == 4


def test_an_agent_that_does_not_answer_in_time(paths: StationPaths) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        point_to(paths, silent.getsockname()[1])
        with pytest.raises(UnavailableError, match="agent_silent"):
            LocalApi(paths, timeout_s=0.1).get("/v1/health")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"<html>", ProtocolError),
        (200, b"x" * (MAX_ANSWER_BYTES + 1), ProtocolError),
        (500, b"oops", ProtocolError),
        (404, b'{"code": 1}', ProtocolError),
        (403, b'{"code": "c", "text_zh": "z", "text_en": "e"}', NotPermitted),
        (503, b'{"code": "c", "text_zh": "z", "text_en": "e"}', UnavailableError),
    ],
)
def test_strange_answers_are_told_as_what_they_are(
    paths: StationPaths, status: int, body: bytes, error: type[Exception]
) -> None:
    with answering(status, body) as port:
        point_to(paths, port)
        with pytest.raises(error):
            LocalApi(paths).get("/v1/station")


def test_an_agent_on_every_address_is_reached_on_loopback(paths: StationPaths) -> None:
    paths.address.write_text("http://0.0.0.0:8470\n", encoding="ascii")
    assert LocalApi(paths).address() == "http://127.0.0.1:8470"
    paths.address.write_text("http://[::]:8470\n", encoding="ascii")
    assert LocalApi(paths).address() == "http://[::1]:8470"


def test_a_view_without_its_fields_is_no_agents_answer(edge_agent: CommandLine) -> None:
    edge_agent.paths.create()
    with answering(200, b"[]") as port:
        point_to(edge_agent.paths, port)
        ran = edge_agent("status")
    assert (ran.code, ran.err.split(":")[0]) == (1, "answer_senseless")


@pytest.fixture
def paths(tmp_path: Path) -> StationPaths:
    made = StationPaths.under(tmp_path)
    made.create()
    return made


def point_to(paths: StationPaths, port: int) -> None:
    paths.token.write_text("token", encoding="ascii")
    paths.address.write_text(f"http://127.0.0.1:{port}\n", encoding="ascii")


class answering:  # noqa: N801 - a context manager, used like a function
    """A server that gives one answer to everything."""

    def __init__(self, status: int, body: bytes) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> int:
        self._thread.start()
        return int(self._server.server_address[1])

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
