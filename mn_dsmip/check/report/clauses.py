# SPDX-License-Identifier: GPL-2.0-or-later
"""Which clauses of the standards a capture exercised, by the steps and rules that cite them, and how that went."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mn_dsmip.check.flow.language import Flow, every_step
from mn_dsmip.check.rules.rule import Rule
from mn_dsmip.check.verdict import Verdict

FAILED, PASSED, UNSEEN, NOT_EXERCISED = "failed", "passed", "not seen", "not exercised"
STATES = (FAILED, PASSED, UNSEEN, NOT_EXERCISED)  # the first one found is that of a clause
OUTCOMES = {
    "violated": FAILED,
    "different": FAILED,
    "missing": FAILED,
    "forbidden": FAILED,
    "with a warning": PASSED,
    "with a note": PASSED,
    "passed": PASSED,
    "matched": PASSED,
    "unseen": UNSEEN,
    "not exercised": NOT_EXERCISED,
    "skipped": NOT_EXERCISED,
}
MOST_NAMED = 8
CITED = re.compile(r"(?P<document>(?:RFC|TS) \d+(?:\.\d+)?)|(?P<section>\b(?:[A-Z]\.)?\d+(?:\.\d+)*\b|\bAnnex [A-Z]\b)")
NO_SECTION = re.compile(r"\b(?:step|item|table|type|option|status|figure) \d[\w.-]*", re.IGNORECASE)


@dataclass
class Clause:
    """One section of one document, with the steps and rules that cite it, each with its state."""

    document: str
    section: str
    checks: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> str:
        return next((one for one in STATES if one in self.checks.values()), NOT_EXERCISED)


def cited(text: str) -> list[tuple[str, str]]:
    """The documents and sections that a clause names; what follows a colon is a remark."""
    found, document, bare = [], "", ""
    for one in CITED.finditer(NO_SECTION.sub("", text.partition(": ")[0])):
        if one["document"]:
            found += [(bare, "")] if bare else []
            document = bare = one["document"]
        elif document:
            found.append((document, one["section"]))
            bare = ""
    return found + ([(bare, "")] if bare else [])


def clauses(verdict: Verdict, rules: Iterable[Rule]) -> list[Clause]:
    """Every clause that the flow and the rules cite, in the order of documents and sections."""
    found: dict[tuple[str, str], Clause] = {}
    for text, name, state in [*_steps(verdict), *_rules(verdict, rules)]:
        for document, section in cited(text):
            checks = found.setdefault((document, section), Clause(document, section)).checks
            checks[name] = min(state, checks.get(name, state), key=STATES.index)
    return sorted(found.values(), key=lambda one: (_order(one.document), _order(one.section)))


def listed(flows: Iterable[Flow], rules: Iterable[Rule]) -> str:
    """Every clause that is cited by any of these flows or by a rule, a line each: a table that needs no capture."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for rule in rules:
        for where in cited(rule.clause):
            found.setdefault(where, {})[f"rule {rule.ident}"] = None
    for flow in flows:
        for text, name, _ in _steps(Verdict(flow)):
            for where in cited(text):
                found.setdefault(where, {})[f"{flow.name}: {name.partition(':')[0]}"] = None
    lines = [
        f"{document:<10}  {section:<11}  {', '.join(checks)}"
        for (document, section), checks in sorted(found.items(), key=lambda one: (_order(one[0][0]), _order(one[0][1])))
    ]
    return "".join(f"{line}\n" for line in lines)


def counted(found: Iterable[Clause]) -> Counter[str]:
    """How many clauses are in each state."""
    return Counter(one.state for one in found)


def summary(found: list[Clause]) -> str:
    """In one line; the failed ones by name."""
    counts = counted(found)
    told = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    failed = [f"{one.document} {one.section}".strip() for one in found if one.state == FAILED]
    more = ", ..." if failed[MOST_NAMED:] else ""
    return f"{len(found)} clauses cited: {told}" + (f" ({', '.join(failed[:MOST_NAMED])}{more})" if failed else "")


def _rules(verdict: Verdict, rules: Iterable[Rule]) -> Iterator[tuple[str, str, str]]:
    states = _states(verdict.rule_outcomes)
    for rule in rules:
        if rule.ident not in verdict.flow.without_rules:
            yield rule.clause, f"rule {rule.ident}", states.get(rule.ident, NOT_EXERCISED)


def _steps(verdict: Verdict) -> Iterator[tuple[str, str, str]]:
    """A step found cites its clause and those of its fields; of one that differs, those fields failed that do."""
    states = _states(verdict.step_outcomes)
    wrong = {
        (problem.step.step.name, one.condition.field)
        for record in verdict.records
        for problem in record.problems
        if problem.step is not None and problem.severity == "violation"
        for one in problem.step.differences
        if not one.unseen
    }
    for step in every_step(verdict.flow.steps):
        state = states.get(step.name, NOT_EXERCISED)
        different = any(name == step.name for name, _ in wrong)
        yield step.clause, f"step {step.name}", PASSED if different else state
        for condition in step.expect:
            own = FAILED if (step.name, condition.field) in wrong else PASSED if different else state
            yield condition.clause or step.clause, f"step {step.name}: {condition.field}", own
    for never in verdict.flow.forbidden:
        unexercised = PASSED if verdict.found else NOT_EXERCISED
        yield never.clause, f"never {never.name}", states.get(never.name, unexercised)


def _states(outcomes: Counter[tuple[str, str]]) -> dict[str, str]:
    """The state of each step or rule over all UEs."""
    found: dict[str, str] = {}
    for name, outcome in outcomes:
        found[name] = min(OUTCOMES[outcome], found.get(name, NOT_EXERCISED), key=STATES.index)
    return found


def _order(text: str) -> list[tuple[int, str]]:
    return [(int(one), "") if one.isdigit() else (sys.maxsize, one) for one in re.findall(r"\d+|[^\d.\s]+", text)]
