# SPDX-License-Identifier: GPL-2.0-or-later
"""The table in the README tells what the tests find: a row that passed stays, with its test, and no row is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.interop.matrix import GROUPS, README, Row, parse, table
from tests.interop.unsupported import UNSUPPORTED


def test_the_table_and_the_tests_have_the_same_rows(clone: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.interop.matrix", "--rows"], cwd=clone, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [Row(*each) for each in json.loads(done.stdout.splitlines()[-1])]
    assert {row.bullet for row in rows} <= set(GROUPS), "a group without a title in matrix.py"
    tested = {(row.feature, row.peer, row.role) for row in rows}
    refused = {(each.feature, each.peer, each.role) for each in UNSUPPORTED}
    assert not tested & refused, "a row cannot pass and be unsupported"
    shown = parse(README.read_text())
    assert set(shown) == tested | refused, "make interop writes the table anew"
    assert {row for row, result in shown.items() if result == "pass"} == tested, "a row does not pass any more"


def test_a_row_passes_only_when_all_of_its_tests_do() -> None:
    good, bad = Row("1.1", "one", "peer", "UE"), Row("1.1", "two", "peer", "UE")
    text = f"x <!-- table: begin -->\n{table({good: [True, True], bad: [True, False]}, ())}<!-- table: end --> y"
    assert parse(text) == {("one", "peer", "UE"): "pass", ("two", "peer", "UE"): "**fail**"}
