# SPDX-License-Identifier: GPL-2.0-or-later
"""What a rule is: a generator over one session that yields a `Check` for everything it looked at.

    @rule("I4", "RFC 6275 10.3.1", "a binding is granted for no longer than asked", sees="mobility")
    def granted_lifetime(session: Session) -> Iterator[Check]:
        '''Why it matters, for people: this text stands in the report.'''
        ...
        yield check(message, "lifetime", "at most 900", 1000, holds=False)

A rule that yields nothing was not exercised. `sees` names the protected signalling that the rule needs to see: when
some of it is hidden and nothing wrong was found, the rule could not be judged. With `whole`, what it finds counts only
when nothing is hidden: it concludes from what is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

from mn_dsmip.check.flow.language import show
from mn_dsmip.check.model import Message, Value
from mn_dsmip.check.session import Session


@dataclass(frozen=True)
class Check:
    """One thing that a rule looked at: a field of a message, what it must be like and what it is.

    Without a message it says that something could not be judged, and `unseen` why.
    """

    message: Message | None
    field: str = ""
    expected: str = ""
    actual: str = ""
    holds: bool = True
    unseen: str = ""


FINE = Check(None)


def check(message: Message, field: str, expected: Value | None, actual: Value | None, *, holds: bool) -> Check:
    """A check of one field; values are written as the report shows them, of those that hold nothing is kept."""
    return FINE if holds else Check(message, field, show(expected), show(actual), holds)


def unseen(reason: str) -> Check:
    """Something that the rule cannot judge in this capture."""
    return Check(None, unseen=reason)


Checker = Callable[[Session], Iterator[Check]]


@dataclass(frozen=True)
class Rule:
    """A rule with what the report says about it."""

    ident: str
    clause: str
    title: str
    severity: str
    sees: str
    whole: bool
    run: Checker

    @property
    def explanation(self) -> str:
        return " ".join((self.run.__doc__ or "").split())


@dataclass(frozen=True)
class RuleResult:
    """What a rule found in one session."""

    rule: Rule
    checked: int
    findings: tuple[Check, ...]
    unseen: str

    @property
    def outcome(self) -> str:
        if self.findings:
            return {"violation": "violated", "warning": "with a warning", "note": "with a note"}[self.rule.severity]
        if self.unseen:
            return "unseen"
        return "passed" if self.checked else "not exercised"


def rule(
    ident: str, clause: str, title: str, *, severity: str = "violation", sees: str = "", whole: bool = False
) -> Callable[[Checker], Rule]:
    """Make a rule of a function; `sees` is "ike", "mobility", both with a space between, or nothing."""
    return lambda run: Rule(ident, clause, title, severity, sees, whole, run)


def rules_of(*modules: ModuleType) -> tuple[Rule, ...]:
    """All rules of some modules in the order in which they are written down."""
    return tuple(value for module in modules for value in vars(module).values() if isinstance(value, Rule))


def judge(rule: Rule, session: Session) -> RuleResult:
    """Run one rule on one session."""
    checks = list(rule.run(session))
    hidden = [session.hidden_ike] if "ike" in rule.sees else []
    hidden += [session.hidden_mobility] if "mobility" in rule.sees else []
    reasons = [one.unseen for one in checks if one.unseen] + [reason for reason in hidden if reason]
    findings = tuple(one for one in checks if not one.holds and not (rule.whole and any(hidden)))
    return RuleResult(rule, sum(not one.unseen for one in checks), findings, "; ".join(dict.fromkeys(reasons)))
