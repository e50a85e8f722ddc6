# SPDX-License-Identifier: GPL-2.0-or-later
"""From sessions to a verdict: each against the flow and all rules, and what that amounts to.

fail: a step is missing or different, something forbidden was seen, or a rule is violated. inconclusive: nothing of
that, but a mandatory step or rule could not be judged. Warnings and notes do not count. A capture in which nothing of
the flow is found fails.

A `Judgement` holds a whole session. A `Record` is what reports need of it, and holds only messages that something is
to be told about: a capture may have thousands of sessions.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from mn_dsmip.check.flow.language import Flow, Step
from mn_dsmip.check.flow.match import Match, Outcome, StepResult, match
from mn_dsmip.check.model import Message
from mn_dsmip.check.rules.coverage import Covered, coverage
from mn_dsmip.check.rules.rule import Check, Rule, RuleResult, judge
from mn_dsmip.check.separate import separate
from mn_dsmip.check.session import Session

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"
SEVERITIES = ("violation", "warning", "note")
EVERY = sys.maxsize
FAILING = (Outcome.DIFFERENT, Outcome.MISSING, Outcome.FORBIDDEN)


@dataclass(frozen=True)
class Problem:
    """One thing to tell: `frame` is where it shows, for a missing message that after which it was expected."""

    frame: int
    severity: str
    step: StepResult | None = None
    rule: Rule | None = None
    check: Check | None = None

    @property
    def message(self) -> Message | None:
        if self.step is not None:
            return self.step.message
        return self.check.message if self.check else None


@dataclass(frozen=True)
class Unseen:
    """A step or rule that could not be judged, and why."""

    kind: str  # "step" or "rule"
    name: str
    reason: str


@dataclass(frozen=True)
class StepLine:
    """What became of a step, without its message."""

    name: str
    line: int
    outcome: str
    frame: int | None


@dataclass(frozen=True)
class RuleLine:
    """What became of a rule, without what it looked at."""

    ident: str
    outcome: str
    checked: int


@dataclass(frozen=True)
class Record:
    """One session judged, as reports need it; `steps` and `rules` are left out of a session that is only counted."""

    number: int
    title: str
    verdict: str
    care_of: str
    home_agent: str
    home_addresses: tuple[str, ...]
    home_prefixes: tuple[str, ...]
    messages: int
    frames: tuple[int, int]
    steps_done: int
    steps_asked: int
    problems: tuple[Problem, ...]
    unseen: tuple[Unseen, ...]
    steps: tuple[StepLine, ...] = ()
    rules: tuple[RuleLine, ...] = ()
    repeats: tuple[tuple[int, int], ...] = ()
    unasked: tuple[tuple[int, str], ...] = ()
    abandoned: tuple[int, ...] = ()
    judgement: Judgement | None = None  # with all messages, for reports that show them

    def count(self, severity: str) -> int:
        return sum(one.severity == severity for one in self.problems)


@dataclass(frozen=True)
class Judgement:
    """One session judged, with everything in it."""

    session: Session
    match: Match
    rules: tuple[RuleResult, ...]

    @cached_property
    def problems(self) -> list[Problem]:
        """Violations, warnings and notes, each kind in the order of the frames; a step stands before a rule."""
        found = list(self._step_problems()) + [
            Problem(one.message.frame if one.message else 0, result.rule.severity, rule=result.rule, check=one)
            for result in self.rules
            for one in result.findings
        ]
        return sorted(found, key=lambda one: (SEVERITIES.index(one.severity), one.frame, one.step is None))

    def _step_problems(self) -> list[Problem]:
        found, last = [], 0
        for result in self.match.results:
            here = result.message.frame if result.message else last
            if result.outcome in FAILING:
                found.append(Problem(here, "violation", step=result))
            elif result.differences:
                told = {one.severity for one in result.differences if not one.unseen}
                found += [Problem(here, severity, step=result) for severity in ("warning", "note") if severity in told]
            last = max(last, here)
        return found

    @property
    def unseen_steps(self) -> list[StepResult]:
        return [one for one in self.match.results if one.outcome is Outcome.UNSEEN]

    @property
    def unseen_rules(self) -> list[RuleResult]:
        return [one for one in self.rules if one.outcome == "unseen" and one.rule.severity == "violation"]

    @property
    def verdict(self) -> str:
        if any(one.severity == "violation" for one in self.problems):
            return FAIL
        return INCONCLUSIVE if self.unseen_steps or self.unseen_rules else PASS

    @property
    def steps_done(self) -> int:
        return sum(one.outcome is Outcome.MATCHED for one in self.match.results)

    @property
    def steps_asked(self) -> int:
        counted = (one for one in self.match.results if isinstance(one.step, Step))
        return sum(one.outcome is not Outcome.SKIPPED for one in counted)

    @property
    def found(self) -> bool:
        """Whether anything of the flow was found: a flow of optional steps would else pass on any capture."""
        return any(one.message is not None for one in self.match.results if isinstance(one.step, Step))

    def record(self, *, detail: bool = True, keep: bool = False) -> Record:
        """What reports need; `detail` lists every step and rule, `keep` keeps the session itself."""
        session, frames = self.session, [one.frame for one in self.session.messages]
        return Record(
            number=session.number,
            title=session.title,
            verdict=self.verdict,
            care_of=session.care_of,
            home_agent=session.home_agent,
            home_addresses=tuple(sorted(session.home_addresses)),
            home_prefixes=tuple(session.home_prefixes),
            messages=len(frames) + sum(session.left_out.values()),
            frames=(min(frames, default=0), max(frames, default=0)),
            steps_done=self.steps_done,
            steps_asked=self.steps_asked,
            problems=tuple(self.problems),
            unseen=tuple(_unseen(self)),
            abandoned=tuple(one.frame for one in session.abandoned),
            repeats=tuple((one.frame, other.frame) for one, other in self.match.repeats) if detail else (),
            unasked=tuple((one.frame, one.kind) for one in self.match.unasked) if detail else (),
            steps=tuple(_step_line(one) for one in self.match.results) if detail else (),
            rules=tuple(RuleLine(one.rule.ident, one.outcome, one.checked) for one in self.rules) if detail else (),
            judgement=self if keep else None,
        )


def _step_line(result: StepResult) -> StepLine:
    frame = result.message.frame if result.message else None
    return StepLine(result.step.name, result.step.line, result.outcome.value, frame)


def _unseen(judgement: Judgement) -> Iterable[Unseen]:
    for result in judgement.unseen_steps:
        told = [one.unseen for one in result.differences if one.unseen]
        yield Unseen("step", result.step.name, result.reason or "; ".join(dict.fromkeys(told)))
    for one in judgement.unseen_rules:
        yield Unseen("rule", one.rule.ident, one.unseen)


@dataclass
class Verdict:
    """A whole capture judged, session by session as they end.

    Every step and rule is listed of sessions that do not pass, and of the first `detail` that do; of each verdict the
    first `keep` sessions stay with all their messages.
    """

    flow: Flow
    detail: int = EVERY
    keep: int = 0
    records: list[Record] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    step_outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)  # by name and outcome
    rule_outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)  # by ident and outcome
    found: bool = False

    def add(self, judgement: Judgement) -> Record:
        """Take one session in; it may be forgotten afterwards."""
        verdict = judgement.verdict
        kept = self.counts[verdict] < self.keep
        self.counts[verdict] += 1
        self.found |= judgement.found
        self.step_outcomes.update((one.step.name, one.outcome.value) for one in judgement.match.results)
        self.rule_outcomes.update((one.rule.ident, one.outcome) for one in judgement.rules)
        record = judgement.record(detail=verdict != PASS or self.counts[PASS] <= self.detail, keep=kept)
        self.records.append(record)
        return record

    @property
    def judgements(self) -> list[Judgement]:
        """The sessions that were kept."""
        return [one.judgement for one in self.records if one.judgement is not None]

    @property
    def verdict(self) -> str:
        """The worst of all sessions; a capture in which nothing of the flow is found fails."""
        if self.counts[FAIL] or not self.found:
            return FAIL
        return INCONCLUSIVE if self.counts[INCONCLUSIVE] else PASS

    @property
    def covered(self) -> list[Covered]:
        """What became of each requirement of the standards."""
        return coverage(self.rule_outcomes, self.step_outcomes)


def judge_session(session: Session, flow: Flow, rules: tuple[Rule, ...]) -> Judgement:
    """Judge one session that has ended; a flow may leave out rules that its scenario is meant to break."""
    asked = (rule for rule in rules if rule.ident not in flow.without_rules)
    return Judgement(session, match(session, flow), tuple(judge(rule, session) for rule in asked))


def judge_all(messages: list[Message], flow: Flow, rules: tuple[Rule, ...]) -> Verdict:
    """Judge every session of a trace that is in memory, and keep them all."""
    verdict = Verdict(flow, keep=len(messages))
    for session in separate(messages):
        verdict.add(judge_session(session, flow, rules))
    return verdict
