# SPDX-License-Identifier: GPL-2.0-or-later
"""Problems in words: every report tells the same of them, each in its own form."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from mn_dsmip.check.flow.elements import NOWHERE
from mn_dsmip.check.flow.language import Flow, Step
from mn_dsmip.check.flow.match import Difference, Outcome, StepResult
from mn_dsmip.check.report.source import Source
from mn_dsmip.check.rules.rule import Check, Rule
from mn_dsmip.check.verdict import Problem, Record


class Detail(NamedTuple):
    """One field that is not as it should be."""

    field: str
    expected: str
    actual: str
    clause: str

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}; actual {self.actual}"


@dataclass(frozen=True)
class Finding:
    """One problem, ready to be told."""

    ident: str  # of the rule; "step:" and the name of the step
    severity: str
    subject: str  # "step registration", "rule I4 (a binding is granted for no longer than asked)"
    about: str  # the message it is about, or what is missing
    clause: str
    file: str = ""  # of the flow, for a step
    line: int = 0
    frame: int | None = None  # of the message it is about
    time: float | None = None  # of that message, seconds since the first packet
    message: str = ""  # its kind
    details: tuple[Detail, ...] = ()
    nearest: str = ""  # the nearest candidate for a missing message, and what differs
    nearest_frame: int | None = None
    after: int | None = None  # a missing message was expected after this frame
    why: str = ""
    alike: tuple[int, ...] = field(default_factory=tuple)  # frames of which the same is to be told
    look: str = ""  # a command that shows the frame

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}" if self.file else ""

    @property
    def clauses(self) -> str:
        """Those of the fields, else that of the step."""
        return ", ".join(dict.fromkeys(one.clause for one in self.details)) or self.clause

    @property
    def in_place(self) -> str:
        """In one line, where one sees which message it is about."""
        told = "; ".join(map(str, self.details)) or self.about
        return f"{self.subject}: {told} ({self.clauses})"

    @property
    def sentence(self) -> str:
        """All in one line."""
        told = "; ".join(map(str, self.details)) or (f"nearest candidate: {self.nearest}" if self.nearest else "")
        return f"{self.subject}: {self.about}" + (f": {told}" if told else "")


def findings(record: Record, flow: Flow, source: Source) -> list[Finding]:
    """Every problem of one session, the worst first, each kind in the order of the frames."""
    return [_finding(one, flow, source) for one in record.problems]


def folded(found: Iterable[Finding]) -> list[Finding]:
    """Each rule and field only once, with the frames of the others."""
    first: dict[object, Finding] = {}
    for one in found:
        fields = tuple(detail.field for detail in one.details)
        key = (one.ident, fields) if not one.ident.startswith("step:") else len(first)
        if key in first and one.frame is not None:
            first[key] = replace(first[key], alike=(*first[key].alike, one.frame))
        else:
            first.setdefault(key, one)
    return list(first.values())


def _finding(problem: Problem, flow: Flow, source: Source) -> Finding:
    if problem.step is not None:
        found = _of_step(problem.step, problem, flow, source)
    else:
        assert problem.rule is not None and problem.check is not None
        found = _of_rule(problem.rule, problem.check, source)
    message = problem.message
    shown = message.frame if message else found.nearest_frame
    return replace(
        found,
        severity=problem.severity,
        frame=message.frame if message else None,
        time=source.at(message) if message else None,
        message=message.kind if message else "",
        look=source.tshark(shown) if shown else "",
    )


def _of_rule(rule: Rule, check: Check, source: Source) -> Finding:
    detail = Detail(check.field, check.expected, check.actual, rule.clause)
    subject, about = f"rule {rule.ident} ({rule.title})", source.name(check.message)
    return Finding(rule.ident, "", subject, about, rule.clause, details=(detail,), why=rule.explanation)


def _of_step(result: StepResult, problem: Problem, flow: Flow, source: Source) -> Finding:
    step, message = result.step, result.message
    file, line = _short(flow.file if step.file == NOWHERE else step.file), step.line
    ident = f"step:{step.name}"
    if result.outcome is Outcome.FORBIDDEN:
        about = f"this must not be seen, but there is {source.name(message)}"
        return Finding(ident, "", step.name, about, step.clause, file, line)
    subject = f"step {step.name}"
    if result.outcome is Outcome.MISSING and isinstance(step, Step):
        after = f" after frame {problem.frame}" if problem.frame else ""
        about = f"missing; expected {wanted(step)}{after}"
        near = result.nearest.frame if result.nearest else None
        found = Finding(ident, "", subject, about, step.clause, file, line, after=problem.frame)
        return replace(found, nearest=_nearest(result, source), nearest_frame=near)
    details = tuple(
        Detail(one.condition.field, one.expected, one.actual, one.clause)
        for one in result.differences
        if not one.unseen and one.severity == problem.severity
    )
    return Finding(ident, "", subject, source.name(message), step.clause, file, line, details=details)


def _short(file: Path) -> str:
    """Relative to where one stands, when it lies below."""
    whole = Path(os.path.normpath(Path.cwd() / file))
    return str(whole.relative_to(Path.cwd()) if Path.cwd() in whole.parents else file)


def _nearest(result: StepResult, source: Source) -> str:
    if result.nearest is None:
        return "there is none in the capture"
    why = "; ".join(map(_unlike, result.nearest_differences))
    return f"{source.name(result.nearest)}, but {why or 'it comes at the wrong place'}"


def _unlike(one: Difference) -> str:
    if one.condition.field == "step":
        return f"that is step {one.actual}"
    return f"{one.condition.field} is {one.actual} instead of {one.expected}"


def wanted(step: Step) -> str:
    """What a step looks for."""
    ends = f" from {step.sender}" * bool(step.sender) + f" to {step.receiver}" * bool(step.receiver)
    where = ", ".join(f"{one.field} {one.expected}" for one in step.where)
    return f"{step.message}{ends}" + (f" ({where})" if where else "")
