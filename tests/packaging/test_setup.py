# SPDX-License-Identifier: GPL-2.0-or-later
"""The set-up says what is wrong in one line, and does nothing when nothing is missing."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

NOBODY = 65534


def setup(clone: Path, purpose: str, user: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [clone / "scripts/setup", purpose], user=user, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


@pytest.mark.root
@pytest.mark.parametrize("purpose", ["demo", "test"])
def test_a_second_run_installs_nothing_and_is_quick(clone: Path, purpose: str) -> None:
    setup(clone, purpose)
    begun = time.monotonic()
    done = setup(clone, purpose)
    assert done.returncode == 0, done.stderr
    assert "install" not in done.stdout
    assert done.stdout.endswith("setup: ready: nothing is missing\n")
    assert time.monotonic() - begun < 5


@pytest.mark.root
def test_without_root_one_line_says_what_to_do(clone: Path) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(clone / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        done = setup(folder, "demo", user=NOBODY)
    assert done.returncode == 2
    assert done.stderr == "setup: must run as root, for apt and network namespaces: sudo make demo\n"


@pytest.mark.root
def test_an_unknown_purpose_shows_the_usage(clone: Path) -> None:
    done = setup(clone, "breakfast")
    assert done.returncode == 2
    assert "scripts/setup demo" in done.stderr
