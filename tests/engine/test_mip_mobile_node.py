# SPDX-License-Identifier: GPL-2.0-or-later
"""The mobile node's table, pair by pair, and what it does about each status of a Binding Acknowledgement."""

from __future__ import annotations

import pytest

from mn_dsmip.engine.base import ProtocolError
from mn_dsmip.engine.mip.config import MobileConfig
from mn_dsmip.engine.mip.events import (
    BindingUpdateRefused,
    BindingUpdateUnanswered,
    Deregistered,
    RegistrationFailed,
)
from mn_dsmip.engine.mip.mobile import TABLE, Input, State
from mn_dsmip.engine.mip.status import MEANINGS, Reaction, meaning_of
from mn_dsmip.wire.mobility import BindingAcknowledgement, BindingError, BindingRevocation
from tests.engine.mip_node import Node
from tests.engine.mip_pair import HOME

CALLS = {
    Input.REGISTER: lambda node: node.mobile.register(node.now),
    Input.REFRESH: lambda node: node.mobile.refresh(node.now),
    Input.DEREGISTER: lambda node: node.mobile.deregister(node.now),
    Input.ABANDONED: lambda node: node.mobile.abandon(),
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("call", CALLS)
def test_each_call_in_each_state(state: State, call: Input) -> None:
    node = Node().in_state(state)
    if (state, call) in TABLE:
        CALLS[call](node)
        assert node.mobile.state is TABLE[state, call]
    else:
        with pytest.raises(ProtocolError, match=f"{call.name} is not possible in state {state.name}"):
            CALLS[call](node)
        assert node.mobile.state is state and node.mobile.events() == []


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize(("status", "what"), [(0, Input.ACCEPTED), (129, Input.REFUSED)])
def test_each_answer_in_each_state(state: State, status: int, what: Input) -> None:
    node = Node().in_state(state)
    node.last = node.sent() or getattr(node, "last", None)
    if (state, what) in TABLE:
        node.answer(status, lifetime=900)
        assert node.mobile.state is TABLE[state, what]
    else:  # nothing is outstanding, so it answers nothing
        node.mobile.receive(BindingAcknowledgement(status, sequence=10, lifetime=900), node.now)
        assert node.mobile.state is state and node.mobile.counters["ba-unmatched"] == 1


@pytest.mark.parametrize("state", State)
def test_the_end_of_the_lifetime_in_each_state(state: State) -> None:
    node = Node().in_state(state)
    node.mobile.handle_timer(3600.0)  # a machine that slept
    expected = TABLE.get((state, Input.EXPIRED), state)
    assert node.mobile.state is expected


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("message", [BindingError(1, HOME), BindingRevocation(1, 1, 7, False, False, False)])
def test_other_messages_are_counted(state: State, message) -> None:
    node = Node().in_state(state)
    node.mobile.receive(message, 0.0)
    assert node.mobile.state is state and node.mobile.counters["mh-unexpected"] == 1


def test_abandoning_leaves_nothing_behind() -> None:
    for state in State:
        node = Node().in_state(state)
        node.mobile.abandon()
        assert node.mobile.next_timer() is None
        assert node.mobile.lifetime_left(node.now) == 0
        assert node.mobile.ipv4_home_address is None


# Statuses (ts 24.303, table of RFC 6275 6.1.8, 3963 4.2, 5149)

FATAL = {
    129: Reaction.FAIL,
    131: Reaction.REDISCOVER,
    132: Reaction.REBOOTSTRAP,
    133: Reaction.REDISCOVER,
    134: Reaction.NEW_HOME_ADDRESS,
    141: Reaction.FAIL,
    142: Reaction.FAIL,
    144: Reaction.FAIL,
    145: Reaction.FAIL,
    146: Reaction.FAIL,
    151: Reaction.FAIL,
    **dict.fromkeys(range(164, 170), Reaction.FAIL),
    174: Reaction.NEW_CARE_OF_ADDRESS,
    200: Reaction.FAIL,
}
ONGOING = {128, 130, 135, 136, 137, 138, 139, 140, 143}


def test_every_status_of_the_table_is_tried_here() -> None:
    assert set(MEANINGS) == {0, 1} | (set(FATAL) - {200}) | ONGOING


@pytest.mark.parametrize("status", [0, 1, 4, 5, 127])
def test_accepting_statuses(status: int) -> None:
    node = Node().in_state(State.REGISTERING)
    node.answer(status, lifetime=900)
    assert node.mobile.state is State.BOUND


@pytest.mark.parametrize("state", [State.REGISTERING, State.REFRESHING])
@pytest.mark.parametrize(("status", "reaction"), FATAL.items())
def test_statuses_that_end_the_attempt(state: State, status: int, reaction: Reaction) -> None:
    node = Node().in_state(state)
    node.answer(status)
    [failed] = node.seen(RegistrationFailed)
    assert (failed.status, failed.reaction) == (status, reaction)
    assert failed.reason == meaning_of(status).sentence and failed.clause
    assert node.mobile.state is State.UNBOUND and node.mobile.next_timer() is None
    assert node.sent() is None


def test_128_is_retried_three_times_at_the_back_off_rate() -> None:
    node = Node().in_state(State.REGISTERING)
    pauses = []
    for number in (10, 11):
        assert node.last.sequence == number
        node.answer(128)
        assert node.mobile.state is State.REGISTERING
        pauses.append(node.wait())
        assert node.sent().sequence == number + 1
    node.answer(128)
    assert pauses == [1.5, 3]
    assert [event.status for event in node.seen(BindingUpdateRefused)] == [128] * 3
    assert len(node.seen(RegistrationFailed)) == 1 and node.seen(BindingUpdateUnanswered) == []


def test_130_waits_for_resources() -> None:
    node = Node().in_state(State.REGISTERING)
    for _ in range(2):
        node.answer(130)
        assert node.wait() == 32
        assert node.sent() is not None
    node.answer(130)
    [failed] = node.seen(RegistrationFailed)
    assert failed.reaction is Reaction.WAIT


@pytest.mark.parametrize("last", [0, 9, 10, 500, 32778, 65535])
def test_135_continues_behind_the_home_agent_s_number(last: int) -> None:
    node = Node().in_state(State.REGISTERING)  # sent number 10
    node.answer(135, sequence=last)
    if 0 < (10 - last) % 65536 < 32768:  # number 10 will be taken: the answer is to something older
        assert node.sent() is None and node.mobile.counters["ba-stale-135"] == 1
    else:
        assert node.sent().sequence == (last + 1) % 65536
        node.answer(0, lifetime=900)
        assert node.mobile.state is State.BOUND


def test_135_without_anything_outstanding_changes_nothing() -> None:
    node = Node().in_state(State.BOUND)
    node.mobile.receive(BindingAcknowledgement(135, sequence=500), 0.0)
    node.mobile.refresh(0.0)
    assert node.sent().sequence == 11 and node.mobile.counters["ba-unmatched"] == 1


def test_135_for_ever_is_asked_at_the_back_off_rate() -> None:
    node = Node().in_state(State.REGISTERING)
    times = []
    for _ in range(8):
        node.answer(135, sequence=node.last.sequence)
        while node.sent() is None:
            node.wait()
        times.append(node.now)
    # two repeats at once, one of them inside the rate limit, then only the back-off
    assert times[0] == 0 and times[-1] > 60
    assert all(later - earlier >= 1 for earlier, later in zip(times[1:], times[4:], strict=False))
    assert node.mobile.state is State.REGISTERING


@pytest.mark.parametrize("status", [136, 137, 138])
def test_nonce_statuses_are_never_valid_here(status: int) -> None:
    node = Node().in_state(State.REGISTERING)
    node.answer(status)
    assert node.mobile.counters["ba-nonce-status"] == 1
    node.answer(0, lifetime=900)  # the Binding Update is still outstanding
    assert node.mobile.state is State.BOUND


def test_139_repeats_with_the_other_r_flag() -> None:
    node = Node().in_state(State.REFRESHING)
    node.answer(139)
    update = node.sent()
    assert not update.mobile_router and update.home and update.sequence == 12
    node.answer(0, lifetime=900)
    assert node.mobile.state is State.BOUND
    # and stays with it, RFC 3963 5.2
    node.wait()
    assert not node.sent().mobile_router


def test_139_again_and_again_fails() -> None:
    node = Node().in_state(State.REFRESHING)
    for _ in range(3):
        node.answer(139)
        if node.mobile.state is State.REFRESHING and node.sent() is None:
            node.wait()
    [failed] = node.seen(RegistrationFailed)
    assert failed.status == 139


@pytest.mark.parametrize("status", [140, 143])
def test_without_r_where_the_home_agent_serves_no_prefixes(status: int) -> None:
    node = Node().in_state(State.REGISTERING)
    node.wait()  # a second Binding Update with R is out when the first is answered
    older = node.last.sequence
    newer = node.sent().sequence
    node.answer(status, sequence=older)
    assert not node.sent().mobile_router
    node.answer(status, sequence=newer)  # about the flag that is no longer set
    assert node.mobile.state is State.REGISTERING
    node.answer(0, sequence=12, lifetime=900)
    assert node.mobile.state is State.BOUND


@pytest.mark.parametrize("status", [140, 143])
def test_no_fallback_when_another_home_agent_is_to_be_tried(status: int) -> None:
    node = Node(MobileConfig(router_fallback=False)).in_state(State.REGISTERING)
    node.answer(status)
    [failed] = node.seen(RegistrationFailed)
    assert failed.reaction is Reaction.WITHOUT_ROUTER_FLAG


def test_140_to_an_update_without_r_fails() -> None:
    node = Node().in_state(State.REGISTERING)
    node.answer(140)
    node.answer(140)
    assert len(node.seen(RegistrationFailed)) == 1


@pytest.mark.parametrize(
    ("status", "confirmed"), [(0, True), (1, True), (133, True), (129, False), (132, False), (151, False)]
)
def test_answers_to_a_deregistration(status: int, confirmed: bool) -> None:
    node = Node().in_state(State.DEREGISTERING)
    node.answer(status)
    assert node.seen(Deregistered) == [Deregistered(HOME, confirmed=confirmed)]
    assert node.mobile.next_timer() is None


@pytest.mark.parametrize("status", [128, 130])
def test_a_deregistration_refused_for_now_is_repeated(status: int) -> None:
    node = Node().in_state(State.DEREGISTERING)
    for _ in range(3):
        node.answer(status)
        assert node.seen(Deregistered) == []
        node.wait()
    assert node.seen(Deregistered) == [Deregistered(HOME, confirmed=False)]
    assert node.seen(BindingUpdateUnanswered) == []


def test_135_to_a_deregistration() -> None:
    node = Node().in_state(State.DEREGISTERING)
    node.answer(135, sequence=700)
    update = node.sent()
    assert (update.sequence, update.lifetime) == (701, 0)
    node.answer(0)
    assert node.seen(Deregistered) == [Deregistered(HOME, confirmed=True)]
