# SPDX-License-Identifier: GPL-2.0-or-later
"""From a capture to a verdict."""

from __future__ import annotations

from mn_dsmip.check.flow.language import Flow
from mn_dsmip.check.inputs import Input, InputError
from mn_dsmip.check.reading.dissect import dissect
from mn_dsmip.check.report.source import Source
from mn_dsmip.check.rules import RULES
from mn_dsmip.check.separate import separate
from mn_dsmip.check.verdict import Verdict, judge_session


def judge_capture(
    given: Input, flow: Flow, *, reader: str = "auto", detail: bool = True, keep: int = 0
) -> tuple[Verdict, Source]:
    """Judge a capture; `detail` and `keep` as for `Verdict`. InputError when it cannot be read."""
    try:
        from mn_dsmip.check import reading
    except ImportError as error:
        raise InputError(f"{error.name or 'pyshark'} is missing: pip install pyshark") from error
    packets, start, messages = 0, 0.0, []
    try:
        for packet in reading.read(given.capture, given.keys):
            packets += 1
            start = start or packet.time
            message = dissect(packet)
            if message is not None:
                messages.append(message)
    except reading.TraceError as error:
        raise InputError(str(error)) from error
    verdict = Verdict(flow, detail=detail, keep=keep)
    for session in separate(messages):
        verdict.add(judge_session(session, flow, RULES))
    return verdict, Source(given.capture, given.keys.folder, packets, start)
