# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of requirements: it names what exists, leaves no rule out, and tells of a run what it exercised."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mn_dsmip.check.flow.language import every_step, load
from mn_dsmip.check.rules import RULES
from mn_dsmip.check.rules.coverage import (
    FAILED,
    INVISIBLE,
    NOT_EXERCISED,
    PASSED,
    SOURCES,
    UNSEEN,
    coverage,
    requirements,
    summary,
    table,
)

IDENTS = {rule.ident for rule in RULES}
ROWS = requirements()


def test_every_requirement_is_named_once() -> None:
    idents = [one.ident for one in ROWS]
    assert len(idents) == len(set(idents)) > 130
    assert {one.tag for one in ROWS} == set(SOURCES)
    assert {one.level for one in ROWS} == {"", "shall", "shall not", "should", "should not", "may"}
    assert all(one.text and one.clause.startswith(("TS ", "RFC ")) for one in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.ident)
def test_every_row_has_a_check_or_a_reason(row) -> None:
    """Something checks it, or there is a reason: a trace cannot show it, or why nothing looks at it."""
    assert [bool(row.checked_by), bool(row.unseen), bool(row.unchecked)].count(True) == 1


def test_every_rule_and_step_named_exists(clone: Path) -> None:
    steps: dict[str, set[str]] = {}
    for row in ROWS:
        for check in row.checked_by:
            flow, _, step = check.rpartition(":")
            if not flow:
                assert check in IDENTS, f"{row.ident} names the rule {check}"
                continue
            if flow not in steps:
                loaded = load(clone / "captures" / flow / "flow.yaml")
                steps[flow] = {one.name for one in every_step(loaded.steps)}
            assert step in steps[flow], f"{row.ident} names the step {check}"


def test_every_rule_serves_a_requirement() -> None:
    named = {check for row in ROWS for check in row.checked_by}
    assert IDENTS - named == set()


def test_a_run() -> None:
    rules = Counter(
        {("I11", "passed"): 3, ("BU-FLAGS", "violated"): 1, ("BU-FLAGS", "passed"): 2, ("I14", "unseen"): 1}
    )
    found = {one.requirement.ident: one for one in coverage(rules, Counter({("dns-aaaa-query", "matched"): 1}))}
    assert (found["G-3"].state, found["G-3"].checks) == (FAILED, ("BU-FLAGS",))
    assert found["D-5"].state == PASSED and found["D-5"].checks == ("initial-attach:dns-aaaa-query",)
    assert found["R-8"].state == UNSEEN
    assert found["X-6"].state == NOT_EXERCISED
    assert found["D-8"].state == INVISIBLE
    assert summary(list(found.values())).startswith(f"{len(ROWS)} requirements: ")


def test_the_table_tells_what_is_not_visible_and_why() -> None:
    text = table()
    assert "D-8    TS 24.303 5.1.2.1.3: the UE asks in PCO (may)\n       not visible: PCO travels" in text
    assert "checked by I5, HNP-64, HNP-UNIQUE" in text
    visible, checked = sum(not one.unseen for one in ROWS), sum(bool(one.checked_by) for one in ROWS)
    assert f"{visible} visible on the wire, {checked} of them checked" in text and checked >= 121
    assert "not checked: either choice is right" in text
