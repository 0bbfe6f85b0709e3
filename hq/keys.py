"""Headquarters' own keys: the signing key and the index key, each in a file for its owner alone."""

from __future__ import annotations

import json
import os
import secrets
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.model.canonical import sha256_hex
from edge_agent.model.errors import ConfigRefused, Problem
from edge_agent.model.identifiers import INDEX_KEY_BYTES

SIGNING_KEY = "signing.key"
INDEX_KEY = "index.key"
TRUSTED_KEYS = "trusted_keys.json"


class HqKeys:
    """The keys of one headquarters."""

    def __init__(self, signing: bytes, index: bytes) -> None:
        self._signing = Ed25519PrivateKey.from_private_bytes(signing)
        self.public = self._signing.public_key().public_bytes_raw()
        self.key_id = sha256_hex(self.public)[:16]
        """The first 16 digits of the public key's SHA-256."""
        self.index = index

    def sign(self, content: bytes) -> bytes:
        """Return the Ed25519 signature (RFC 8032) of the content."""
        return self._signing.sign(content)

    @classmethod
    def open(cls, folder: Path) -> HqKeys:
        """Read the keys, or make them when there are none yet.

        Raises:
            ConfigRefused: a key file is open to others or holds no key.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        signing = _read_or_make(folder / SIGNING_KEY, 32)
        return cls(signing, _read_or_make(folder / INDEX_KEY, INDEX_KEY_BYTES))

    def provision(self, folder: Path) -> None:
        """Write what a station needs: the public key that it trusts, and the index key.

        Raises:
            FileExistsError: the folder holds keys already.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        trusted = json.dumps({self.key_id: self.public.hex()}, indent=1)
        _write(folder / TRUSTED_KEYS, trusted.encode())
        _write(folder / INDEX_KEY, self.index.hex().encode())


def _read_or_make(path: Path, length: int) -> bytes:
    if not path.exists():
        _write(path, secrets.token_hex(length).encode())
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise _refused(f"{path.name}: others may read it; it needs mode 0600")
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError:
        raise _refused(f"{path.name}: hexadecimal digits are expected") from None
    if len(key) != length:
        raise _refused(f"{path.name}: {length} bytes are expected")
    return key


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _refused(detail: str) -> ConfigRefused:
    return ConfigRefused(
        Problem("hq_keys", "总部密钥文件错误", "a key file of headquarters is wrong"), detail
    )
