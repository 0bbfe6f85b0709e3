"""Who may confirm beside the attendant: a key file that only its owner reads."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edge_agent.model.errors import ConfigRefused
from edge_agent.security.key_files import write_secret
from edge_agent.security.staff import MAX_STAFF, enrol, load_staff

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaA"


def test_nobody_where_there_is_no_file(tmp_path: Path) -> None:
    assert load_staff(tmp_path / "staff.json") == {}


def test_who_was_enrolled_is_there_and_may_get_another_pin(tmp_path: Path) -> None:
    path = tmp_path / "staff.json"
    enrol(path, "李", HASH)
    enrol(path, "王", HASH)
    enrol(path, "李", HASH + "x")
    assert load_staff(path) == {"李": HASH + "x", "王": HASH}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"li": 5}', b'{"li": "123456"}', b'{"": "$argon2id$x"}', b"\xff"],
)
def test_a_malformed_file_is_refused_without_its_content(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "staff.json"
    write_secret(path, content)
    with pytest.raises(ConfigRefused) as caught:
        load_staff(path)
    assert caught.value.problem.code == "staff_file"
    assert "123456" not in str(caught.value)


@pytest.mark.parametrize("name", ["", " ", "a\nb", " li", "x" * 33])
def test_a_name_that_is_none_is_not_enrolled(tmp_path: Path, name: str) -> None:
    path = tmp_path / "staff.json"
    with pytest.raises(ConfigRefused):
        enrol(path, name, HASH)
    assert not path.exists()


def test_others_may_not_read_it(tmp_path: Path) -> None:
    path = tmp_path / "staff.json"
    enrol(path, "li", HASH)
    path.chmod(0o644)
    with pytest.raises(ConfigRefused):
        load_staff(path)


def test_staff_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "staff.json"
    many = ",".join(f'"s{number}": "{HASH}"' for number in range(MAX_STAFF + 1))
    write_secret(path, f"{{{many}}}".encode())
    with pytest.raises(ConfigRefused):
        load_staff(path)
