# SPDX-License-Identifier: GPL-2.0-or-later
"""Tell a verdict as Markdown, for the summary of a job or a comment."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mn_dsmip.check.report.findings import Finding, findings, folded
from mn_dsmip.check.report.source import Source, frames, printable
from mn_dsmip.check.report.text import HEADINGS, MAX_TOLD, MAX_UES, NO_KEYS, NOTHING, WORDS
from mn_dsmip.check.verdict import PASS, Record, Verdict

SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "❔"}
MAX_ROWS = 100  # a comment has an end
SPECIAL = re.compile(r"([\\`*_\[\]<>#|~$&@])")


def markdown(verdict: Verdict, source: Source, covered: str = "") -> str:
    """The report in GitHub's Markdown; `covered` says what of the standards was exercised."""
    lines = list(_lines(verdict, source))
    if covered and verdict.found:
        lines += ["", f"Coverage: {escaped(covered)}."]
    return "\n".join(lines) + "\n"


def _lines(verdict: Verdict, source: Source) -> Iterator[str]:
    word = f"{SIGNS[verdict.verdict]} {WORDS[verdict.verdict]}"
    yield f"## {word}: {escaped(source.capture.name)} against {escaped(verdict.flow.name)}"
    yield ""
    yield f"{escaped(verdict.flow.title)}. " * bool(verdict.flow.title) + (
        f"{source.packets} packets judged, " + ("with keys." if source.keys else f"{escaped(NO_KEYS)}.")
    )
    if not verdict.found:
        yield ""
        yield NOTHING
    if verdict.records:
        yield ""
        yield "| UE | verdict | steps | wrong | warnings | who |"
        yield "| ---: | --- | ---: | ---: | ---: | --- |"
        ordered = sorted(verdict.records, key=lambda one: one.verdict == PASS)
        yield from map(_row, ordered[:MAX_ROWS])
        if ordered[MAX_ROWS:]:
            yield ""
            yield f"... and {len(ordered) - MAX_ROWS} more."
    for record in [one for one in verdict.records if one.verdict != PASS or one.problems][:MAX_UES]:
        yield from _ue(record, verdict, source)


def _row(record: Record) -> str:
    cells = (record.number, f"{SIGNS[record.verdict]} {record.verdict}", f"{record.steps_done}/{record.steps_asked}")
    rest = (record.count("violation"), record.count("warning"), escaped(record.title))
    return "| " + " | ".join(map(str, (*cells, *rest))) + " |"


def _ue(record: Record, verdict: Verdict, source: Source) -> Iterator[str]:
    yield ""
    yield f"### UE {record.number}: {escaped(record.title)}"
    found = findings(record, verdict.flow, source)
    for severity, heading in HEADINGS.items():
        told = folded(one for one in found if one.severity == severity)
        if told:
            yield ""
            yield f"**{heading}**"
            yield ""
        for index, one in enumerate(told[:MAX_TOLD], 1):
            yield from _finding(index, one)
        if told[MAX_TOLD:]:
            yield f"\n... and {len(told) - MAX_TOLD} more."
    if record.unseen:
        yield ""
        yield "**What could not be judged**"
        yield ""
        grouped: dict[str, list[str]] = {}
        for unseen in record.unseen:
            grouped.setdefault(unseen.reason, []).append(f"{unseen.kind} {unseen.name}")
        for reason, names in grouped.items():
            yield f"- {escaped(', '.join(names))}: {escaped(reason)}"


def _finding(index: int, one: Finding) -> Iterator[str]:
    place = f" ({escaped(one.place)})" if one.place else ""
    yield f"{index}. **{escaped(one.subject)}**{place}: {escaped(one.about)}"
    for detail in one.details:
        yield f"   - {escaped(detail.field)}: expected {escaped(detail.expected)}; actual **{escaped(detail.actual)}**"
    yield f"   - clause: {escaped(one.clauses)}"
    if one.nearest:
        yield f"   - nearest candidate: {escaped(one.nearest)}"
    if one.why:
        yield f"   - why: {escaped(one.why)}"
    if one.alike:
        yield f"   - the same in {len(one.alike)} more: frame {frames(list(one.alike))}"
    if one.look:
        yield f"   - look at it: {_code(one.look)}"


def _code(text: str) -> str:
    """As a span of code, fenced by more backticks than it holds."""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    return f"{fence} {printable(' '.join(text.split()))} {fence}"


def escaped(text: str) -> str:
    """Text that stays text: in one line, no markup of its own, no mention of anybody."""
    return SPECIAL.sub(r"\\\1", printable(" ".join(text.split())))
