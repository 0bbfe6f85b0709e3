"""Members of staff who may confirm beside the attendant: names and hashed PINs, in a key file.

The file is a JSON object from name to PIN hash (Argon2id, in its own text form). It lies among the
keys because a PIN of six digits is soon guessed by who holds its hash.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError

from edge_agent.model.errors import ConfigRefused, Problem
from edge_agent.security.key_files import read_secret, write_secret

MAX_STAFF: Final = 200

_WRONG: Final = Problem("staff_file", "员工密码文件错误", "the file of the staff's PINs is wrong")
_NAME: Final = r"^[^\s\x00-\x1f](?:[^\x00-\x1f]{0,30}[^\s\x00-\x1f])?$"
_STAFF: Final[TypeAdapter[dict[str, str]]] = TypeAdapter(
    Annotated[
        dict[
            Annotated[str, Field(pattern=_NAME)],
            Annotated[str, Field(pattern=r"^\$argon2id\$", max_length=200)],
        ],
        Field(max_length=MAX_STAFF),
    ]
)


def load_staff(path: Path) -> dict[str, str]:
    """Return the hashed PIN by name; nobody where there is no such file.

    Raises:
        ConfigRefused: others may read the file, or it is malformed. No name is in the message.
    """
    if not path.exists():
        return {}
    try:
        return _STAFF.validate_json(read_secret(path))
    except ValidationError as error:
        detail = f"{path.name}: names of up to 32 characters to Argon2id hashes are expected"
        raise ConfigRefused(_WRONG, detail) from error


def enrol(path: Path, name: str, pin_hash: str) -> None:
    """Give a member of staff a PIN, or another one.

    Raises:
        ConfigRefused: the file, or the name, is malformed.
        OSError: the folder cannot be written.
    """
    staff = {**load_staff(path), name: pin_hash}
    text = json.dumps(staff, ensure_ascii=False, indent=1)
    try:
        _STAFF.validate_json(text)
    except ValidationError as error:
        raise ConfigRefused(_WRONG, f"{path.name}: no such name can be enrolled") from error
    write_secret(path, f"{text}\n".encode())
