# SPDX-License-Identifier: GPL-2.0-or-later
"""Coverage: what the standards ask for (`requirements.yaml`), and what of it a run exercised.

A requirement names rules by their id and steps of shipped flows as `flow:step`. In a run a step counts by its name
alone, whatever flow was judged against: flows that extend another one keep its names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("requirements.yaml")
FAILED, WARNED, PASSED, UNSEEN = "failed", "with a warning", "passed", "not seen"
NOT_EXERCISED, UNCHECKED, INVISIBLE = "not exercised", "not checked", "not visible"
STATES = (FAILED, WARNED, PASSED, UNSEEN, NOT_EXERCISED)  # the first that one of its checks has is the requirement's
OUTCOMES = {
    "violated": FAILED,
    "different": FAILED,
    "missing": FAILED,
    "forbidden": FAILED,
    "with a warning": WARNED,
    "with a note": WARNED,
    "passed": PASSED,
    "matched": PASSED,
    "unseen": UNSEEN,
}
SOURCES = {"V": "TS 24.303", "S2": "TS 23.402", "RFC": "RFC", "U": "unconfirmed", "PD": "project"}


@dataclass(frozen=True)
class Requirement:
    """One thing that is asked for, and what looks at it.

    `unseen` says why a trace cannot show it, `unchecked` why nothing looks at it although a trace could.
    """

    ident: str
    clause: str
    level: str
    tag: str
    text: str
    checked_by: tuple[str, ...]
    unseen: str
    unchecked: str


@dataclass(frozen=True)
class Covered:
    """A requirement with what became of it in a run."""

    requirement: Requirement
    state: str
    checks: tuple[str, ...]
    """The rules and steps that gave it this state."""


@lru_cache(maxsize=1)
def requirements() -> tuple[Requirement, ...]:
    """All of them, in the order of the file."""
    rows = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return tuple(
        Requirement(
            row["id"], row["clause"], row["level"], row["tag"], row["text"],
            tuple(row.get("checked_by", ())), row.get("unseen", ""), row.get("unchecked", ""),
        )
        for row in rows
    )  # fmt: skip


def coverage(rule_outcomes: Counter[tuple[str, str]], step_outcomes: Counter[tuple[str, str]]) -> list[Covered]:
    """What became of each requirement; the counters say how often a rule or step had which outcome, over all UEs."""
    states: dict[str, set[str]] = {}
    for name, outcome in [*rule_outcomes, *step_outcomes]:
        states.setdefault(name, set()).add(OUTCOMES.get(outcome, NOT_EXERCISED))
    return [_covered(one, states) for one in requirements()]


def _covered(requirement: Requirement, states: dict[str, set[str]]) -> Covered:
    if not requirement.checked_by:
        return Covered(requirement, INVISIBLE if requirement.unseen else UNCHECKED, ())
    names = {check: states.get(check.rpartition(":")[2], set()) for check in requirement.checked_by}
    state = next((one for one in STATES if any(one in found for found in names.values())), NOT_EXERCISED)
    return Covered(requirement, state, tuple(name for name, found in names.items() if state in found))


def counted(covered: Iterable[Covered]) -> Counter[str]:
    """How many requirements are in each state."""
    return Counter(one.state for one in covered)


def summary(covered: list[Covered]) -> str:
    """In one line."""
    counts = counted(covered)
    told = ", ".join(f"{counts[state]} {state}" for state in (*STATES, UNCHECKED, INVISIBLE) if counts[state])
    return f"{len(covered)} requirements: {told}"


def table() -> str:
    """Every requirement with what checks it, or why nothing can; a line each, and the totals at the end."""
    rows = requirements()
    lines = []
    for one in rows:
        head = f"{one.ident:<6} {one.clause}: {one.text}" + (f" ({one.level})" if one.level else "")
        what = f"checked by {', '.join(one.checked_by)}"
        if not one.checked_by:
            what = f"not visible: {one.unseen}" if one.unseen else f"not checked: {one.unchecked}"
        lines.append(f"{head}\n       {what}\n")
    visible = [one for one in rows if not one.unseen]
    checked = [one for one in visible if one.checked_by]
    lines.append(
        f"\n{len(rows)} requirements: {len(visible)} visible on the wire, {len(checked)} of them checked;"
        f" {len(rows) - len(visible)} not visible\n"
    )
    return "".join(lines)
