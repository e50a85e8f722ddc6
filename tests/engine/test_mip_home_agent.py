# SPDX-License-Identifier: GPL-2.0-or-later
"""The home agent: what it drops, what it refuses, what it grants, and how many it can serve."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest

from mn_dsmip.engine.deadlines import Deadlines
from mn_dsmip.engine.mip.config import HomeAgentConfig, MobileConfig
from mn_dsmip.engine.mip.events import BindingRefused, BindingUpdated
from mn_dsmip.engine.mip.home_agent import HomeAgent
from mn_dsmip.engine.mip.packet import ANY_IPV4, MobilityPacket, is_newer
from mn_dsmip.engine.mip.request import Authorization
from mn_dsmip.wire.mobility import BindingAcknowledgement, BindingError, BindingUpdate, IPv4Status, Status
from mn_dsmip.wire.mobility_options import (
    AlternateCareOfAddress,
    BindingRefreshAdvice,
    IPv4AddressAcknowledgement,
    IPv4HomeAddress,
    MobileNetworkPrefix,
    NonceIndices,
    Option,
    UnknownOption,
)
from tests.engine.mip_pair import CARE_OF, HOME, HOME_AGENT, HOME_PREFIX, IPV4_HOME, OWNER, Ipv4Pool, Pair

EVERYWHERE = IPv6Network("::/0")


def update(sequence: int = 1, *options: Option, **changes) -> BindingUpdate:
    """A registration as TS 24.303 A.2 wants it, with ``changes``."""
    usual = BindingUpdate(
        sequence, acknowledge=True, home=True, key_management=True, mobile_router=True, lifetime=900, options=options
    )
    return replace(usual, **changes)


class Gateway:
    """A home agent whose mobile nodes are played by the test."""

    def __init__(self, pool: Ipv4Pool | None = None, **config) -> None:
        self.home_agent = HomeAgent(HomeAgentConfig(**config), pool)
        self.authorization = Authorization(OWNER, HOME_PREFIX, EVERYWHERE)
        self.now = 0.0

    def take(self, message, home_address=HOME, care_of=CARE_OF, authorization=None) -> BindingAcknowledgement | None:
        """The answer to ``message``; ``None`` when there is none."""
        packet = MobilityPacket(message, home_address, HOME_AGENT, care_of)
        self.home_agent.receive(packet, authorization or self.authorization, self.now)
        out = self.home_agent.datagrams_to_send()
        if not out:
            return None
        [answer] = out
        assert answer[1:] == packet[1:]  # back to where it came from
        return answer.message

    def dropped(self) -> dict[str, int]:
        return dict(self.home_agent.counters)


# Dropped silently


@pytest.mark.parametrize(
    ("counter", "message", "addresses"),
    [
        ("mh-unexpected", BindingError(1, HOME), {}),
        ("mh-unexpected", BindingAcknowledgement(0), {}),
        ("bu-home-address", update(), {"home_address": IPv6Address("ff02::1")}),
        ("bu-home-address", update(), {"home_address": IPv6Address("fe80::1")}),
        ("bu-home-address", update(), {"home_address": IPv6Address("::")}),
        ("bu-home-address", update(), {"home_address": IPv6Address("::1")}),
        ("bu-nonce-indices", update(1, NonceIndices(1, 2)), {}),
        ("bu-not-home", update(home=False, mobile_router=False), {}),
        ("bu-care-of-address", update(), {"care_of": HOME}),
        ("bu-care-of-address", update(), {"care_of": IPv6Address("fe80::1")}),
        ("bu-care-of-address", update(1, AlternateCareOfAddress(IPv6Address("ff02::1"))), {}),
    ],
)
def test_dropped(counter: str, message, addresses) -> None:
    gateway = Gateway()
    assert gateway.take(message, **addresses) is None
    assert gateway.dropped() == {counter: 1}
    assert gateway.home_agent.bindings() == [] and gateway.home_agent.events() == []


def test_an_update_for_another_home_address_than_the_sa_s_is_dropped() -> None:
    gateway = Gateway()
    own = Authorization(OWNER, HOME_PREFIX, IPv6Network(HOME))
    for victim in (IPv6Address("2001:db8:1:2::100"), IPv6Address("2001:db8:1:1::101")):
        assert gateway.take(update(), home_address=victim, authorization=own) is None
    assert gateway.dropped() == {"mh-foreign-sa": 2}
    assert gateway.take(update(), authorization=own).status == 0


# Refused


@pytest.mark.parametrize(
    ("status", "message", "config", "addresses"),
    [
        (131, update(), {"accept_registrations": False}, {}),
        (132, update(), {}, {"home_address": IPv6Address("2001:db8:1:2::100")}),
        (133, update(lifetime=0), {}, {}),
        (130, update(), {"max_bindings": 0}, {}),
        (174, update(), {}, {"care_of": IPv6Address("2001:db8:1:1::9")}),
        (174, update(1, AlternateCareOfAddress(HOME_AGENT)), {}, {}),
        (140, update(), {"serve_prefixes": False}, {}),
        (140, update(home=False), {}, {}),
        (141, update(1, MobileNetworkPrefix(64, IPv6Address("2001:db8:1:1::1"))), {}, {}),
        (141, update(1, MobileNetworkPrefix(200, IPv6Address("2001:db8:1:1::"))), {}, {}),
        (142, update(1, MobileNetworkPrefix(64, IPv6Address("2001:db8:1:2::"))), {}, {}),
    ],
)
def test_refused(status: int, message, config, addresses) -> None:
    gateway = Gateway(**config)
    answer = gateway.take(message, **addresses)
    assert answer == BindingAcknowledgement(status, sequence=1)
    assert gateway.home_agent.bindings() == []
    [refused] = gateway.home_agent.events()
    assert refused == BindingRefused(OWNER, addresses.get("home_address", HOME), status)


def test_143_when_only_an_address_was_assigned() -> None:
    gateway = Gateway()
    gateway.authorization = Authorization(OWNER, IPv6Network(HOME), EVERYWHERE)
    assert gateway.take(update()).status == Status.FORWARDING_SETUP_FAILED
    answer = gateway.take(update(mobile_router=False))
    assert answer.status == 0 and not answer.mobile_router


def test_132_when_the_home_prefix_has_run_out() -> None:
    gateway = Gateway()
    gateway.authorization = replace(gateway.authorization, prefix_expires=3.0)
    assert gateway.take(update()).status == Status.NOT_HOME_SUBNET


def test_134_when_the_home_address_is_somebody_else_s() -> None:
    gateway = Gateway()
    assert gateway.take(update()).status == 0
    other = Authorization(("001010000000002", "internet"), HOME_PREFIX, EVERYWHERE)
    # not even the sequence number of the other is told, and a de-registration finds nothing
    assert gateway.take(update(7), authorization=other).status == Status.DUPLICATE_ADDRESS_DETECTION_FAILED
    assert gateway.take(update(8, lifetime=0), authorization=other).status == 133
    assert len(gateway.home_agent.bindings()) == 1


@pytest.mark.parametrize(
    ("last", "sequence", "accepted"),
    [
        (15, 15, False),
        (15, 0, False),
        (15, 32783, False),
        (15, 65535, False),
        (15, 16, True),
        (15, 32782, True),
        (65535, 0, True),
        (65535, 65534, False),
    ],
)
def test_sequence_numbers_of_the_rfc(last: int, sequence: int, accepted: bool) -> None:
    assert is_newer(sequence, last) == accepted
    gateway = Gateway()
    assert gateway.take(update(last)).status == 0
    answer = gateway.take(update(sequence))
    if accepted:
        assert (answer.status, answer.sequence) == (0, sequence)
    else:
        assert (answer.status, answer.sequence, answer.lifetime) == (135, last, 0)


def test_139_when_r_or_h_differs_from_the_binding() -> None:
    gateway = Gateway()
    gateway.take(update(1))
    assert gateway.take(update(2, mobile_router=False)).status == 139
    assert gateway.take(update(3, home=False)).status == 139
    # these were valid: their numbers are used up
    answer = gateway.take(update(3))
    assert (answer.status, answer.sequence) == (135, 3)
    # a de-registration may have any R, and a binding may come back as another type
    assert gateway.take(update(4, lifetime=0, mobile_router=False)).status == 0
    answer = gateway.take(update(5, mobile_router=False))
    assert (answer.status, answer.mobile_router) == (0, False)


def test_a_refused_refresh_leaves_the_binding_alone() -> None:
    gateway = Gateway()
    gateway.take(update(1))
    [before] = gateway.home_agent.bindings()
    gateway.take(update(2), care_of=IPv6Address("2001:db8:1:1::9"))
    [after] = gateway.home_agent.bindings()
    assert replace(after, sequence=1) == before


# Granted


@pytest.mark.parametrize("flag", [False, True])
def test_flags_of_the_answer(flag: bool) -> None:
    gateway = Gateway()
    answer = gateway.take(update(key_management=flag, mobile_router=flag, acknowledge=flag, overwrite=flag))
    assert answer == BindingAcknowledgement(0, key_management=flag, mobile_router=flag, sequence=1, lifetime=900)


def test_k_is_cleared_where_ike_cannot_move() -> None:
    assert not Gateway(key_management=False).take(update()).key_management


def test_r_is_cleared_where_no_prefixes_are_served() -> None:
    gateway = Gateway(serve_prefixes=False)
    assert gateway.take(update(1, mobile_router=False)).status == 0
    answer = gateway.take(update(2, lifetime=0))
    assert (answer.status, answer.mobile_router) == (0, False)


def test_the_care_of_address_is_the_protected_one_but_the_answer_goes_to_the_source() -> None:
    gateway = Gateway()
    elsewhere = IPv6Address("2001:db8:f:2::20")
    gateway.take(update(1, AlternateCareOfAddress(elsewhere)))  # take() checks the addresses of the answer
    [binding] = gateway.home_agent.bindings()
    assert binding.care_of_address == elsewhere


@pytest.mark.parametrize(("advice", "expected"), [(None, ()), (1800, (BindingRefreshAdvice(450),)), (3600, ())])
def test_refresh_advice_is_below_the_lifetime(advice: int | None, expected) -> None:
    assert Gateway(refresh_advice=advice).take(update()).options == expected


def test_unknown_options_are_skipped() -> None:
    assert Gateway().take(update(1, UnknownOption(200, b"whatever"))).status == 0


def test_explicit_mode_with_the_own_prefix() -> None:
    assert Gateway().take(update(1, MobileNetworkPrefix(64, IPv6Address("2001:db8:1:1::")))).status == 0


def test_a_new_care_of_address_moves_the_binding() -> None:
    gateway = Gateway()
    gateway.take(update(1))
    gateway.home_agent.events()
    elsewhere = IPv6Address("2001:db8:f:2::20")
    gateway.take(update(2), care_of=elsewhere)
    [moved] = gateway.home_agent.events()
    assert isinstance(moved, BindingUpdated)
    assert (moved.previous.care_of_address, moved.binding.care_of_address) == (CARE_OF, elsewhere)


# IPv4 home addresses (RFC 5555 4.5)


def ipv4_option(address: IPv4Address = ANY_IPV4, length: int = 32, prefix: bool = False) -> IPv4HomeAddress:
    return IPv4HomeAddress(length, prefix, address)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (ipv4_option(length=0), IPv4Status.REASON_UNSPECIFIED),
        (ipv4_option(prefix=True), IPv4Status.PREFIX_ALLOCATION_UNAUTHORIZED),
        (ipv4_option(length=24), IPv4Status.PREFIX_ALLOCATION_UNAUTHORIZED),
        (ipv4_option(IPv4Address("224.0.0.1")), IPv4Status.INVALID_IPV4_ADDRESS),
        (ipv4_option(IPv4Address("127.0.0.1")), IPv4Status.INVALID_IPV4_ADDRESS),
        (ipv4_option(IPv4Address("255.255.255.255")), IPv4Status.INVALID_IPV4_ADDRESS),
    ],
)
def test_bad_ipv4_questions(asked: IPv4HomeAddress, status: IPv4Status) -> None:
    pool = Ipv4Pool()
    answer = Gateway(pool).take(update(1, asked))
    assert answer.status == 0  # the IPv6 binding stands
    assert answer.options == (IPv4AddressAcknowledgement(status, 0, asked.address),)
    assert pool.asked == []


@pytest.mark.parametrize("status", [129, 130, 132])
def test_the_pool_s_refusals_are_passed_on(status: int) -> None:
    gateway = Gateway(Ipv4Pool(IPv4Status(status)))
    answer = gateway.take(update(1, ipv4_option()))
    assert answer.options == (IPv4AddressAcknowledgement(status, 0, ANY_IPV4),)
    assert gateway.home_agent.bindings()[0].ipv4_home_address is None


def test_an_ipv4_home_address_is_asked_for_kept_and_released() -> None:
    pool = Ipv4Pool()
    gateway = Gateway(pool)
    granted = (IPv4AddressAcknowledgement(0, 32, IPV4_HOME),)
    assert gateway.take(update(1, ipv4_option())).options == granted
    assert gateway.take(update(2, ipv4_option(IPV4_HOME))).options == granted
    assert gateway.take(update(3, ipv4_option())).options == granted
    assert pool.asked == [None, IPV4_HOME, None]
    # another address than the one bound
    answer = gateway.take(update(4, ipv4_option(IPv4Address("10.45.0.9"))))
    assert answer.options[0].status == IPv4Status.INCORRECT_IPV4_HOME_ADDRESS
    assert gateway.take(update(5, ipv4_option())).options == granted
    # without the option only the IPv4 binding ends (RFC 5555 4.4.2.1)
    gateway.home_agent.events()
    assert gateway.take(update(6)).options == ()
    [updated] = gateway.home_agent.events()
    assert (updated.previous.ipv4_home_address, updated.binding.ipv4_home_address) == (IPV4_HOME, None)


def test_a_home_agent_without_a_pool_says_nothing_of_ipv4() -> None:
    assert Gateway().take(update(1, ipv4_option())).options == ()


# Many


def test_thousands_of_bindings_expire_in_order() -> None:
    gateway = Gateway(max_bindings=5000)
    count = 4000
    for number in range(count):
        prefix = IPv6Network(((0x20010DB8_0000 + number) << 80, 64))
        address = prefix[0x100]
        authorization = Authorization(number, prefix, IPv6Network(address))
        answer = gateway.take(update(1, lifetime=1 + number % 900), address, authorization=authorization)
        assert answer.status == 0
    assert len(gateway.home_agent.bindings()) == count
    left = []
    while (timer := gateway.home_agent.next_timer()) is not None:
        gateway.home_agent.handle_timer(timer)
        left.append(len(gateway.home_agent.bindings()))
    assert len(left) == 900 and left[-1] == 0 and left == sorted(left, reverse=True)


def test_deadlines_forget_lazily_but_do_forget() -> None:
    deadlines: Deadlines[str] = Deadlines()
    for number in range(10_000):
        deadlines.set("a", 1000.0 + number)
        deadlines.set("b", 2000.0 - number / 10)
        deadlines.set("gone", 5.0)
        deadlines.discard("gone")
    assert len(deadlines._heap) < 200
    assert deadlines.next() == 2000.0 - 999.9
    assert list(deadlines.due(1000.0)) == []
    assert list(deadlines.due(1_000_000.0)) == ["b", "a"]
    assert deadlines.next() is None


def test_a_pair_speaks_over_an_sa_for_exactly_one_home_address() -> None:
    pair = Pair(MobileConfig(), selector=IPv6Network(HOME))
    pair.attach()
    assert pair.home_agent.binding(HOME) is not None and pair.home_agent.binding(CARE_OF) is None
