# SPDX-License-Identifier: GPL-2.0-or-later
"""Matching is bounded: long sessions take little time, and no flow and no messages make it fail or hang."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mn_dsmip.check.flow import look
from mn_dsmip.check.flow.language import parse
from mn_dsmip.check.flow.match import Outcome, match
from mn_dsmip.check.model import Message
from mn_dsmip.check.session import Session
from tests.check.test_flow_matching import DNS, HA, OTHER, UE, flow_of, matched, said


def long_session(count: int) -> Session:
    """An attach, then refreshes until there are so many messages."""
    messages = [said("ike_sa_init", 0.1, response=False, spi_i="1")]
    for number in range(count // 2):
        at = 1.0 + number
        messages += [
            said("binding_update", at, sequence=number % 65536, lifetime=10),
            said("binding_acknowledgement", at + 0.5, HA, UE, sequence=number % 65536, status=0, lifetime=10),
        ]
    session = Session(1, UE, HA, messages)
    session.__dict__.update(repeated={}, abandoned=[])  # facts of the session: theirs is another test
    return session


REFRESHES = """\
  - {step: init, message: ike_sa_init, from: ue, to: ha}
  - repeat: refreshes
    steps:
      - {step: refresh, message: binding_update, from: ue, where: {lifetime: {gt: 0}}, bind: {n: sequence}}
      - {step: perhaps, message: binding_error, optional: true}
      - {step: granted, message: binding_acknowledgement, to: ue, where: {sequence: $n}, expect: {status: 0}}
"""


def test_five_thousand_messages_in_a_second() -> None:
    session, flow = long_session(5000), flow_of(REFRESHES)
    begin = time.perf_counter()
    found = match(session, flow)
    took = time.perf_counter() - begin
    assert sum(one.outcome is Outcome.MATCHED for one in found.results) == 5001
    assert took < 1, took


def test_what_does_not_suit_is_given_up_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a hang, never a step said to be missing that was not searched for to the end, never a pass."""
    steps = """\
  - repeat: rounds
    steps:
      - {step: one, message: binding_update, bind: {n: sequence}}
      - {step: other, message: binding_acknowledgement, optional: true, where: {sequence: {gt: $n}, status: 9}}
"""
    session, flow = long_session(5000), flow_of(steps.replace("status: 9", "status: {ge: 9}"))
    begin = time.perf_counter()
    found = match(session, flow)
    assert time.perf_counter() - begin < 5
    outcomes = {one.outcome for one in found.results}
    assert Outcome.MISSING not in outcomes
    assert Outcome.UNSEEN in outcomes
    assert any("given up" in one.reason for one in found.results)
    monkeypatch.setattr(look, "WORK_PER_MESSAGE", 100_000)
    assert not any(one.reason for one in match(long_session(300), flow).results)


KINDS = st.sampled_from(["dns", "ike_sa_init", "binding_update", "binding_acknowledgement", "esp"])
NUMBER = st.integers(0, 3)
MESSAGES = st.builds(
    lambda kind, ends, fields, hidden: Message(kind, 0, 0.0, *ends, fields, hidden),
    KINDS,
    st.sampled_from([(UE, HA), (HA, UE), (UE, DNS), (OTHER, UE)]),
    st.dictionaries(st.sampled_from(["sequence", "id", "response", "status", "payloads", "spi"]), NUMBER, max_size=3),
    st.sampled_from(["", "", "", "no key"]),
)
FIELD = {"dns": "id", "ike_sa_init": "message_id", "esp": "spi"}


@st.composite
def steps_of(draw: st.DrawFn, names: list[int], depth: int = 0) -> list[dict[str, object]]:
    """Steps and groups with names that are unique, conditions, variables, times."""
    made: list[dict[str, object]] = []
    for _ in range(draw(st.integers(1, 3))):
        names.append(0)
        name = f"s{len(names)}"
        kind = draw(st.sampled_from(["step"] * 3 + ["sequence", "any_order", "repeat", "alternatives"] * (depth < 3)))
        if kind == "step":
            made.append(draw(step_of(name)))
            continue
        group: dict[str, object] = {kind: name}
        if kind == "alternatives":
            group["branches"] = [draw(steps_of(names, depth + 1)) for _ in range(draw(st.integers(1, 2)))]
        else:
            group["steps"] = draw(steps_of(names, depth + 1))
        if kind == "repeat":
            group |= {"min": draw(st.integers(0, 4)), "max": draw(st.integers(4, 9))}
        made.append(group | ({"optional": True} if draw(st.booleans()) else {}))
    return made


@st.composite
def step_of(draw: st.DrawFn, name: str) -> dict[str, object]:
    message = draw(KINDS)
    field = FIELD.get(message, "sequence")
    step: dict[str, object] = {"step": name, "message": message, "bind": {"v": field}}
    timed = draw(
        st.sampled_from([None, None, {"after": name, "at_least": "1 s"}, {"after": "s0", "within": "$v units"}])
    )
    wanted = draw(st.sampled_from([None, 0, 1, {"gt": 0}, {"one_of": [1, 2]}, {"present": True}]))
    if wanted is not None:
        step[draw(st.sampled_from(["where", "expect"]))] = {field: wanted}
    if draw(st.booleans()):
        step["from"] = draw(st.sampled_from(["ue", "ha", "dns"]))
    if timed:
        step["time"] = timed
    return step | ({"optional": True} if draw(st.booleans()) else {})


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), messages=st.lists(MESSAGES, max_size=40))
def test_any_flow_on_any_messages(data: st.DataObject, messages: list[Message]) -> None:
    """Never an exception, never long; each message has at most one step, and what passes has all mandatory ones."""
    first = {"step": "s0", "message": "dns", "bind": {"v": "id"}, "optional": True}
    steps = [first, *data.draw(steps_of([]))]
    whole = {"version": 1, "name": "x", "roles": {"dns": "x"}, "steps": steps}
    never = {"never": "no", "message": data.draw(KINDS), "after": "s0", "where": {}}
    flow = parse(yaml.safe_dump(whole | {"forbidden": [never]}), Path("x.yaml"))
    begin = time.perf_counter()
    placed = [replace(one, frame=at, time=at * 0.7) for at, one in enumerate(messages, 1)]
    found = matched(flow, *placed)
    assert time.perf_counter() - begin < 5
    frames = [one.message.frame for one in found.results if one.message and one.outcome is not Outcome.FORBIDDEN]
    assert len(frames) == len(set(frames))
    for one in found.results:
        if one.outcome is Outcome.MATCHED:
            assert one.message is not None
            assert one.message.kind == one.step.message
