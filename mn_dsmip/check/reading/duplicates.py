# SPDX-License-Identifier: GPL-2.0-or-later
"""Recognise a packet that was captured twice: on two interfaces, or on two links with a router between them.

The same packet at another point, which is another interface or another hop limit, within a second is dropped and
counted. At the same point it is a real retransmission, which is kept; its own copies at other points are dropped again.
Where a NAT rewrote addresses between the two points, both copies are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator

from mn_dsmip.check.model import Message

WINDOW = 1.0  # seconds from the first copy to the last: longer than a path, shorter than a time-out (RFC 6275 12)
MOST = 100_000  # packets remembered at a time, whatever their times are

Point = tuple[int, int]


class Duplicates:
    """A stage between `dissect` and what looks at messages: constant work per message, memory for one window."""

    def __init__(self, window: float = WINDOW) -> None:
        self.window = window
        self.dropped = 0
        self._seen: OrderedDict[Hashable, tuple[float, set[Point]]] = OrderedDict()  # by the time of the first copy

    def __call__(self, messages: Iterable[Message]) -> Iterator[Message]:
        """The messages without those that were captured before at another point."""
        for message in messages:
            if not self.is_duplicate(message):
                yield message

    def is_duplicate(self, message: Message) -> bool:
        """Whether this is a copy of an earlier one; remembers it."""
        self._forget(message.time)
        key = _key(message)
        before = self._seen.get(key)
        if before is not None and abs(message.time - before[0]) <= self.window and message.point not in before[1]:
            before[1].add(message.point)
            self.dropped += 1
            return True
        self._seen[key] = (message.time, {message.point})
        self._seen.move_to_end(key)
        return False

    def _forget(self, now: float) -> None:
        """Drop what is too old, oldest first."""
        while self._seen:
            oldest = next(iter(self._seen.values()))[0]
            if abs(now - oldest) <= self.window and len(self._seen) < MOST:
                return
            self._seen.popitem(last=False)


def _key(message: Message) -> Hashable:
    """What two copies of a packet have in common: all but the frame, the time and the hop limit."""
    what = message.content or tuple(message.fields.items())
    return message.kind, message.source, message.destination, what
