# SPDX-License-Identifier: GPL-2.0-or-later
"""Nodes run under the system's Python, where nothing but the standard library and mininet may be counted on."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ALONE = "import sys; sys.path.append(sys.argv[1]); import mn_dsmip.nodes; print(*sorted(sys.modules))"


@pytest.fixture
def shelf(tmp_path: Path, clone: Path) -> Path:
    """A folder to import from that holds mininet and us, and nothing else."""
    mininet = importlib.util.find_spec("mininet")
    assert mininet is not None and mininet.submodule_search_locations
    (tmp_path / "mininet").symlink_to(mininet.submodule_search_locations[0])
    (tmp_path / "mn_dsmip").symlink_to(clone / "mn_dsmip")
    return tmp_path


def test_nodes_import_only_the_standard_library_and_mininet(shelf: Path) -> None:
    done = subprocess.run([sys.executable, "-ISc", ALONE, shelf], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    foreign = {name.partition(".")[0] for name in done.stdout.split()} - set(sys.stdlib_module_names) - {"__main__"}
    assert foreign == {"mininet", "mn_dsmip"}


def test_nodes_bring_no_other_part_of_us(shelf: Path) -> None:
    done = subprocess.run([sys.executable, "-ISc", ALONE, shelf], capture_output=True, text=True, check=True)
    ours = {name.split(".")[1] for name in done.stdout.split() if name.startswith("mn_dsmip.")}
    assert ours == {"nodes"}
