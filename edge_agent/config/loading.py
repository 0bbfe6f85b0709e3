"""Reading a station's TOML: everything that is wrong with it at once, a line each."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from edge_agent.config.checks import contradictions, doubts
from edge_agent.config.station import CONFIG_VERSION, StationConfig
from edge_agent.model.errors import ConfigRefused, Problem

MAX_BYTES: Final = 1024 * 1024

MISSING = Problem(
    "config_missing",
    "没有配置文件，请先写好站点配置（见 docs/install.md）",
    "there is no configuration; write the station's configuration first (docs/install.md)",
)
UNREADABLE = Problem(
    "config_unreadable",
    "配置文件无法读取，请检查权限和编码",
    "the configuration cannot be read; check its permissions and that it is UTF-8",
)
SYNTAX = Problem(
    "config_syntax",
    "配置文件不是正确的 TOML，请修改指出的行",
    "the configuration is no TOML; correct the line named",
)
INVALID = Problem(
    "config_invalid",
    "配置有误，请修改下列各项",
    "the configuration is wrong; correct what is listed",
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that was accepted, and what is odd about it."""

    config: StationConfig
    doubts: tuple[str, ...]


def load_config(path: Path) -> Loaded:
    """Read and check a station's configuration.

    Raises:
        ConfigRefused: `detail` has one line for each thing that is wrong, naming file, table and
            key, with the nearest known key where one was unknown.
    """
    return parse_config(_text(path), str(path))


def parse_config(text: str, name: str) -> Loaded:
    """Check a configuration's text; `name` is what error lines call the file.

    Raises:
        ConfigRefused: as `load_config`.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigRefused(SYNTAX, f"{name}: {error}") from error
    version = tables.get("config_version")
    if isinstance(version, int) and version > CONFIG_VERSION:
        raise ConfigRefused(
            INVALID,
            f"{name}: key 'config_version': {version} was written for a newer edge-agent; "
            f"this one reads {CONFIG_VERSION}",
        )
    try:
        config = StationConfig.model_validate(tables)
    except ValidationError as error:
        raise ConfigRefused(INVALID, "\n".join(_lines(name, error))) from error
    found = contradictions(config)
    if found:
        raise ConfigRefused(INVALID, "\n".join(f"{name}: table {at}, {what}" for at, what in found))
    return Loaded(config, tuple(f"{name}: {doubt}" for doubt in doubts(config)))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ConfigRefused(UNREADABLE, f"{path}: larger than {MAX_BYTES} bytes")
        return content.decode("utf-8")
    except FileNotFoundError as error:
        raise ConfigRefused(MISSING, str(path)) from error
    except OSError as error:
        raise ConfigRefused(UNREADABLE, f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigRefused(UNREADABLE, f"{path}: no UTF-8 at byte {error.start}") from error


# --- one line for each complaint ------------------------------------------------------------------


def _lines(name: str, error: ValidationError) -> Iterator[str]:
    for found in error.errors(include_url=False):
        *above, key = found["loc"]
        place = _Place(StationConfig)
        for part in above:
            place.enter(part)
        if isinstance(key, int):  # an item that is no table
            place.enter(key)
            yield f"{name}: {place.table()}: {_sentence(found['type'], found['msg'])}"
            continue
        said = _sentence(found["type"], found["msg"])
        if found["type"] == "extra_forbidden":
            said += nearest(str(key), place.keys())
        shown = str(key) if str(key).isprintable() else ascii(key)[1:-1]
        yield f"{name}: {place.table()}key '{shown}': {said}"


def _sentence(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "missing":
        return "missing"
    return message.removeprefix("Value error, ")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" for the known word nearest to `word`, or an empty string."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{found[0]}'?" if found else ""


class _Place:
    """A place in the file, found by following what pydantic calls its location."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._models: tuple[type[BaseModel], ...] = (model,)
        self._names: list[str] = []
        self._numbers: list[str] = []
        self._is_list = False

    def enter(self, part: str | int) -> None:
        """Go one step down: into a key, an item of a list, or the variant of a union."""
        if isinstance(part, int):
            self._numbers.append(f"{self._names[-1]} no. {part + 1}")
            return
        variants = [m for m in self._models if part in _kinds(m)]
        if len(self._models) > 1 and variants:
            self._models = tuple(variants)
            return
        fields = [m.model_fields[part] for m in self._models if part in m.model_fields]
        annotation = fields[0].annotation if fields else None
        self._models = tuple(models_in(annotation))
        self._is_list = get_origin(bare(annotation)) is tuple
        self._names.append(part)

    def table(self) -> str:
        """Return the table's header with the numbers of the items above it, or nothing."""
        if not self._names:
            return ""
        name = ".".join(self._names)
        header = f"[[{name}]]" if self._is_list else f"[{name}]"
        numbers = f" ({', '.join(self._numbers)})" if self._numbers else ""
        return f"table {header}{numbers}, "

    def keys(self) -> set[str]:
        """Return the keys known here."""
        return {key for model in self._models for key in model.model_fields}


def bare(annotation: object) -> object:
    """Return a type without what `Annotated` says about it."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the models that a field may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in {Annotated, Union, UnionType, tuple}:
        for part in get_args(annotation):
            yield from models_in(part)


def _kinds(model: type[BaseModel]) -> tuple[str, ...]:
    kind = model.model_fields.get("kind")
    return () if kind is None else get_args(kind.annotation)
