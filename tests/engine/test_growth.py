# SPDX-License-Identifier: GPL-2.0-or-later
"""What peers do again and again leaves nothing behind, and what they send is never too strange or too long."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest

from mn_dsmip.engine.aaa.client import RadiusConfig, RadiusServer
from mn_dsmip.engine.base import Datagram, Side
from mn_dsmip.engine.gateway import Gateway, GatewayConfig
from mn_dsmip.engine.gateway_policy import PolicyConfig
from mn_dsmip.engine.ike.events import IkeFailed, ResponderConfig, Timers
from mn_dsmip.engine.ike.fragmentation import LONGEST_CONTENT, MAXIMUM_FRAGMENTS, Reassembly
from mn_dsmip.engine.ike.initiator import IkeInitiator
from mn_dsmip.engine.ike.proposals import PROFILES
from mn_dsmip.engine.ike.session import MOST_REPLACED
from mn_dsmip.engine.mip.config import HomeAgentConfig
from mn_dsmip.engine.mip.events import BindingCreated, BindingRemoved
from mn_dsmip.engine.mip.home_agent import HomeAgent
from mn_dsmip.engine.mip.packet import MobilityPacket
from mn_dsmip.engine.mip.request import Authorization
from mn_dsmip.engine.stack import Stack
from mn_dsmip.engine.tunnel_errors import LARGEST_INNER, TunnelErrors
from mn_dsmip.engine.ue_states import UeState
from mn_dsmip.wire.ikev2_payloads import EncryptedFragment
from mn_dsmip.wire.ip import HOP_LIMIT, IPIP, UDP, ipv6_packet, with_header_checksum
from mn_dsmip.wire.mobility import BindingUpdate
from tests.engine.ike_pair import GATEWAY, PSK, UE, Pair, Policy, initiator_config, responder_config, seeded
from tests.engine.operator_network import CORRESPONDENT_IPV4, Operator
from tests.engine.test_attach import attached
from tests.engine.test_ike_rekey import agree, established, rekey_child, rekey_ike, session_of
from tests.engine.test_user_plane import POOLS


def test_attachments_that_are_over_leave_nothing_behind() -> None:
    operator = Operator().start()
    ue = operator.add_ue()
    gateway = operator.gateway
    for _ in range(3):
        assert attached(operator, ue)
        assert gateway._authorizations
        operator.simulation.do(operator.nodes[0], ue.detach)
        assert operator.simulation.run(lambda: ue.state is UeState.IDLE)
        assert not gateway._authorizations and not len(gateway.network.database)
        operator.simulation.do(operator.nodes[0], ue.attach)


def test_a_session_that_replaces_another_leaves_nothing_of_that() -> None:
    operator = Operator().start()
    ue = operator.add_ue()
    assert attached(operator, ue)
    before = set(operator.gateway._authorizations)
    node, access = operator.nodes[0], ue._access
    assert access
    operator.simulation.do(node, ue.access_lost)
    operator.simulation.do(node, lambda now: ue.access_ready(access, now))
    assert attached(operator, ue)
    assert operator.gateway._authorizations and not before & set(operator.gateway._authorizations)


def radius_gateway(timers: Timers) -> Gateway:
    """One whose RADIUS server never answers."""
    server = RadiusServer(IPv6Address("2001:db8:a::1"), 1812, b"secret")
    return Gateway(
        GatewayConfig(
            PolicyConfig(GATEWAY, {}, {"internet": POOLS}),
            ResponderConfig("pgw.example.net", PROFILES["modern"], None, timers=timers),
            radius=RadiusConfig((server,), "pgw", IPv6Address("2001:db8:a::2")),
        ),
        seeded("gateway"),
    )


def test_peers_that_fall_silent_while_radius_is_asked_are_forgotten() -> None:
    gateway = radius_gateway(Timers(half_open=3.0))  # before the RADIUS server is given up
    ue = IkeInitiator(initiator_config(), UE, GATEWAY, seeded("ue"), 0.0)
    stack = Stack(seeded("stack"), ue.counters)
    ue.start(0.0)
    for _ in range(2):  # IKE_SA_INIT, and IKE_AUTH, which gets no answer
        for datagram in ue.datagrams_to_send():
            for packet in stack.send_udp(datagram, 0.0):
                gateway.receive_datagram(Datagram(Side.ACCESS, packet), 0.0)
        for reply in gateway.datagrams_to_send():
            received = stack.receive(reply.packet, UE.packed, 0.0)
            assert received is not None
            ue.receive_datagram(received, 0.0)  # type: ignore[arg-type]  # nothing but UDP comes
    assert gateway.ike.sessions and gateway.policy._distant
    while gateway.ike.sessions:
        due = gateway.next_timer()
        assert due is not None
        gateway.handle_timer(due)
    assert not gateway.policy._distant


def test_the_policy_hears_of_every_end() -> None:
    pair = Pair(policy=Policy(psk=b"another"), config=initiator_config(psk=PSK)).start()
    pair.run(600)
    assert pair.gateway(IkeFailed) and not pair.responder.sessions
    assert len(pair.policy.forgotten) == 1


def test_failed_attempts_crowd_each_other_out() -> None:
    pair = Pair(responder=responder_config(maximum_half_open=3), policy=Policy(psk=b"another"))
    for number in range(10):
        pair.initiator = IkeInitiator(initiator_config(psk=PSK), UE, GATEWAY, seeded(f"ue {number}"), pair.now)
        pair.start()
        pair.run(1, lambda number=number: len(pair.gateway(IkeFailed)) > number)  # type: ignore[misc]
    assert len(pair.gateway(IkeFailed)) == 10 and len(pair.responder.sessions) == 3


@pytest.mark.parametrize("side", ["ue", "gateway"])
def test_rekeying_again_and_again_keeps_nothing_old(side: str) -> None:
    pair = established(Timers(ike_lifetime=50000.0, child_lifetime=50000.0))
    for _ in range(2 * MOST_REPLACED):
        for rekey in (rekey_ike, rekey_child):
            rekey(pair, side)
            pair.run(0.5)
    assert agree(pair)
    for session in (pair.initiator, session_of(pair)):
        assert len(session.others) <= MOST_REPLACED
        assert len(session._delayed) <= 1 + len(session.children)
    assert len(pair.responder._by_spi) == len(session_of(pair).sas)


def test_signs_of_life_leave_no_timers_behind() -> None:
    pair = established()
    for _ in range(300):
        pair.initiator.check_liveness(pair.now)
        pair.settle()
        pair.quiet()
    assert len(pair.responder._deadlines._heap) < 100


def test_home_addresses_taken_and_given_back_are_one_entry() -> None:
    agent = HomeAgent(HomeAgentConfig())
    prefix = IPv6Network("2001:db8:100::/64")
    authorization = Authorization(("001010000000001", "internet"), prefix, prefix)
    for number in range(1, 100):
        for sequence, lifetime in ((1, 100), (2, 0)):
            update = BindingUpdate(sequence, acknowledge=True, home=True, lifetime=lifetime)
            agent.receive(MobilityPacket(update, prefix[number], GATEWAY, UE), authorization, 0.0)
        answers = [each.message for each in agent.datagrams_to_send()]
        assert [getattr(each, "status", None) for each in answers] == [0, 0]
    assert len(agent._bindings) == len(agent._deadlines._times) == 1
    assert [type(each) for each in agent.events()] == 99 * [BindingCreated, BindingRemoved]


def piece(number: int, total: int, first: int = 41) -> EncryptedFragment:
    return EncryptedFragment(first if number == 1 else 0, number, total, b"")


def test_a_message_in_fragments_has_an_end() -> None:
    pieces = Reassembly(1)
    size = LONGEST_CONTENT // 4
    for number in range(1, MAXIMUM_FRAGMENTS + 1):
        assert pieces.add(piece(number, MAXIMUM_FRAGMENTS), bytes(size)) is None
    assert sum(map(len, pieces._content.values())) <= LONGEST_CONTENT
    assert pieces.add(piece(1, MAXIMUM_FRAGMENTS + 1), b"") is None
    fitting = Reassembly(1)
    assert fitting.add(piece(1, 2), bytes(size)) is None
    assert fitting.add(piece(2, 2), bytes(size)) == bytes(2 * size)


def ipv4_packet(source: str, destination: str, size: int, words: int = 5, mark: int = 0) -> bytes:
    """An IPv4 packet of ``size`` octets whose header says that it is ``words`` long."""
    header = bytearray(bytes((0x45, mark)) + size.to_bytes(2, "big") + bytes(4) + bytes((HOP_LIMIT, UDP, 0, 0)))
    header += IPv4Address(source).packed + IPv4Address(destination).packed
    whole = with_header_checksum(header)
    return bytes((0x40 | words,)) + whole[1:] + bytes(size - 20)


@pytest.mark.parametrize("words", range(5))
def test_inner_ipv4_headers_that_are_too_short(words: int) -> None:
    operator = Operator().start()
    ue = operator.add_ue()
    assert attached(operator, ue) and ue.network.tunnel
    own = ue.status(0)["ipv4_home_address"]
    inner = ipv4_packet(own, CORRESPONDENT_IPV4, 40, words, mark=1)
    tunnel = ue.network.tunnel
    outer = ipv6_packet(tunnel.care_of, tunnel.home_agent, IPIP, inner, traffic_class=3)  # CE: the header is to change
    operator.gateway.receive_datagram(Datagram(Side.ACCESS, outer), operator.simulation.now)
    assert operator.gateway.counters["tunnel-malformed"] == 1
    assert not [each for each in operator.gateway.datagrams_to_send() if each.side is Side.HOME]


@pytest.mark.parametrize(("size", "enters"), [(LARGEST_INNER, True), (LARGEST_INNER + 1, False), (65535, False)])
def test_inner_packets_that_no_outer_one_holds(size: int, enters: bool) -> None:
    """What may be fragmented enters a tunnel at any size, but for ESP there must be room in a length field."""
    counters = Counter[str]()
    inner = ipv4_packet("198.51.100.1", "10.45.0.1", size)
    admitted, error = TunnelErrors(counters).admit(inner, 1400, GATEWAY.packed, 0.0)
    assert (admitted, error is None, counters["inner-too-big"]) == (enters, enters, not enters)
