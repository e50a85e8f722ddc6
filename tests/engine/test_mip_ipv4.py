# SPDX-License-Identifier: GPL-2.0-or-later
"""The mobile node's IPv4 home address: asked for, kept, refused, released (B-6, B-23 to B-25, RR-3)."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from mn_dsmip.engine.mip.config import MobileConfig
from mn_dsmip.engine.mip.events import Registered
from mn_dsmip.engine.mip.mobile import State
from mn_dsmip.wire.mobility import IPv4Status
from mn_dsmip.wire.mobility_options import IPv4AddressAcknowledgement, IPv4HomeAddress
from tests.engine.mip_node import Node
from tests.engine.mip_pair import IPV4_HOME

ANY = IPv4Address(0)


def acknowledge(status: int, address: IPv4Address = IPV4_HOME) -> tuple[IPv4AddressAcknowledgement]:
    return (IPv4AddressAcknowledgement(status, 32, address),)


def asked(update) -> IPv4Address | None:
    options = [option for option in update.options if isinstance(option, IPv4HomeAddress)]
    assert all((option.prefix_length, option.prefix_requested) == (32, False) for option in options)
    return options[0].address if options else None


@pytest.mark.parametrize("wanted", [ANY, IPV4_HOME])
def test_an_ipv4_home_address_is_kept(wanted: IPv4Address) -> None:
    node = Node(MobileConfig(ipv4_home_address=wanted))
    node.mobile.register(0.0)
    assert asked(node.sent()) == wanted
    node.answer(0, lifetime=900, options=acknowledge(0))
    assert node.mobile.ipv4_home_address == IPV4_HOME
    node.wait()
    assert asked(node.sent()) == IPV4_HOME
    node.answer(0, lifetime=900, options=acknowledge(0))
    node.mobile.deregister(node.now)
    assert asked(node.sent()) == IPV4_HOME
    node.answer(0)
    assert node.mobile.ipv4_home_address is None
    # a new registration asks as at first
    node.mobile.register(node.now)
    assert asked(node.sent()) == wanted


@pytest.mark.parametrize(
    ("status", "next_question"),
    [
        (IPv4Status.REASON_UNSPECIFIED, IPV4_HOME),
        (IPv4Status.ADMINISTRATIVELY_PROHIBITED, None),
        (IPv4Status.INCORRECT_IPV4_HOME_ADDRESS, ANY),
        (IPv4Status.INVALID_IPV4_ADDRESS, ANY),
        (IPv4Status.DYNAMIC_ASSIGNMENT_NOT_AVAILABLE, None),
        (IPv4Status.PREFIX_ALLOCATION_UNAUTHORIZED, None),
        (255, IPV4_HOME),
    ],
)
def test_a_refused_ipv4_home_address_leaves_the_ipv6_binding(status: int, next_question: IPv4Address | None) -> None:
    node = Node(MobileConfig(ipv4_home_address=IPV4_HOME)).in_state(State.REGISTERING)
    node.answer(0, lifetime=900, options=acknowledge(status))
    assert node.mobile.state is State.BOUND and node.mobile.ipv4_home_address is None
    [registered] = node.seen(Registered)
    assert (registered.ipv4_home_address, registered.ipv4_status) == (None, status)
    node.wait()
    assert asked(node.sent()) == next_question


def test_a_home_agent_without_ipv4_is_not_asked_again() -> None:
    node = Node(MobileConfig(ipv4_home_address=ANY)).in_state(State.REGISTERING)
    node.answer(0, lifetime=900)
    [registered] = node.seen(Registered)
    assert registered.ipv4_status is None
    node.wait()
    assert asked(node.sent()) is None


def test_an_address_nobody_asked_for_is_not_taken() -> None:
    node = Node().in_state(State.REGISTERING)
    node.answer(0, lifetime=900, options=acknowledge(0))
    assert node.mobile.state is State.BOUND and node.mobile.ipv4_home_address is None


def test_success_without_an_address_is_none() -> None:
    node = Node(MobileConfig(ipv4_home_address=ANY)).in_state(State.REGISTERING)
    node.answer(0, lifetime=900, options=acknowledge(0, ANY))
    assert node.mobile.ipv4_home_address is None


def test_the_home_agent_may_take_the_address_away() -> None:
    node = Node(MobileConfig(ipv4_home_address=ANY)).in_state(State.REGISTERING)
    node.answer(0, lifetime=900, options=acknowledge(0))
    node.wait()
    node.answer(0, lifetime=900, options=acknowledge(129))
    assert [event.ipv4_home_address for event in node.seen(Registered)] == [IPV4_HOME, None]


@pytest.mark.parametrize("while_refreshing", [False, True])
def test_releasing_the_ipv4_home_address(while_refreshing: bool) -> None:
    node = Node(MobileConfig(ipv4_home_address=ANY)).in_state(State.REGISTERING)
    node.answer(0, lifetime=900, options=acknowledge(0))
    if while_refreshing:
        node.mobile.refresh(0.0)
        earlier = node.sent().sequence
    node.mobile.release_ipv4(0.0)
    assert asked(node.sent()) is None
    if while_refreshing:  # the answer to the Binding Update that still named it
        node.answer(0, sequence=earlier, lifetime=900, options=acknowledge(0))
        assert node.mobile.state is State.REFRESHING
    node.answer(0, lifetime=900)
    assert node.mobile.state is State.BOUND and node.mobile.ipv4_home_address is None
    node.wait()
    assert asked(node.sent()) is None
