# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel lane: a User-Mode Linux kernel with what a Mininet user's real kernel has and this machine's may lack."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

LANE = Path(__file__).with_name("uml-run")
NOTHING_FORWARDED = "ue1 did not attach: it has no care-of address"
"""Seen once in a dozen runs: the lane's Open vSwitch comes up and passes no packet, not even Router Advertisements."""
pytestmark = [pytest.mark.kernel_lane, pytest.mark.slow, pytest.mark.timeout(600)]


def run_in_the_lane(clone: Path, *command: str, seconds: int) -> tuple[int, str]:
    """Run a command in the kernel lane; its status and what it printed."""
    done = subprocess.run(
        [LANE, "-m", "1024", "-t", str(seconds), "--", *command],
        cwd=clone,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def in_the_lane(clone: Path, *command: str, seconds: int) -> str:
    """Run a command in the kernel lane and return what it printed; its failure is the test's."""
    status, text = run_in_the_lane(clone, *command, seconds=seconds)
    assert status == 0, text
    return text


def test_the_lane_boots_another_kernel(clone: Path, record_property: Callable[[str, object], None]) -> None:
    begun = time.monotonic()
    kernel = in_the_lane(clone, "uname", "-r", seconds=60).strip()
    assert kernel != os.uname().release
    record_property("note", f"kernel lane: Linux {kernel}, {time.monotonic() - begun:.1f} s from call to end")


@pytest.mark.parametrize("switch", [["--switch", "lxbr", "--controller", "none"], []], ids=["bridge", "open-vswitch"])
def test_a_bootstrap_in_the_lane(
    clone: Path, switch: list[str], record_property: Callable[[str, object], None]
) -> None:
    begun = time.monotonic()
    command = ["mn", "--custom", "topos/s2c.py", "--topo", "s2c", *switch, "--test", "bootstrap"]
    status, text = run_in_the_lane(clone, *command, seconds=240)
    if status and not switch and NOTHING_FORWARDED in text:
        record_property("note", "kernel lane: Open vSwitch forwarded nothing at first; tried once more")
        status, text = run_in_the_lane(clone, *command, seconds=240)
    assert status == 0, text
    assert "ue1 detaches" in text
    assert "FAIL" not in text
    record_property("note", f"kernel lane: bootstrap with {switch or 'Open vSwitch'}, {time.monotonic() - begun:.0f} s")
