# SPDX-License-Identifier: GPL-2.0-or-later
"""A drafted flow passes on the capture it was drafted from, on another good one, and not on damaged ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mn_dsmip.check.flow.draft import MAX_STEPS, draft
from mn_dsmip.check.flow.language import Flow, every_step, parse
from mn_dsmip.check.flow.match import Match, Outcome, match
from mn_dsmip.check.flow.schema import schema
from mn_dsmip.check.model import Message
from mn_dsmip.check.separate import separate
from mn_dsmip.check.session import Session
from tests.check.conftest import FLOW, messages_of

GOOD = {Outcome.MATCHED, Outcome.SKIPPED}


def session_of(messages: list[Message]) -> Session:
    (session,) = separate(messages)
    return session


def drafted(session: Session) -> Flow:
    return parse(draft(session), Path("draft.yaml"))


def outcomes(found: Match) -> set[Outcome]:
    return {one.outcome for one in found.results}


def test_draft_passes_on_its_own_capture(good: list[Message]) -> None:
    session = session_of(good)
    found = match(session, drafted(session))
    assert outcomes(found) == {Outcome.MATCHED}
    assert found.unasked == []


def test_draft_ties_what_is_of_one_trace_only(good: list[Message]) -> None:
    """Another subscriber's session on another day passes, too: nothing literal of the first one is left."""
    flow = drafted(session_of(good))
    shipped = session_of(messages_of(FLOW.with_name("trace.pcapng"), FLOW.with_name("wireshark")))
    own = match(shipped, drafted(shipped))
    assert outcomes(own) == {Outcome.MATCHED}
    values = {str(one) for step in every_step(flow.steps) for condition in step.expect for _, one in condition.tests}
    assert not {str(one.source) for one in good} & values
    assert {"$spi_i", "$sequence", "$care_of_address", "$home_prefixes"} <= values


def test_draft_fails_when_any_message_of_it_is_missing(good: list[Message]) -> None:
    session = session_of(good)
    flow = drafted(session)
    steps = [one.message.frame for one in match(session, flow).results if one.message and not one.step.optional]
    assert len(steps) > 20
    for frame in steps:
        found = match(replace_messages(session, [one for one in session.messages if one.frame != frame]), flow)
        assert outcomes(found) & {Outcome.MISSING, Outcome.DIFFERENT, Outcome.UNSEEN}, frame


def replace_messages(session: Session, messages: list[Message]) -> Session:
    return Session(session.number, session.care_of, session.home_agent, messages)


def test_draft_of_what_is_hidden(good: list[Message]) -> None:
    """Without keys there is a draft of what can be seen."""
    seen = ("spi_i", "spi_r", "response", "message_id", "from_initiator")
    hidden = [
        replace(one, hidden="no key", fields={name: one.fields[name] for name in seen})
        if one.is_ike and one.kind != "ike_sa_init"
        else one
        for one in good
        if not one.is_mobility
    ]
    session = session_of(hidden)
    text = draft(session)
    assert "no key" in text
    assert Outcome.MISSING not in outcomes(match(session, parse(text, Path("draft.yaml"))))


def test_draft_of_a_long_session_is_short(good: list[Message]) -> None:
    session = session_of(good)
    many = [replace(session.messages[-1], frame=1000 + index, content=str(index)) for index in range(1000)]
    text = draft(replace_messages(session, session.messages + many))
    assert "more messages" in text
    assert len(list(every_step(parse(text, Path("draft.yaml")).steps))) == MAX_STEPS


def test_draft_is_valid_for_editors(good: list[Message]) -> None:
    import jsonschema
    import yaml

    jsonschema.validate(yaml.safe_load(draft(session_of(good))), schema(), jsonschema.Draft7Validator)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_draft_of_any_messages_passes_on_them(data: st.DataObject, good: list[Message]) -> None:
    """Dropped, reordered, with strange words in names: still a flow, and nothing is missing in its own session."""
    base = session_of(good)
    places = data.draw(st.lists(st.integers(0, len(good) - 1), min_size=1, max_size=25, unique=True))
    word = data.draw(st.text(max_size=12))
    messages = [
        replace(good[place], frame=frame, fields={**good[place].fields, **({"id_r": word} if word else {})})
        if good[place].is_ike
        else replace(good[place], frame=frame)
        for frame, place in enumerate(places, 1)
    ]
    session = replace_messages(base, messages)
    assert Outcome.MISSING not in outcomes(match(session, drafted(session)))
