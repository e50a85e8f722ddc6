# SPDX-License-Identifier: GPL-2.0-or-later
"""From packets to judgements: what is counted, what is kept, what the terminal shows."""

from __future__ import annotations

import gc
import io
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mn_dsmip.check.flow.language import load
from mn_dsmip.check.model import Packet
from mn_dsmip.check.pipeline import Totals, judge_packets, judge_stream
from mn_dsmip.check.progress import CLEAR, LOOK, Progress
from mn_dsmip.check.reading import TraceError, read
from mn_dsmip.check.reading.keys import Keys
from mn_dsmip.check.rules import RULES
from mn_dsmip.check.separate import sessions
from mn_dsmip.check.verdict import PASS
from tests.check.conftest import FLOW, Case
from tests.check.forge import Forger, write_capture, write_keys
from tests.check.subscriber import PUBLISHED
from tests.check.talk import Trace, Ue


class Terminal(io.StringIO):
    """A stream that says whether it is one."""

    def __init__(self, *, real: bool) -> None:
        super().__init__()
        self.real = real

    def isatty(self) -> bool:
        return self.real


def test_totals(forged: Case) -> None:
    totals = Totals()
    found = list(
        judge_stream(forged.capture, Keys.load(forged.keys), load(FLOW), RULES, reader="tshark", totals=totals)
    )
    assert [one.verdict for one in found] == [PASS]
    assert totals.packets == len(found[0].session.messages)
    assert totals.frames == max(one.frame for one in found[0].session.messages)
    assert (totals.sessions, totals.duplicates) == (1, 0)
    assert totals.start == pytest.approx(found[0].session.messages[0].time)
    assert totals.end == found[0].session.messages[-1].time


def test_both_ends_of_a_link_count_once(tmp_path: Path) -> None:
    """The same packets behind a router, a millisecond later: as many duplicates, and the same verdict."""
    frames = Forger().whole().frames
    behind = []
    for frame in frames[1:]:  # a Router Advertisement stays on its link
        packet = bytearray(frame.packet)
        packet[7] -= 1
        behind.append(replace(frame, time=frame.time + 0.001, packet=bytes(packet)))
    write_capture(tmp_path / "trace.pcapng", frames + behind)
    keys = Keys.load(write_keys(tmp_path / "keys", PUBLISHED))
    totals = Totals()
    (judgement,) = judge_stream(tmp_path / "trace.pcapng", keys, load(FLOW), RULES, reader="tshark", totals=totals)
    assert judgement.verdict == PASS, judgement.problems
    assert totals.duplicates == len(behind)


def test_a_session_is_told_before_the_next_is_read(tmp_path: Path) -> None:
    """And nothing of what has been told stays."""
    second = replace(PUBLISHED.numbered(1), spi_i=bytes.fromhex("0102030405060708"))
    frames = Forger().whole().frames + Forger(second, start=1_800_000_100.0).whole().frames
    write_capture(tmp_path / "trace.pcapng", frames)
    keys = Keys.load(write_keys(tmp_path / "keys", PUBLISHED, second))
    taken = 0

    def counted() -> Iterator[Packet]:
        nonlocal taken
        for packet in read(tmp_path / "trace.pcapng", keys, "tshark"):
            taken += 1
            yield packet

    judgements = judge_packets(counted(), load(FLOW), RULES)
    first = next(judgements)
    assert first.verdict == PASS
    assert taken < len(frames) - 20
    assert next(judgements).verdict == PASS
    assert next(judgements, None) is None


def test_sessions_are_forgotten() -> None:
    """Without the garbage collector's help: memory stays flat."""
    trace = Trace()
    for number in range(1, 30):
        ue = Ue(trace, number)
        ue.attach()
        ue.data(50)
        ue.detach()
        trace.now += 100
    gc.disable()
    try:
        known = [weakref.ref(session) for session in sessions(trace.messages)]
    finally:
        gc.enable()
    assert len(known) == 29
    assert [one() for one in known] == [None] * len(known)


def test_a_capture_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="there is no such file"):
        list(judge_stream(tmp_path / "none.pcap", Keys(), load(FLOW), RULES))


def test_collections_are_as_before(forged: Case) -> None:
    before = gc.get_threshold()
    judgements = judge_stream(forged.capture, Keys(), load(FLOW), RULES, reader="tshark")
    next(judgements)
    judgements.close()  # type: ignore[attr-defined]  # a generator
    assert gc.get_threshold() == before


@pytest.mark.parametrize(("real", "seconds"), [(True, 0.5), (False, 5.0)])
def test_no_progress_when_quick_or_no_terminal(real: bool, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(real, seconds, monkeypatch) == ""


def test_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second, five times a second, and gone at the end."""
    text = shown(True, 3.0, monkeypatch)
    lines = text.split(CLEAR)
    assert lines[0] == lines[-1] == ""
    assert 5 <= len(lines) - 2 <= 11
    assert lines[-2].endswith("3 sessions judged")
    numbers = [int(line.split()[1].replace(",", "")) for line in lines[1:-1]]
    assert numbers == sorted(numbers)
    assert numbers[-1] > 0.85 * LOOK * 20


def shown(real: bool, seconds: float, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a terminal gets while that time passes over 5,120 packets."""
    now = [100.0]
    monkeypatch.setattr("mn_dsmip.check.progress.time.monotonic", lambda: now[0])
    stream = Terminal(real=real)
    packets = LOOK * 20
    with Progress(stream) as progress:
        for frame in range(1, packets + 1):
            now[0] += seconds / packets
            progress(frame, 3)
    return stream.getvalue()
