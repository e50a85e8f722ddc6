# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel lane: a User-Mode Linux kernel with what a Mininet user's real kernel has and this machine's may lack."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kernel_lane.lane import run_in_the_lane

LOSSY = ["--link", "tc,delay=10ms,loss=2"]
ROUND_TRIP = 80.0
"""Milliseconds at least between UE and correspondent: four links, twice."""
pytestmark = [pytest.mark.kernel_lane, pytest.mark.slow, pytest.mark.timeout(200)]
Note = Callable[[str, object], None]


def test_the_lane_boots_another_kernel(clone: Path, record_property: Note) -> None:
    begun = time.monotonic()
    status, text = run_in_the_lane(clone, ["uname", "-r"], seconds=60)
    assert status == 0, text
    assert text.strip() != os.uname().release
    record_property("note", f"kernel lane: Linux {text.strip()}, {time.monotonic() - begun:.1f} s from call to end")


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--switch", "lxbr", "--controller", "none"], id="bridge"),
        pytest.param(
            LOSSY,
            id="open-vswitch",
            marks=pytest.mark.feature(
                "attach, traffic, refresh, detach: Open vSwitch, links with 10 ms delay and 2 % loss; the trace passes",
                peer="Open vSwitch 3.1, netem, Linux 6.1",
                role="UE and PDN GW",
                bullet="3.1",
            ),
        ),
    ],
)
def test_a_bootstrap_in_the_lane(clone: Path, options: list[str], tmp_path: Path, record_property: Note) -> None:
    begun = time.monotonic()
    custom = ["--custom", "topos/s2c.py,tests/topologies/elsewhere.py"]
    command = ["env", f"TEST_RUNS={tmp_path}", "mn", *custom, "--topo", "s2c", *options, "--test", "bootstrap"]
    status, text = run_in_the_lane(clone, command, seconds=150)
    assert status == 0, text
    assert "ue1 detaches" in text
    assert "FAIL" not in text
    record_property("note", f"kernel lane: bootstrap {' '.join(options)}, {time.monotonic() - begun:.0f} s")
    if options == LOSSY:
        assert min(map(float, re.findall(r" in ([\d.]+) ms$", text, re.MULTILINE))) >= ROUND_TRIP
    assert_judged_good(clone, tmp_path / "latest")


def assert_judged_good(clone: Path, run: Path) -> None:
    """The checker's verdict, lost and repeated packets and all."""
    command = [sys.executable, "-m", "mn_dsmip.check", str(run), "--flow", "initial-attach"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
