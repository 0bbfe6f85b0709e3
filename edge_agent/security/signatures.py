"""Ed25519 signatures (RFC 8032): the HQ keys that a station trusts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge_agent.model.canonical import sha256_hex
from edge_agent.model.errors import ConfigRefused, Problem
from edge_agent.model.wire import refuse
from edge_agent.security.key_files import read_secret

MAX_TRUSTED_KEYS = 16


def key_id_of(public: bytes) -> str:
    """Return the name of a public key: the first 16 digits of its SHA-256."""
    return sha256_hex(public)[:16]


class TrustedKeys:
    """`ports.SignatureVerifier`: the public keys of headquarters, by name."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys or len(keys) > MAX_TRUSTED_KEYS:
            raise ValueError(f"1 to {MAX_TRUSTED_KEYS} keys are expected")
        for key_id, raw in keys.items():
            if key_id != key_id_of(raw):
                raise ValueError(f"{key_id} is not the name of its key")
        self._keys = {
            key_id: Ed25519PublicKey.from_public_bytes(raw) for key_id, raw in keys.items()
        }

    @classmethod
    def load(cls, path: Path) -> TrustedKeys:
        """Read the trusted keys: a JSON object of key id to public key in hexadecimal.

        Raises:
            ConfigRefused: the file is missing, open to others, or a key is no key of its name.
        """
        try:
            listed = json.loads(read_secret(path))
            return cls({key_id: bytes.fromhex(text) for key_id, text in listed.items()})
        except (ValueError, TypeError, AttributeError) as error:
            raise _refused(f"{path.name}: {error}") from error

    def verify(self, key_id: str, signed: bytes, signature: bytes) -> None:
        """Check a signature. Raises `MessageRefused`: `unknown_key` or `bad_signature`."""
        key = self._keys.get(key_id)
        if key is None:
            raise refuse("unknown_key")
        try:
            key.verify(signature, signed)
        except InvalidSignature:
            raise refuse("bad_signature") from None


def _refused(detail: str) -> ConfigRefused:
    return ConfigRefused(
        Problem("trusted_keys", "总部公钥文件错误", "the file of trusted HQ keys is wrong"), detail
    )
