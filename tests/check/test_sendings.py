# SPDX-License-Identifier: GPL-2.0-or-later
"""What is sent again because an answer was lost, and what is new."""

from __future__ import annotations

import pytest

from mn_dsmip.check.separate import separate
from tests.check.talk import Trace, Ue


@pytest.mark.parametrize(("later", "sendings"), [(1.5, 1), (5.0, 2)])
def test_a_refresh_is_not_sent_again(later: float, sendings: int) -> None:
    """Both say the same and are answered: soon after, the first answer was lost; later it is a refresh."""
    trace = Trace()
    ue = Ue(trace, 1)
    ue.attach()
    trace.now += later
    ue.bind()
    (session,) = separate(trace.messages)
    assert len(session.sendings) == sendings


@pytest.mark.parametrize(("unseen", "later", "sendings"), [(0.0, 3.1, 2), (1.5, 3.1, 1), (4.5, 6.1, 1), (1.5, 6.2, 2)])
def test_a_first_registration_is_sent_again(unseen: float, later: float, sendings: int) -> None:
    """Updates lost before the capture: how long they took tells how long the UE waits now."""
    trace = Trace()
    ue = Ue(trace, 1)
    ue.secure()
    trace.now += unseen
    ue.bind()
    trace.now += later
    ue.bind()
    (session,) = separate(trace.messages)
    assert len(session.sendings) == sendings


@pytest.mark.parametrize(
    ("lost", "later", "sendings"), [(0, 4.5, 2), (1, 4.5, 1), (1, 9.1, 2), (2, 10.5, 1), (60, 120.0, 2)]
)
def test_what_was_lost_in_between_counts(lost: int, later: float, sendings: int) -> None:
    """Its sequence numbers are missing."""
    trace = Trace()
    ue = Ue(trace, 1)
    ue.attach()
    for _ in range(lost):
        next(ue.sequence)
    trace.now += later
    ue.bind()
    (session,) = separate(trace.messages)
    assert len(session.sendings) == sendings


def test_an_end_is_sent_again_at_any_time() -> None:
    trace = Trace()
    ue = Ue(trace, 1)
    ue.attach()
    ue.data()
    ue.bind(lifetime=0)
    trace.now += 16
    ue.bind(lifetime=0)
    (session,) = separate(trace.messages)
    assert len(session.sendings) == 2
