# SPDX-License-Identifier: GPL-2.0-or-later
"""Say what is different about a message, and which one comes nearest to a step that is missing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mn_dsmip.check.flow.compare import Truth, compare
from mn_dsmip.check.flow.elements import Condition, Duration, show
from mn_dsmip.check.flow.look import Look
from mn_dsmip.check.flow.plan import PlanStep, Ready, resolve
from mn_dsmip.check.flow.results import Difference, StepResult
from mn_dsmip.check.model import Message, Value

MAX_CANDIDATES = 500  # for a missing message; those around its place
CLOCK = 2e-6  # seconds; two time stamps of a capture, each to a microsecond


@dataclass(frozen=True)
class Absent(StepResult):
    """A step whose message was not found, with what was known there."""

    wanted: PlanStep | None = None
    place: int = 0
    variables: Mapping[str, Value] = field(default_factory=dict)


def differences(
    conditions: tuple[Ready, ...], message: Message, variables: Mapping[str, Value], clause: str
) -> Iterator[Difference]:
    """Each condition that does not hold, or cannot be judged."""
    for one in conditions:
        actual = one.value(message)
        unseen = message.hidden if actual is None else ""
        wrong = False
        if not unseen:
            for test in one.constant:
                if not test(actual):
                    wrong = True
        for operator, wanted in one.variable:
            value = resolve(wanted, variables)
            if value is None:
                unseen = unseen or f"{show(wanted)} was not seen"
            else:
                wrong = wrong or (not unseen and compare(operator, actual, value) is Truth.NO)
        if unseen or wrong:
            condition = one.condition
            because = condition.clause or clause
            yield Difference(condition, _expected(one, variables), show(actual), because, condition.severity, unseen)


def _expected(one: Ready, variables: Mapping[str, Value]) -> str:
    """What is expected, with the values of variables."""
    text = one.condition.expected
    for _, wanted in one.variable:
        value = resolve(wanted, variables)
        if value is not None:
            text = text.replace(show(wanted), f"{show(value)} ({show(wanted)})", 1)
    return text


def time_difference(
    step: PlanStep, message: Message, before: Message | None, missing: bool, variables: Mapping[str, Value]
) -> Difference | None:
    """Whether a message comes at its time after another one; where that was not to be seen it has no bound."""
    bound = step.time
    if bound is None or (before is None and not missing):
        return None
    condition = Condition("time", (), bound.line, bound.clause, bound.severity)
    told = (condition, bound.expected)
    because = bound.clause or step.step.clause
    if before is None:
        return Difference(*told, "nothing", because, bound.severity, f"{bound.after} was not seen")
    took = message.time - before.time
    for limit, sign in ((bound.within, 1), (bound.at_least, -1)):
        seconds = _seconds(limit, variables) if limit else None
        if limit and seconds is None:
            return Difference(*told, "nothing", because, bound.severity, f"${limit.variable} was not seen")
        if seconds is not None and sign * (took - seconds) > CLOCK:
            return Difference(*told, f"{took:.6g} s after it", because, bound.severity)
    return None


def _seconds(duration: Duration, variables: Mapping[str, Value]) -> float | None:
    if not duration.variable:
        return duration.seconds
    value = variables.get(duration.variable)
    return value * duration.seconds if isinstance(value, int) else None


def nearest(absent: Absent, look: Look, taken: Mapping[int, str]) -> tuple[Message | None, tuple[Difference, ...]]:
    """The message of the step's kind that differs from it least, rather one that no step has taken."""
    step = absent.wanted
    assert step is not None
    best: tuple[tuple[bool, int, int], int] | None = None
    for place in _around(look.by_kind.get(step.kind, []), absent.place):
        message = look.messages[place]
        score = 2 * (not look.plays(step.sender, message.source)) + 2 * (
            not look.plays(step.receiver, message.destination)
        )
        score += sum(one.holds(message, absent.variables) is Truth.NO for one in step.where)
        rank = (bool(look.used[place]), score, abs(place - absent.place))
        if best is None or rank < best[0]:
            best = rank, place
    if best is None:
        return None, ()
    message = look.messages[best[1]]
    return message, tuple(_what_differs(step, message, look, absent, taken.get(message.frame, "")))


def _around(places: list[int], place: int) -> list[int]:
    """Those that lie nearest to a place."""
    middle = bisect_left(places, place)
    return places[max(0, middle - MAX_CANDIDATES // 2) : middle + MAX_CANDIDATES // 2]


def _what_differs(step: PlanStep, message: Message, look: Look, absent: Absent, taken: str) -> Iterator[Difference]:
    line, clause = step.step.line, step.step.clause
    for key, role, address in (("from", step.sender, message.source), ("to", step.receiver, message.destination)):
        if not look.plays(role, address):
            known = look.address_of(role)
            expected = f"{role} ({show(known)})" if known is not None else role
            yield Difference(Condition(key, (("is", role),), line), expected, address, clause, "violation")
    for one in differences(step.where, message, absent.variables, clause):
        if not one.unseen:
            yield one
    if taken:
        condition = Condition("step", (("is", step.step.name),), line)
        yield Difference(condition, step.step.name, taken, clause, "violation")
