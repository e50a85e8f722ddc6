# SPDX-License-Identifier: GPL-2.0-or-later
"""Many timers as one: a heap that forgets lazily, so that moving a deadline costs next to nothing."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
_SLACK = 64


class Deadlines(Generic[Key]):
    """One deadline a key; ``set`` and ``due`` take O(log n)."""

    def __init__(self) -> None:
        self._times: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []  # at least one entry a key, none later than its deadline
        self._order = 0

    def set(self, key: Key, time: float) -> None:
        """Give ``key`` a deadline, or move the one it has."""
        before = self._times.get(key)
        self._times[key] = time
        if before is None or time < before:
            self._push(time, key)  # a later one is put in place when the earlier entry comes up

    def discard(self, key: Key) -> None:
        """Take the deadline of ``key`` away, if it has one."""
        self._times.pop(key, None)

    def next(self) -> float | None:
        """The earliest deadline."""
        while self._heap:
            time, _, key = self._heap[0]
            wanted = self._times.get(key)
            if wanted == time:
                return time
            heapq.heappop(self._heap)
            if wanted is not None and wanted > time:
                self._push(wanted, key)
        return None

    def due(self, now: float) -> Iterator[Key]:
        """Keys whose deadline has come, earliest first; they have none any more."""
        while (time := self.next()) is not None and time <= now:
            key = heapq.heappop(self._heap)[2]
            del self._times[key]
            yield key

    def _push(self, time: float, key: Key) -> None:
        if len(self._heap) > 2 * len(self._times) + _SLACK:
            self._heap = [(wanted, number, each) for number, (each, wanted) in enumerate(self._times.items())]
            heapq.heapify(self._heap)
            self._order = len(self._heap)
            return  # ``key`` is among them
        self._order += 1
        heapq.heappush(self._heap, (time, self._order, key))
