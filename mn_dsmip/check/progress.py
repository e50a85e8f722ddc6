# SPDX-License-Identifier: GPL-2.0-or-later
"""A line on the terminal that says how far a long reading has come."""

from __future__ import annotations

import sys
import time
from typing import TextIO

PATIENCE = 1.0  # seconds until it shows at all
PAUSE = 0.2  # seconds between two changes
LOOK = 256  # packets between two looks at the clock
CLEAR = "\r\x1b[K"


class Progress:
    """Counts packets; after a second, and only on a terminal, it says so there. Use as a context."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        self._next = time.monotonic() + PATIENCE if self.stream.isatty() else float("inf")
        self._begun = time.monotonic()
        self._count = 0
        self._shown = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self.stream.write(CLEAR)
            self.stream.flush()

    def __call__(self, frame: int, sessions: int) -> None:
        """One more packet of signalling: the number of its frame and how many sessions have been judged."""
        self._count += 1
        if self._count % LOOK:
            return
        now = time.monotonic()
        if now < self._next:
            return
        self._next, self._shown = now + PAUSE, True
        speed = frame / (now - self._begun)
        self.stream.write(f"{CLEAR}frame {frame:,} ({speed:,.0f}/s), {sessions:,} sessions judged")
        self.stream.flush()
