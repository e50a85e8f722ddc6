# SPDX-License-Identifier: GPL-2.0-or-later
"""Registration, refresh and de-registration: a mobile node and a home agent, message by message."""

from __future__ import annotations

from ipaddress import IPv4Address

from mn_dsmip.engine.mip.config import MobileConfig
from mn_dsmip.engine.mip.events import (
    BindingCreated,
    BindingForgotten,
    BindingRemoved,
    BindingUpdated,
    BindingUpdateUnanswered,
    Deregistered,
    Registered,
    Removal,
)
from mn_dsmip.engine.mip.mobile import State
from mn_dsmip.wire.mobility import (
    BindingAcknowledgement,
    BindingRefreshRequest,
    BindingUpdate,
    build_mobility,
    parse_mobility,
)
from mn_dsmip.wire.mobility_options import (
    AlternateCareOfAddress,
    BindingRefreshAdvice,
    IPv4AddressAcknowledgement,
    IPv4CareOfAddress,
    IPv4HomeAddress,
)
from tests.engine.mip_pair import CARE_OF, HOME, HOME_AGENT, IPV4_HOME, Pair


def test_attach() -> None:
    pair = Pair(MobileConfig(ipv4_home_address=IPv4Address(0)))
    pair.mobile.register(pair.now)

    # BU seq n, lifetime 900, A H K R O, IPv4 0.0.0.0, CoA -->
    update = pair.to_home_agent()
    flags = {"acknowledge": True, "home": True, "key_management": True, "mobile_router": True, "overwrite": True}
    options = (IPv4HomeAddress(32, False, IPv4Address(0)), AlternateCareOfAddress(CARE_OF))
    assert update == BindingUpdate(0xFFFE, **flags, lifetime=900, options=options)
    assert pair.mobile.state is State.REGISTERING
    [created] = pair.home_agent_events(BindingCreated)
    assert (created.binding.home_address, created.binding.care_of_address) == (HOME, CARE_OF)
    assert created.binding.ipv4_home_address == IPV4_HOME and created.binding.mobile_router

    # <-- BA 0, K R, lifetime 900, IPv4 10.45.0.2
    answer = pair.to_mobile()
    options = (IPv4AddressAcknowledgement(0, 32, IPV4_HOME),)
    assert answer == BindingAcknowledgement(0, True, True, 0xFFFE, 900, options)
    registered = Registered(
        HOME,
        CARE_OF,
        HOME_AGENT,
        3600,
        refreshed=False,
        prefix_served=True,
        key_management=True,
        ipv4_home_address=IPV4_HOME,
        ipv4_status=0,
    )
    assert pair.mobile_events(Registered) == [registered]
    assert pair.mobile.state is State.BOUND and pair.mobile.lifetime_left(pair.now) == 3600


def test_refresh() -> None:
    pair = Pair(MobileConfig(ipv4_home_address=IPv4Address(0)))
    pair.attach()
    [before] = pair.home_agent.bindings()

    # half the lifetime later: BU seq n+1, O clear, the registered IPv4 home address -->
    assert pair.wait() == 1800
    update = pair.to_home_agent()
    flags = {"acknowledge": True, "home": True, "key_management": True, "mobile_router": True}
    options = (IPv4HomeAddress(32, False, IPV4_HOME), AlternateCareOfAddress(CARE_OF))
    assert update == BindingUpdate(0xFFFF, **flags, lifetime=900, options=options)
    [updated] = pair.home_agent_events(BindingUpdated)
    assert updated.previous == before and updated.binding.expires == 1800 + 3600

    # <-- BA 0
    pair.to_mobile()
    [registered] = pair.mobile_events(Registered)
    assert registered.refreshed and pair.mobile.lifetime_left(pair.now) == 3600


def test_detach() -> None:
    pair = Pair(MobileConfig(ipv4_home_address=IPv4Address(0)))
    pair.attach()

    # BU seq n+1, lifetime 0, A H K only -->
    pair.mobile.deregister(pair.now)
    options = (IPv4HomeAddress(32, False, IPV4_HOME), AlternateCareOfAddress(CARE_OF))
    assert pair.to_home_agent() == BindingUpdate(
        0xFFFF, acknowledge=True, home=True, key_management=True, options=options
    )
    [removed] = pair.home_agent_events(BindingRemoved)
    assert removed.reason is Removal.DEREGISTERED and pair.home_agent.bindings() == []

    # <-- BA 0, K, lifetime 0
    assert pair.to_mobile() == BindingAcknowledgement(0, key_management=True, sequence=0xFFFF)
    assert pair.mobile_events(Deregistered) == [Deregistered(HOME, confirmed=True)]
    assert pair.mobile.state is State.UNBOUND and pair.mobile.next_timer() is None

    # ten seconds later the home agent forgets, and may lease the addresses anew
    assert pair.wait() == 10
    assert [event.home_address for event in pair.home_agent_events(BindingForgotten)] == [HOME]
    assert pair.home_agent.next_timer() is None


def test_the_wire_agrees_with_the_published_vectors() -> None:
    # E1 --> <-- E2
    pair = Pair(MobileConfig(ipv4_home_address=IPv4Address(0), overwrite_flag=False), sequence=1, refresh_advice=1800)
    pair.mobile.register(pair.now)
    update = pair.to_home_agent()
    assert build_mobility(update, HOME, HOME_AGENT).hex() == (
        "3b04050011b70001d40003841d068000000000000100031020010db8000f00010000000000000010"
    )
    answer = pair.to_mobile()
    assert build_mobility(answer, HOME_AGENT, HOME).hex() == "3b020600868000c0000103841e0600800a2d0002020201c2"

    # E7 --> <-- E7b
    pair = Pair(MobileConfig(), sequence=2)
    pair.attach()
    pair.mobile.deregister(pair.now)
    assert build_mobility(pair.to_home_agent(), HOME, HOME_AGENT).hex() == (
        "3b030500b6480003d00000000100031020010db8000f00010000000000000010"
    )
    assert build_mobility(pair.to_mobile(), HOME_AGENT, HOME).hex() == "3b010600b5c200800003000001020000"


def test_lost_messages_are_repeated_with_new_numbers_and_growing_pauses() -> None:
    pair = Pair(MobileConfig())
    pair.mobile.register(pair.now)
    # BU x, x, x, x, x, x, x: 1.5 s, 3, 6, 12, 24, 32, 32 s apart
    first = pair.drop_to_home_agent().sequence
    pauses = []
    for attempt in range(1, 8):
        before = pair.now
        pauses.append(pair.wait() - before)
        assert pair.mobile_events(BindingUpdateUnanswered) == [BindingUpdateUnanswered(HOME, attempt)]
        assert pair.drop_to_home_agent().sequence == (first + attempt) % 65536
    assert pauses == [1.5, 3, 6, 12, 24, 32, 32]
    # it goes on for ever, also after more tries than a float has room for; the answers to the oldest are not awaited
    for _ in range(1200):
        pair.wait()
        last = pair.drop_to_home_agent().sequence
    pair.mobile.receive(BindingAcknowledgement(0, sequence=(last - 16) % 65536, lifetime=900), pair.now)
    assert pair.mobile.state is State.REGISTERING and pair.mobile.counters["ba-unmatched"] == 1


def test_refreshes_are_repeated_faster() -> None:
    pair = Pair(MobileConfig())
    pair.attach()
    pair.mobile.refresh(pair.now)
    pair.drop_to_home_agent()
    pauses = []
    for _ in range(7):
        before = pair.now
        pauses.append(pair.wait() - before)
        pair.drop_to_home_agent()
    assert pauses == [1, 2, 4, 8, 16, 32, 32]


def test_a_lost_answer_is_asked_for_again() -> None:
    pair = Pair(MobileConfig())
    pair.mobile.register(pair.now)
    pair.to_home_agent()
    pair.drop_to_mobile()
    # x-- BA; BU seq n+1 -->  <-- BA n+1
    pair.wait()
    pair.to_home_agent()
    pair.to_mobile()
    assert pair.mobile.state is State.BOUND
    [binding] = pair.home_agent.bindings()
    assert pair.now + pair.mobile.lifetime_left(pair.now) == binding.expires


def test_a_late_answer_to_an_earlier_update_counts_from_its_sending() -> None:
    pair = Pair(MobileConfig())
    pair.mobile.register(pair.now)
    pair.to_home_agent()
    late = pair.take_to_mobile()
    pair.wait()  # 1.5 s: BU n+1 leaves
    second = pair.to_home_agent()
    # <-- BA n, only now
    pair.mobile.receive(late, pair.now)
    assert pair.mobile.state is State.BOUND
    assert pair.mobile.lifetime_left(pair.now) == 3600 - 1.5
    # <-- BA n+1 finds nothing outstanding
    assert pair.to_mobile().sequence == second.sequence
    assert pair.mobile.counters["ba-unmatched"] == 1
    assert pair.mobile.lifetime_left(pair.now) == 3600 - 1.5


def test_repeated_and_reordered_messages_do_no_harm() -> None:
    pair = Pair(MobileConfig())
    pair.mobile.register(pair.now)
    pair.wait()
    # BU n and n+1 leave; n+1 arrives first, then n, then n+1 again
    first, second = pair.take_to_home_agent(), pair.take_to_home_agent()
    pair.deliver_to_home_agent(second)
    pair.deliver_to_home_agent(first)
    pair.deliver_to_home_agent(second)
    # <-- BA 0 (n+1), BA 135, BA 135: in the worst order
    accepted, *refused = [pair.take_to_mobile() for _ in range(3)]
    assert accepted.status == 0
    assert [(answer.status, answer.sequence) for answer in refused] == [(135, second.message.sequence)] * 2
    pair.mobile.receive(refused[0], pair.now)
    assert pair.mobile.state is State.REGISTERING
    pair.mobile.receive(accepted, pair.now)
    pair.mobile.receive(refused[1], pair.now)
    assert pair.mobile.state is State.BOUND
    # the Binding Update that the first 135 caused is newer than all of them and does no harm either
    pair.to_home_agent()
    pair.to_mobile()
    assert pair.mobile.state is State.BOUND and len(pair.home_agent.bindings()) == 1


def test_a_detach_without_answer_ends_after_three_tries() -> None:
    pair = Pair(MobileConfig())
    pair.attach()
    start = pair.now
    pair.mobile.deregister(pair.now)
    for _ in range(3):
        assert pair.drop_to_home_agent().lifetime == 0
        pair.wait()
    assert pair.now - start == 1 + 2 + 4
    assert pair.mobile_events(Deregistered) == [Deregistered(HOME, confirmed=False)]
    assert pair.mobile.datagrams_to_send() == [] and pair.mobile.state is State.UNBOUND


def test_a_detach_during_registration_also_ends_what_the_home_agent_may_have_accepted() -> None:
    pair = Pair(MobileConfig())
    pair.mobile.register(pair.now)
    pair.to_home_agent()
    # the mobile node leaves before the answer is there
    pair.mobile.deregister(pair.now)
    pair.to_mobile()
    assert pair.mobile.state is State.DEREGISTERING  # BA n accepted a registration, not the end of it
    pair.to_home_agent()
    pair.to_mobile()
    assert pair.mobile.state is State.UNBOUND and pair.home_agent.bindings() == []


def test_at_most_three_updates_a_second() -> None:
    pair = Pair(MobileConfig())
    pair.attach()
    for _ in range(2):
        pair.mobile.refresh(pair.now)
        pair.to_home_agent()
        pair.to_mobile()
    # one registration and two refreshes in the same moment; a third refresh waits until the second is over
    pair.mobile.refresh(pair.now)
    pair.settle()
    assert not pair.updates and pair.mobile.state is State.REFRESHING
    assert pair.wait() == 1.0
    assert len(pair.updates) == 1
    assert pair.mobile_events(BindingUpdateUnanswered) == []
    pair.to_home_agent()
    pair.to_mobile()
    assert pair.mobile.state is State.BOUND


def test_a_home_agent_may_ask_for_a_refresh() -> None:
    pair = Pair(MobileConfig())
    pair.mobile.receive(BindingRefreshRequest(), pair.now)
    assert pair.mobile.counters["mh-unexpected"] == 1 and pair.mobile.datagrams_to_send() == []
    pair.attach()
    pair.mobile.receive(BindingRefreshRequest(), pair.now)
    assert pair.mobile.state is State.REFRESHING
    assert not pair.to_home_agent().overwrite


def test_de_registration_at_home_names_the_whole_prefix_and_no_care_of_address() -> None:
    pair = Pair(MobileConfig())
    pair.attach()
    pair.mobile.care_of_address = HOME
    pair.mobile.deregister(pair.now)
    packet = pair.take_to_home_agent()
    assert packet.care_of_address == HOME and packet.message.mobile_router and packet.message.options == ()
    pair.deliver_to_home_agent(packet)
    [answer] = pair.answers
    assert answer.care_of_address == HOME and answer.message.mobile_router and answer.message.status == 0


def test_an_ipv4_care_of_address_goes_into_its_own_option() -> None:
    pair = Pair(MobileConfig(), care_of=IPv4Address("198.51.100.10"))
    pair.mobile.register(pair.now)
    assert pair.take_to_home_agent().message.options == (IPv4CareOfAddress(IPv4Address("198.51.100.10")),)


def test_messages_survive_the_wire() -> None:
    pair = Pair(MobileConfig(ipv4_home_address=IPv4Address(0)), refresh_advice=600)
    pair.mobile.register(pair.now)
    update = pair.to_home_agent()
    assert parse_mobility(build_mobility(update, HOME, HOME_AGENT), HOME, HOME_AGENT) == update
    answer = pair.to_mobile()
    assert answer.options[1] == BindingRefreshAdvice(150)
    assert parse_mobility(build_mobility(answer, HOME_AGENT, HOME), HOME_AGENT, HOME) == answer
