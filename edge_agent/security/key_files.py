"""Key files: readable by their owner alone, written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from edge_agent.model.errors import ConfigRefused, Problem

MAX_KEY_BYTES = 64 * 1024


def read_secret(path: Path) -> bytes:
    """Return a secret file's content.

    Raises:
        ConfigRefused: it is missing, too large, or others may read it.
    """
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        raise _refused(f"{path.name}: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise _refused(f"{path.name}: others may read it; it needs mode 0600")
    if len(content) > MAX_KEY_BYTES:
        raise _refused(f"{path.name}: larger than {MAX_KEY_BYTES} bytes")
    return content


def write_secret(path: Path, content: bytes) -> None:
    """Write a secret file with mode 0600; a crash leaves the old one or the new one, never half.

    Raises:
        OSError: the folder cannot be written.
    """
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _refused(detail: str) -> ConfigRefused:
    return ConfigRefused(
        Problem("key_file", "密钥文件缺失或权限不当", "a key file is missing or not private"),
        detail,
    )
