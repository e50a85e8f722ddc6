# SPDX-License-Identifier: GPL-2.0-or-later
"""Two sessions: where they part, and that what is only named differently is alike."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mn_dsmip.check.flow.diff import diff
from mn_dsmip.check.model import Message
from mn_dsmip.check.separate import separate
from mn_dsmip.check.session import Session
from tests.check.conftest import Case, messages_of
from tests.check.forge import Subscriber


def session_of(messages: list[Message]) -> Session:
    (session,) = separate(messages)
    return session


def changed(session: Session, messages: list[Message]) -> Session:
    return Session(session.number, session.care_of, session.home_agent, messages)


def test_a_session_is_like_itself(good: list[Message]) -> None:
    found = diff(session_of(good), session_of(good))
    assert not found.parts
    assert found.text == f"the same steps, {found.agreed} messages in each\n"
    assert found.agreed > 20


def test_other_subscribers_are_alike(interleaved: tuple[Case, list[Subscriber]]) -> None:
    """Other addresses, identities, SPIs and prefixes, the same steps."""
    case, _ = interleaved
    first, second, third = separate(messages_of(case.capture, case.keys))
    for one, other in ((first, second), (second, third), (third, first)):
        assert not diff(one, other).parts, diff(one, other).text


def test_a_field_that_is_different(good: list[Message]) -> None:
    session = session_of(good)
    place, answer = next((at, one) for at, one in enumerate(session.messages) if one.kind == "binding_acknowledgement")
    messages = list(session.messages)
    messages[place] = replace(answer, fields={**answer.fields, "status": 129})
    found = diff(session, changed(session, messages))
    assert (found.parts, found.step) == (True, "binding-acknowledgement")
    assert [(one.field, one.first, one.second) for one in found.fields] == [("status", 0, 129)]
    assert f"binding-acknowledgement in frame {answer.frame}" in found.text
    assert "status: 0 in the first, 129 in the second" in found.text


def test_a_message_that_is_missing(good: list[Message]) -> None:
    session = session_of(good)
    gone = next(one for one in session.messages if one.kind == "create_child_sa")
    found = diff(session, changed(session, [one for one in session.messages if one is not gone]))
    assert found.step == "create-child-sa-request"
    assert found.first is gone
    assert "the first session has 1 more here" in found.text
    back = diff(changed(session, [one for one in session.messages if one is not gone]), session)
    assert back.second is gone
    assert "the second session has 1 more here" in back.text


def test_a_session_that_ends_early(good: list[Message]) -> None:
    session = session_of(good)
    found = diff(session, changed(session, session.messages[:-1]))
    assert (found.first, found.second) == (session.messages[-1], None)
    assert "second session:   ends" in found.text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_two_sessions_compare(data: st.DataObject, good: list[Message]) -> None:
    base = session_of(good)
    lists = st.lists(st.sampled_from(good), max_size=30)
    first, second = (
        changed(base, [replace(one, frame=frame) for frame, one in enumerate(data.draw(lists), 1)]) for _ in range(2)
    )
    found, back = diff(first, second), diff(second, first)
    assert found.parts == back.parts
    assert found.agreed == back.agreed
    assert found.text.endswith("\n")
