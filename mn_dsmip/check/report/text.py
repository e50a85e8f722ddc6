# SPDX-License-Identifier: GPL-2.0-or-later
"""Tell a verdict as text for people: what is wrong first, then what each UE did."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from mn_dsmip.check.report.findings import Finding, findings, folded
from mn_dsmip.check.report.source import Source, frames, printable
from mn_dsmip.check.verdict import PASS, Record, Verdict

WORDS = {"pass": "PASS", "fail": "FAIL", "inconclusive": "INCONCLUSIVE"}
HEADINGS = {"violation": "What is wrong", "warning": "Warnings", "note": "Notes"}
NOTHING = "Nothing of the flow was found in the capture: none of its steps was seen."
NO_KEYS = "no keys (--keys DIR): what is encrypted cannot be judged"
WIDTH = 118  # columns of a report that goes into a file
NARROWEST = 40
MAX_TOLD = 25  # problems of one kind and UE; the other formats have all
MAX_UES = 20  # told in detail
GREEN, RED, YELLOW, BOLD, CYAN, DIM = "1;32", "1;31", "1;33", "1", "36", "2"
COLOURS = {"pass": GREEN, "fail": RED, "inconclusive": YELLOW, "violation": RED, "warning": YELLOW, "note": BOLD}
MARKS = {"matched": "ok", "different": "DIFFERENT", "missing": "MISSING", "unseen": "unseen", "forbidden": "FORBIDDEN"}


@dataclass(frozen=True)
class Style:
    """How to write: with colours or without, and how wide; 0 columns: a file, in which only prose is wrapped."""

    colour: bool = False
    columns: int = 0

    def paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def wrap(self, start: str, text: str, *, prose: bool = False) -> list[str]:
        """Lines of at most the width, under the end of `start`; the first has it in front."""
        start, text = printable(start), printable(text)
        width = max(self.columns, NARROWEST) if self.columns else WIDTH
        if not self.columns and not prose:
            return [start + text]
        indent = " " * min(len(start), 7)
        return textwrap.wrap(
            start + text, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
        )


def text(verdict: Verdict, source: Source, style: Style | None = None, covered: str = "") -> str:
    """The report for people; `covered` says what of the standards was exercised."""
    style = style or Style()
    lines = list(_Text(verdict, source, style).lines())
    if covered and verdict.found:
        lines += ["", *style.wrap("Coverage: ", covered)]
    return "\n".join(lines) + "\n"


class _Text:
    def __init__(self, verdict: Verdict, source: Source, style: Style) -> None:
        self.verdict, self.source, self.style = verdict, source, style

    def lines(self) -> Iterator[str]:
        yield from self.head()
        if not self.verdict.found:
            yield ""
            yield from self.style.wrap("", NOTHING)
        records = self.verdict.records
        failing = [one for one in records if one.verdict != PASS]
        failing.sort(key=lambda one: one.verdict != "fail")
        told = records if len(records) == 1 else failing[:MAX_UES]
        for record in told:
            yield ""
            yield from self.ue(record, steps=len(failing) == 1 and record.verdict != PASS)
        if failing[MAX_UES:]:
            yield ""
            yield f"... and {len(failing) - MAX_UES} more UEs that do not pass (--format json tells of all)"
        if len(records) > 1:
            yield ""
            yield from self.table()

    def head(self) -> Iterator[str]:
        verdict, source, flow = self.verdict, self.source, self.verdict.flow
        word = WORDS[verdict.verdict]
        lines = self.style.wrap(f"{word}  ", f"{source.capture} against the flow {flow.name}")
        yield self.style.paint(COLOURS[verdict.verdict], word) + lines[0][len(word) :]
        yield from lines[1:]
        keys = f"keys from {source.keys}" if source.keys else NO_KEYS
        told = [flow.title, f"{source.packets} packets judged, {keys}"]
        if len(verdict.records) > 1:
            counts = ", ".join(f"{verdict.counts[one]} {one}" for one in WORDS if verdict.counts[one])
            told.append(f"{len(verdict.records)} UEs: {counts}")
        told += [f"leaves out the rule {ident}: {why}" for ident, why in flow.without_rules.items()]
        for one in filter(None, told):
            yield from self.style.wrap("      ", one)

    def ue(self, record: Record, *, steps: bool) -> Iterator[str]:
        word = WORDS[record.verdict]
        lines = self.style.wrap(f"UE {record.number}: ", f"{word}  {record.title}")
        yield lines[0].replace(word, self.style.paint(COLOURS[record.verdict], word), 1)
        yield from lines[1:]
        found = findings(record, self.verdict.flow, self.source)
        for severity in HEADINGS:
            yield from self.problems(severity, [one for one in found if one.severity == severity])
        yield from self.unseen(record)
        if steps:
            yield from self.steps(record)
        yield ""
        yield from self.summary(record)

    # -- problems

    def problems(self, severity: str, mine: list[Finding]) -> Iterator[str]:
        if not mine:
            return
        yield ""
        order = ", the first divergence first" if severity == "violation" and mine[1:] else ""
        yield "  " + self.style.paint(COLOURS[severity], HEADINGS[severity]) + order
        told = folded(mine)
        for index, one in enumerate(told[:MAX_TOLD], 1):
            yield from self.problem(index, one, look=index == 1 and severity == "violation")
        if told[MAX_TOLD:]:
            yield f"  ... and {len(told) - MAX_TOLD} more (all of them with --format json)"

    def problem(self, index: int, one: Finding, *, look: bool) -> Iterator[str]:
        place = f" ({one.place})" if one.place else ""
        lines = self.style.wrap(f"  {index}. ", f"{one.subject}{place}: {one.about}")
        yield lines[0].replace(one.subject, self.style.paint(BOLD, one.subject), 1)
        yield from lines[1:]
        clause = ""
        for detail in one.details:
            yield from self.style.wrap("     ", str(detail))
            if detail.clause != clause:
                clause = detail.clause
                yield from self.style.wrap("     clause: ", clause)
        if not one.details:
            yield from self.style.wrap("     clause: ", one.clause)
        if one.nearest:
            yield from self.style.wrap("     nearest candidate: ", one.nearest)
        if one.why and one.severity != "note":
            yield from self.style.wrap("     why: ", one.why, prose=True)
        if one.alike:
            yield from self.style.wrap(
                "     ", f"the same in {len(one.alike)} more: frame {frames(list(one.alike))}", prose=True
            )
        if look and one.look:  # in one line: it is there to be copied
            yield "     look at it: " + self.style.paint(CYAN, one.look)

    def unseen(self, record: Record) -> Iterator[str]:
        if not record.unseen:
            return
        yield ""
        yield "  " + self.style.paint(YELLOW, "What could not be judged")
        grouped: dict[tuple[str, str], list[str]] = {}
        for one in record.unseen:
            grouped.setdefault((one.kind, one.reason), []).append(one.name)
        for (kind, reason), names in grouped.items():
            start = f"  - {kind}s " if names[1:] else f"  - {kind} "
            yield from self.style.wrap(start, f"{', '.join(names)}: {reason}", prose=True)

    # -- what became of everything

    def steps(self, record: Record) -> Iterator[str]:
        """The table of steps, so that one sees where in the flow it went wrong."""
        asked = [one for one in record.steps if one.outcome != "skipped"]
        if not asked:
            return
        yield ""
        yield "  " + self.style.paint(BOLD, "Step by step")
        wide = max(len(one.name) for one in asked)
        for one in asked:
            mark = MARKS[one.outcome]
            code = DIM if mark == "ok" else YELLOW if mark == "unseen" else RED
            frame = f"frame {one.frame}" if one.frame else ""
            yield f"  {one.name:<{wide}}  {frame:<11} {self.style.paint(code, mark)}".rstrip()

    def summary(self, record: Record) -> Iterator[str]:
        outcomes = Counter(one.outcome for one in record.rules)
        rules = ", ".join(f"{number} {kind}" for kind, number in outcomes.items())
        told = f"steps: {record.steps_done} of {record.steps_asked} as expected" + f"; rules: {rules}" * bool(rules)
        yield from self.style.wrap("  ", told)
        if record.messages:
            first, last = record.frames
            yield f"  {record.messages} messages of this UE, frames {first} to {last}"
        if record.repeats:
            told = ", ".join(f"frame {one} of {other}" for one, other in record.repeats[:10])
            yield from self.style.wrap("  repetitions: ", told, prose=True)
        if record.abandoned:
            lost = record.abandoned
            told = f"{len(lost)} messages, frames {min(lost)} to {max(lost)}"
            yield from self.style.wrap("  attempts at IKE that led to nothing: ", told)
        if record.unasked:
            told = ", ".join(f"frame {frame} {kind}" for frame, kind in record.unasked[:10])
            yield from self.style.wrap("  in no step (allowed): ", told, prose=True)

    def table(self) -> Iterator[str]:
        """One line for each UE."""
        head = ("UE", "verdict", "steps", "frames", "wrong", "warnings", "who")
        rows = [(head, "")] + [(_row(one), one.verdict) for one in self.verdict.records]
        wide = [max(len(row[column]) for row, _ in rows) for column in range(len(head) - 1)]
        for row, verdict in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, wide, strict=False)]
            line = "  ".join([*cells, row[-1]])
            if self.style.columns:
                line = line[: max(self.style.columns, NARROWEST)]
            word = WORDS.get(verdict, "verdict")
            yield line.replace(word, self.style.paint(COLOURS.get(verdict, BOLD), word), 1).rstrip()


def _row(record: Record) -> tuple[str, ...]:
    steps = f"{record.steps_done}/{record.steps_asked}"
    first, last = record.frames
    wrong, warnings = record.count("violation"), record.count("warning")
    who = printable(record.title)
    return (str(record.number), WORDS[record.verdict], steps, f"{first}-{last}", _some(wrong), _some(warnings), who)


def _some(number: int) -> str:
    return str(number) if number else "-"
