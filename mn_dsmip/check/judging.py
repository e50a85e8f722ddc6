# SPDX-License-Identifier: GPL-2.0-or-later
"""From a capture to its sessions, and to a verdict."""

from __future__ import annotations

from collections.abc import Iterator

from mn_dsmip.check import reading, separate
from mn_dsmip.check.flow.language import Flow
from mn_dsmip.check.inputs import Input, InputError
from mn_dsmip.check.model import Message
from mn_dsmip.check.report.source import Source
from mn_dsmip.check.rules import RULES
from mn_dsmip.check.session import Session
from mn_dsmip.check.verdict import EVERY, Verdict, judge_session


class Capture:
    """A capture while it is read: its sessions one after the other, and what was counted on the way."""

    def __init__(self, given: Input, reader: str = "auto") -> None:
        self.given, self.reader = given, reader
        self.packets = 0
        self.start = 0.0  # time of the first packet, seconds since 1970

    def sessions(self) -> Iterator[Session]:
        """Each session when it has ended; InputError when the capture cannot be read."""
        return separate.sessions(self._messages())

    def _messages(self) -> Iterator[Message]:
        try:
            for packet in reading.read(self.given.capture, self.given.keys, self.reader):
                if not self.packets:
                    self.start = packet.time - float(packet.text("frame.time_relative") or 0)
                self.packets += 1
                message = reading.dissect(packet)
                if message is not None:
                    yield message
        except reading.TraceError as error:
            raise InputError(str(error)) from error

    @property
    def source(self) -> Source:
        """What reports say of it, once it has been read."""
        return Source(self.given.capture, self.given.keys.folder, self.packets, self.start)


def judge_capture(
    given: Input, flow: Flow, *, reader: str = "auto", detail: int = EVERY, keep: int = 0
) -> tuple[Verdict, Source]:
    """Judge a capture; `detail` and `keep` as for `Verdict`. InputError when it cannot be read."""
    verdict, capture = Verdict(flow, detail=detail, keep=keep), Capture(given, reader)
    for session in capture.sessions():
        verdict.add(judge_session(session, flow, RULES))
    verdict.records.sort(key=lambda one: one.number)  # they come in the order in which they end
    return verdict, capture.source
