# SPDX-License-Identifier: GPL-2.0-or-later
"""Whoever has an SA or a tunnel and puts anything at all inside: nothing is raised, and others are still served."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.engine.base import Datagram, Side
from mn_dsmip.engine.ue_states import UeState
from mn_dsmip.wire.icmpv6 import icmpv6_message
from mn_dsmip.wire.ip import (
    DESTINATION_OPTIONS,
    ESP,
    FRAGMENT,
    HOP_BY_HOP,
    ICMPV6,
    IPIP,
    IPV6_IN,
    MOBILITY_HEADER,
    ROUTING,
    UDP,
    home_address_header,
    ipv6_packet,
    transport_sum,
    type2_routing_header,
)
from mn_dsmip.wire.mobility import BindingAcknowledgement, BindingUpdate, MobilityMessage, build_mobility
from tests.engine.operator_network import Operator
from tests.engine.test_attach import attached
from tests.engine.test_ike_anything import often
from tests.wire.mobility_samples import any_messages

SEEDS = 40
PACKETS = 50
INNER = (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS, ICMPV6, UDP, MOBILITY_HEADER, IPIP, IPV6_IN, ESP, 1, 59)


def octets(draw: random.Random, least: int = 0, most: int = 80) -> bytes:
    return draw.randbytes(draw.randrange(least, most))


def message(draw: random.Random, source: bytes, destination: bytes) -> bytes:
    """A Mobility Header of any type with any content, its length and checksum right as a rule."""
    body = bytearray(draw.randbytes(2))
    while len(body) < draw.choice((6, 10, 18, 34, 66)):  # fields, then options
        value = octets(draw, 0, 24)
        body += bytes((draw.randrange(0, 60), len(value))) + value
    body += bytes(-(len(body) + 6) % 8)
    header = bytearray((59, (len(body) + 6) // 8 - 1, draw.choice((0, 5, 6, 7, 12, 16, draw.randrange(256))), 0, 0, 0))
    whole = header + body
    if draw.random() < 0.9:
        whole[4:6] = transport_sum(source, destination, MOBILITY_HEADER, bytes(whole)).to_bytes(2, "big")
    return bytes(whole)


def inner(draw: random.Random, source: bytes, destination: bytes) -> bytes:
    """An IPv6 or IPv4 packet between those addresses with any header chain behind the first header."""
    if len(source) == 16:
        return ipv6_packet(source, destination, draw.choice(INNER), octets(draw), traffic_class=draw.randrange(256))
    body = octets(draw)
    length = (20 + len(body)).to_bytes(2, "big")
    first = bytes((0x40 | draw.randrange(16), draw.randrange(256)))
    middle = draw.randbytes(4) + bytes((64, draw.choice(INNER)))
    return first + length + middle + draw.randbytes(2) + source + destination + body


def damaged(draw: random.Random, packet: bytes) -> bytes:
    if draw.random() < 0.7:
        return packet
    changed = bytearray(packet)
    for _ in range(draw.randrange(1, 4)):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed[: draw.randrange(len(changed) + 1)] if draw.random() < 0.3 else changed)


class Ends:
    """An attached UE, its gateway, and what each may send the other."""

    def __init__(self) -> None:
        self.operator = Operator().start()
        self.ue = self.operator.add_ue()
        assert attached(self.operator, self.ue) and self.ue.network.tunnel
        tunnel = self.ue.network.tunnel
        self.care_of, self.agent, self.home, self.ipv4 = (
            tunnel.care_of,
            tunnel.home_agent,
            tunnel.home_address,
            tunnel.ipv4,
        )

    def sealed(self, draw: random.Random, to_gateway: bool) -> bytes:
        """A mobility message in ESP."""
        network = self.ue.network if to_gateway else self.operator.gateway.network
        [pair] = list(network.database._inbound.values())[-1:]
        source, destination = (self.home, self.agent) if to_gateway else (self.agent, self.home)
        kind = MOBILITY_HEADER if draw.random() < 0.9 else draw.choice(INNER)
        esp = pair.outbound.seal(message(draw, source, destination), kind)
        return self.around(esp, to_gateway)

    def around(self, esp: bytes, to_gateway: bool) -> bytes:
        """The outer packet."""
        if to_gateway:
            return ipv6_packet(self.care_of, self.agent, DESTINATION_OPTIONS, home_address_header(ESP, self.home) + esp)
        return ipv6_packet(self.agent, self.care_of, ROUTING, type2_routing_header(ESP, self.home) + esp)

    def tunnelled(self, draw: random.Random, to_gateway: bool) -> bytes:
        """An inner packet in a tunnel; sometimes an ICMPv6 error that quotes one."""
        ends = (self.care_of, self.agent) if to_gateway else (self.agent, self.care_of)
        six = draw.random() < 0.5
        own, other = (self.home, draw.randbytes(16)) if six else (self.ipv4, draw.randbytes(4))
        packet = inner(draw, *((own, other) if to_gateway else (other, own)))
        protocol = IPV6_IN if six else IPIP
        if draw.random() < 0.7:
            return ipv6_packet(*ends, protocol, packet, traffic_class=draw.randrange(256))
        quoted = ipv6_packet(*ends[::-1], protocol, packet)
        error = (draw.randrange(5), draw.randrange(4), draw.randbytes(4) + damaged(draw, quoted))
        return icmpv6_message(*ends, *error)

    def plain(self, draw: random.Random, to_gateway: bool) -> bytes:
        """What an application of the UE sends, or what comes for its home addresses."""
        six = draw.random() < 0.5
        own, other = (self.home, draw.randbytes(16)) if six else (self.ipv4, draw.randbytes(4))
        return inner(draw, *((own, other) if to_gateway else (other, own)))


@cache
def ends() -> Ends:
    return Ends()


def give(host: object, side: Side, packet: bytes, now: float) -> None:
    host.receive_datagram(Datagram(side, packet), now)  # type: ignore[attr-defined]
    host.events(), host.datagrams_to_send()  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_anything_inside(seed: int) -> None:
    draw, found = random.Random(seed), Ends() if seed % 10 == 0 else ends()
    gateway, now = found.operator.gateway, found.operator.simulation.now
    for _ in range(PACKETS):
        for make in (found.sealed, found.tunnelled):
            give(gateway, Side.ACCESS, damaged(draw, make(draw, True)), now)
            give(found.ue, Side.ACCESS, damaged(draw, make(draw, False)), now)
        give(found.ue, Side.HOME, damaged(draw, found.plain(draw, True)), now)
        give(gateway, Side.HOME, damaged(draw, found.plain(draw, False)), now)


def awaited(found: Ends, what: MobilityMessage) -> MobilityMessage:
    """The same message with the sequence number that its receiver waits for."""
    mobile = found.ue.connection.mobile if found.ue.connection else None
    if mobile is None or not isinstance(what, BindingUpdate | BindingAcknowledgement):
        return what
    if isinstance(what, BindingUpdate):
        return replace(what, sequence=(mobile._retransmission.sequence + 1) % 65536, home=True)
    if found.ue.state is UeState.ATTACHED:
        found.operator.simulation.do(found.operator.nodes[0], found.ue.refresh)
    return replace(what, sequence=mobile._retransmission.sequence)


@often
@given(st.lists(st.tuples(st.booleans(), any_messages, st.booleans(), st.sampled_from((0.0, 0.5, 30.0))), max_size=6))
def test_any_mobility_message(said: list[tuple[bool, MobilityMessage, bool, float]]) -> None:
    """Well-formed ones, with the number that is awaited or another, and time for what follows from them."""
    found = Ends()
    simulation, gateway, ue = found.operator.simulation, found.operator.gateway, found.ue
    for to_gateway, what, is_awaited, seconds in said:
        source, destination = (found.home, found.agent) if to_gateway else (found.agent, found.home)
        network = ue.network if to_gateway else gateway.network
        pairs = [each for each in network.database._inbound.values() if each.child.transport]
        if not pairs:
            break
        message = awaited(found, what) if is_awaited else what
        octets = build_mobility(message, IPv6Address(source), IPv6Address(destination))
        packet = found.around(pairs[-1].outbound.seal(octets, MOBILITY_HEADER), to_gateway)
        give(gateway if to_gateway else ue, Side.ACCESS, packet, simulation.now)
        simulation.settle(found.operator.gateway_node)
        simulation.settle(found.operator.nodes[0])
        simulation.run(lambda: False, seconds)
    other = found.operator.add_ue()
    assert attached(found.operator, other)
