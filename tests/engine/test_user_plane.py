# SPDX-License-Identifier: GPL-2.0-or-later
"""User-plane child SAs at the gateway: a peer without a binding, whose traffic is in ESP, plain or in UDP."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network

import pytest

from mn_dsmip.engine.base import Datagram, Event, Side, UdpDatagram
from mn_dsmip.engine.gateway import Gateway, GatewayConfig
from mn_dsmip.engine.gateway_policy import ApnPools, PolicyConfig
from mn_dsmip.engine.ike.child import address_selector
from mn_dsmip.engine.ike.events import ChildSaEstablished, ResponderConfig, Selectors
from mn_dsmip.engine.ike.initiator import IkeInitiator
from mn_dsmip.engine.ike.path import Nat, holds_esp
from mn_dsmip.engine.ike.proposals import PROFILES
from mn_dsmip.engine.protection import EspPair
from mn_dsmip.engine.stack import Stack
from mn_dsmip.engine.user_plane import Ends
from mn_dsmip.wire.icmpv6 import IcmpV6
from mn_dsmip.wire.ip import ESP, HOP_LIMIT, ICMPV6, IPV6_IN, UDP, Ipv6Packet, ipv6_packet, parse_ipv6, udp_payload
from tests.engine.ike_pair import PSK, initiator_config, seeded

OWN, PEER, CORRESPONDENT = (IPv6Address(each) for each in ("2001:db8:aaaa::1", "2001:db8:f:1::7", "2001:db8:c::80"))
EVERYWHERE = address_selector(IPv6Address(0), IPv6Address(2**128 - 1))
POOLS = ApnPools(IPv6Network("2001:db8:100::/48"), IPv4Network("10.45.0.0/24"))


class RemotePeer:
    """A peer that wants its user traffic in ESP and knows nothing of Mobile IPv6; ``gateway`` is ours."""

    def __init__(self, floated: bool = False, nat: bool = False) -> None:
        policy = PolicyConfig(OWN, {}, {"internet": POOLS}, psk=PSK)
        ike = ResponderConfig("pgw.example.net", PROFILES["modern"], None)
        self.gateway = Gateway(GatewayConfig(policy, ike), seeded("gateway"))
        config = initiator_config(psk=PSK, first_child=Selectors((EVERYWHERE,), (EVERYWHERE,), transport=False))
        self.ike = IkeInitiator(config, PEER, OWN, seeded("peer"), 0.0)
        self.stack = Stack(seeded("stack"), self.ike.counters)
        self.now = 0.0
        self.happened: list[Event] = []
        self.packets: list[bytes] = []
        """What the gateway sent."""
        self.home: list[bytes] = []
        """Inner packets that the gateway forwarded."""
        self.sealed: list[Ipv6Packet | UdpDatagram] = []
        self.ike.start(self.now)
        self.settle()
        if floated:  # peers may do so without a NAT (RFC 7296 2.23), for MOBIKE (RFC 4555 3.3)
            (session,) = self.gateway.ike.sessions.values()
            session.nat = Nat(peer=nat, ourselves=False)
            self.ike.path = self.ike.path.floated
            self.ike.check_liveness(self.now)
            self.settle()
        established = [each for each in self.happened if isinstance(each, ChildSaEstablished)]
        self.pair = EspPair(b"", established[0].child, seeded("esp"))
        self.prefix = IPv6Network(established[0].child.local[0].start).supernet(new_prefix=64)
        self.address = self.prefix[0x77]
        self.ends = Ends(PEER.packed, OWN.packed, (4500, 4500) if nat else None)

    def settle(self) -> None:
        """Let both ends talk until they are silent."""
        self.happened = [*self.happened, *self.ike.events()]
        while datagrams := self.ike.datagrams_to_send():
            for datagram in datagrams:
                for packet in self.stack.send_udp(datagram, self.now):
                    self.to_gateway(packet)
            self.happened += self.ike.events()

    def to_gateway(self, packet: bytes, side: Side = Side.ACCESS) -> None:
        """Give the gateway a packet, and take what it sends."""
        self.gateway.receive_datagram(Datagram(side, packet), self.now)
        for datagram in self.gateway.datagrams_to_send():
            if datagram.side == Side.HOME:
                self.home.append(datagram.packet)
                continue
            self.packets.append(datagram.packet)
            received = self.stack.receive(datagram.packet, PEER.packed, self.now)
            if isinstance(received, UdpDatagram) and not holds_esp(received):
                self.ike.receive_datagram(received, self.now)
            elif isinstance(received, (UdpDatagram, Ipv6Packet)):
                self.sealed.append(received)

    def send(self, inner: bytes, next_header: int = IPV6_IN) -> None:
        """Send an inner packet through the child SA."""
        self.to_gateway(self.ends.wrap(self.pair.outbound.seal(inner, next_header), 0))

    def take(self) -> list[tuple[int, bytes]]:
        """What came through the child SA: next header and content."""
        sealed, self.sealed = self.sealed, []
        return [self.pair.inbound.open(each.payload) for each in sealed]


def datagram(source: IPv6Address, destination: IPv6Address, size: int = 32, traffic_class: int = 0) -> bytes:
    """An inner UDP packet."""
    body = udp_payload(source.packed, 40000, destination.packed, 53, bytes(size))
    return ipv6_packet(source.packed, destination.packed, UDP, body, traffic_class=traffic_class)


@pytest.mark.parametrize(
    ("floated", "nat"), [(False, False), (True, False), (True, True)], ids=["esp", "ike-on-4500", "esp-in-udp"]
)
def test_traffic_both_ways(floated: bool, nat: bool) -> None:
    peer = RemotePeer(floated, nat)
    up = datagram(peer.address, CORRESPONDENT)
    peer.send(up)
    assert peer.home == [up]
    down = datagram(CORRESPONDENT, peer.address, traffic_class=0xB8)
    peer.to_gateway(down, Side.HOME)
    (outer,) = peer.sealed
    assert isinstance(outer, UdpDatagram) == nat
    header = parse_ipv6(peer.packets[-1])
    assert (header.traffic_class, peer.packets[-1][7]) == (0xB8, HOP_LIMIT)
    assert peer.take() == [(IPV6_IN, down)]
    status = peer.gateway.status(peer.now)
    assert status["packets"] == {"up": 1, "down": 1}
    assert status["protected_user_planes"] == 1


def test_only_inner_sources_of_the_peer_get_through() -> None:
    peer = RemotePeer()
    peer.send(datagram(IPv6Address("2001:db8:100:ffff::1"), CORRESPONDENT))
    assert peer.home == []
    assert peer.gateway.counters["esp-selector"] == 1
    peer.send(datagram(peer.address, IPv6Address("ff0e::1")))
    peer.send(b"\x60" + bytes(20))
    peer.send(bytes(8), ESP)
    assert peer.home == []
    assert peer.gateway.counters["tunnel-not-forwarded"] == 1
    assert peer.gateway.counters["tunnel-malformed"] == 2
    peer.send(b"", 59)  # a dummy packet (RFC 4303 2.6)
    assert peer.gateway.counters["tunnel-malformed"] == 2


def test_replays_and_changed_packets_are_counted() -> None:
    peer = RemotePeer()
    packet = peer.ends.wrap(peer.pair.outbound.seal(datagram(peer.address, CORRESPONDENT), IPV6_IN), 0)
    peer.to_gateway(packet)
    peer.to_gateway(packet)
    peer.to_gateway(packet[:-1] + bytes((packet[-1] ^ 1,)))
    assert len(peer.home) == 1
    assert peer.gateway.counters["esp-replay"] == 2  # the replay check comes first (RFC 4303 3.4.3)
    fresh = peer.ends.wrap(peer.pair.outbound.seal(datagram(peer.address, CORRESPONDENT), IPV6_IN), 0)
    peer.to_gateway(fresh[:-1] + bytes((fresh[-1] ^ 1,)))
    assert peer.gateway.counters["esp-integrity"] == 1
    unknown = ipv6_packet(PEER.packed, OWN.packed, ESP, b"\1\2\3\4" + bytes(40))
    peer.to_gateway(unknown)
    in_udp = Ends(PEER.packed, OWN.packed, (4500, 4500)).wrap(b"\1\2\3\4" + bytes(40), 0)
    peer.to_gateway(in_udp)
    assert peer.gateway.counters["esp-unknown-spi"] == 2


def test_too_big_a_packet_is_reported() -> None:
    peer = RemotePeer()
    peer.to_gateway(datagram(CORRESPONDENT, peer.address, size=1440), Side.HOME)
    assert peer.sealed == []
    error = parse_ipv6(peer.home[0])
    assert (error.protocol, error.payload[0]) == (ICMPV6, IcmpV6.PACKET_TOO_BIG)
    mtu = int.from_bytes(error.payload[4:8], "big")
    peer.to_gateway(datagram(CORRESPONDENT, peer.address, size=mtu - 48), Side.HOME)
    (outer,) = peer.sealed
    assert isinstance(outer, Ipv6Packet)
    assert 1500 - 16 < 40 + len(outer.payload) <= 1500


def test_rekeying_keeps_traffic_going() -> None:
    peer = RemotePeer()
    peer.ike.check_liveness(peer.now)  # a request: now the gateway knows that its answer has arrived
    peer.settle()
    peer.gateway.ike.rekey(next(iter(peer.gateway.ike.sessions)), peer.now)
    peer.gateway.handle_timer(peer.now)
    for each in peer.gateway.datagrams_to_send():
        received = peer.stack.receive(each.packet, PEER.packed, peer.now)
        assert isinstance(received, UdpDatagram)
        peer.ike.receive_datagram(received, peer.now)
    peer.settle()
    newest = [each for each in peer.happened if isinstance(each, ChildSaEstablished)][-1].child
    assert newest.inbound_spi != peer.pair.child.inbound_spi
    peer.pair = EspPair(b"", newest, seeded("esp 2"))
    up, down = datagram(peer.address, CORRESPONDENT), datagram(CORRESPONDENT, peer.address)
    peer.send(up)
    peer.to_gateway(down, Side.HOME)
    assert (peer.home, peer.take()) == ([up], [(IPV6_IN, down)])


def test_after_the_end_nothing_is_forwarded() -> None:
    peer = RemotePeer()
    peer.ike.delete(peer.now)
    peer.settle()
    peer.to_gateway(datagram(CORRESPONDENT, peer.address), Side.HOME)
    assert peer.sealed == []
    assert peer.gateway.counters["home-not-bound"] == 1
    assert peer.gateway.status(peer.now)["protected_user_planes"] == 0
