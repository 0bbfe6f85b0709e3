"""The rules of the house that ruff, mypy and import-linter cannot express."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("edge_agent", "drivers", "hq")

MAX_FILE_LINES = 450
MAX_FUNCTION_LINES = 60

# The supervisor and the two bridges (paho's callbacks, the vision process) may catch everything:
# nothing that goes wrong below them may stop the station. Nobody else may.
BROAD_EXCEPTS: dict[str, int] = {
    "edge_agent/app/supervisor.py": 1,
    "edge_agent/uplink/connection.py": 1,
    "edge_agent/vision/worker.py": 1,
}

PURE = (
    "edge_agent/model/**/*.py",
    "edge_agent/core/**/*.py",
    "drivers/*/codec.py",
    "drivers/*/engine.py",
)
CLOCKS = {"now", "utcnow", "today", "monotonic", "perf_counter"}
CHANCES = {"uuid1", "uuid4", "getnode"}
DOORS = {"open", "print", "input", "breakpoint", "__import__", "eval", "exec"}
PURE_PYMODBUS = re.compile(r"pymodbus\.(pdu|framer|constants|exceptions)(\.|$)")


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PURE_SOURCES = sorted({path for pattern in PURE for path in ROOT.glob(pattern)})


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_there_is_source_to_check() -> None:
    assert len(SOURCES) > 10
    assert len(PURE_SOURCES) > 5


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_module_is_small_and_says_what_it_is(path: Path) -> None:
    tree = _parse(path)
    assert ast.get_docstring(tree), "a module says in one line what it is"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES
    too_long = [
        f"{node.name} (line {node.lineno})"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert not too_long


def test_every_source_folder_is_a_package() -> None:
    """import-linter does not look into a folder without ``__init__.py``: the law would not hold."""
    bare = {_name(path.parent) for path in SOURCES if not (path.parent / "__init__.py").exists()}
    assert not bare


def test_files_are_named_by_a_business_noun() -> None:
    vague = {"util", "utils", "helper", "helpers", "common", "manager", "base", "misc"}
    assert not [_name(path) for path in SOURCES if vague & {path.stem, path.parent.name}]


def _is_broad(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(isinstance(n, ast.Name) and n.id in {"Exception", "BaseException"} for n in names)


def _passes_on(handler: ast.ExceptHandler) -> bool:
    """A handler that tidies up and raises again, such as a rollback, hides nothing."""
    last = handler.body[-1]
    leaves = (ast.Return, ast.Continue, ast.Break)
    return (
        isinstance(last, ast.Raise)
        and last.exc is None
        and not any(isinstance(node, leaves) for node in ast.walk(handler))
    )


def _broad_excepts(tree: ast.Module) -> int:
    handlers = sum(
        isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _passes_on(node)
        for node in ast.walk(tree)
    )
    suppressed = sum(
        isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("suppress")
        and any(_is_broad(argument) for argument in node.args)
        for node in ast.walk(tree)
    )
    return handlers + suppressed


def test_broad_excepts_stand_only_where_the_design_allows_them() -> None:
    found = {_name(path): _broad_excepts(_parse(path)) for path in SOURCES}
    assert {name: count for name, count in found.items() if count} == BROAD_EXCEPTS


@pytest.mark.parametrize("path", PURE_SOURCES, ids=_name)
def test_pure_code_asks_no_clock_and_opens_nothing(path: Path) -> None:
    tree = _parse(path)
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    asked = [f for f in calls if isinstance(f, ast.Attribute) and f.attr in CLOCKS | CHANCES]
    called = [f for f in calls if isinstance(f, ast.Name) and f.id in DOORS | CHANCES]
    assert not [ast.unparse(function) for function in (*asked, *called)]
    impure = [
        name
        for name in _imported(tree)
        if name.split(".")[0] == "pymodbus" and not PURE_PYMODBUS.match(name)
    ]
    assert not impure, "a codec may use pymodbus's frame coding, not its client or server"
    assert not [name for name in _imported(tree) if name.split(".")[0] == "importlib"]


def _pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_driver_family_is_under_the_independence_contract() -> None:
    contracts = _pyproject()["tool"]["importlinter"]["contracts"]
    layer = next(c["layers"][0] for c in contracts if c["id"] == "families")
    listed = set(re.findall(r"\w+", layer))
    families = {path.parent.name for path in (ROOT / "drivers").glob("*/codec.py")}
    families |= {path.parent.name for path in (ROOT / "drivers").glob("*/engine.py")}
    assert families <= listed


# ---- what must not stand in any file -------------------------------------------------------------

# Pieced together so that this file does not break its own rule.
FORBIDDEN = {
    "a path of one machine": rf"(?<![\w.])/(?:{'wo'}rk|{'ro'}ot|{'ho'}me/[a-z]+)/",
    "a registry's address": rf"{'py'}pi\.org|python{'hosted'}\.|{'npm'}js\.|deb\.{'deb'}ian",
    "an unfinished thought": rf"\b(?:{'TO'}DO|{'FIX'}ME|{'XX'}X|{'HA'}CK)\b",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_carries(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = []
    for path in _tracked():
        content = path.read_bytes()
        if b"\0" in content:
            continue
        lines = content.decode("utf-8").splitlines()
        found += [f"{_name(path)}:{n}" for n, line in enumerate(lines, 1) if pattern.search(line)]
    assert not found


# ---- the locks -----------------------------------------------------------------------------------

LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-weights.lock")


def _lock(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _pins(name: str) -> dict[str, set[str]]:
    """Gives the versions that a lock pins: several only where they depend on the Python version."""
    pins: dict[str, set[str]] = {}
    for found in re.finditer(r"(?m)^([A-Za-z0-9._-]+)==([^ ;\\]+)", _lock(name)):
        pins.setdefault(canonicalize_name(found[1]), set()).add(found[2])
    return pins


def _declared(*extras: str) -> list[Requirement]:
    pyproject = _pyproject()
    lines = list(pyproject["project"]["dependencies"]) + pyproject["build-system"]["requires"]
    for extra in extras:
        lines += pyproject["project"]["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("requirements.lock", ("demo",)), ("requirements-dev.lock", ("demo", "dev"))],
    ids=["run", "dev"],
)
def test_lock_pins_every_declared_dependency(lock: str, extras: tuple[str, ...]) -> None:
    pins = _pins(lock)
    for requirement in _declared(*extras):
        versions = pins.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement.name} is declared, but {lock} does not pin it"
        assert all(requirement.specifier.contains(version) for version in versions), requirement


def test_development_runs_the_versions_that_are_shipped() -> None:
    development = _pins("requirements-dev.lock")
    shipped = _pins("requirements.lock")
    assert {name: development.get(name) for name in shipped} == shipped


def test_weights_lock_pins_what_is_asked_for() -> None:
    asked = re.findall(r"(?m)^([\w.-]+)==([\w.]+)$", _lock("requirements-weights.in"))
    pins = {canonicalize_name(name): {version} for name, version in asked}
    assert pins == _pins("requirements-weights.lock")


@pytest.mark.parametrize("name", LOCKS)
def test_lock_is_hashed_and_names_no_place(name: str) -> None:
    pin = r"[a-z0-9._-]+==[^ \\]+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+"
    assert re.fullmatch(rf"(?:{pin}\n)+", _lock(name))


# ---- the scripts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["scripts/setup", "scripts/lock", "scripts/test", ".ci/run"])
def test_script_can_be_started(name: str) -> None:
    script = ROOT / name
    assert script.stat().st_mode & 0o111 == 0o111
    shell = script.read_text(encoding="utf-8").splitlines()[0].split("/")[-1].split()[-1]
    subprocess.run([shell, "-n", script], check=True)
