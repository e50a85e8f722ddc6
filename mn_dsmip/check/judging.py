# SPDX-License-Identifier: GPL-2.0-or-later
"""From a capture that somebody named to a verdict, or to its sessions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mn_dsmip.check.flow.language import Flow
from mn_dsmip.check.inputs import Input, InputError
from mn_dsmip.check.pipeline import Totals, judge_stream
from mn_dsmip.check.progress import Progress
from mn_dsmip.check.reading import TraceError
from mn_dsmip.check.report.source import Source
from mn_dsmip.check.rules import RULES
from mn_dsmip.check.session import Session
from mn_dsmip.check.verdict import EVERY, Verdict

NO_FLOW = Flow(Path(), "", "", {}, ())


def judge_capture(
    given: Input, flow: Flow, *, reader: str = "auto", detail: int = EVERY, keep: int = 0
) -> tuple[Verdict, Source]:
    """Judge a capture; `detail` and `keep` as for `Verdict`. InputError when it cannot be read."""
    verdict, totals = Verdict(flow, detail=detail, keep=keep), Totals()
    try:
        with Progress() as progress:
            for judgement in judge_stream(
                given.capture, given.keys, flow, RULES, reader=reader, totals=totals, progress=progress
            ):
                verdict.add(judgement)
    except TraceError as error:
        raise InputError(str(error)) from error
    verdict.records.sort(key=lambda one: one.number)  # they come in the order in which they end
    return verdict, Source(given.capture, given.keys.folder, totals.packets, totals.start)


def sessions(given: Input, reader: str = "auto") -> Iterator[Session]:
    """The sessions of a capture in the order in which they end; InputError when it cannot be read."""
    try:
        for judgement in judge_stream(given.capture, given.keys, NO_FLOW, (), reader=reader):
            yield judgement.session
    except TraceError as error:
        raise InputError(str(error)) from error
