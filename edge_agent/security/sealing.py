"""Sealing of personal data at rest: AES-256-GCM (NIST SP 800-38D), bound to its place (row S11).

A sealed text is: version, 1 byte · key id, 8 bytes · nonce, 12 bytes · ciphertext with its tag of
16 bytes. The place (table, column and row) and the key id are authenticated with it, so that a
sealed text that is moved to another row does not open.
"""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge_agent.model.errors import ConfigRefused, CorruptionError, Problem
from edge_agent.ports import SEALED_ELSEWHERE
from edge_agent.security.key_files import read_secret, write_secret

SEAL_KEY_BYTES: Final = 32
_VERSION: Final = b"\x01"
_KEY_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_HEAD_BYTES: Final = len(_VERSION) + _KEY_ID_BYTES

_OTHER_KEY: Final = Problem(
    SEALED_ELSEWHERE,
    "数据由另一把密钥加密，请恢复原密钥文件",
    "the data were sealed under another key: bring the right key file back",
)
_BROKEN: Final = Problem(
    "seal_broken",
    "加密数据被改动或错位，请联系技术支持",
    "sealed data were altered or moved: call support",
)


class Sealer:
    """`ports.Sealer` under one key.

    Nonces are random and never given from outside: one that came twice under a key would lay both
    texts open. 2^32 texts may be sealed under a key (SP 800-38D, 8.3).
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != SEAL_KEY_BYTES:
            raise ValueError(f"a sealing key is {SEAL_KEY_BYTES} bytes long")
        # Says which key it was without saying anything about the key.
        key_id = hashlib.sha256(b"forecourt/v1/seal\0" + key).digest()[:_KEY_ID_BYTES]
        self._head = _VERSION + key_id
        self._suffix = f"|{key_id.hex()}".encode()
        self._cipher = AESGCM(key)

    @classmethod
    def load(cls, path: Path) -> Sealer:
        """Read the key: 64 hexadecimal digits.

        Raises:
            ConfigRefused: the file is missing, open to others, or holds no key.
        """
        try:
            return cls(bytes.fromhex(read_secret(path).decode("ascii").strip()))
        except ValueError as error:
            raise ConfigRefused(
                Problem("seal_key", "数据加密密钥文件错误", "the file of the sealing key is wrong"),
                f"{path.name}: {SEAL_KEY_BYTES * 2} hexadecimal digits are expected",
            ) from error

    @classmethod
    def load_or_create(cls, path: Path) -> Sealer:
        """Read the key, or make one when the file does not exist yet.

        Raises:
            ConfigRefused: the file is open to others, or holds no key.
            OSError: the folder cannot be written.
        """
        if not path.exists():
            write_secret(path, f"{secrets.token_hex(SEAL_KEY_BYTES)}\n".encode("ascii"))
        return cls.load(path)

    def seal(self, place: str, plain: bytes) -> bytes:
        """Seal a text for one place, such as `table|column|row`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, plain, place.encode() + self._suffix)
        return self._head + nonce + sealed

    def open(self, place: str, sealed: bytes) -> bytes:
        """Return what was sealed for this place.

        Raises:
            CorruptionError: `sealed_elsewhere` when another key sealed it, `seal_broken` when it
                was altered or stands in another place.
        """
        nonce_end = _HEAD_BYTES + _NONCE_BYTES
        if len(sealed) < nonce_end or sealed[:1] != _VERSION:
            raise CorruptionError(_BROKEN, _table(place))
        if not sealed.startswith(self._head):
            raise CorruptionError(_OTHER_KEY, _table(place))
        try:
            return self._cipher.decrypt(
                sealed[_HEAD_BYTES:nonce_end], sealed[nonce_end:], place.encode() + self._suffix
            )
        except InvalidTag:
            raise CorruptionError(_BROKEN, _table(place)) from None


def _table(place: str) -> str:
    # The row's name is left out: whose data it is does not belong in a log (row S17).
    return place.partition("|")[0]
