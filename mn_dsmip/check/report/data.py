# SPDX-License-Identifier: GPL-2.0-or-later
"""Tell a verdict as JSON, version 1: everything, for programs. It holds nothing but what capture, keys and flow say."""

from __future__ import annotations

import json
from typing import Any

import mn_dsmip
from mn_dsmip.check.report.findings import Finding, findings
from mn_dsmip.check.report.source import Source
from mn_dsmip.check.rules.coverage import Covered
from mn_dsmip.check.verdict import Record, StepLine, Verdict

VERSION = 1

# Any below: JSON is made of whatever json.dumps takes.


def written(verdict: Verdict, source: Source, covered: list[Covered]) -> str:
    """The report as a text that ends with a new line."""
    coverage = [
        {"requirement": row.ident, "clause": row.clause, "state": one.state, "checks": one.checks}
        for one in covered
        for row in (one.requirement,)
    ]
    return json.dumps(as_json(verdict, source) | {"coverage": coverage}, indent=2) + "\n"


def as_json(verdict: Verdict, source: Source) -> dict[str, Any]:
    """The report as a dictionary."""
    return {
        "version": VERSION,
        "checker": f"mn-dsmip {mn_dsmip.__version__}",
        "verdict": verdict.verdict,
        "found": verdict.found,
        "capture": source.capture.name,
        "packets": source.packets,
        "keys": source.keys is not None,
        "flow": verdict.flow.name,
        "sessions": [_session(one, verdict, source) for one in verdict.records],
    }


def _session(record: Record, verdict: Verdict, source: Source) -> dict[str, Any]:
    return {
        "verdict": record.verdict,
        "ue": record.title,
        "care_of_address": record.care_of,
        "home_agent": record.home_agent,
        "home_addresses": list(record.home_addresses),
        "home_prefixes": list(record.home_prefixes),
        "findings": [_finding(one) for one in findings(record, verdict.flow, source)],
        "unseen": [{one.kind: one.name, "reason": one.reason} for one in record.unseen],
        "steps": [_step(one) for one in record.steps],
        "rules": [{"rule": one.ident, "outcome": one.outcome, "checked": one.checked} for one in record.rules],
        "repetitions": [list(one) for one in record.repeats],
        "in_no_step": [frame for frame, _ in record.unasked],
    }


def _step(one: StepLine) -> dict[str, Any]:
    return {"step": one.name, "line": one.line, "outcome": one.outcome, "frame": one.frame}


def _finding(one: Finding) -> dict[str, Any]:
    found: dict[str, Any] = {
        "severity": one.severity,
        "frame": one.frame,
        "time": None if one.time is None else round(one.time, 6),
        "message": one.message or None,
        "says": one.sentence,
        "clause": one.clause,
        "differences": [detail._asdict() for detail in one.details],
    }
    if one.place:
        found |= {"step": one.ident.partition(":")[2], "file": one.file, "line": one.line}
    else:
        found |= {"rule": one.ident}
    if one.nearest:
        found |= {"expected_after_frame": one.after, "nearest_frame": one.nearest_frame, "nearest": one.nearest}
    return found
