# SPDX-License-Identifier: GPL-2.0-or-later
"""What every test shares: parts and their times, and tools that may not be missing under `make test`."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MARKED_PARTS = {"kernel_lane": "kernel lane", "mininet": "topologies", "root": "agents in namespaces"}
PARTS = (
    "lint",
    "unit",
    "simulated pairs",
    "agents in namespaces",
    "independent peers",
    "topologies",
    "kernel lane",
    "packaging",
)
PART = pytest.StashKey[str]()
REQUIRE_ALL = os.environ.get("MN_DSMIP_REQUIRE") == "all"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests into parts, quick ones first."""
    for item in items:
        item.stash[PART] = _part(item)
    items.sort(key=lambda item: PARTS.index(item.stash[PART]))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if os.geteuid() != 0 and any(item.get_closest_marker(name) for name in MARKED_PARTS):
        pytest.skip("needs root: sudo make test")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under `make test` a skip is a failure, except where captures that are not ours to ship are absent."""
    report = yield
    report.user_properties.append(("part", item.stash[PART]))
    allowed = "foreign_captures" in getattr(item, "fixturenames", ()) or hasattr(report, "wasxfail")
    if REQUIRE_ALL and report.skipped and not allowed:
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if REQUIRE_ALL and report.skipped:
        _refuse_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how long each part took, how many tests it had, and what tests noted with `record_property("note", …)`."""
    seconds: dict[str, float] = defaultdict(float)
    tests: dict[str, int] = defaultdict(int)
    notes: list[str] = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            properties = dict(getattr(report, "user_properties", ()))
            part = properties.get("part")
            if getattr(report, "when", None) == "call" and "note" in properties:
                notes.append(properties["note"])
            if part is not None:
                seconds[part] += report.duration
                tests[part] += report.when == "call"
    terminalreporter.section("parts")
    for part in PARTS:
        if part in seconds:
            terminalreporter.line(f"{part:<22}{tests[part]:>5} tests {seconds[part]:>8.1f} s")
    for note in notes:
        terminalreporter.line(note)


@pytest.fixture(scope="session")
def clone() -> Path:
    """The folder of the clone."""
    return ROOT


@pytest.fixture(scope="session")
def foreign_captures() -> Path:
    """Other people's captures, which lie beside the clone where they may be used; the only skip `make test` allows."""
    folder = ROOT.parent / "shared" / "captures"
    if not folder.is_dir():
        pytest.skip("other people's captures are not here")
    return folder


def _part(item: pytest.Item) -> str:
    folder = item.path.relative_to(ROOT / "tests").parts[0]
    if folder in ("lint", "packaging"):
        return folder
    if folder == "interop":
        return "independent peers"
    marked = [part for marker, part in MARKED_PARTS.items() if item.get_closest_marker(marker)]
    return marked[0] if marked else {"engine": "simulated pairs"}.get(folder, "unit")


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid}: nothing may be skipped under `make test` (MN_DSMIP_REQUIRE=all): {reason}"
