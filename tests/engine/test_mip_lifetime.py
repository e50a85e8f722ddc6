# SPDX-License-Identifier: GPL-2.0-or-later
"""How long bindings live, and what the home agent remembers of those that ended."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest

from mn_dsmip.engine.mip.config import MobileConfig
from mn_dsmip.engine.mip.events import (
    BindingCreated,
    BindingExpired,
    BindingForgotten,
    BindingRemoved,
    Deregistered,
    Removal,
)
from mn_dsmip.engine.mip.mobile import State
from mn_dsmip.wire.mobility import (
    BindingAcknowledgement,
    Status,
)
from tests.engine.mip_pair import HOME, Pair


def test_a_delayed_update_after_deregistration_binds_nothing() -> None:
    pair = Pair(MobileConfig())
    pair.attach()
    pair.mobile.refresh(pair.now)
    delayed = pair.take_to_home_agent()
    pair.mobile.deregister(pair.now)
    pair.to_home_agent()
    pair.to_mobile()
    # BU n+1 arrives within the grace: BA 135, and the mobile node ignores it
    pair.deliver_to_home_agent(delayed)
    answer = pair.to_mobile()
    assert (answer.status, answer.sequence) == (135, (delayed.message.sequence + 1) % 65536)
    assert pair.home_agent.bindings() == [] and pair.mobile.state is State.UNBOUND
    assert pair.mobile.counters["ba-unmatched"] == 1


def test_a_repeated_deregistration_is_answered_like_the_first() -> None:
    pair = Pair(MobileConfig())
    pair.attach()
    pair.mobile.deregister(pair.now)
    pair.to_home_agent()
    pair.drop_to_mobile()
    pair.wait()
    pair.to_home_agent()
    answer = pair.to_mobile()
    assert (answer.status, answer.lifetime) == (0, 0)
    assert pair.mobile_events(Deregistered) == [Deregistered(HOME, confirmed=True)]
    assert len(pair.home_agent_events(BindingRemoved)) == 1


def test_a_binding_that_nobody_refreshes_expires_on_both_sides() -> None:
    pair = Pair(MobileConfig(lifetime=40))
    pair.attach()
    # BU x ... for 40 s
    while not pair.mobile_events(BindingExpired):
        pair.wait()
        pair.updates.clear()
    assert pair.now == 40 and pair.mobile.state is State.REGISTERING
    [removed] = pair.home_agent_events(BindingRemoved)
    assert removed.reason is Removal.EXPIRED
    assert len(pair.home_agent_events(BindingForgotten)) == 1
    # and it comes back as a first registration
    pair.wait()  # 1.5 s
    assert pair.to_home_agent().overwrite
    pair.to_mobile()
    assert pair.mobile.state is State.BOUND


@pytest.mark.parametrize(
    ("lifetime", "advice", "expected"),
    [(3600, None, 1800), (3600, 600, 600), (3600, 2400, 1800), (16, None, 6), (8, None, 4), (24, None, 12)],
)
def test_when_the_refresh_leaves(lifetime: int, advice: int | None, expected: int) -> None:
    pair = Pair(MobileConfig(lifetime=lifetime), refresh_advice=advice)
    pair.attach()
    start = pair.now
    pair.wait()
    assert pair.now - start == expected and pair.mobile.state is State.REFRESHING


def test_the_home_agent_shortens_the_lifetime() -> None:
    pair = Pair(MobileConfig(lifetime=7200), max_lifetime=1000)
    pair.attach()
    assert pair.mobile.lifetime_left(pair.now) == 1000
    [binding] = pair.home_agent.bindings()
    assert (binding.lifetime, binding.expires) == (1000, 1000)


def test_an_answer_that_grants_more_than_asked_for_is_not_believed() -> None:
    pair = Pair(MobileConfig(lifetime=400))
    pair.mobile.register(pair.now)
    update = pair.take_to_home_agent().message
    pair.mobile.receive(BindingAcknowledgement(0, sequence=update.sequence, lifetime=900), pair.now)
    assert pair.mobile.lifetime_left(pair.now) == 400


def test_an_answer_after_the_lifetime_it_grants_is_ignored() -> None:
    pair = Pair(MobileConfig(lifetime=4))
    pair.mobile.register(pair.now)
    update = pair.take_to_home_agent().message
    pair.mobile.receive(BindingAcknowledgement(0, sequence=update.sequence, lifetime=1), pair.now + 4)
    assert pair.mobile.state is State.REGISTERING and pair.mobile.counters["ba-late"] == 1


def test_the_binding_cannot_outlive_the_home_prefix() -> None:
    pair = Pair(MobileConfig(), prefix_expires=1000.0)
    pair.mobile.prefix_expires = 1000.0
    pair.attach()
    [binding] = pair.home_agent.bindings()
    assert binding.expires == 1000
    assert pair.last_answer().status == Status.ACCEPTED_PREFIX_DISCOVERY_NECESSARY
    pair.run_until(lambda: pair.mobile.state is State.UNBOUND)
    assert 990 < pair.now <= 1000


def test_a_new_home_address_of_the_same_owner_replaces_the_old_one() -> None:
    pair = Pair(MobileConfig())
    pair.attach()
    other = IPv6Address("2001:db8:1:1::200")
    pair.mobile = pair.new_mobile(other)
    pair.mobile.register(pair.now)
    pair.to_home_agent()
    pair.to_mobile()
    assert [binding.home_address for binding in pair.home_agent.bindings()] == [other]
    [removed] = pair.home_agent_events(BindingRemoved)
    assert removed.reason is Removal.REPLACED and pair.home_agent_events(BindingForgotten) == []
    pair.home_agent.handle_timer(3600)
    assert [event.home_address for event in pair.home_agent_events(BindingForgotten)] == [other]


def test_the_grace_of_an_old_home_address_does_not_release_the_new_one_s() -> None:
    pair = Pair(MobileConfig())
    pair.attach()
    pair.mobile.deregister(pair.now)
    pair.to_home_agent()
    pair.to_mobile()
    pair.mobile = pair.new_mobile(IPv6Address("2001:db8:1:1::200"))
    pair.attach()
    pair.home_agent.handle_timer(11)
    assert pair.home_agent_events(BindingForgotten) == [] and len(pair.home_agent.bindings()) == 1
    pair.home_agent.withdraw(pair.authorization.owner, 11)
    assert pair.home_agent.bindings() == []


def test_withdrawal_keeps_the_addresses_through_the_grace() -> None:
    pair = Pair(MobileConfig())
    pair.attach()
    pair.home_agent.withdraw("somebody else", pair.now)
    assert len(pair.home_agent.bindings()) == 1
    pair.home_agent.withdraw(pair.authorization.owner, pair.now)
    [removed] = pair.home_agent_events(BindingRemoved)
    assert removed.reason is Removal.WITHDRAWN and pair.home_agent.bindings() == []
    assert pair.home_agent.next_timer() == 10
    pair.home_agent.handle_timer(10)
    assert len(pair.home_agent_events(BindingForgotten)) == 1


def test_addresses_of_a_binding_registered_anew_within_the_grace_are_not_released() -> None:
    pair = Pair(MobileConfig())
    pair.attach()
    pair.mobile.deregister(pair.now)
    pair.to_home_agent()
    pair.to_mobile()
    pair.mobile.register(pair.now)
    pair.to_home_agent()
    pair.to_mobile()
    pair.home_agent.handle_timer(11)
    assert len(pair.home_agent.bindings()) == 1
    assert pair.home_agent_events(BindingForgotten) == []
    assert len(pair.home_agent_events(BindingCreated)) == 2
