# SPDX-License-Identifier: GPL-2.0-or-later
"""Tell a verdict as SARIF 2.1.0, as code scanning takes it: a result lies in the flow file, else in the capture."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import mn_dsmip
from mn_dsmip.check.report.findings import Finding, findings
from mn_dsmip.check.report.source import Source
from mn_dsmip.check.report.text import NOTHING
from mn_dsmip.check.verdict import Record, Unseen, Verdict

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {"violation": "error", "warning": "warning", "note": "note"}
UNJUDGED, NOT_FOUND = "not-judged", "nothing-found"

# Any below: JSON is made of whatever json.dumps takes.


def sarif(verdict: Verdict, source: Source, *, allow_unseen: bool = False) -> str:
    """The report as a JSON text."""
    made = _Sarif(verdict, source, "note" if allow_unseen else "error")
    made.tell()
    driver = {"name": "mn-dsmip", "semanticVersion": mn_dsmip.__version__, "rules": list(made.rules.values())}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": made.results}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


class _Sarif:
    def __init__(self, verdict: Verdict, source: Source, unjudged: str) -> None:
        self.verdict, self.source, self.unjudged = verdict, source, unjudged
        self.rules: dict[str, dict[str, Any]] = {}
        self.results: list[dict[str, Any]] = []

    def tell(self) -> None:
        for record in self.verdict.records:
            for one in findings(record, self.verdict.flow, self.source):
                self.finding(record, one)
            for unseen in record.unseen:
                self.unseen(record, unseen)
        if not self.verdict.found:
            index = self.rule(NOT_FOUND, "the flow is in the capture", NOTHING, "error")
            self.result(index, NOT_FOUND, "error", NOTHING, _place(self.verdict.flow.file, 1), "")

    def finding(self, record: Record, one: Finding) -> None:
        ident, level = one.ident.replace(":", "/"), LEVELS[one.severity]
        title = one.subject.partition("(")[2].rstrip(")") or one.subject
        index = self.rule(ident, title, f"{one.why} Clause: {one.clause}.".strip(), level)
        place = _place(Path(one.file), one.line) if one.place else _place(self.source.capture, 1)
        text = f"UE {record.number}: {one.sentence} ({one.clauses})"
        fields = " ".join(detail.field for detail in one.details)
        self.result(index, ident, level, text, place, f"{record.title} {fields} {one.message}")

    def unseen(self, record: Record, one: Unseen) -> None:
        why = "Something mandatory could not be judged in this capture: keys are missing, or it starts late."
        index = self.rule(UNJUDGED, "everything mandatory can be judged", why, self.unjudged)
        text = f"UE {record.number}: {one.kind} {one.name} could not be judged: {one.reason}"
        place = _place(self.source.capture, 1)
        self.result(index, UNJUDGED, self.unjudged, text, place, f"{record.title} {one.kind} {one.name}")

    def rule(self, ident: str, title: str, explanation: str, level: str) -> int:
        made = {
            "id": ident,
            "shortDescription": {"text": title},
            "fullDescription": {"text": explanation},
            "help": {"text": explanation},
            "defaultConfiguration": {"level": level},
        }
        self.rules.setdefault(ident, made)
        return list(self.rules).index(ident)

    def result(self, index: int, ident: str, level: str, text: str, place: dict[str, Any], own: str) -> None:
        """Add one result; `own` makes it the same one when another capture shows it again."""
        print_of = hashlib.sha256(f"{self.verdict.flow.name} {ident} {own}".encode(errors="replace")).hexdigest()[:32]
        self.results.append(
            {
                "ruleId": ident,
                "ruleIndex": index,
                "level": level,
                "message": {"text": text},
                "locations": [place],
                "partialFingerprints": {"mnDsmip/v1": print_of},
            }
        )


def _place(file: Path, line: int) -> dict[str, Any]:
    uri = file.resolve().as_uri() if file.is_absolute() else quote(file.as_posix())
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": line}}}
