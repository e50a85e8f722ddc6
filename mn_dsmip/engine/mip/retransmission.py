# SPDX-License-Identifier: GPL-2.0-or-later
"""When Binding Updates leave, and with which number: back-off, rate limit, refresh (RFC 6275 11.7.1, 11.8)."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from ...wire.mobility import BindingUpdate
from ..base import Backoff
from .packet import SEQUENCE_NUMBERS, is_newer

FIRST_REGISTRATION = Backoff(1.5, 2, 32, 0)
"""InitialBindackTimeoutFirstReg, MAX_BINDACK_TIMEOUT (RFC 6275 11.8, 12, 13); without an end, that is the user's."""
LATER_REGISTRATION = Backoff(1, 2, 32, 0)
"""INITIAL_BINDACK_TIMEOUT (RFC 6275 11.8, 12)."""
MAX_UPDATE_RATE = 3
"""Messages of one type a second (RFC 6275 11.8, 12)."""

# Ours; the standards leave these open.
DEREGISTRATION = Backoff(1, 2, 32, 3)
"""De-registration ends after three unanswered Binding Updates."""
MAX_OUTSTANDING = 16
"""Binding Updates whose answer is still taken."""
LATEST_REFRESH = 10
"""Seconds before the expiry of a binding."""


class Sent(NamedTuple):
    """A Binding Update that may still be answered."""

    time: float
    update: BindingUpdate


class Retransmission:
    """What is outstanding and when to send again."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        """The last one used."""
        self.attempt = 0
        """Binding Updates sent since ``begin``."""
        self.send_at: float | None = None
        self.awaiting_answer = False
        self._outstanding: dict[int, Sent] = {}
        self._recently: deque[float] = deque(maxlen=MAX_UPDATE_RATE)

    def begin(self) -> None:
        """Start a back-off of its own; earlier Binding Updates can no longer be answered."""
        self.attempt = 0
        self._outstanding.clear()

    def stop(self) -> None:
        """Wait for nothing any more."""
        self.send_at = None
        self._outstanding.clear()

    def forget_outstanding(self) -> None:
        """Ignore the answers to what was sent so far."""
        self._outstanding.clear()

    def wait_until(self, time: float) -> None:
        """Send again at ``time``, and do not call it a missing answer."""
        self.awaiting_answer = False
        self.send_at = time

    def allowed(self, now: float) -> bool:
        """Whether the rate limit lets a Binding Update go now; if not, it is put off until it does."""
        if len(self._recently) < MAX_UPDATE_RATE or now >= self._recently[0] + 1:
            return True
        self.wait_until(self._recently[0] + 1)
        return False

    def next_sequence(self) -> int:
        """A larger sequence number, in a retransmission too."""
        self.sequence = (self.sequence + 1) % SEQUENCE_NUMBERS
        return self.sequence

    def sent(self, update: BindingUpdate, backoff: Backoff, now: float) -> None:
        """Note that ``update`` left and when the next one is due."""
        self._recently.append(now)
        self._outstanding[update.sequence] = Sent(now, update)
        if len(self._outstanding) > MAX_OUTSTANDING:
            del self._outstanding[next(iter(self._outstanding))]
        self.send_at = now + backoff.delay(self.attempt)
        self.awaiting_answer = True
        self.attempt += 1

    def answered(self, sequence: int) -> Sent | None:
        """The outstanding Binding Update of that number, which then is outstanding no more."""
        return self._outstanding.pop(sequence, None)

    @property
    def outstanding(self) -> bool:
        """Whether any answer is due."""
        return bool(self._outstanding)

    def is_ahead_of(self, last: int) -> bool:
        """Whether a receiver that accepted ``last`` will take the newest Binding Update sent."""
        return is_newer(self.sequence, last)


def refresh_after(lifetime: int, advice: int) -> float:
    """Seconds from the sending of a Binding Update to the next one: half the ``lifetime`` granted, or earlier.

    Earlier is what the home agent advises (RFC 6275 11.7.3; 0 for nothing), and ten seconds before the end.
    """
    times = [lifetime / 2]
    if lifetime > LATEST_REFRESH:
        times.append(lifetime - LATEST_REFRESH)
    if 0 < advice < lifetime:
        times.append(advice)
    return min(times)
