# SPDX-License-Identifier: GPL-2.0-or-later
"""The small IPv6 host: reassembly within bounds, path MTU from believable errors, echo, and what it refuses."""

from __future__ import annotations

import random
from collections import Counter
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.engine.base import UdpDatagram
from mn_dsmip.engine.fragments import REASSEMBLY_TIMEOUT
from mn_dsmip.engine.stack import MOST_PATHS, PATH_MTU_LIFETIME, PathError, Stack
from mn_dsmip.wire import ip
from mn_dsmip.wire.icmpv6 import IcmpV6, icmpv6_error, icmpv6_message, parse_icmpv6

OWN, PEER = IPv6Address("2001:db8:aaaa::1"), IPv6Address("2001:db8:f:1::10")
ROUTER = IPv6Address("2001:db8:f:1::1").packed


def stack() -> Stack:
    return Stack(random.Random(1).randbytes, Counter())


def from_peer(size: int, seed: int = 0) -> bytes:
    body = ip.udp_payload(PEER.packed, 500, OWN.packed, 500, random.Random(seed).randbytes(size))
    return ip.ipv6_packet(PEER.packed, OWN.packed, ip.UDP, body)


@given(st.integers(1300, 9000), st.integers(1280, 1500), st.randoms(use_true_random=False))
def test_fragments_in_any_order_and_twice_make_the_datagram(size: int, mtu: int, shuffle: random.Random) -> None:
    host = stack()
    pieces = ip.fragments(from_peer(size, size), mtu, 7)
    sequence = pieces + ([] if len(pieces) == 1 else shuffle.sample(pieces[:-1], 1))
    received = []
    for piece in sequence[len(pieces) :] + shuffle.sample(pieces, len(pieces)):
        if (whole := host.receive(piece, OWN.packed, 0.0)) is not None:
            received.append(whole)
    expected = UdpDatagram(PEER, 500, OWN, 500, random.Random(size).randbytes(size))
    assert received == [expected]


def test_incomplete_packets_are_given_up_in_time() -> None:
    host = stack()
    first, second = ip.fragments(from_peer(2000), 1280, 7)
    assert host.receive(first, OWN.packed, 0.0) is None
    assert host.next_timer() == REASSEMBLY_TIMEOUT
    host.handle_timer(REASSEMBLY_TIMEOUT)
    assert host.counters == {"fragment-timeout": 1}
    assert host.receive(second, OWN.packed, REASSEMBLY_TIMEOUT) is None


def test_fragments_of_others_and_of_fragments_are_not_kept() -> None:
    host = stack()
    foreign = ip.fragments(from_peer(2000), 1280, 7)[0]
    assert host.receive(foreign[:24] + ROUTER + foreign[40:], OWN.packed, 0.0) is None
    nested = ip.ipv6_packet(
        PEER.packed, OWN.packed, ip.FRAGMENT, bytes((ip.FRAGMENT,)) + bytes(7) + bytes((17,)) + bytes(15)
    )
    assert host.receive(nested, OWN.packed, 0.0) is None
    assert host.counters == {"not-for-us": 1, "packet-malformed": 1} and host.next_timer() is None


def test_large_datagrams_leave_in_fragments() -> None:
    host = stack()
    packets = host.send_udp(UdpDatagram(OWN, 500, PEER, 500, bytes(4000)), 0.0)
    assert len(packets) == 3 and all(len(packet) <= 1500 for packet in packets)
    other = Stack(random.Random(2).randbytes, Counter())
    assert [other.receive(packet, PEER.packed, 0.0) for packet in packets][-1] == UdpDatagram(
        OWN, 500, PEER, 500, bytes(4000)
    )


def too_big(packet: bytes, mtu: int) -> bytes:
    error = icmpv6_error(ROUTER, IcmpV6.PACKET_TOO_BIG, 0, mtu, packet)
    assert error is not None
    return error


def test_packet_too_big_is_believed_about_packets_of_ours_only() -> None:
    host = stack()
    ours = ip.ipv6_packet(OWN.packed, PEER.packed, ip.IPV6_IN, bytes(1460))
    foreign = ip.ipv6_packet(ROUTER, PEER.packed, ip.UDP, bytes(1460))
    forged = bytearray(too_big(foreign, 1300))
    body = bytes(forged[40:])
    forged = bytearray(ip.ipv6_packet(ROUTER, OWN.packed, ip.ICMPV6, body))
    checksum = ip.transport_sum(ROUTER, OWN.packed, ip.ICMPV6, body[:2] + b"\0\0" + body[4:])
    forged[42:44] = checksum.to_bytes(2, "big")
    assert host.receive(bytes(forged), OWN.packed, 0.0) is None
    assert host.counters["icmp-not-ours"] == 1 and host.path_mtu(PEER.packed, 0.0) == 1500

    assert host.receive(too_big(ours, 1000), OWN.packed, 0.0) is None, "below the minimum (RFC 8201 4)"
    assert host.counters["icmp-mtu-refused"] == 1
    error = host.receive(too_big(ours, 1400), OWN.packed, 0.0)
    assert isinstance(error, PathError) and error.mtu == 1400
    assert host.path_mtu(PEER.packed, 1.0) == 1400
    assert host.path_mtu(PEER.packed, PATH_MTU_LIFETIME + 1) == 1500, "tried again after ten minutes"


def test_echo_is_answered() -> None:
    host = stack()
    request = icmpv6_message(PEER.packed, OWN.packed, IcmpV6.ECHO_REQUEST, 0, b"\0\1\0\2hello")
    assert host.receive(request, OWN.packed, 0.0) is None
    (reply,) = host.answers()
    parsed = ip.parse_ipv6(reply)
    assert parsed.destination == PEER.packed
    assert parse_icmpv6(OWN.packed, PEER.packed, parsed.payload) == (129, 0, b"\0\1\0\2hello")
    assert host.answers() == []


def test_the_table_of_paths_is_bounded() -> None:
    host = stack()
    for number in range(MOST_PATHS + 1):
        there = PEER.packed[:12] + number.to_bytes(4, "big")
        host.receive(too_big(ip.ipv6_packet(OWN.packed, there, ip.IPV6_IN, bytes(1460)), 1400), OWN.packed, 0.0)
    assert host.path_mtu(PEER.packed[:12] + bytes(4), 0.0) == 1500, "the oldest made room"
    assert host.path_mtu(PEER.packed[:12] + b"\0\0\0\1", 0.0) == 1400


@pytest.mark.parametrize("source", ["ff02::1", "ff0e::1", "::", "::1"])
def test_nobody_is_answered_who_is_not_one_host(source: str) -> None:
    host = stack()
    request = icmpv6_message(IPv6Address(source).packed, OWN.packed, IcmpV6.ECHO_REQUEST, 0, b"\0\1\0\2")
    assert host.receive(request, OWN.packed, 0.0) is None
    assert host.answers() == [] and host.counters == {"source-not-unicast": 1}


@pytest.mark.parametrize(
    ("first", "header"),
    [
        (ip.DESTINATION_OPTIONS, ip.home_address_header(ip.UDP, ROUTER)),
        (ip.ROUTING, ip.type2_routing_header(ip.UDP, ROUTER)),
        (ip.DESTINATION_OPTIONS, ip.home_address_header(ip.IPV6_IN, ROUTER)),
        (ip.ROUTING, ip.type2_routing_header(ip.ICMPV6, ROUTER)),
    ],
)
def test_home_addresses_are_believed_only_with_esp(first: int, header: bytes) -> None:
    """RFC 6275 9.3.1: there is no route optimisation here, so nobody may name a home address outside signalling."""
    host = stack()
    body = ip.udp_payload(PEER.packed, 1, OWN.packed, 2, b"x")
    assert host.receive(ip.ipv6_packet(PEER.packed, OWN.packed, first, header + body), OWN.packed, 0.0) is None
    assert host.counters == {"home-address-unprotected": 1} and host.answers() == []


def test_esp_keeps_its_home_address() -> None:
    host = stack()
    header = ip.home_address_header(ip.ESP, ROUTER)
    found = host.receive(
        ip.ipv6_packet(PEER.packed, OWN.packed, ip.DESTINATION_OPTIONS, header + b"esp"), OWN.packed, 0.0
    )
    assert isinstance(found, ip.Ipv6Packet)
    assert (found.protocol, found.home_address_option, found.payload) == (ip.ESP, ROUTER, b"esp")


@given(st.binary(max_size=100), st.sampled_from([0, 4, 17, 41, 43, 44, 50, 58, 60, 135, 200]))
def test_whatever_arrives_is_sorted_or_counted_once(body: bytes, protocol: int) -> None:
    host = stack()
    found = host.receive(ip.ipv6_packet(PEER.packed, OWN.packed, protocol, body), OWN.packed, 0.0)
    assert sum(host.counters.values()) <= (0 if found is not None else 1)


@pytest.mark.parametrize(
    ("packet", "counter"),
    [
        (b"", "packet-malformed"),
        (ip.ipv6_packet(PEER.packed, ROUTER, ip.UDP, bytes(8)), "not-for-us"),
        (ip.ipv6_packet(PEER.packed, OWN.packed, ip.MOBILITY_HEADER, bytes(8)), "mh-unprotected"),
        (ip.ipv6_packet(PEER.packed, OWN.packed, ip.TCP, bytes(20)), "protocol-unknown"),
        (ip.ipv6_packet(PEER.packed, OWN.packed, ip.UDP, bytes(7)), "packet-malformed"),
        (ip.ipv6_packet(PEER.packed, OWN.packed, ip.ICMPV6, b"\x80" + bytes(7)), "packet-malformed"),
    ],
)
def test_what_is_not_wanted_is_counted(packet: bytes, counter: str) -> None:
    host = stack()
    assert host.receive(packet, OWN.packed, 0.0) is None
    assert host.counters == {counter: 1}
