"""How the command line talks: data on stdout, talk on stderr, in the language of the environment.

Exit codes: 0 ok, 1 failed, 2 usage, 3 agent not running, 4 not permitted, 5 degraded,
130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from enum import IntEnum
from typing import Literal

from edge_agent.model.errors import AgentNotRunning, EdgeAgentError, NotPermitted, Problem

Language = Literal["zh", "en"]


class Exit(IntEnum):
    """What the command line tells the shell."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    NOT_PERMITTED = 4
    DEGRADED = 5
    INTERRUPTED = 130


def language(environ: Mapping[str, str] = os.environ) -> Language:
    """Return the language that LC_ALL, LC_MESSAGES or LANG asks for: Chinese, or else English."""
    asked = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    return "zh" if asked.lower().startswith("zh") else "en"


def say(en: str, zh: str) -> str:
    """Return the text in the person's language."""
    return zh if language() == "zh" else en


def both(problem: Problem) -> tuple[str, str]:
    """Return a problem's two texts, the person's language first."""
    texts = (problem.text_zh, problem.text_en)
    return texts if language() == "zh" else texts[::-1]


def talk(text: str) -> None:
    """Say something to the person, on stderr."""
    print(text, file=sys.stderr)


def answer(value: object) -> None:
    """Put a JSON document on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def answer_line(value: object) -> None:
    """Put one JSON line on stdout, at once."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def complain(error: EdgeAgentError) -> Exit:
    """Tell of an error in both languages, with its stable code, and return the exit code."""
    first, second = both(error.problem)
    talk(f"{error.problem.code}: {first}")
    talk(f"  {second}")
    for line in error.detail.splitlines():
        talk(f"  {line}")
    if isinstance(error, AgentNotRunning):
        return Exit.NOT_RUNNING
    if isinstance(error, NotPermitted):
        return Exit.NOT_PERMITTED
    return Exit.FAILED
