"""The bundle of `edge-agent doctor --bundle`: what support needs, with nothing personal in it."""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import edge_agent
from edge_agent.cli.findings import Finding
from edge_agent.cli.local_api import LocalApi
from edge_agent.config.paths import StationPaths
from edge_agent.model.errors import BooksRefused, EdgeAgentError, Problem

MAX_PART_BYTES: Final = 8 * 1024 * 1024
JOURNAL_LINES: Final = 5_000
JOURNAL_TIMEOUT_S: Final = 20
TAIL_RECORDS: Final = 500

BUNDLE_EXISTS = Problem(
    "output_exists",
    "输出文件已存在，不覆盖；请换一个文件名",
    "the output file exists and is not overwritten: choose another name",
)


def collect(paths: StationPaths, findings: Sequence[Finding]) -> dict[str, bytes]:
    """Return the parts of a bundle by file name, each redacted and bounded.

    A part that cannot be had, because the agent is down for example, says why instead.
    """
    from edge_agent.observe.redaction import redact  # noqa: PLC0415

    api = LocalApi(paths)
    parts: dict[str, Callable[[], str]] = {
        "doctor.json": lambda: _json([finding.as_json() for finding in findings]),
        "versions.json": lambda: _json(_versions()),
        "station.toml": lambda: paths.config.read_text(encoding="utf-8"),
        "station.json": lambda: _json(api.get("/v1/station")),
        "metrics.txt": lambda: api.text("/v1/metrics"),
        "ledger-tail.jsonl": lambda: _tail(paths),
        "parked.jsonl": lambda: _parked(paths),
        "journal.txt": _journal,
    }
    return {name: redact(_told(part)).encode()[:MAX_PART_BYTES] for name, part in parts.items()}


def write(parts: dict[str, bytes], output: Path) -> None:
    """Write the parts as a gzipped tar that only its owner may read.

    Raises:
        BooksRefused: the file exists.
        OSError: it cannot be written.
    """
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BooksRefused(BUNDLE_EXISTS, str(output)) from None
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in parts.items():
            member = tarfile.TarInfo(f"edge-agent/{name}")
            member.size, member.mtime, member.mode = len(content), int(time.time()), 0o600
            archive.addfile(member, io.BytesIO(content))


def _told(part: Callable[[], str]) -> str:
    try:
        return part()
    except (EdgeAgentError, OSError, UnicodeDecodeError, subprocess.SubprocessError) as error:
        return f"not to be had: {error}\n"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _versions() -> dict[str, str]:
    return {
        "edge-agent": edge_agent.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def _tail(paths: StationPaths) -> str:
    """Return places, kinds and times of the last records; their bodies stay at the station."""
    from edge_agent.store.export import tail_ledger  # noqa: PLC0415

    return "".join(
        json.dumps(
            {"epoch": r.epoch, "seq": r.seq, "kind": r.kind, "at_ms": r.at_ms, "hash": r.hash}
        )
        + "\n"
        for r in tail_ledger(paths.ledger, TAIL_RECORDS)
    )


def _parked(paths: StationPaths) -> str:
    """Return the notes of parked messages, not the messages."""
    notes = sorted(paths.parked.glob("*.json"))
    return "".join(note.read_text(encoding="utf-8") + "\n" for note in notes)


def _journal() -> str:
    program = shutil.which("journalctl")
    if program is None:
        return "no journal on this machine\n"
    command = [
        program,
        "-u",
        "edge-agent",
        "-n",
        str(JOURNAL_LINES),
        "-o",
        "short-iso",
        "--no-pager",
    ]
    ran = subprocess.run(  # noqa: S603 - a fixed command, no shell
        command, capture_output=True, timeout=JOURNAL_TIMEOUT_S, check=False
    )
    return ran.stdout.decode("utf-8", "replace") or ran.stderr.decode("utf-8", "replace")
