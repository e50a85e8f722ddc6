# SPDX-License-Identifier: GPL-2.0-or-later
"""The wheel, built once, works outside the clone on every Python from 3.10 to 3.13 that this machine has."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mn_dsmip

MINORS = ("3.10", "3.11", "3.12", "3.13")
NOBODY = 65534
Run = Callable[..., str]


def interpreters() -> dict[str, Path]:
    """Full version -> program, one for each minor version: from PATH, pyenv, or the one that runs this test."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found: dict[str, Path] = {}
    for minor in MINORS:
        in_path = shutil.which(f"python{minor}")
        candidates = [Path(in_path)] if in_path else []
        candidates += [*sorted(pyenv.glob(f"versions/{minor}.*/bin/python{minor}")), Path(sys.executable)]
        for program in candidates:
            version = version_of(program)
            if version.startswith(f"{minor}."):
                found[version] = program
                break
    return found


def version_of(program: Path) -> str:
    """The interpreter's own word, or nothing when it does not run (pyenv's shims of inactive versions)."""
    ask = "import platform; print(platform.python_version())"
    answer = subprocess.run([program, "-I", "-c", ask], capture_output=True, text=True)
    return answer.stdout.strip()


def outside(folder: Path, *command: str | Path, status: int = 0, user: int | None = None) -> str:
    """Run a command away from the clone and return what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "PYTEST"))}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment if user is None else environment | {"HOME": str(folder)},
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=280,
    )
    assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    outside(folder, sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, clone)
    return next(folder.glob("mn_dsmip-*.whl"))


def test_the_wheel_carries_what_the_clone_has(wheel: Path, clone: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {str(path.relative_to(clone)) for path in clone.glob("mn_dsmip/**/*.py")}
    carried = {
        f"mn_dsmip/data/{path.relative_to(clone)}"
        for pattern in ("topos/*.py", "captures/*/flow.yaml")
        for path in clone.glob(pattern)
    }
    assert "mn_dsmip/data/topos/s2c.py" in carried
    assert "mn_dsmip/data/captures/initial-attach/flow.yaml" in carried
    assert names >= package | carried


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("version", "program"), interpreters().items(), ids=list(interpreters()))
def test_the_installed_wheel_serves_a_person(
    version: str,
    program: Path,
    wheel: Path,
    clone: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    outside(tmp_path, program, "-m", "venv", tmp_path / "env")
    outside(tmp_path, tmp_path / "env/bin/pip", "install", "-q", wheel)
    command = tmp_path / "env/bin/mn-dsmip"

    assert mn_dsmip.__version__ in outside(tmp_path, command, "--version")
    assert "check" in outside(tmp_path, command, "--help")
    topology = Path(outside(tmp_path, command, "topo", "s2c").strip())
    assert topology.is_relative_to(tmp_path / "env")
    assert topology.read_bytes() == (clone / "topos/s2c.py").read_bytes()

    outside(tmp_path, command, "init", "samples")
    for role in ("ue", "gateway"):
        outside(tmp_path, command, role, f"samples/{role}.yaml", "--check-config")

    case = clone / "captures/initial-attach"
    keys = case / "wireshark"
    verdict = outside(tmp_path, command, "check", case / "trace.pcapng", "--keys", keys, "--flow", "initial-attach")
    assert re.search(r"\bpass\b", verdict, re.IGNORECASE)
    record_property("note", f"wheel installed and used with Python {version}")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user reaches: pytest closes its own to all but root, each time it starts."""
    folder = Path(tempfile.mkdtemp(prefix="mn-dsmip-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.mininet
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_wheel_carries_a_topology_that_mn_runs(wheel: Path, tmp_path: Path) -> None:
    outside(tmp_path, sys.executable, "-m", "venv", tmp_path / "env")
    outside(tmp_path, tmp_path / "env/bin/pip", "install", "-q", wheel)
    topology = outside(tmp_path, tmp_path / "env/bin/mn-dsmip", "topo", "s2c").strip()
    isolated = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    options = ["--topo", "s2c", "--switch", "lxbr", "--controller", "none", "--test", "bootstrap"]
    outside(tmp_path, *isolated, "mn", "--custom", topology, *options)
    verdict = outside(tmp_path, tmp_path / "env/bin/mn-dsmip", "check", "runs/latest")
    assert verdict.startswith("PASS")


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_pip_install_needs_no_root(clone: Path) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        folder = Path(name)
        source = folder / "source"
        left_out = shutil.ignore_patterns(".*", "runs", "build", "dist", "__pycache__", "tests", "bench")
        shutil.copytree(clone, source, ignore=left_out)
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

        outside(folder, "/usr/bin/python3", "-m", "venv", folder / "env", user=NOBODY)
        outside(folder, folder / "env/bin/pip", "install", "-q", source, user=NOBODY)
        assert mn_dsmip.__version__ in outside(folder, folder / "env/bin/mn-dsmip", "--version", user=NOBODY)
