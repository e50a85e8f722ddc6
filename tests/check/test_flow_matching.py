# SPDX-License-Identifier: GPL-2.0-or-later
"""Matching: alternatives, time bounds, roles, prohibitions between groups, nearest candidates, late captures."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from mn_dsmip.check.flow.language import Flow, FlowError, load, parse
from mn_dsmip.check.flow.match import Match, Outcome, StepResult, match
from mn_dsmip.check.model import Message, Value
from mn_dsmip.check.session import Session
from tests.check.conftest import FLOW

UE, HA, DNS, OTHER = "2001:db8::1", "2001:db8::a", "2001:db8::53", "2001:db8::99"


def said(kind: str, at: float, source: str = UE, destination: str = HA, hidden: str = "", **fields: Value) -> Message:
    """A message whose frame number is ten times its time."""
    return Message(kind, round(at * 10), at, source, destination, fields, hidden)


def flow_of(steps: str, more: str = "") -> Flow:
    roles = "roles: {ue: it, ha: its agent, dns: the server, other: somebody}\n"
    return parse(f"version: 1\nname: x\n{'' if 'roles:' in more else roles}steps:\n{steps}{more}", Path("x.yaml"))


def matched(flow: Flow, *messages: Message) -> Match:
    return match(Session(1, UE, HA, list(messages)), flow)


def told(found: Match) -> list[tuple[str, str, int | None]]:
    return [(one.step.name, one.outcome.value, one.message.frame if one.message else None) for one in found.results]


def result(found: Match, name: str) -> StepResult:
    return next(one for one in found.results if one.step.name == name)


# -- alternatives

WAYS = """\
  - alternatives: discovery
    branches:
      - branch: by-dns
        steps:
          - {step: query, message: dns, where: {response: false}, bind: {id: id}}
          - {step: answer, message: dns, where: {response: true, id: $id}, expect: {rcode: 0}}
      - branch: by-dhcp
        steps:
          - {step: asked, message: dhcpv6, where: {msg_type: information-request}}
          - {step: told, message: dhcpv6, where: {msg_type: reply}}
  - {step: init, message: ike_sa_init}
"""
QUERY = said("dns", 1, UE, DNS, response=False, id=7)
ANSWER = said("dns", 2, DNS, UE, response=True, id=7, rcode=0)
ASKED = said("dhcpv6", 1.5, UE, OTHER, msg_type="information-request")
TOLD = said("dhcpv6", 2.5, OTHER, UE, msg_type="reply")
INIT = said("ike_sa_init", 3, spi_i="1")


@pytest.mark.parametrize(
    ("messages", "taken", "missing"),
    [
        ([QUERY, ANSWER], ["query", "answer"], []),
        ([ASKED, TOLD], ["asked", "told"], []),
        ([QUERY, ASKED, TOLD], ["asked", "told"], []),
        ([QUERY, ASKED, ANSWER, TOLD], ["query", "answer"], []),
        ([ASKED], ["asked"], ["told"]),
        ([QUERY, replace(ANSWER, fields={**ANSWER.fields, "rcode": 3}), ASKED, TOLD], ["asked", "told"], []),
    ],
)
def test_the_branch_that_fits_best(messages: list[Message], taken: list[str], missing: list[str]) -> None:
    found = matched(flow_of(WAYS), *sorted([*messages, INIT], key=lambda one: one.frame))
    outcomes = {one.step.name: one.outcome for one in found.results}
    branches = {"query", "answer", "asked", "told"}
    assert [one.step.name for one in found.results if one.message] == [*taken, "init"]
    assert [name for name, one in outcomes.items() if one is Outcome.MISSING] == missing
    skipped = {name for name, one in outcomes.items() if one is Outcome.SKIPPED}
    assert skipped == branches - set(taken) - set(missing)


def test_no_branch_at_all() -> None:
    before = said("router_advertisement", 0.1)
    steps = "  - {step: ra, message: router_advertisement}\n" + WAYS
    missing = [one.step.name for one in matched(flow_of(steps), before, INIT).results if one.outcome is Outcome.MISSING]
    assert missing == ["query", "answer"]
    optional = flow_of(steps.replace("alternatives: discovery", "alternatives: discovery\n    optional: true"))
    outcomes = [one.outcome for one in matched(optional, before, INIT).results]
    assert outcomes == [Outcome.MATCHED, *[Outcome.SKIPPED] * 4, Outcome.MATCHED]


def test_branches_in_branches_are_not_tried_again_and_again() -> None:
    """24 levels with two branches each would be 16 million ways."""
    inner: list[object] = [{"step": "deepest", "message": "dns"}]
    for level in range(10):
        other = [{"step": f"other-{level}", "message": "binding_error"}]
        inner = [{"alternatives": f"level-{level}", "branches": [other, inner]}]
    flow = parse(yaml.safe_dump({"version": 1, "name": "x", "steps": inner}), Path("x.yaml"))
    begin = time.perf_counter()
    found = matched(flow, QUERY)
    assert result(found, "deepest").outcome is Outcome.MATCHED
    assert time.perf_counter() - begin < 1


# -- time

TIMED = """\
  - {step: update, message: binding_update, bind: {lifetime: lifetime}}
  - step: answer
    message: binding_acknowledgement
    time: {after: update, BOUND, clause: "RFC 6275 12"}
"""


@pytest.mark.parametrize(
    ("bound", "took", "outcome", "actual"),
    [
        ("within: 2 s", 1.9, Outcome.MATCHED, ""),
        ("within: 2 s", 2.0, Outcome.MATCHED, ""),
        ("within: 2", 2.1, Outcome.DIFFERENT, "2.1 s after it"),
        ("within: 500 ms", 0.6, Outcome.DIFFERENT, "0.6 s after it"),
        ("within: 1 min", 59, Outcome.MATCHED, ""),
        ("at_least: 1.5 s", 1.4, Outcome.DIFFERENT, "1.4 s after it"),
        ("at_least: 1.5 s", 1.5, Outcome.MATCHED, ""),
        ("at_least: 1 s, within: 2 s", 3, Outcome.DIFFERENT, "3 s after it"),
        ("within: $lifetime units", 12, Outcome.MATCHED, ""),
        ("within: $lifetime units", 12.1, Outcome.DIFFERENT, "12.1 s after it"),
        ("within: 1 s, severity: warning", 2, Outcome.MATCHED, "2 s after it"),
    ],
)
def test_time_bound(bound: str, took: float, outcome: Outcome, actual: str) -> None:
    flow = flow_of(TIMED.replace("BOUND", bound))
    begin = 1_800_000_000.1  # the clock of a capture: seconds since 1970 in floating point
    update = replace(said("binding_update", 1, lifetime=3), time=begin)
    answer = replace(said("binding_acknowledgement", 2), time=begin + took)
    found = result(matched(flow, update, answer), "answer")
    assert found.outcome is outcome
    assert [one.actual for one in found.differences] == ([actual] if actual else [])
    for one in found.differences:
        assert (one.condition.field, one.clause) == ("time", "RFC 6275 12")
        assert one.expected.endswith("after update")


def test_time_after_a_step_that_was_not_seen() -> None:
    """What has nothing to be counted from cannot be judged; after an optional step that is not there it need not."""
    flow = flow_of(TIMED.replace("BOUND", "within: 1 s"))
    answer = said("binding_acknowledgement", 2)
    assert [one.outcome for one in matched(flow, answer).results] == [Outcome.UNSEEN, Outcome.UNSEEN]
    optional = flow_of(
        TIMED.replace("BOUND", "within: 1 s").replace("binding_update, ", "binding_update, optional: true, ")
    )
    assert [one.outcome for one in matched(optional, answer).results] == [Outcome.SKIPPED, Outcome.MATCHED]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("after: update", "after: updat", "after: there is no step 'updat'; did you mean 'update'?"),
        ("BOUND, ", "", "time: expected 'within' or 'at_least'"),
        ("BOUND", "within: soon", "within: expected a time such as '2 s'"),
        ("BOUND", "within: 2 days", "within: there is no unit of time 'days'"),
        ("BOUND", "within: $lifetim units", "within: no earlier step binds the variable 'lifetim'; did you mean"),
        ("BOUND", "within: -1", "within: expected a time"),
        ("BOUND", "within: [1]", "within: expected a text"),
    ],
)  # fmt: skip
def test_wrong_time(old: str, new: str, says: str) -> None:
    with pytest.raises(FlowError, match=r"^x.yaml:\d+: ") as caught:
        flow_of(TIMED.replace(old, new).replace("BOUND", "within: 1"))
    assert says in str(caught.value)


# -- roles


def test_roles_are_found_from_messages() -> None:
    roles = """\
roles:
  old: {title: the first one, sends: {message: ike_auth, where: {notify: {contains: REDIRECT}}}}
  new: {address: $new}
  epdg: {receives: {message: ike_sa_init, from: ue}}
  net: {address: 2001:db8:5::/64}
"""
    steps = """\
  - {step: sent-away, message: ike_auth, from: old, to: ue, bind: {new: redirect_to}}
  - {step: again, message: ike_sa_init, from: ue, to: new}
  - {step: within, message: dns, to: net}
"""
    first = said("ike_sa_init", 1, UE, OTHER)
    away = said("ike_auth", 2, OTHER, UE, notify=("REDIRECT",), redirect_to=HA)
    again = said("ike_sa_init", 3, UE, HA)
    query = said("dns", 4, UE, "2001:db8:5::53")
    found = matched(flow_of(steps, roles), first, away, again, query)
    assert told(found) == [("sent-away", "matched", 20), ("again", "matched", 30), ("within", "matched", 40)]
    assert found.roles == {"old": OTHER, "new": HA, "epdg": OTHER, "net": "2001:db8:5::/64"}
    wrong = matched(flow_of(steps, roles), first, away, replace(again, destination=DNS), query)
    assert result(wrong, "again").outcome is Outcome.MISSING


def test_a_role_is_whoever_plays_it_first() -> None:
    steps = "  - {step: query, message: dns, to: dns}\n  - {step: answer, message: dns, from: dns}\n"
    assert told(matched(flow_of(steps), QUERY, ANSWER))[1] == ("answer", "matched", 20)
    found = matched(flow_of(steps), QUERY, replace(ANSWER, source=OTHER))
    missing = result(found, "answer")
    assert missing.outcome is Outcome.MISSING
    assert missing.nearest is not None and missing.nearest.frame == 20
    (why,) = missing.nearest_differences
    assert (why.condition.field, why.expected, why.actual) == ("from", f"dns ({DNS})", OTHER)


@pytest.mark.parametrize(
    ("role", "says"),
    [
        ("{address: nowhere}", "address: expected an address or a prefix, found 'nowhere'"),
        ("{address: $x}", "address: no step binds the variable 'x'"),
        ("{address: '::1', sends: {message: dns}}", "is found by only one of 'address' and 'sends'"),
        ("{sends: {message: dsn}}", "message: there is no kind 'dsn'; did you mean 'dns'?"),
        ("{sends: {message: dns, from: a}}", "only these are known before the others: 'a'"),
        ("{sends: {message: dns, where: {id: $x}}}", "id: no earlier step binds the variable 'x'"),
        ("{send: {message: dns}}", "the role 'a' has no key 'send'; did you mean 'sends'?"),
    ],
)
def test_wrong_role(role: str, says: str) -> None:
    with pytest.raises(FlowError) as caught:
        flow_of("  - {step: a, message: dns}\n", f"roles: {{a: {role}}}\n")
    assert says in str(caught.value)


# -- prohibitions


def test_forbidden_between_a_step_and_a_group() -> None:
    steps = """\
  - {step: init, message: ike_sa_init}
  - sequence: dns
    steps: [{step: query, message: dns, where: {response: false}}, {step: answer, message: dns}]
"""
    never = """\
forbidden:
  - {never: between, message: binding_update, between: [init, dns]}
  - {never: after, message: binding_update, after: dns}
  - {never: at-all, message: binding_error}
"""
    messages = [replace(INIT, frame=1), QUERY, ANSWER]
    for frame, names in ((0, []), (5, ["between"]), (15, []), (25, ["after"])):
        found = matched(flow_of(steps, never), *messages, replace(said("binding_update", 0), frame=frame))
        assert [one.step.name for one in found.results if one.outcome is Outcome.FORBIDDEN] == names
    found = matched(flow_of(steps, never), *messages, said("binding_error", 9))
    assert told(found)[-1] == ("at-all", "forbidden", 90)


# -- nearest candidates, captures that start late


def test_nearest_candidate_says_which_step_has_it() -> None:
    steps = "".join(f"  - {{step: {name}, message: binding_acknowledgement}}\n" for name in ("first", "second"))
    found = matched(flow_of(steps), said("binding_acknowledgement", 1))
    missing = result(found, "second")
    assert missing.nearest is not None and missing.nearest.frame == 10
    (why,) = missing.nearest_differences
    assert (why.condition.field, why.expected, why.actual) == ("step", "second", "first")


# (Frame 5 answers an optional query: alone it looks like a wrong answer to the mandatory one before it.)
@pytest.mark.parametrize("first", [one for one in range(2, 24) if one != 5])
def test_capture_that_starts_anywhere_is_never_said_to_lack_its_beginning(first: int, good: list[Message]) -> None:
    """Whatever comes before the first message that is seen is unseen, not missing."""
    from mn_dsmip.check.separate import separate

    sessions = separate([one for one in good if one.frame >= first])
    for session in sessions:
        outcomes = [one.outcome for one in match(session, load(FLOW)).results]
        seen = [at for at, one in enumerate(outcomes) if one in (Outcome.MATCHED, Outcome.DIFFERENT)]
        assert Outcome.MISSING not in outcomes[: seen[0] if seen else 0]
