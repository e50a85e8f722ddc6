# SPDX-License-Identifier: GPL-2.0-or-later
"""From messages to a verdict: each session against the flow and all rules, and what that amounts to.

fail: a step is missing or different, something forbidden was seen, or a rule is violated. inconclusive: nothing of
that, but a mandatory step or rule could not be judged. Warnings and notes do not count. A capture in which nothing of
the flow is found fails.
"""

from __future__ import annotations

from dataclasses import dataclass

from mn_dsmip.check.flow.language import Flow, Step
from mn_dsmip.check.flow.match import Match, Outcome, StepResult, match
from mn_dsmip.check.model import Message
from mn_dsmip.check.rules.rule import Check, Rule, RuleResult, judge
from mn_dsmip.check.separate import separate
from mn_dsmip.check.session import Session

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"
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
class Judgement:
    """One session judged."""

    session: Session
    match: Match
    rules: tuple[RuleResult, ...]

    @property
    def problems(self) -> list[Problem]:
        """Violations, warnings and notes, each kind in the order of the frames; a step stands before a rule."""
        found = list(self._step_problems()) + [
            Problem(one.message.frame if one.message else 0, result.rule.severity, rule=result.rule, check=one)
            for result in self.rules
            for one in result.findings
        ]
        order = ("violation", "warning", "note")
        return sorted(found, key=lambda one: (order.index(one.severity), one.frame, one.step is None))

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


@dataclass(frozen=True)
class Verdict:
    """A whole capture judged."""

    flow: Flow
    judgements: tuple[Judgement, ...]

    @property
    def verdict(self) -> str:
        """The worst of all sessions; a capture without any fails."""
        verdicts = {one.verdict for one in self.judgements}
        if not verdicts or FAIL in verdicts:
            return FAIL
        return INCONCLUSIVE if INCONCLUSIVE in verdicts else PASS


def judge_all(messages: list[Message], flow: Flow, rules: tuple[Rule, ...]) -> Verdict:
    """Judge every session of a trace."""
    sessions = separate(messages)
    return Verdict(
        flow,
        tuple(Judgement(one, match(one, flow), tuple(judge(rule, one) for rule in rules)) for one in sessions),
    )
