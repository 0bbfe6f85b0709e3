"""The index key of the company, read from its file, and `ports.BlindIndex` under it."""

from __future__ import annotations

from pathlib import Path

from edge_agent.model.errors import ConfigRefused, Problem
from edge_agent.model.identifiers import INDEX_KEY_BYTES, blind_index
from edge_agent.security.key_files import read_secret


class KeyedIndex:
    """Indexes identifiers under one key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != INDEX_KEY_BYTES:
            raise ValueError(f"an index key is {INDEX_KEY_BYTES} bytes long")
        self._key = key

    @classmethod
    def load(cls, path: Path) -> KeyedIndex:
        """Read the key: 64 hexadecimal digits.

        Raises:
            ConfigRefused: the file is missing, open to others, or holds no key.
        """
        try:
            return cls(bytes.fromhex(read_secret(path).decode("ascii").strip()))
        except ValueError as error:
            raise ConfigRefused(
                Problem("index_key", "索引密钥文件错误", "the file of the index key is wrong"),
                f"{path.name}: {INDEX_KEY_BYTES * 2} hexadecimal digits are expected",
            ) from error

    def of(self, kind: str, identifier: str) -> str:
        """Return the index of an identifier, which is normalised first. See `blind_index`."""
        return blind_index(self._key, kind, identifier)
