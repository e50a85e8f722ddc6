# SPDX-License-Identifier: GPL-2.0-or-later
"""From a capture to a verdict."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mn_dsmip.check.flow.language import Flow
from mn_dsmip.check.inputs import STANDARD_INPUT, Input, InputError
from mn_dsmip.check.reading.dissect import dissect
from mn_dsmip.check.report.source import Source
from mn_dsmip.check.rules import RULES
from mn_dsmip.check.separate import separate
from mn_dsmip.check.verdict import EVERY, Verdict, judge_session


def judge_capture(
    given: Input, flow: Flow, *, reader: str = "auto", detail: int = EVERY, keep: int = 0
) -> tuple[Verdict, Source]:
    """Judge a capture; `detail` and `keep` as for `Verdict`. InputError when it cannot be read."""
    verdict = Verdict(flow, detail=detail, keep=keep)
    with _as_file(given.capture) as file:
        packets, start = _judge(file, given, verdict, reader)
    return verdict, Source(given.capture, given.keys.folder, packets, start)


def _judge(file: Path, given: Input, verdict: Verdict, reader: str) -> tuple[int, float]:
    """The number of packets and the time of the first one."""
    try:
        from mn_dsmip.check import reading
    except ImportError as error:
        raise InputError(f"{error.name or 'pyshark'} is missing: pip install pyshark") from error
    packets, start, messages = 0, 0.0, []
    try:
        for packet in reading.read(file, given.keys, reader):
            packets += 1
            start = start or packet.time - float(packet.text("frame.time_relative") or 0)
            message = dissect(packet)
            if message is not None:
                messages.append(message)
    except reading.TraceError as error:
        raise InputError(str(error).replace(str(file), str(given.capture))) from error
    for session in separate(messages):
        verdict.add(judge_session(session, verdict.flow, RULES))
    return packets, start


@contextmanager
def _as_file(capture: Path) -> Iterator[Path]:
    """Standard input as a file on disk: tshark reads a capture more than once when it looks for its damage."""
    if capture != STANDARD_INPUT:
        yield capture
        return
    with tempfile.TemporaryDirectory(prefix="mn-dsmip-") as folder:
        file = Path(folder) / "standard-input"
        with file.open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        yield file
