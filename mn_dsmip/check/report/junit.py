# SPDX-License-Identifier: GPL-2.0-or-later
"""Tell a verdict as JUnit XML: a suite for each UE, a case for each step and rule.

What could not be judged is an error, or skipped when that is accepted; what the capture never exercised is skipped.
Only elements and attributes that the readers of CI systems agree on are written.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from xml.etree import ElementTree as ET

from mn_dsmip.check.report.findings import Finding, findings
from mn_dsmip.check.report.source import Source
from mn_dsmip.check.report.text import NOTHING
from mn_dsmip.check.verdict import Record, Verdict

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2
COUNTED = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}


def junit(verdict: Verdict, source: Source, *, allow_unseen: bool = False) -> str:
    """The report as an XML document."""
    suites = [_Suite(one, verdict, source, allow_unseen).element() for one in verdict.records]
    if not verdict.found:
        suites.append(_nothing(verdict))
    root = ET.Element("testsuites", {"name": _clean(f"mn-dsmip check {source.capture.name}")})
    root.extend(suites)
    root.attrib |= {name: str(sum(int(one.get(name, "0")) for one in suites)) for name in COUNTED if name != "skipped"}
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


class _Suite:
    """One UE's suite."""

    def __init__(self, record: Record, verdict: Verdict, source: Source, allow_unseen: bool) -> None:
        self.record = record
        self.flow = verdict.flow.name
        self.unjudged = "skipped" if allow_unseen else "error"
        self.found: dict[str, list[Finding]] = defaultdict(list)
        for one in findings(record, verdict.flow, source):
            self.found[one.ident].append(one)
        self.unseen = {(one.kind, one.name): one.reason for one in record.unseen}
        self.names: Counter[str] = Counter()

    def element(self) -> ET.Element:
        suite = ET.Element("testsuite", {"name": _clean(f"UE {self.record.number}: {self.record.title}")})
        for step in self.record.steps:
            case = self.case(suite, "steps", step.name)
            self.tell(case, f"step:{step.name}", ("step", step.name), step.outcome == "skipped", step.frame)
        for rule in self.record.rules:
            case = self.case(suite, "rules", rule.ident)
            self.tell(case, rule.ident, ("rule", rule.ident), rule.outcome == "not exercised")
        return _counted(suite)

    def case(self, suite: ET.Element, kind: str, name: str) -> ET.Element:
        self.names[name] += 1
        again = f" ({self.names[name]})" if self.names[name] > 1 else ""  # another round of a repeated step
        classname = f"{self.flow}.ue{self.record.number}.{kind}"
        return ET.SubElement(suite, "testcase", {"classname": _clean(classname), "name": _clean(name + again)})

    def tell(
        self, case: ET.Element, ident: str, name: tuple[str, str], skipped: bool, frame: int | None = None
    ) -> None:
        mine = [one for one in self.found[ident] if frame is None or one.frame in (frame, None)]
        wrong = [one for one in mine if one.severity == "violation"]
        rest = [one for one in mine if one.severity != "violation"]
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if wrong[1:] else ""
            _say(case, "failure", wrong[0].sentence + more, "violation", "\n\n".join(map(_paragraph, wrong)))
        elif name in self.unseen:
            _say(case, self.unjudged, self.unseen[name], "inconclusive", "")
        elif skipped:
            ET.SubElement(case, "skipped", {"message": "not exercised by this capture"})
        if rest:
            ET.SubElement(case, "system-out").text = _clean("\n\n".join(map(_paragraph, rest)))


def _nothing(verdict: Verdict) -> ET.Element:
    suite = ET.Element("testsuite", {"name": _clean(verdict.flow.name)})
    case = ET.SubElement(suite, "testcase", {"classname": _clean(verdict.flow.name), "name": "found in the capture"})
    _say(case, "failure", NOTHING, "violation", "")
    return _counted(suite)


def _counted(suite: ET.Element) -> ET.Element:
    suite.attrib |= {name: str(sum(1 for _ in suite.iter(tag))) for name, tag in COUNTED.items()}
    return suite


def _say(case: ET.Element, tag: str, message: str, kind: str, text: str) -> None:
    said = ET.SubElement(case, tag, {"message": _clean(message)})
    if tag != "skipped":
        said.set("type", kind)
    said.text = _clean(text) or None


def _paragraph(one: Finding) -> str:
    lines = [f"{one.subject} ({one.place}): {one.about}" if one.place else f"{one.subject}: {one.about}"]
    lines += [f"{detail} ({detail.clause})" for detail in one.details] or [f"clause: {one.clause}"]
    lines += [f"nearest candidate: {one.nearest}"] if one.nearest else []
    lines += [f"why: {one.why}"] if one.why else []
    lines += [f"look at it: {one.look}"] if one.look else []
    return "\n".join(lines)


def _clean(text: str) -> str:
    """Without what an XML document cannot hold: a name on the wire may be anything."""
    return NOT_XML.sub("\ufffd", text)
