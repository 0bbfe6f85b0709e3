"""Texts that people write, from a file or stdin: UTF-8, with or without a byte order mark."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from edge_agent.cli.speech import say
from edge_agent.model.errors import EdgeAgentError


def read_text(file: Path, refused: Callable[[str], EdgeAgentError]) -> str:
    """Return the text of a file; `-` is stdin. The mark that some editors put in front is no text.

    Raises:
        EdgeAgentError: what `refused` makes of the reason why the file cannot be read.
    """
    try:
        if str(file) == "-":
            text = sys.stdin.read()
            text.encode()  # Python lets bytes that are no UTF-8 through here as lone surrogates
        else:
            text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise refused(f"{file}: {error.strerror}") from error
    except UnicodeError as error:
        why = say("is not UTF-8: save it as UTF-8", "不是 UTF-8 编码，请另存为 UTF-8")
        raise refused(f"{file} {why}") from error
    return text.removeprefix("\ufeff")
