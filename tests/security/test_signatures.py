"""Keys of headquarters: trusted by name, refused when forged, private on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agent.model.errors import ConfigRefused, MessageRefused
from edge_agent.security.key_files import MAX_KEY_BYTES, read_secret, write_secret
from edge_agent.security.signatures import TrustedKeys, key_id_of
from hq.keys import INDEX_KEY, SIGNING_KEY, TRUSTED_KEYS, HqKeys

# RFC 8032, section 7.1, test 2: secret key, public key, message and signature.
SECRET = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_the_vector_of_the_standard() -> None:
    keys = HqKeys(SECRET, bytes(32))
    assert keys.public == PUBLIC
    assert keys.sign(b"\x72") == SIGNATURE
    TrustedKeys({keys.key_id: keys.public}).verify(keys.key_id, b"\x72", SIGNATURE)


@pytest.mark.parametrize(
    ("key_id", "content", "signature", "reason"),
    [
        (key_id_of(PUBLIC), b"\x73", SIGNATURE, "bad_signature"),
        (key_id_of(PUBLIC), b"\x72", SIGNATURE[:-1] + b"\x01", "bad_signature"),
        (key_id_of(PUBLIC), b"\x72", b"", "bad_signature"),
        ("unknown", b"\x72", SIGNATURE, "unknown_key"),
    ],
)
def test_forgeries_are_refused(key_id: str, content: bytes, signature: bytes, reason: str) -> None:
    with pytest.raises(MessageRefused) as refused:
        TrustedKeys({key_id_of(PUBLIC): PUBLIC}).verify(key_id, content, signature)
    assert refused.value.problem.code == reason


def test_secrets_are_written_for_their_owner_alone_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_secret(path, b"one")
    write_secret(path, b"two")
    assert read_secret(path) == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_secret_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    write_secret(path, b"one")
    path.chmod(mode)
    with pytest.raises(ConfigRefused, match="0600"):
        read_secret(path)


def test_a_missing_or_huge_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match="No such file"):
        read_secret(tmp_path / "key")
    write_secret(tmp_path / "key", bytes(MAX_KEY_BYTES + 1))
    with pytest.raises(ConfigRefused, match="larger"):
        read_secret(tmp_path / "key")


def test_trusted_keys_are_read_from_what_headquarters_provisions(tmp_path: Path) -> None:
    keys = HqKeys.open(tmp_path / "hq")
    keys.provision(tmp_path / "station")
    trusted = TrustedKeys.load(tmp_path / "station" / TRUSTED_KEYS)
    trusted.verify(keys.key_id, b"content", keys.sign(b"content"))
    again = HqKeys.open(tmp_path / "hq")
    assert (again.key_id, again.index) == (keys.key_id, keys.index)
    for file in (*(tmp_path / "hq").iterdir(), *(tmp_path / "station").iterdir()):
        assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        keys.provision(tmp_path / "station")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"k": 1}',
        '{"k": "zz"}',
        json.dumps({"0" * 16: PUBLIC.hex()}),
        json.dumps({key_id_of(PUBLIC): PUBLIC.hex()[:-2]}),
        json.dumps({key_id_of(bytes([n]) * 32): (bytes([n]) * 32).hex() for n in range(17)}),
    ],
)
def test_a_wrong_file_of_trusted_keys_is_refused(tmp_path: Path, content: str) -> None:
    write_secret(tmp_path / "keys", content.encode())
    with pytest.raises(ConfigRefused):
        TrustedKeys.load(tmp_path / "keys")


@pytest.mark.parametrize("name", [SIGNING_KEY, INDEX_KEY])
def test_headquarters_refuses_key_files_that_are_wrong_or_open(tmp_path: Path, name: str) -> None:
    HqKeys.open(tmp_path)
    (tmp_path / name).chmod(0o644)
    with pytest.raises(ConfigRefused, match="0600"):
        HqKeys.open(tmp_path)
    (tmp_path / name).chmod(0o600)
    for content in ("", "zz", "00"):
        (tmp_path / name).write_text(content, encoding="ascii")
        with pytest.raises(ConfigRefused):
            HqKeys.open(tmp_path)
