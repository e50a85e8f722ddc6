# SPDX-License-Identifier: GPL-2.0-or-later
"""Tell a verdict as workflow commands: GitHub Actions marks the flow's lines, or the capture, with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mn_dsmip.check.report.findings import Finding, findings, folded
from mn_dsmip.check.report.source import Source
from mn_dsmip.check.report.text import NOTHING
from mn_dsmip.check.verdict import Record, Verdict

MOST = 10  # of one kind: GitHub shows no more of one step of a job
KINDS = {"violation": "error", "warning": "warning"}


def commands(verdict: Verdict, source: Source, *, allow_unseen: bool = False) -> str:
    """One line for each problem, as many as are shown."""
    told: Counter[str] = Counter()
    lines = []
    for kind, line in _lines(verdict, source, "warning" if allow_unseen else "error"):
        told[kind] += 1
        if told[kind] <= MOST:
            lines.append(f"::{kind} {line}\n")
    return "".join(lines)


def _lines(verdict: Verdict, source: Source, unjudged: str) -> Iterator[tuple[str, str]]:
    if not verdict.found:
        yield "error", _line(str(verdict.flow.file), 1, verdict.flow.name, NOTHING)
    for record in verdict.records:
        for one in folded(findings(record, verdict.flow, source)):
            if one.severity in KINDS:
                yield KINDS[one.severity], _of(one, record, source)
        grouped: dict[str, list[str]] = {}
        for unseen in record.unseen:
            grouped.setdefault(unseen.reason, []).append(f"{unseen.kind} {unseen.name}")
        for reason, names in grouped.items():
            text = f"UE {record.number}: {reason}: {', '.join(names)}"
            yield unjudged, _line(str(source.capture), 0, "could not be judged", text)


def _of(one: Finding, record: Record, source: Source) -> str:
    text = f"UE {record.number}: {one.sentence} ({one.clauses})"
    return _line(one.file or str(source.capture), one.line, one.subject, text)


def _line(file: str, line: int, title: str, text: str) -> str:
    at = f",line={line}" if line else ""
    return f"file={_property(file)}{at},title={_property(title)}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
