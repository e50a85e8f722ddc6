# SPDX-License-Identifier: GPL-2.0-or-later
"""What a newcomer does first: clone into an empty folder, `make demo`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.mininet
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_clean_clone_makes_the_demo(
    clone: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    fresh = tmp_path / "mn-dsmip"
    subprocess.run(["git", "-c", "safe.directory=*", "clone", "-q", clone, fresh], check=True)
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("MN_DSMIP", "PYTEST", "MAKE"))
    }
    done = subprocess.run(
        ["make", "demo"],
        cwd=fresh,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert (fresh / "runs/latest/verdict.txt").is_file()
    assert str(fresh / "runs") in done.stdout
    record_property("note", "a clean clone made the demo")
