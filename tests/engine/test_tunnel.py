# SPDX-License-Identifier: GPL-2.0-or-later
"""Encapsulation: the published packets, which traffic may pass, marks of congestion, tunnels in tunnels."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    HBHOptUnknown,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    Pad1,
    PadN,
)
from scapy.packet import Packet, Raw

from mn_dsmip.engine import tunnel as tunnels
from mn_dsmip.engine.tunnel import Tunnel
from mn_dsmip.wire.ip import IPIP, IPV6_IN, parse_ipv6

VECTORS = {
    each["name"]: bytes.fromhex(each["packet"])
    for each in json.loads((Path(__file__).parent.parent / "vectors/mobility.json").read_text())["tunnels"]
}
CARE_OF, HOME_AGENT = IPv6Address("2001:db8:f:1::10"), IPv6Address("2001:db8:aaaa::1")
HOME, PREFIX = IPv6Address("2001:db8:1:1::100"), IPv6Network("2001:db8:1:1::/64")
IPV4_HOME = IPv4Address("10.45.0.2")


def tunnel(whole_prefix: bool = True, ipv4: IPv4Address | None = IPV4_HOME) -> Tunnel:
    return Tunnel(CARE_OF, HOME_AGENT, HOME, PREFIX, whole_prefix, ipv4)


@pytest.mark.parametrize(("name", "protocol"), [("T1", IPV6_IN), ("T2", IPIP)])
def test_the_published_packets(name: str, protocol: int) -> None:
    outer = VECTORS[name]
    inner = outer[40:]
    both = tunnel()
    assert both.wrap_up(inner) == outer
    down = both.wrap_down(inner)
    assert down[8:40] == outer[24:40] + outer[8:24] and down[40:] == inner
    assert (both.packets_up, both.packets_down) == (1, 1)
    assert tunnels.is_inner(inner, protocol) and not tunnels.is_inner(inner, protocol ^ IPV6_IN ^ IPIP)
    assert not tunnels.is_inner(inner[:-1], protocol) and not tunnels.is_inner(inner + b"\0", protocol)


@pytest.mark.parametrize("traffic_class", [0x00, 0x01, 0x03, 0xB8, 0xFF])
def test_the_traffic_class_is_copied(traffic_class: int) -> None:
    for inner in (
        bytes(IPv6(src=str(HOME), dst="2001:db8:c::80", tc=traffic_class) / UDP()),
        bytes(IP(src=str(IPV4_HOME), dst="203.0.113.80", tos=traffic_class) / UDP()),
    ):
        assert IPv6(tunnel().wrap_up(inner)).tc == traffic_class


@pytest.mark.parametrize(
    ("address", "with_prefix", "without"),
    [(str(HOME), True, True), ("2001:db8:1:1::77", True, False), ("2001:db8:1:2::100", False, False)],
)
def test_whose_addresses_may_pass(address: str, with_prefix: bool, without: bool) -> None:
    packet = bytes(IPv6(src=address, dst="2001:db8:c::80") / UDP())
    source = tunnels.inner_source(packet)
    assert tunnel().holds(packet, source) is with_prefix
    assert tunnel(whole_prefix=False).holds(packet, source) is without


def test_the_ipv4_home_address_may_pass_once_it_is_registered() -> None:
    packet = bytes(IP(src="203.0.113.80", dst=str(IPV4_HOME)) / UDP())
    assert tunnel().holds(packet, tunnels.inner_destination(packet))
    assert not tunnel(ipv4=None).holds(packet, tunnels.inner_destination(packet))
    other = bytes(IP(src="10.45.0.3", dst="203.0.113.80") / UDP())
    assert not tunnel().holds(other, tunnels.inner_source(other))


@pytest.mark.parametrize(
    ("source", "destination", "allowed"),
    [
        (str(HOME), "2001:db8:c::80", True),
        ("fe80::1", "2001:db8:c::80", False),
        (str(HOME), "ff02::1", False),
        ("10.45.0.2", "203.0.113.80", True),
        ("10.45.0.2", "224.0.0.1", False),
        ("10.45.0.2", "255.255.255.255", False),
    ],
)
def test_link_local_and_multicast_stay_outside(source: str, destination: str, allowed: bool) -> None:
    layer = IPv6 if ":" in source else IP
    assert tunnels.may_travel(bytes(layer(src=source, dst=destination) / UDP())) is allowed


NOT, ECT1, ECT0, CE = range(4)
# RFC 6040 4.2, figure 4: the inner mark, and what comes of it under the outer marks NOT, ECT1, ECT0, CE
COMBINED = {NOT: (NOT, NOT, NOT, None), ECT0: (ECT0, ECT1, ECT0, CE), ECT1: (ECT1, ECT1, ECT1, CE), CE: (CE,) * 4}


@pytest.mark.parametrize("outer", range(4))
@pytest.mark.parametrize("inner", range(4))
def test_marks_of_congestion(inner: int, outer: int) -> None:
    result = COMBINED[inner][outer]
    for packet in (
        bytes(IPv6(src=str(HOME), dst="2001:db8:c::80", tc=0xB8 | inner, fl=0xABCDE) / UDP()),
        bytes(IP(src=str(IPV4_HOME), dst="203.0.113.80", tos=0xB8 | inner) / UDP()),
    ):
        marked = tunnels.take_congestion(packet, 0x28 | outer)
        layer = IPv6 if packet[0] >> 4 == 6 else IP
        expected = layer(packet)
        setattr(expected, "tc" if layer is IPv6 else "tos", 0xB8 | (result or 0))
        if layer is IP:
            del expected.chksum
        assert marked == (None if result is None else bytes(expected)), "only the mark changes"


LIMIT = HBHOptUnknown(otype=4, optdata=b"\7")
LIMITED = [
    (IPv6ExtHdrDestOpt(options=[LIMIT]), 44),
    (IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0"), LIMIT]), 55),
    (IPv6ExtHdrFragment(m=1) / IPv6ExtHdrDestOpt(options=[Pad1(), LIMIT]), 53),
]


@pytest.mark.parametrize(("headers", "position"), LIMITED)
def test_a_tunnel_in_the_tunnel_counts_down_its_limit(headers: Packet, position: int) -> None:
    """RFC 2473 4.1.1: an inner packet that may enter seven more tunnels may enter six once it is inside this one."""
    inner = bytes(IPv6(src=str(HOME), dst="2001:db8:c::80") / headers / IPv6())
    assert tunnels.encapsulation_limit(inner) == (7, position)
    outer = tunnel().wrap_up(inner)
    assert tunnels.encapsulation_limit(outer) == (6, 44)
    found = parse_ipv6(outer)
    assert (found.encapsulation_limit, found.protocol, found.payload) == (6, IPV6_IN, inner)


@pytest.mark.parametrize(
    "headers",
    [
        IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\4\1\0\0")]),
        IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=4, optdata=b"\0\0")]),
        IPv6ExtHdrFragment(offset=1, nh=60) / Raw(b"\x29\0\4\1\0\1\0\0"),
        IPv6() / IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=4, optdata=b"\0")]),
    ],
)
def test_what_only_looks_like_a_limit(headers: Packet) -> None:
    inner = bytes(IPv6(src=str(HOME), dst="2001:db8:c::80") / headers / UDP())
    assert tunnels.encapsulation_limit(inner) is None
    assert tunnel().wrap_up(inner)[40:] == inner


@given(st.binary(min_size=40, max_size=120), st.sampled_from(sorted(tunnels.EXTENSION_HEADERS)))
def test_no_octets_confuse_the_search_for_a_limit(octets: bytes, first: int) -> None:
    packet = octets[:6] + bytes((first,)) + octets[7:]
    found = tunnels.encapsulation_limit(packet)
    assert found is None or (packet[found[1] - 2 : found[1]] == b"\4\1" and packet[found[1]] == found[0])


@given(st.binary(max_size=80))
def test_only_whole_packets_are_inner_ones(octets: bytes) -> None:
    for packet in (octets, b"\x60" + octets, b"\x45" + octets):
        for protocol in (IPV6_IN, IPIP, 17):
            if tunnels.is_inner(packet, protocol):
                length = packet[4:6] if protocol == IPV6_IN else packet[2:4]
                assert int.from_bytes(length, "big") + (40 if protocol == IPV6_IN else 0) == len(packet)
