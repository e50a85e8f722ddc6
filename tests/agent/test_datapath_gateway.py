# SPDX-License-Identifier: GPL-2.0-or-later
"""A gateway's data path between two links: what arrives, what leaves, and that the kernel keeps quiet."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)

from mn_dsmip.agent.datapath.gateway import GatewayDatapath
from mn_dsmip.agent.errors import EnvironmentProblem
from mn_dsmip.engine.base import Datagram, Side
from mn_dsmip.engine.effects import AddAddress, AddRoute, RemoveRoute
from tests.agent.datapath_network import Inbox, Namespace, Wire, link, namespaces
from tests.agent.datapath_packets import ELSEWHERE, FRAGMENT, agents_packets, bodies, errors, fragments_of

pytestmark = pytest.mark.root

HOME_AGENT, HOME_AGENT4 = "2001:db8:aaaa::1", "198.51.100.1"
ACCESS, ACCESS_PEER, CORE, CORE_PEER = "2001:db8:b::1", "2001:db8:b::2", "2001:db8:c::1", "2001:db8:c::2"
CARE_OF, HOME_ADDRESS, HOME4, CORRESPONDENT4 = "2001:db8:a::100", "2001:db8:100::5", "10.45.0.2", "203.0.113.9"
POOLS = [IPv6Network("2001:db8:100::/48"), IPv4Network("10.45.0.0/24")]
ICMPV6 = 58


class Gateway:
    """A gateway between an access network and a correspondent; the far ends are ours."""

    def __init__(self, gateway: Namespace, access: Namespace, core: Namespace) -> None:
        self.namespace = gateway
        for namespace in (access, core):
            namespace.run("echo 0 >/proc/sys/net/ipv6/conf/default/accept_ra")
        gateway.run("echo 0 >/proc/sys/net/ipv6/icmp/ratelimit")
        link(gateway, "g0", access, "a0")
        link(gateway, "g1", core, "c0")
        gateway.run(
            f"ip address add {ACCESS}/64 dev g0 nodad; ip address add 192.0.2.1/24 dev g0",
            f"ip address add {CORE}/64 dev g1 nodad; ip address add 203.0.113.1/24 dev g1",
            f"ip route add default via {ACCESS_PEER}; ip route add 2001:db8:99::/64 via {CORE_PEER}",
            "ip route add default via 203.0.113.9",
        )
        access.run(f"ip address add {ACCESS_PEER}/64 dev a0 nodad; ip address add 192.0.2.2/24 dev a0")
        core.run(f"ip address add {CORE_PEER}/64 dev c0 nodad; ip address add {CORRESPONDENT4}/24 dev c0")
        self.access, self.core = Wire(access, "a0", gateway, "g0"), Wire(core, "c0", gateway, "g1")
        self.inbox = Inbox(gateway)
        self.datapath: GatewayDatapath | None = None

    def open(self, home_agent: str = HOME_AGENT, home_agent4: str | None = HOME_AGENT4) -> None:
        ipv4 = IPv4Address(home_agent4) if home_agent4 else None
        datapath = GatewayDatapath("dsmip0", IPv6Address(home_agent), ipv4, POOLS, "pgw")
        with self.namespace:
            datapath.open(self.inbox.loop, self.inbox.deliver)
        self.datapath = datapath

    def send(self, *packets: bytes) -> None:
        assert self.datapath
        self.datapath.send([Datagram(Side.ACCESS, each) for each in packets])

    def heard(self) -> list[bytes]:
        """What has arrived, without the kernel's own listener reports."""
        return [each for each in self.inbox.packets() if each[0] >> 4 == 4 or each[24] != 0xFF]

    def settle(self, number: int) -> list[bytes]:
        """All that the gateway's kernel sent to the access until now: it answers echo requests, in order."""
        self.access.send(bytes(IPv6(src=ACCESS_PEER, dst=ACCESS) / ICMPv6EchoRequest(id=number)))
        identifier = struct.pack("!H", number)
        self.access.await_packet(
            lambda packet: packet[6] == ICMPV6 and packet[40] == 129 and packet[44:46] == identifier
        )
        return self.access.seen

    def state(self) -> str:
        settings = (
            "ipv6/conf/*/forwarding",
            "ipv4/conf/*/forwarding",
            "ipv4/conf/*/rp_filter",
            "ipv6/conf/*/proxy_ndp",
        )
        settings += ("ipv4/conf/*/send_redirects", "ipv6/neigh/*/proxy_delay")
        return self.namespace.run(
            "ip address show scope global; ip -o link; ip -6 rule; ip -4 rule; ip neigh show proxy",
            "ip -6 route show table all | grep -vE 'fe80|^anycast'; ip -4 route show table all",
            *(f"grep . /proc/sys/net/{each}" for each in settings),
        )

    def close(self) -> None:
        if self.datapath is not None:
            with self.namespace:
                self.datapath.close()
        self.access.close()
        self.core.close()
        self.inbox.close()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with namespaces(3) as each:
        found = Gateway(*each)
        try:
            yield found
        finally:
            found.close()


def forwarded(packet: bytes) -> bytes:
    """The packet one hop further."""
    if packet[0] >> 4 == 6:
        return packet[:7] + bytes((packet[7] - 1,)) + packet[8:]
    changed = IP(packet)
    changed.ttl -= 1
    del changed.chksum
    return bytes(changed)


def test_everything_for_the_home_agent_arrives_whole_and_the_kernel_keeps_quiet(gateway: Gateway) -> None:
    gateway.open()
    packets = [*agents_packets(CARE_OF, HOME_AGENT).values(), *errors(CARE_OF, HOME_AGENT).values()]
    packets += fragments_of(agents_packets(CARE_OF, HOME_AGENT)["ike"] + bytes(2000), 1280)
    packets.append(bytes(IPv6(src=CARE_OF, dst=HOME_AGENT) / ICMPv6EchoRequest()))
    gateway.access.send(*packets)
    gateway.inbox.until(lambda: packets[-1][40:] in [each[40:] for each in gateway.heard()])
    assert bodies(gateway.heard()) == bodies(packets)
    unfragmented = [forwarded(each) for each in packets if each[6] != FRAGMENT]
    assert [each for each in gateway.heard() if each[6] != FRAGMENT] == unfragmented
    assert {each.side for each in gateway.inbox.datagrams} == {Side.ACCESS}
    assert [each for each in gateway.settle(1) if each[6] == ICMPV6 and each[40] < 128] == []


def test_with_an_address_instead_of_a_route_the_kernel_does_answer(gateway: Gateway) -> None:
    """What the test above would see otherwise."""
    gateway.namespace.run(f"ip address add {HOME_AGENT}/128 dev g0 nodad")
    gateway.access.send(agents_packets(CARE_OF, HOME_AGENT)["ike"])
    assert [each for each in gateway.settle(1) if each[6] == ICMPV6 and each[40] == 1]


def test_packets_for_home_addresses_arrive(gateway: Gateway) -> None:
    gateway.open()
    packets = [
        bytes(IPv6(src=ELSEWHERE, dst=HOME_ADDRESS) / UDP() / b"down"),
        bytes(IP(src=CORRESPONDENT4, dst=HOME4) / UDP() / b"down"),
        bytes(IP(src=CORRESPONDENT4, dst=HOME_AGENT4) / UDP(dport=4191) / b"dsmip"),
    ]
    gateway.core.send(*packets)
    gateway.inbox.until(lambda: len(gateway.heard()) >= len(packets))
    assert gateway.heard() == [forwarded(each) for each in packets]


def test_no_packet_is_too_big_for_the_device(gateway: Gateway) -> None:
    """The engine reports Packet Too Big, the kernel never does."""
    gateway.namespace.run("ip link set g1 mtu 9000")
    gateway.core.namespace.run("ip link set c0 mtu 9000")
    gateway.open()
    packets = [
        bytes(IPv6(src=ELSEWHERE, dst=HOME_ADDRESS) / UDP() / bytes(8900)),
        bytes(IP(src=CORRESPONDENT4, dst=HOME4, flags="DF") / UDP() / bytes(8900)),
    ]
    gateway.core.send(*packets)
    gateway.inbox.until(lambda: len(gateway.heard()) >= len(packets))
    assert gateway.heard() == [forwarded(each) for each in packets]


def test_packets_leave_as_they_are(gateway: Gateway) -> None:
    gateway.open()
    outer = list(agents_packets(HOME_AGENT, CARE_OF).values())
    inner = [bytes(IPv6(src=HOME_ADDRESS, dst=ELSEWHERE) / UDP() / b"up")]
    inner4 = [bytes(IP(src=HOME4, dst=CORRESPONDENT4) / UDP() / b"up")]
    gateway.send(*outer, *inner, *inner4)
    for packet in map(forwarded, outer):
        assert gateway.access.await_packet(lambda each, wanted=packet: each == wanted)
    assert gateway.core.await_packet(lambda each: each == forwarded(inner[0]))
    assert gateway.core.await_packet(lambda each: each == forwarded(inner4[0]), version=4)
    assert gateway.datapath.counters == {}


def test_what_turns_back_brings_no_redirect(gateway: Gateway) -> None:
    """From one UE to another: in and out through the same device."""
    gateway.open()
    gateway.namespace.run("ip address add 10.99.0.1/32 dev dsmip0")  # redirects have a source
    packets = [
        bytes(IPv6(src=HOME_ADDRESS, dst="2001:db8:100:7::1") / UDP() / b"over"),
        bytes(IP(src=HOME4, dst="10.45.0.3") / UDP() / b"over"),
    ]
    last = bytes(IPv6(src=ELSEWHERE, dst=HOME_ADDRESS) / UDP() / b"last")
    gateway.send(*packets * 4)
    gateway.core.send(last)
    gateway.inbox.until(lambda: forwarded(last) in gateway.heard())
    assert set(gateway.heard()) == {forwarded(each) for each in (*packets, last)}


def test_an_error_from_nowhere_passes_strict_source_checks(gateway: Gateway) -> None:
    """An ICMPv4 error has the dummy address of RFC 7600 4.8 where the gateway has no IPv4 address."""
    gateway.namespace.run("echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter")
    gateway.open(home_agent4=None)
    error = bytes(IP(src="192.0.0.8", dst=CORRESPONDENT4) / ICMP(type=3, code=4) / bytes(28))
    gateway.send(error)
    assert gateway.core.await_packet(lambda each: each == forwarded(error), version=4)
    others = ("default", "g0", "g1", "lo")
    assert gateway.namespace.run(*(f"cat /proc/sys/net/ipv4/conf/{each}/rp_filter" for each in others)) == "1\n" * 4


# --- neighbours


def test_neighbours_are_answered_for_an_address_on_their_link(gateway: Gateway) -> None:
    on_link, on_link4 = "2001:db8:b::aaaa", "192.0.2.77"
    gateway.open(on_link, on_link4)
    assert f"{on_link} dev g0" in gateway.namespace.run("ip -6 neigh show proxy")
    question = ICMPv6ND_NS(tgt=on_link) / ICMPv6NDOptSrcLLAddr(lladdr=gateway.access.own.hex(":"))
    packet = IPv6(src=ACCESS_PEER, dst="ff02::1:ff00:aaaa", hlim=255) / question
    gateway.access.send(bytes(packet), destination=bytes.fromhex("3333ff00aaaa"))
    answer = IPv6(gateway.access.await_packet(lambda each: ICMPv6ND_NA in IPv6(each) and IPv6(each).tgt == on_link))
    assert answer[ICMPv6NDOptDstLLAddr].lladdr == gateway.access.peer.hex(":")
    with gateway.access.namespace, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"for the home agent", (on_link4, 4191))  # our end's kernel asks by ARP
    gateway.inbox.until(gateway.heard)
    assert IP(gateway.heard()[0]).dst == on_link4


def test_elsewhere_nobody_is_answered(gateway: Gateway) -> None:
    gateway.open()
    assert gateway.namespace.run("ip neigh show proxy; ip -6 neigh show proxy") == ""


# --- beginning and end


def test_the_home_agents_address_must_not_be_the_kernels(gateway: Gateway) -> None:
    before = gateway.state()
    with pytest.raises(EnvironmentProblem) as problem:
        gateway.open(ACCESS)
    assert str(problem.value) == (
        f"the home agent's address {ACCESS} is an address of this machine (on g0): "
        "take it away, the agent answers for it"
    )
    assert gateway.state() == before


def test_effects_are_routes_and_nothing_else(gateway: Gateway) -> None:
    gateway.open()
    before = gateway.state()
    prefix = IPv6Network("2001:db8:200::/64")
    gateway.datapath.carry_out(AddAddress(IPv6Address(HOME_ADDRESS), 64))
    assert gateway.state() == before
    for _ in range(2):
        gateway.datapath.carry_out(AddRoute(prefix))
    assert f"{prefix} dev dsmip0" in gateway.state()
    for _ in range(2):
        gateway.datapath.carry_out(RemoveRoute(prefix))
    assert gateway.state() == before


def test_closing_removes_everything(gateway: Gateway) -> None:
    before = gateway.state()
    gateway.open("2001:db8:b::aaaa", "192.0.2.77")
    assert gateway.state() != before
    gateway.namespace.run(
        "grep -qx 1 /proc/sys/net/ipv6/conf/all/forwarding", "grep -qx 1 /proc/sys/net/ipv4/ip_forward"
    )
    with gateway.namespace:
        gateway.datapath.close()
    assert gateway.state() == before
