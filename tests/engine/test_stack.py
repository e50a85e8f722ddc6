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
from mn_dsmip.engine.fragments import MOST_PENDING, REASSEMBLY_TIMEOUT, Reassembler
from mn_dsmip.engine.stack import PATH_MTU_LIFETIME, PathError, Stack
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


def test_overlapping_fragments_condemn_the_packet() -> None:
    """RFC 5722: a second first fragment with other octets."""
    host = stack()
    first, second = ip.fragments(from_peer(2000), 1280, 7)
    forged = first[:-1] + bytes((first[-1] ^ 1,))
    for piece in (first, forged, second):
        assert host.receive(piece, OWN.packed, 0.0) is None
    assert host.counters["fragment-overlap"] == 1


def test_incomplete_packets_are_given_up_in_time_and_number() -> None:
    host = stack()
    first, second = ip.fragments(from_peer(2000), 1280, 7)
    assert host.receive(first, OWN.packed, 0.0) is None
    assert host.next_timer() == REASSEMBLY_TIMEOUT
    host.handle_timer(REASSEMBLY_TIMEOUT)
    assert host.counters["fragment-timeout"] == 1
    assert host.receive(second, OWN.packed, REASSEMBLY_TIMEOUT) is None
    for number in range(MOST_PENDING + 10):
        host.receive(ip.fragments(from_peer(2000), 1280, 1000 + number)[0], OWN.packed, 61.0)
    assert host.counters["fragment-crowded-out"] == 11


@pytest.mark.parametrize("offset", [65528, 65000])
def test_a_packet_beyond_64_kib_is_refused(offset: int) -> None:
    counters: Counter[str] = Counter()
    reassembler = Reassembler(counters)
    packet = ip.parse_ipv6(ip.fragments(from_peer(2000), 1280, 7)[1])
    packet.fragment = (7, offset, False)
    assert reassembler.add_ipv6(packet, 0.0) is None
    assert counters["fragment-malformed"] == 1


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
