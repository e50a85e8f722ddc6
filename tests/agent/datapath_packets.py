# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets as a UE's care-of address or a home agent's address gets them, made by scapy."""

from __future__ import annotations

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import (
    HAO,
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrRouting,
    defragment6,
    fragment6,
)
from scapy.layers.ipsec import ESP
from scapy.packet import Packet, Raw

HOME_ADDRESS = "2001:db8:100::5"
ELSEWHERE = "2001:db8:99::1"
FRAGMENT = 44
NUMBERS = {"nothing": 59, "esp": 50, "mobility": 135, "ipip": 4}


def agents_packets(source: str, destination: str) -> dict[str, bytes]:
    """What is for the agent, by name; all of it whole."""

    def after(*headers: Packet, last: str | None = None) -> Packet:
        packet = IPv6(src=source, dst=destination)
        for header in headers:
            packet /= header
        if last:
            packet.lastlayer().nh = NUMBERS[last]
        return packet

    esp = ESP(spi=0x1234, seq=1, data=bytes(40))
    mobility = Raw(bytes((59, 1, 1, 0, 0, 0, 0, 0)) + bytes(8))  # a Home Test Init, RFC 6275 6.1.3
    home_address = IPv6ExtHdrDestOpt(options=[HAO(hoa=HOME_ADDRESS)])
    routing = IPv6ExtHdrRouting(type=2, segleft=1, addresses=[HOME_ADDRESS])
    inner = UDP(sport=7, dport=7) / b"inner"
    packets = {
        "esp": after(last="esp") / esp,
        "home address option, esp": after(home_address, last="esp") / esp,
        "home address option, mobility": after(home_address, last="mobility") / mobility,
        "routing header, esp": after(routing, last="esp") / esp,
        "routing header, mobility": after(routing, last="mobility") / mobility,
        "home address option": after(home_address, last="nothing"),
        "routing header": after(routing, last="nothing"),
        "mobility": after(last="mobility") / mobility,
        "ipv6 in ipv6": after() / IPv6(src=ELSEWHERE, dst=HOME_ADDRESS) / inner,
        "ipv4 in ipv6": after(last="ipip") / IP(src="192.0.2.1", dst="10.45.0.2") / inner,
        "ike": after() / UDP(sport=500, dport=500) / bytes(100),
        "ike beside a NAT": after() / UDP(sport=4500, dport=4500) / bytes(100),
        "dns answer": after() / UDP(sport=53, dport=61234) / bytes(60),
        "dns answer, last port": after() / UDP(sport=53, dport=65535) / bytes(60),
    }
    return {name: bytes(packet) for name, packet in packets.items()}


def fragments_of(packet: bytes, size: int) -> list[bytes]:
    """The packet in fragments of at most ``size`` octets."""
    header = IPv6(packet[:40])
    unfragmentable = IPv6(src=header.src, dst=header.dst) / IPv6ExtHdrFragment(id=7, nh=packet[6])
    return [bytes(each) for each in fragment6(unfragmentable / Raw(packet[40:]), size)]


def bodies(packets: list[bytes]) -> list[bytes]:
    """What the packets carry, and once, at the end, what their fragments do: connection tracking cuts these anew."""
    fragments = [IPv6(each) for each in packets if each[6] == FRAGMENT]
    whole = [each[6:7] + each[40:] for each in packets if each[6] != FRAGMENT]
    return whole + ([bytes(defragment6(fragments))[40:]] if fragments else [])


def errors(source: str, destination: str) -> dict[str, bytes]:
    """ICMPv6 errors about a packet that the destination may have sent."""
    quoted = IPv6(src=destination, dst=source) / UDP(sport=500, dport=500) / bytes(20)
    kinds = (ICMPv6DestUnreach(), ICMPv6PacketTooBig(mtu=1400), ICMPv6TimeExceeded(), ICMPv6ParamProblem())
    return {type(each).__name__: bytes(IPv6(src=source, dst=destination) / each / quoted) for each in kinds}


def kernels_packets(source: str, destination: str) -> dict[str, bytes]:
    """What is for the kernel and its applications, by name."""
    outer = IPv6(src=source, dst=destination)
    packets = {
        "tcp": outer / TCP(sport=1000, dport=500),
        "echo request": outer / ICMPv6EchoRequest(id=1),
        "echo reply": outer / ICMPv6EchoReply(id=1),
        "neighbour solicitation": outer / ICMPv6ND_NS(tgt=destination),
        "icmpv6 type 0": outer / Raw(bytes(8)),
        "dns answer to an application": outer / UDP(sport=53, dport=60999) / bytes(60),
        "no dns answer": outer / UDP(sport=54, dport=61234) / bytes(60),
        "from the port of ike": outer / UDP(sport=500, dport=501) / bytes(60),
        "cut short": bytes(outer / UDP(sport=500, dport=500))[:41],
    }
    packets["icmpv6 type 0"].nh = 58
    return {name: bytes(packet) for name, packet in packets.items()}
