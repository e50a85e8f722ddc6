# SPDX-License-Identifier: GPL-2.0-or-later
"""A capture from its packets to judged sessions, one after the other: memory does not grow with the capture.

reader -> packet -> dissect -> message -> duplicates -> separator -> session, when it has ended -> flow and rules
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mn_dsmip.check.context import Context
from mn_dsmip.check.flow.language import Flow
from mn_dsmip.check.model import Message, Packet
from mn_dsmip.check.reading.dissect import dissect
from mn_dsmip.check.reading.duplicates import Duplicates
from mn_dsmip.check.reading.keys import Keys
from mn_dsmip.check.rules.rule import Rule
from mn_dsmip.check.separate import sessions
from mn_dsmip.check.verdict import Judgement, judge_session

# Messages are made and dropped by the ten thousand and hold no cycles: looking for some among them more rarely saves
# a tenth of the time.
COLLECT_AFTER = 50_000


@dataclass
class Totals:
    """What a capture came to; complete when the last session is judged."""

    packets: int = 0  # that the reader delivered: signalling and what else is looked at
    frames: int = 0  # the number of the last of them: about as many the capture has
    duplicates: int = 0
    sessions: int = 0
    start: float = 0.0  # of the capture, in seconds since 1970
    end: float = 0.0


def judge_stream(
    source: Path,
    keys: Keys,
    flow: Flow,
    rules: tuple[Rule, ...],
    *,
    reader: str = "auto",
    totals: Totals | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Judgement]:
    """The sessions of a capture, each judged when it has ended; `number` tells in which order they began.

    `totals` counts along; `progress` is called for each packet. TraceError when the capture cannot be read.
    """
    from mn_dsmip.check import reading

    packets = reading.read(source, keys, reader)
    yield from judge_packets(packets, flow, rules, keys=keys, totals=totals, progress=progress)


def judge_packets(
    packets: Iterator[Packet],
    flow: Flow,
    rules: tuple[Rule, ...],
    *,
    keys: Keys | None = None,
    totals: Totals | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Judgement]:
    """The same for packets as they come."""
    totals = Totals() if totals is None else totals
    duplicates, context = Duplicates(), Context(keys.mobility if keys else ())
    with _rare_collections():
        for session in sessions(duplicates(messages_of(packets, totals, progress))):
            totals.sessions += 1
            session.context = context
            yield judge_session(session, flow, rules)
    totals.duplicates = duplicates.dropped


def messages_of(
    packets: Iterable[Packet], totals: Totals, progress: Callable[[int, int], None] | None = None
) -> Iterator[Message]:
    """The message in each packet that has one; `totals` counts along."""
    for packet in packets:
        if not totals.packets:
            totals.start = packet.time - _seconds(packet.text("frame.time_relative"))
        totals.packets += 1
        totals.frames = packet.frame
        totals.end = max(totals.end, packet.time)
        if progress is not None:
            progress(packet.frame, totals.sessions)
        message = dissect(packet)
        if message is not None:
            yield message


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


@contextmanager
def _rare_collections() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
