# SPDX-License-Identifier: GPL-2.0-or-later
"""What a page tells of one UE beside its ladder: when each phase was, and what its bindings were."""

from __future__ import annotations

from dataclasses import dataclass

from mn_dsmip.check.model import Message
from mn_dsmip.check.numbers import FIRST_REJECTING_STATUS
from mn_dsmip.check.report import words
from mn_dsmip.check.report.ladder import Ladder
from mn_dsmip.check.report.source import Source
from mn_dsmip.check.session import Session


@dataclass(frozen=True)
class Span:
    """A stretch of time, in seconds since the first packet, with the number of the row that it begins in."""

    name: str
    first: float
    last: float
    row: int

    @property
    def duration(self) -> str:
        return seconds(self.last - self.first)


@dataclass(frozen=True)
class Binding:
    """One Binding Update with what it asked for and what it got."""

    frame: int
    time: float
    what: str
    care_of: str
    sequence: int
    asked: int
    flags: str
    status: str
    granted: str
    answer: int | None
    good: bool


def spans(ladder: Ladder) -> list[Span]:
    """The phases of a ladder in time; a phase lasts until the next one begins."""
    found = []
    for name, first, after in ladder.phases:
        times = [row.time for row in ladder.rows[first:after] if row.time is not None]
        if times:
            found.append(Span(name, times[0], times[-1], first))
    return [
        Span(one.name, one.first, other.first if other else one.last, one.row)
        for one, other in zip(found, [*found[1:], None], strict=True)
    ]


def bindings(session: Session, source: Source) -> list[Binding]:
    """Every Binding Update of a session and its answer."""
    found: list[Binding] = []
    bound = ""
    for update, answer in session.exchanges:
        accepted = answer is not None and answer.number("status") < FIRST_REJECTING_STATUS
        what = _what(update, bound, update.frame in session.repeated)
        if accepted:
            bound = update.source if update.number("lifetime") else ""
        found.append(_binding(update, answer, what, accepted, source))
    return found


def _binding(update: Message, answer: Message | None, what: str, accepted: bool, source: Source) -> Binding:
    return Binding(
        frame=update.frame,
        time=source.at(update),
        what=what,
        care_of=str(update.get("ipv4_care_of_address") or update.get("alternate_care_of_address") or update.source),
        sequence=update.number("sequence"),
        asked=update.number("lifetime"),
        flags=words.flags(update),
        status=str(answer.number("status")) if answer else "no answer",
        granted=f"{answer.number('lifetime')} s" if answer and accepted else "–",
        answer=answer.frame if answer else None,
        good=accepted,
    )


def _what(update: Message, bound: str, repeated: bool) -> str:
    if not update.number("lifetime"):
        what = "de-registration"
    elif not bound:
        what = "registration"
    else:
        what = "refresh" if update.source == bound else "handover"
    return f"{what}, sent again later" if repeated else what


def seconds(time: float) -> str:
    """A duration as people say it."""
    if time < 1:
        return f"{time * 1000:.1f} ms"
    return f"{time:.2f} s" if time < 100 else f"{time:.0f} s"
