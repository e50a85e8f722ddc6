# SPDX-License-Identifier: GPL-2.0-or-later
"""IP packets: published ones, scapy's reading, every truncation, and fragments that come together again."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet import fragment as scapy_fragment
from scapy.layers.inet6 import (
    HAO,
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_Redirect,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.packet import Packet

from mn_dsmip.wire import ip
from mn_dsmip.wire.codec import WireError
from mn_dsmip.wire.icmpv6 import IcmpV4, IcmpV6, icmpv4_error, icmpv6_error, icmpv6_message, parse_icmpv6

HERE, THERE = bytes.fromhex("20010db8000f00010000000000000010"), bytes.fromhex("20010db8aaaa00000000000000000001")
HOME = bytes.fromhex("20010db8000100010000000000000100")
HERE_TEXT, THERE_TEXT, HOME_TEXT = "2001:db8:f:1::10", "2001:db8:aaaa::1", "2001:db8:1:1::100"


@given(st.binary(max_size=300))
def test_the_checksum_is_that_of_rfc_1071(data: bytes) -> None:
    total = sum(int.from_bytes((data + b"\0")[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert ip.internet_sum(data) == ~total & 0xFFFF


def test_rfc_1071s_own_example() -> None:
    assert ip.internet_sum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D


def test_udp_as_scapy_builds_it() -> None:
    ours = ip.ipv6_packet(HERE, THERE, ip.UDP, ip.udp_payload(HERE, 500, THERE, 4500, b"abc"))
    assert ours == bytes(IPv6(src=HERE_TEXT, dst=THERE_TEXT, hlim=64) / UDP(sport=500, dport=4500) / b"abc")
    parsed = ip.parse_ipv6(ours)
    assert ip.parse_udp(parsed.payload, parsed.source, parsed.destination) == (500, 4500, b"abc")


@pytest.mark.parametrize("damage", [b"\0\0", b"\x12\x34"])
def test_a_missing_or_wrong_udp_checksum_is_refused(damage: bytes) -> None:
    body = ip.udp_payload(HERE, 1, THERE, 2, b"abcd")
    with pytest.raises(WireError, match="UDP checksum is wrong"):
        ip.parse_udp(body[:6] + damage + body[8:], HERE, THERE)


def test_mobile_ipv6_headers_as_scapy_builds_and_reads_them() -> None:
    option = IPv6ExtHdrDestOpt(nh=ip.MOBILITY_HEADER, options=[PadN(optdata=b"\0\0"), HAO(hoa=HOME_TEXT)])
    assert ip.home_address_header(ip.MOBILITY_HEADER, HOME) == bytes(option)
    routing = IPv6ExtHdrRouting(nh=ip.MOBILITY_HEADER, type=2, segleft=1, addresses=[HOME_TEXT])
    assert ip.type2_routing_header(ip.MOBILITY_HEADER, HOME) == bytes(routing)
    both = bytes(IPv6(src=HERE_TEXT, dst=THERE_TEXT) / routing / option / b"12345678")
    parsed = ip.parse_ipv6(both.replace(bytes(routing), b"\x3c" + bytes(routing)[1:]))
    assert parsed.home_address_option == parsed.routing_home_address == HOME
    assert (parsed.protocol, parsed.payload) == (ip.MOBILITY_HEADER, b"12345678")


def test_a_tunnel_encapsulation_limit_is_skipped() -> None:
    header = bytes((ip.IPV6_IN, 0, 4, 1, 4, 1, 1, 0))
    parsed = ip.parse_ipv6(ip.ipv6_packet(HERE, THERE, ip.DESTINATION_OPTIONS, header + b"inner"))
    assert (parsed.encapsulation_limit, parsed.protocol, parsed.payload) == (4, ip.IPV6_IN, b"inner")


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (bytes((59, 0, 0xC2, 4, 0, 0, 0, 0)), "must not be skipped"),
        (bytes((59, 0, 0xC9, 4, 0, 0, 0, 0)), "malformed or second Home Address"),
        (bytes((59, 0, 1, 9, 0, 0, 0, 0)), "reaches beyond its header"),
        (bytes((59, 9, 1, 4, 0, 0, 0, 0)), "reaches beyond the packet"),
    ],
)
def test_options_that_are_refused(header: bytes, says: str) -> None:
    with pytest.raises(WireError, match=says):
        ip.parse_ipv6(ip.ipv6_packet(HERE, THERE, ip.DESTINATION_OPTIONS, header))


@pytest.mark.parametrize(("kind", "left"), [(0, 1), (2, 2), (4, 1)])
def test_routing_headers_that_are_refused(kind: int, left: int) -> None:
    header = bytes((59, 2, kind, left, 0, 0, 0, 0)) + HOME
    with pytest.raises(WireError, match="routing header of type"):
        ip.parse_ipv6(ip.ipv6_packet(HERE, THERE, ip.ROUTING, header))


def test_hop_by_hop_options_stand_first_or_not_at_all() -> None:
    """RFC 8200 4.1."""
    option = bytes((ip.UDP, 0, 1, 4, 0, 0, 0, 0))
    assert ip.parse_ipv6(ip.ipv6_packet(HERE, THERE, ip.HOP_BY_HOP, option + b"x")).protocol == ip.UDP
    behind = bytes((ip.HOP_BY_HOP, 0, 1, 4, 0, 0, 0, 0)) + option
    with pytest.raises(WireError, match="do not follow the IPv6 header"):
        ip.parse_ipv6(ip.ipv6_packet(HERE, THERE, ip.DESTINATION_OPTIONS, behind))


def test_every_truncation_is_refused() -> None:
    whole = ip.ipv6_packet(HERE, THERE, ip.DESTINATION_OPTIONS, ip.home_address_header(ip.UDP, HOME) + bytes(8))
    for length in range(len(whole)):
        with pytest.raises(WireError):
            ip.parse_ipv6(whole[:length])
    four = bytes(IP(src="192.0.2.1", dst="192.0.2.2") / UDP() / b"xy")
    for length in range(len(four)):
        with pytest.raises(WireError):
            ip.parse_ipv4(four[:length])


@given(st.binary(max_size=120))
def test_random_octets_are_read_or_refused(data: bytes) -> None:
    for parse in (ip.parse_ipv6, ip.parse_ipv4):
        for packet in (data, b"\x60" + data, b"\x45" + data):
            with contextlib.suppress(WireError):
                parse(packet)


@given(st.integers(0, 9000), st.integers(1280, 1500), st.booleans())
def test_fragments_fit_and_scapy_joins_them(size: int, mtu: int, with_routing: bool) -> None:
    body = random.Random(size).randbytes(size)
    front = ip.type2_routing_header(ip.ESP, HOME) if with_routing else b""
    whole = ip.ipv6_packet(HERE, THERE, ip.ROUTING if with_routing else ip.ESP, front + body)
    pieces = ip.fragments(whole, mtu, 77)
    assert all(len(piece) <= mtu for piece in pieces)
    if len(whole) <= mtu:
        assert pieces == [whole]
        return
    joined = b""
    for piece in pieces:
        fragment = IPv6(piece)[IPv6ExtHdrFragment]
        assert (fragment.id, fragment.offset * 8, bool(fragment.m)) == (77, len(joined), piece is not pieces[-1])
        joined += bytes(fragment.payload)
    assert joined == body


def test_ipv4_fragments_are_scapys() -> None:
    whole = bytes(IP(src="192.0.2.1", dst="192.0.2.2", id=9, flags=0) / UDP() / bytes(3000))
    theirs = [bytes(each) for each in scapy_fragment(IP(whole), fragsize=1400)]
    ours = ip.ipv4_fragments(whole, 1420)
    assert [ip.parse_ipv4(each).payload for each in ours] == [ip.parse_ipv4(each).payload for each in theirs]
    assert ours == theirs


def test_icmpv6_as_scapy_builds_and_reads_it() -> None:
    echo = bytes(IPv6(src=HERE_TEXT, dst=THERE_TEXT, hlim=64) / ICMPv6EchoRequest(id=1, seq=2, data=b"hi"))
    assert icmpv6_message(HERE, THERE, IcmpV6.ECHO_REQUEST, 0, b"\0\1\0\2hi") == echo
    assert parse_icmpv6(HERE, THERE, echo[40:]) == (128, 0, b"\0\1\0\2hi")
    error = icmpv6_error(THERE, IcmpV6.PACKET_TOO_BIG, 0, 1400, ip.ipv6_packet(HERE, HOME, ip.UDP, bytes(2000)))
    assert error is not None and len(error) == 1280
    read = IPv6(error)
    assert read[ICMPv6PacketTooBig].mtu == 1400 and read.dst == HERE_TEXT
    with pytest.raises(WireError, match="checksum"):
        parse_icmpv6(HERE, HOME, echo[40:])


def test_errors_that_must_not_be_sent() -> None:
    multicast, unspecified = b"\xff\x02" + bytes(13) + b"\x01", bytes(16)
    assert icmpv6_error(THERE, 1, 0, 0, ip.ipv6_packet(multicast, THERE, ip.UDP, b"")) is None
    assert icmpv6_error(THERE, 1, 0, 0, ip.ipv6_packet(unspecified, THERE, ip.UDP, b"")) is None
    assert icmpv6_error(THERE, 1, 0, 0, ip.ipv6_packet(HERE, multicast, ip.UDP, b"")) is None
    assert icmpv6_error(THERE, 2, 0, 1280, ip.ipv6_packet(HERE, multicast, ip.UDP, b"")) is not None
    first = bytes(IP(src="192.0.2.1", dst="192.0.2.2") / UDP() / b"x")
    own = bytes((192, 0, 2, 9))
    made = icmpv4_error(own, IcmpV4.DESTINATION_UNREACHABLE, 4, 1400, first)
    assert made is not None and ip.internet_sum(made[:20]) == 0 == ip.internet_sum(made[20:])
    later = bytes(IP(src="192.0.2.1", dst="192.0.2.2", frag=8) / UDP() / b"x")
    assert icmpv4_error(own, 3, 4, 1400, later) is None
    assert icmpv4_error(own, 3, 4, 1400, made) is None


OPTIONS, ROUTING, HOPS = IPv6ExtHdrDestOpt(), IPv6ExtHdrRouting(addresses=[HOME_TEXT]), IPv6ExtHdrHopByHop()


@pytest.mark.parametrize(
    ("packet", "allowed"),
    [
        (IPv6() / ICMPv6TimeExceeded(), False),
        (IPv6() / ICMPv6ND_Redirect(), False),
        (IPv6() / ICMPv6EchoRequest(), True),
        (IPv6() / HOPS / OPTIONS / ROUTING / ICMPv6DestUnreach(), False),
        (IPv6() / HOPS / OPTIONS / ROUTING / ICMPv6EchoRequest(), True),
        (IPv6() / IPv6ExtHdrFragment(m=1) / ICMPv6PacketTooBig() / bytes(8), False),
        (IPv6() / IPv6ExtHdrFragment(offset=1, nh=58) / bytes(8), True),
        (IPv6() / OPTIONS / IPv6() / ICMPv6TimeExceeded(), True),
    ],
)
def test_no_icmpv6_error_about_an_error(packet: Packet, allowed: bool) -> None:
    """RFC 4443 2.4 (e): nor about a redirect, whatever stands before it."""
    packet.src, packet.dst = HERE_TEXT, HOME_TEXT
    whole = bytes(packet)
    error = icmpv6_error(THERE, IcmpV6.DESTINATION_UNREACHABLE, 3, 0, whole)
    assert (error is not None) is allowed
    if error is not None:
        assert error[48:] == whole and parse_icmpv6(THERE, HERE, error[40:])[:2] == (1, 3)
