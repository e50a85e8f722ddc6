# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands, and tests, in the kernel lane."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

LANE = Path(__file__).with_name("uml-run")
MEBIBYTES = 1024


def run_in_the_lane(clone: Path, command: Sequence[object], seconds: int) -> tuple[int, str]:
    """Run a command in the kernel lane; its status and what it printed."""
    done = subprocess.run(
        [LANE, "-m", str(MEBIBYTES), "-t", str(seconds), "--", *map(str, command)],
        cwd=clone,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


@dataclass(frozen=True)
class Report:
    """What the tests of a file did that was run in the lane by a pytest of its own."""

    output: str
    failures: dict[str, str]
    """By a test's name; empty for one that passed."""

    def demand(self, *names: str) -> None:
        """Fail as those tests did."""
        for name in names:
            assert name in self.failures, f"{name} did not run in the lane:\n{self.output}"
            assert not self.failures[name], self.failures[name]


def run_tests_in_the_lane(clone: Path, file: Path, folder: Path, seconds: int) -> Report:
    """Run a file of tests there; what it needs and has not is a failure."""
    results = folder / "results.xml"
    settings = [f"PYTHONPATH={clone}", "MN_DSMIP_REQUIRE=all"]
    pytest = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"--junit-xml={results}", file]
    _, output = run_in_the_lane(clone, ["env", *settings, *pytest], seconds)
    if not results.exists():
        return Report(output, {})
    cases = ElementTree.parse(results).iter("testcase")
    return Report(
        output, {case.get("name", ""): "".join(each.text or each.tag for each in _troubles(case)) for case in cases}
    )


def _troubles(case: ElementTree.Element) -> list[ElementTree.Element]:
    return [each for each in case if each.tag in ("failure", "error", "skipped")]
