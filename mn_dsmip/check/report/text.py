# SPDX-License-Identifier: GPL-2.0-or-later
"""Tell a verdict: as text for people, the first divergence first, and as JSON (version 1)."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mn_dsmip
from mn_dsmip.check.flow.language import Prohibition, Step
from mn_dsmip.check.flow.match import Difference, Outcome, StepResult
from mn_dsmip.check.model import Message
from mn_dsmip.check.verdict import Judgement, Problem, Verdict

VERSION = 1
MARKS = {"pass": "PASS", "fail": "FAIL", "inconclusive": "INCONCLUSIVE"}
COLOURS = {"pass": "\x1b[1;32m", "fail": "\x1b[1;31m", "inconclusive": "\x1b[1;33m"}
PLAIN = "\x1b[0m"
WIDTH = 118  # columns
MAX_ALIKE = 12  # frames
MAX_TOLD = 25  # problems of one kind and UE in the text; the JSON has all
TSHARK_OPTIONS = "-o esp.enable_encryption_decode:TRUE -o ipv6.exthdr_under_root_protocol_tree:TRUE"


@dataclass(frozen=True)
class Source:
    """What was checked, with the paths as the user gave them."""

    capture: Path
    keys: Path | None
    packets: int
    start: float  # time of the first packet, seconds since 1970


def text(verdict: Verdict, source: Source, *, colour: bool = False) -> str:
    """The report for people."""
    return "\n".join(_Text(verdict, source, colour).lines()) + "\n"


class _Text:
    def __init__(self, verdict: Verdict, source: Source, colour: bool) -> None:
        self.verdict = verdict
        self.source = source
        self.colour = colour

    def lines(self) -> Iterator[str]:
        flow = self.verdict.flow
        yield f"{self.mark(self.verdict.verdict)}  {self.source.capture} against the flow {flow.name}"
        if flow.title:
            yield f"      {flow.title}"
        without = "no keys (--keys DIR): what is encrypted cannot be judged"
        keys = f"keys from {self.source.keys}" if self.source.keys else without
        yield f"      {self.source.packets} packets, {keys}"
        if len(self.verdict.judgements) > 1:
            verdicts = [one.verdict for one in self.verdict.judgements]
            counts = ", ".join(f"{verdicts.count(one)} {one}" for one in MARKS if one in verdicts)
            yield f"      {len(verdicts)} UEs: {counts}"
        if not self.verdict.judgements:
            yield ""
            yield "Nothing of the flow was found: no IKEv2 exchange, no mobility signalling."
        for number, judgement in enumerate(self.verdict.judgements, 1):
            yield ""
            yield from self.session(number, judgement)

    def mark(self, verdict: str) -> str:
        word = MARKS[verdict]
        return f"{COLOURS[verdict]}{word}{PLAIN}" if self.colour else word

    def session(self, number: int, judgement: Judgement) -> Iterator[str]:
        yield f"UE {number}: {self.mark(judgement.verdict)}  {judgement.session.title}"
        problems = judgement.problems
        for severity, heading in (("violation", "What is wrong"), ("warning", "Warnings"), ("note", "Notes")):
            mine = [one for one in problems if one.severity == severity]
            if mine:
                yield ""
                yield f"  {heading}" + (", the first divergence first" if severity == "violation" and mine[1:] else "")
            told = _grouped(mine)
            for index, (problem, alike) in enumerate(told[:MAX_TOLD], 1):
                yield from self.problem(index, problem, alike)
            if told[MAX_TOLD:]:
                yield f"  ... and {len(told) - MAX_TOLD} more (all of them with --format json)"
        yield from self.unseen(judgement)
        yield ""
        yield from self.summary(judgement)

    def problem(self, index: int, problem: Problem, alike: list[int]) -> Iterator[str]:
        yield from self.step(index, problem) if problem.step else self.rule(index, problem)
        if alike:
            frames = ", ".join(map(str, alike[:MAX_ALIKE])) + (", ..." if alike[MAX_ALIKE:] else "")
            yield f"     the same in {len(alike)} more: frame {frames}"
        shown = problem.message or (problem.step.nearest if problem.step else None)
        if shown is not None and index == 1 and problem.severity == "violation":
            yield f"     look at it: {self.tshark(shown.frame)}"

    def step(self, index: int, problem: Problem) -> Iterator[str]:
        result = problem.step
        assert result is not None
        step, message = result.step, result.message
        place = f"{self.verdict.flow.file}:{step.line}"
        if result.outcome is Outcome.FORBIDDEN:
            yield f"  {index}. {step.name} ({place}): this must not be seen, but there is {self.name(message)}"
            yield f"     clause: {step.clause}"
        elif result.outcome is Outcome.MISSING and isinstance(step, Step):
            after = f" after frame {problem.frame}" if problem.frame else ""
            yield f"  {index}. step {step.name} ({place}): missing; expected {_wanted(step)}{after}"
            yield f"     clause: {step.clause}"
            yield from self.nearest(result)
        else:
            yield f"  {index}. step {step.name} ({place}): {self.name(message)}"
            for one in result.differences:
                if not one.unseen and one.severity == problem.severity:
                    yield from _difference(one)

    def nearest(self, result: StepResult) -> Iterator[str]:
        if result.nearest is None:
            yield "     nearest candidate: there is none in the capture"
            return
        differences = result.nearest_differences
        why = "; ".join(f"{one.condition.field} is {one.actual} instead of {one.expected}" for one in differences)
        yield f"     nearest candidate: {self.name(result.nearest)}, but {why or 'it comes at the wrong place'}"

    def rule(self, index: int, problem: Problem) -> Iterator[str]:
        rule, one = problem.rule, problem.check
        assert rule is not None and one is not None
        yield f"  {index}. rule {rule.ident} ({rule.title}): {self.name(one.message)}"
        yield f"     {one.field}: expected {one.expected}; actual {one.actual}"
        yield f"     clause: {rule.clause}"
        if problem.severity != "note":
            yield from _wrapped("     why: ", rule.explanation)

    def unseen(self, judgement: Judgement) -> Iterator[str]:
        steps, rules = judgement.unseen_steps, judgement.unseen_rules
        if not steps and not rules:
            return
        yield ""
        yield "  What could not be judged"
        grouped: dict[str, list[str]] = {}
        for result in steps:
            told = [one.unseen for one in result.differences if one.unseen]
            grouped.setdefault(result.reason or "; ".join(dict.fromkeys(told)), []).append(result.step.name)
        for reason, names in grouped.items():
            yield from _wrapped("  - steps ", f"{', '.join(names)}: {reason}")
        grouped = {}
        for one in rules:
            grouped.setdefault(one.unseen, []).append(one.rule.ident)
        for reason, names in grouped.items():
            yield from _wrapped("  - rules ", f"{', '.join(names)}: {reason}")

    def summary(self, judgement: Judgement) -> Iterator[str]:
        outcomes = [one.outcome for one in judgement.rules]
        rules = ", ".join(f"{outcomes.count(kind)} {kind}" for kind in dict.fromkeys(outcomes))
        frames = [one.frame for one in judgement.session.messages]
        yield f"  steps: {judgement.steps_done} of {judgement.steps_asked} as expected; rules: {rules}"
        if frames:
            yield f"  {len(frames)} messages of this UE, frames {min(frames)} to {max(frames)}"
        repeats, unasked = judgement.match.repeats, judgement.match.unasked
        if repeats:
            yield "  repetitions: " + ", ".join(f"frame {one.frame} of {other.frame}" for one, other in repeats[:10])
        if judgement.session.abandoned:
            lost = [one.frame for one in judgement.session.abandoned]
            yield f"  attempts at IKE that led to nothing: {len(lost)} messages, frames {min(lost)} to {max(lost)}"
        if unasked:
            yield "  in no step (allowed): " + ", ".join(f"frame {one.frame} {one.kind}" for one in unasked[:10])

    def name(self, message: Message | None) -> str:
        if message is None:
            return "no message"
        return f"{message.kind} in frame {message.frame} at {message.time - self.source.start:.3f} s"

    def tshark(self, frame: int) -> str:
        keys = f"WIRESHARK_CONFIG_DIR={shlex.quote(str(self.source.keys))} " if self.source.keys else ""
        capture = shlex.quote(str(self.source.capture))
        return f"{keys}tshark -n -r {capture} {TSHARK_OPTIONS} -Y 'frame.number == {frame}' -V"


def _wrapped(start: str, text: str) -> list[str]:
    return textwrap.wrap(start + text, WIDTH, subsequent_indent=" " * len(start), break_on_hyphens=False)


def _grouped(problems: list[Problem]) -> list[tuple[Problem, list[int]]]:
    """Each problem with the frames of later ones of the same rule and field."""
    first: dict[object, tuple[Problem, list[int]]] = {}
    for problem in problems:
        own = problem.rule and problem.check and (problem.rule.ident, problem.check.field)
        if own in first and own is not None:
            first[own][1].append(problem.frame)
        else:
            first[own or len(first)] = (problem, [])
    return list(first.values())


def _wanted(step: Step) -> str:
    ends = f" from {step.sender}" * bool(step.sender) + f" to {step.receiver}" * bool(step.receiver)
    where = ", ".join(f"{one.field} {one.expected}" for one in step.where)
    return f"{step.message}{ends}" + (f" ({where})" if where else "")


def _difference(one: Difference) -> Iterator[str]:
    yield f"     {one.condition.field}: expected {one.expected}; actual {one.actual}"
    yield f"     clause: {one.clause}"


# Any below: JSON is made of whatever json.dumps takes.


def as_json(verdict: Verdict, source: Source) -> dict[str, Any]:
    """Everything, for programs. It holds nothing but what capture, keys and flow say."""
    return {
        "version": VERSION,
        "checker": f"mn-dsmip {mn_dsmip.__version__}",
        "verdict": verdict.verdict,
        "capture": source.capture.name,
        "packets": source.packets,
        "keys": source.keys is not None,
        "flow": verdict.flow.name,
        "sessions": [_session_json(one, source) for one in verdict.judgements],
    }


def _session_json(judgement: Judgement, source: Source) -> dict[str, Any]:
    session = judgement.session
    return {
        "verdict": judgement.verdict,
        "ue": session.title,
        "care_of_address": session.care_of,
        "home_agent": session.home_agent,
        "home_addresses": sorted(session.home_addresses),
        "home_prefixes": session.home_prefixes,
        "findings": [_problem_json(one, source) for one in judgement.problems],
        "unseen": [{"step": one.step.name, "reason": one.reason} for one in judgement.unseen_steps]
        + [{"rule": one.rule.ident, "reason": one.unseen} for one in judgement.unseen_rules],
        "steps": [_step_json(one) for one in judgement.match.results],
        "rules": [{"rule": one.rule.ident, "outcome": one.outcome, "checked": one.checked} for one in judgement.rules],
        "repetitions": [[one.frame, other.frame] for one, other in judgement.match.repeats],
        "in_no_step": [one.frame for one in judgement.match.unasked],
    }


def _step_json(result: StepResult) -> dict[str, Any]:
    return {
        "step": result.step.name,
        "line": result.step.line,
        "outcome": result.outcome.value,
        "frame": result.message.frame if result.message else None,
    }


def _problem_json(problem: Problem, source: Source) -> dict[str, Any]:
    message = problem.message
    found: dict[str, Any] = {
        "severity": problem.severity,
        "frame": message.frame if message else None,
        "time": round(message.time - source.start, 6) if message else None,
        "message": message.kind if message else None,
    }
    if problem.rule is not None and problem.check is not None:
        one = problem.check
        detail = {"field": one.field, "expected": one.expected, "actual": one.actual, "clause": problem.rule.clause}
        return found | {"rule": problem.rule.ident, "title": problem.rule.title, "differences": [detail]}
    result = problem.step
    assert result is not None
    details = [
        {"field": one.condition.field, "expected": one.expected, "actual": one.actual, "clause": one.clause}
        for one in result.differences
        if not one.unseen and one.severity == problem.severity
    ]
    found |= {"step": result.step.name, "line": result.step.line, "outcome": result.outcome.value}
    found |= {"clause": result.step.clause, "differences": details}
    if result.outcome is Outcome.MISSING and not isinstance(result.step, Prohibition):
        found["expected_after_frame"] = problem.frame
        found["nearest_frame"] = result.nearest.frame if result.nearest else None
    return found
