# SPDX-License-Identifier: GPL-2.0-or-later
"""Reassembly: every order, what overlaps or lies about its end, bounds of number, size and time; scapy cuts."""

from __future__ import annotations

import random
import struct
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet import fragment as scapy_fragment4
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrRouting, fragment6

from mn_dsmip.engine.fragments import MOST_PENDING, MOST_PIECES, REASSEMBLY_TIMEOUT, Reassembler
from mn_dsmip.wire import ip

HERE, THERE, HOME = "2001:db8:f:1::10", "2001:db8:aaaa::1", "2001:db8:1:1::100"


class Bench:
    """A reassembler and its counters; fragments are forged here, octet by octet."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.reassembler = Reassembler(self.counters)

    def give(self, packet: bytes, now: float = 0.0) -> bytes | None:
        if packet[0] >> 4 == 4:
            return self.reassembler.add_ipv4(ip.parse_ipv4(packet), now)
        return self.reassembler.add_ipv6(ip.parse_ipv6(packet), now)

    def piece(self, offset: int, data: bytes, more: bool, number: int = 7, now: float = 0.0) -> bytes | None:
        """One fragment of a packet whose payload is ESP; what completes with it, without the IPv6 header."""
        whole = self.give(fragment(offset, data, more, number), now)
        assert whole is None or (whole[6], whole[4:6]) == (ip.ESP, struct.pack("!H", len(whole) - 40))
        return whole and whole[40:]


def fragment(offset: int, data: bytes, more: bool, number: int = 7, front: bytes = b"") -> bytes:
    """``front``, if any, is a whole destination options header; the fragment header follows it."""
    header = struct.pack("!BBHI", ip.ESP, 0, offset | more, number)
    first = ip.DESTINATION_OPTIONS if front else ip.FRAGMENT
    return bytes(IPv6(src=HERE, dst=THERE, nh=first, plen=len(front) + 8 + len(data))) + front + header + data


@given(st.integers(1, 6000), st.integers(1280, 1500), st.randoms(use_true_random=False))
def test_what_scapy_cuts_is_joined_in_any_order(size: int, mtu: int, shuffle: random.Random) -> None:
    body = random.Random(size).randbytes(size)
    routing = IPv6ExtHdrRouting(type=2, segleft=1, addresses=[HOME])
    whole = IPv6(src=HERE, dst=THERE) / routing / IPv6ExtHdrFragment(id=9) / UDP(sport=1, dport=2) / body
    cut = [bytes(each) for each in fragment6(whole, mtu)]
    bench = Bench()
    (joined,) = filter(None, (bench.give(each) for each in shuffle.sample(cut, len(cut))))
    expected = bytes(IPv6(src=HERE, dst=THERE) / routing / UDP(sport=1, dport=2) / body)
    assert joined == expected
    assert not bench.counters and bench.reassembler.next_timer() is None


@given(st.integers(100, 6000), st.integers(68, 1500), st.randoms(use_true_random=False))
def test_ipv4_too(size: int, mtu: int, shuffle: random.Random) -> None:
    body = random.Random(size).randbytes(size)
    whole = bytes(IP(src="192.0.2.1", dst="192.0.2.2", id=9, flags=0) / UDP(sport=1, dport=2) / body)
    cut = [bytes(each) for each in scapy_fragment4(IP(whole), fragsize=(mtu - 20) // 8 * 8)]
    bench = Bench()
    joined = [each for piece in shuffle.sample(cut, len(cut)) if (each := bench.give(piece))]
    assert joined == ([whole] if len(cut) <= MOST_PIECES else [])


pieces = st.tuples(st.integers(0, 6), st.integers(1, 4), st.booleans(), st.integers(0, 3))


@given(st.lists(pieces, max_size=12))
def test_whatever_is_joined_was_cut_that_way(forged: list[tuple[int, int, bool, int]]) -> None:
    """Pieces that overlap, contradict and repeat each other at will: a whole consists of pieces at their places."""
    bench = Bench()
    given_so_far = []
    for place, blocks, more, content in forged:
        data = bytes((content,)) * (8 * blocks)
        given_so_far.append((place * 8, data, more))
        joined = bench.piece(place * 8, data, more)
        if joined is None or (place == 0 and not more):
            continue
        reached = {0}
        for begin, piece, _ in sorted(given_so_far, key=lambda each: each[0]):
            if begin in reached and joined[begin : begin + len(piece)] == piece:
                reached.add(begin + len(piece))
        assert len(joined) in reached
        assert any(not more and begin + len(piece) == len(joined) for begin, piece, more in given_so_far)


A, B, C, D = (bytes((number,)) * 8 for number in range(1, 5))


@pytest.mark.parametrize(
    "sequence",
    [
        [(0, A + B, True), (8, B, True)],
        [(8, B, True), (0, A + B, True)],
        [(0, A, True), (0, B, True)],
        [(8, B, False), (16, C, False)],
        [(8, B, False), (16, C, True)],
        [(16, C, True), (8, B, False)],
        [(0, A, True), (1000, C, True), (16, D, False)],  # as many octets as there should be, but not where
    ],
)
def test_fragments_that_contradict_each_other(sequence: list[tuple[int, bytes, bool]]) -> None:
    bench = Bench()
    assert [bench.piece(*each) for each in sequence] == [None] * len(sequence)
    assert bench.counters == {"fragment-overlap": 1}
    assert bench.reassembler.next_timer() is None, "nothing of it is kept (RFC 5722 4)"


def test_an_exact_repetition_is_harmless_and_changes_nothing() -> None:
    bench = Bench()
    assert bench.piece(0, A, True) is None
    assert bench.piece(0, A, True) is None
    options = bytes(IPv6ExtHdrDestOpt(nh=ip.FRAGMENT))
    assert bench.give(fragment(0, A, True, front=options)) is None, "same octets behind other headers"
    assert bench.piece(8, B, False) == A + B
    assert not bench.counters


def test_a_fragment_that_is_the_whole_packet_stands_alone() -> None:
    """RFC 6946 4: an atomic fragment neither waits for others nor disturbs them."""
    bench = Bench()
    assert bench.piece(0, A, True) is None
    assert bench.piece(0, D + D, False) == D + D
    assert bench.piece(8, B, False) == A + B
    assert not bench.counters


def test_other_numbers_and_other_senders_are_other_packets() -> None:
    bench = Bench()
    assert bench.piece(0, A, True, number=1) is None
    assert bench.piece(8, B, False, number=2) is None
    stranger = bytearray(fragment(8, B, False, number=1))
    stranger[23] ^= 1
    assert bench.give(bytes(stranger)) is None
    assert bench.piece(8, C, False, number=1) == A + C


@pytest.mark.parametrize(
    ("offset", "data", "more"), [(0, A + b"x", True), (0, b"", True), (65528, A, False), (65000, bytes(536), True)]
)
def test_fragments_that_cannot_be(offset: int, data: bytes, more: bool) -> None:
    bench = Bench()
    assert bench.piece(offset, data, more) is None
    assert bench.counters == {"fragment-malformed": 1} and bench.reassembler.next_timer() is None


@pytest.mark.parametrize("family", [4, 6])
def test_pieces_that_fit_but_not_with_their_headers(family: int) -> None:
    """The payload may have 65535 octets, the packet with its other headers not."""
    bench = Bench()
    edges = [*range(0, 65528, 8184), 65528]
    for begin, end in zip(edges, [*edges[1:], 65535], strict=True):
        data, more = bytes(end - begin), end < 65535
        if family == 6:
            forged = fragment(begin, data, more, front=bytes(IPv6ExtHdrDestOpt(nh=ip.FRAGMENT)))
        else:
            forged = bytes(IP(src="192.0.2.1", dst="192.0.2.2", id=9, flags=int(more), frag=begin // 8) / data)
        assert bench.give(forged) is None
    assert bench.counters == {"fragment-malformed": 1}


def test_the_largest_packet_is_joined() -> None:
    bench = Bench()
    cut = ip.fragments(ip.ipv6_packet(bytes(16), bytes(15) + b"\1", ip.ESP, bytes(65535)), 1280, 7)
    assert [len(each) for each in map(bench.give, cut) if each] == [40 + 65535]


def test_too_many_pieces() -> None:
    bench = Bench()
    for number in range(MOST_PIECES + 1):
        assert bench.piece(16 * number, A, True) is None
    assert bench.counters == {"fragment-malformed": 1} and bench.reassembler.next_timer() is None


def test_what_is_not_complete_in_time_is_given_up() -> None:
    bench = Bench()
    bench.piece(0, A, True, number=1, now=0.0)
    bench.piece(0, A, True, number=2, now=1.0)
    assert bench.reassembler.next_timer() == REASSEMBLY_TIMEOUT
    bench.reassembler.handle_timer(REASSEMBLY_TIMEOUT)
    assert bench.counters == {"fragment-timeout": 1}
    assert bench.piece(8, B, False, number=2, now=REASSEMBLY_TIMEOUT) == A + B
    assert bench.piece(8, B, False, number=1, now=REASSEMBLY_TIMEOUT) is None, "its first part is gone"


def test_the_oldest_makes_room() -> None:
    bench = Bench()
    for number in range(MOST_PENDING + 1):
        bench.piece(0, A, True, number)
    assert bench.counters == {"fragment-crowded-out": 1}
    assert bench.piece(8, B, False, MOST_PENDING) == A + B
    assert bench.piece(8, B, False, 0) is None
