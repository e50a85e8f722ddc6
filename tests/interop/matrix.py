# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of independent peers: feature by peer and role, made from what the tests found.

    python -m tests.interop.matrix            run the tests, print the table, write it to tests/interop/README.md
    python -m tests.interop.matrix --rows     the rows that there are tests for, as JSON; nothing is run

A test says which row it fills: ``@pytest.mark.feature("words", peer=…, role=…, bullet=…)``. A row passes when all of
its tests do.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

FOLDER = Path(__file__).resolve().parent
README = FOLDER / "README.md"
TESTS = (FOLDER, FOLDER.parent / "kernel_lane")
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
HEADER = "| | feature | peer | our role | result |\n|---|---|---|---|---|\n"


class Row(NamedTuple):
    """What is shown once; sorts by ``bullet``, a group's number and a place in it."""

    bullet: str
    feature: str
    peer: str
    role: str


class Unsupported(NamedTuple):
    """A row that the peer has nothing for; ``because`` quotes its log or its documentation."""

    feature: str
    peer: str
    role: str
    bullet: str
    because: str


GROUPS = {
    "1.1": "Our UE, strongSwan as responder",
    "1.2": "Our PDN GW, strongSwan as initiator",
    "2.1": "Our PDN GW with a RADIUS server behind it",
    "2.2": "Our EAP-AKA server behind RADIUS",
    "2.3": "Pseudonyms and fast re-authentication",
    "3.1": "A real user's kernel: Open vSwitch and netem",
    "3.2": "A real user's kernel: ESP",
    "4": "What must fail, and how",
}


@dataclass(eq=False)
class Collector:
    """A pytest plug-in that notes rows and how their tests went."""

    rows: dict[str, Row] = field(default_factory=dict)
    """By a test's node id."""
    outcomes: dict[Row, list[bool]] = field(default_factory=lambda: defaultdict(list))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            marker = item.get_closest_marker("feature")
            if marker is not None:
                words = marker.args[0]
                self.rows[item.nodeid] = Row(
                    marker.kwargs["bullet"], words, marker.kwargs["peer"], marker.kwargs["role"]
                )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        row = self.rows.get(report.nodeid)
        if row is not None and (report.when == "call" or not report.passed):
            self.outcomes[row].append(report.passed)


def collect(run: bool) -> tuple[int, Collector]:
    """Find the rows and, if asked, run their tests; pytest's exit status."""
    collector = Collector()
    arguments = [*map(str, TESTS), "-q", "-p", "no:cacheprovider", f"--ignore={FOLDER / 'test_matrix.py'}"]
    status = pytest.main(arguments if run else [*arguments, "--collect-only", "--no-summary", "-qq"], [collector])
    return status, collector


def table(outcomes: dict[Row, list[bool]], unsupported: Iterable[Unsupported]) -> str:
    """In Markdown, by groups."""
    results = {row: "pass" if all(found) else "**fail**" for row, found in outcomes.items()}
    results |= {
        Row(each.bullet, each.feature, each.peer, each.role): f"not supported by the peer: {each.because}"
        for each in unsupported
    }
    text = HEADER
    for bullet, title in GROUPS.items():
        rows = sorted(row for row in results if row.bullet == bullet)
        text += f"| | **{title}** | | | |\n" if rows else ""
        text += "".join(
            f"| {bullet}.{number} | {row.feature} | {row.peer} | {row.role} | {results[row]} |\n"
            for number, row in enumerate(rows, 1)
        )
    return text


def parse(text: str) -> dict[tuple[str, str, str], str]:
    """(feature, peer, role) and the result, as the README has them."""
    rows = {}
    for line in text.partition(BEGIN)[2].partition(END)[0].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 5 and cells[0][:1].isdigit():
            rows[cells[1], cells[2], cells[3]] = cells[4]
    return rows


def write(found: str) -> None:
    """Put the table into the README."""
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    README.write_text(f"{before}{BEGIN}\n\n{found}\n{END}{rest.partition(END)[2]}")


def main(arguments: list[str]) -> int:
    """The command line above."""
    from .unsupported import UNSUPPORTED

    if arguments == ["--rows"]:
        _, collector = collect(run=False)
        print("\n" + json.dumps(sorted(set(collector.rows.values()))))
        return 0
    status, collector = collect(run=True)
    found = table(collector.outcomes, UNSUPPORTED)
    print(found)
    write(found)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
