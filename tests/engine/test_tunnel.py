# SPDX-License-Identifier: GPL-2.0-or-later
"""Encapsulation: the published packets, which traffic may pass, marks of congestion, sizes."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6

from mn_dsmip.engine import tunnel as tunnels
from mn_dsmip.engine.tunnel import Tunnel
from mn_dsmip.wire.ip import IPIP, IPV6_IN, internet_sum

VECTORS = {
    each["name"]: bytes.fromhex(each["packet"])
    for each in json.loads((Path(__file__).parent.parent / "vectors/mobility.json").read_text())["tunnels"]
}
CARE_OF, HOME_AGENT = IPv6Address("2001:db8:f:1::10"), IPv6Address("2001:db8:aaaa::1")
HOME, PREFIX = IPv6Address("2001:db8:1:1::100"), IPv6Network("2001:db8:1:1::/64")
IPV4_HOME = IPv4Address("10.45.0.2")
REPORTER, REPORTER4 = HOME_AGENT.packed, bytes((192, 0, 2, 1))


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


# RFC 6040 4.2, figure 4: rows inner, columns outer
@pytest.mark.parametrize(
    ("inner", "outer", "result"),
    [(0, 0, 0), (0, 2, 0), (0, 3, None), (2, 0, 2), (2, 3, 3), (1, 3, 3), (3, 0, 3), (3, 3, 3)],
)
def test_marks_of_congestion(inner: int, outer: int, result: int | None) -> None:
    for packet in (
        bytes(IPv6(src=str(HOME), dst="2001:db8:c::80", tc=inner) / UDP()),
        bytes(IP(src=str(IPV4_HOME), dst="203.0.113.80", tos=inner) / UDP()),
    ):
        marked = tunnels.take_congestion(packet, outer)
        if result is None:
            assert marked is None
            continue
        assert marked is not None
        six = packet[0] >> 4 == 6
        assert (IPv6(marked).tc if six else IP(marked).tos) == result
        assert six or internet_sum(marked[:20]) == 0


@pytest.mark.parametrize(
    ("size", "mtu", "refused", "reported"),
    [(1460, 1460, False, None), (1461, 1460, True, 1460), (1290, 1240, True, 1280), (1280, 1240, False, None)],
)
def test_sizes_over_ipv6(size: int, mtu: int, refused: bool, reported: int | None) -> None:
    packet = bytes(IPv6(src=str(HOME), dst="2001:db8:c::80") / UDP() / bytes(size - 48))
    assert len(packet) == size
    found, error = tunnels.too_big(packet, mtu, REPORTER, REPORTER4)
    assert found is refused
    assert (error and int.from_bytes(error[44:48], "big")) == reported


@pytest.mark.parametrize(("flags", "refused"), [("DF", True), (0, False)])
def test_sizes_over_ipv4(flags: str | int, refused: bool) -> None:
    packet = bytes(IP(src=str(IPV4_HOME), dst="203.0.113.80", flags=flags) / UDP() / bytes(1440))
    found, error = tunnels.too_big(packet, 1460, REPORTER, REPORTER4)
    assert found is refused
    if refused:
        assert error is not None and (error[20], error[21], int.from_bytes(error[26:28], "big")) == (3, 4, 1460)


def test_the_inner_source_hears_of_a_broken_path() -> None:
    six = tunnels.report_unreachable(VECTORS["T1"][40:], REPORTER, REPORTER4)
    four = tunnels.report_unreachable(VECTORS["T2"][40:], REPORTER, REPORTER4)
    assert six is not None and six[24:40] == HOME.packed and six[40:42] == b"\x01\x03"
    assert four is not None and four[16:20] == IPV4_HOME.packed and four[20:22] == b"\x03\x01"
