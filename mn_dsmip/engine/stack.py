# SPDX-License-Identifier: GPL-2.0-or-later
"""The small IPv6 host that both composites share: what arrives at our own address, and what leaves from it.

It reassembles, checks, sorts and answers echo requests; outgoing packets are fragmented to the path's MTU. Nothing that
arrives raises anything: what is not wanted is counted by a reason word.
"""

from __future__ import annotations

import struct
from collections import Counter
from ipaddress import IPv6Address
from typing import NamedTuple

from ..wire.codec import WireError
from ..wire.icmpv6 import IcmpV6, icmpv6_message, parse_icmpv6
from ..wire.ip import (
    ESP,
    ICMPV6,
    IPIP,
    IPV6_HEADER,
    IPV6_IN,
    IPV6_MINIMUM_MTU,
    MOBILITY_HEADER,
    NO_NEXT_HEADER,
    UDP,
    Ipv6Packet,
    fragments,
    ipv6_packet,
    parse_ipv6,
    parse_udp,
    udp_payload,
)
from .base import Random, UdpDatagram
from .fragments import Reassembler

PATH_MTU_LIFETIME = 600.0
"""Seconds until a larger packet is tried again (RFC 8201 4 recommends 10 minutes)."""
MOST_PATHS = 4096
_LOOPBACK = bytes(15) + b"\1"


def is_unicast(address: bytes) -> bool:
    """Whether a packet may come from this IPv6 address of another host."""
    return address[0] != 0xFF and any(address) and address != _LOOPBACK


class PathError(NamedTuple):
    """An ICMPv6 error about a packet of ours, ``quoted`` as far as the error goes; ``mtu`` for Packet Too Big."""

    kind: int
    mtu: int | None
    quoted: bytes


Received = UdpDatagram | Ipv6Packet | PathError
"""UDP; ESP and tunnels (an ``Ipv6Packet`` whose ``protocol`` tells which); errors about what we sent."""


class Stack:
    """One IPv6 address of ours; ``link_mtu`` in octets. ``echo``: answer echo requests, as no kernel does it for us."""

    def __init__(self, random: Random, counters: Counter[str], link_mtu: int = 1500, echo: bool = True) -> None:
        self.link_mtu = link_mtu
        self.echo = echo
        self.counters = counters
        self._random = random
        self._reassembler = Reassembler(counters)
        self._paths: dict[bytes, tuple[int, float]] = {}
        self._answers: list[bytes] = []

    def next_timer(self) -> float | None:
        """When an incomplete packet is given up."""
        return self._reassembler.next_timer()

    def handle_timer(self, now: float) -> None:
        """Give up incomplete packets."""
        self._reassembler.handle_timer(now)

    def answers(self) -> list[bytes]:
        """Packets that the stack itself wants to send: echo replies."""
        answers, self._answers = self._answers, []
        return answers

    # --- out

    def path_mtu(self, destination: bytes, now: float) -> int:
        """Octets that fit a packet to ``destination``."""
        known = self._paths.get(destination)
        if known is None:
            return self.link_mtu
        if known[1] <= now:
            del self._paths[destination]
            return self.link_mtu
        return min(known[0], self.link_mtu)

    def send(self, packet: bytes, now: float) -> list[bytes]:
        """``packet``, in fragments when the path needs them."""
        mtu = self.path_mtu(packet[24:40], now)
        if len(packet) <= mtu:
            return [packet]
        return fragments(packet, mtu, int.from_bytes(self._random(4), "big"))

    def send_udp(self, datagram: UdpDatagram, now: float) -> list[bytes]:
        """The packets of a UDP datagram."""
        source, destination = datagram.source.packed, datagram.destination.packed
        body = udp_payload(source, datagram.source_port, destination, datagram.destination_port, datagram.payload)
        return self.send(ipv6_packet(source, destination, UDP, body), now)

    # --- in

    def receive(self, packet: bytes, own: bytes, now: float) -> Received | None:
        """What a packet to our address ``own`` turns out to be; ``None`` when there is nothing more to do with it."""
        try:
            parsed = parse_ipv6(packet)
            if parsed.destination != own:
                self.counters["not-for-us"] += 1
                return None
            if not is_unicast(parsed.source):
                self.counters["source-not-unicast"] += 1  # nobody to answer (RFC 4291 2.5.2, 2.5.3, 2.7)
                return None
            if parsed.fragment is not None:
                whole = self._reassembler.add_ipv6(parsed, now)
                if whole is None:
                    return None
                parsed = parse_ipv6(whole)
                if parsed.fragment is not None:
                    raise WireError("a fragment of a fragment")
            return self._sort(parsed, own, now)
        except WireError:
            self.counters["packet-malformed"] += 1
            return None

    def _sort(self, packet: Ipv6Packet, own: bytes, now: float) -> Received | None:
        protocol = packet.protocol
        if protocol == ESP:
            return packet
        if protocol == MOBILITY_HEADER:
            self.counters["mh-unprotected"] += 1  # RFC 4877 3.1: it must come inside ESP
        elif packet.home_address_option or packet.routing_home_address:
            self.counters["home-address-unprotected"] += 1  # no route optimisation here (RFC 6275 9.3.1, TS 24.303 4.1)
        elif protocol in (IPV6_IN, IPIP):
            return packet
        elif protocol == UDP:
            source_port, port, payload = parse_udp(packet.payload, packet.source, own)
            return UdpDatagram(IPv6Address(packet.source), source_port, IPv6Address(own), port, payload)
        elif protocol == ICMPV6:
            return self._icmp(packet, own, now)
        elif protocol != NO_NEXT_HEADER:
            self.counters["protocol-unknown"] += 1
        return None

    def _icmp(self, packet: Ipv6Packet, own: bytes, now: float) -> PathError | None:
        kind, _, rest = parse_icmpv6(packet.source, packet.destination, packet.payload)
        if kind == IcmpV6.ECHO_REQUEST and self.echo:
            self._answers += self.send(icmpv6_message(own, packet.source, IcmpV6.ECHO_REPLY, 0, rest), now)
        elif kind < 128:
            return self._path_error(kind, rest, own, now)
        return None  # router and multicast listener messages are the kernel's matter

    def _path_error(self, kind: int, rest: bytes, own: bytes, now: float) -> PathError | None:
        """An error counts only when it quotes a packet that we may have sent (RFC 8201 4)."""
        quoted = rest[4:]
        if len(quoted) < IPV6_HEADER or quoted[0] >> 4 != 6 or quoted[8:24] != own:
            self.counters["icmp-not-ours"] += 1
            return None
        self.counters["icmp-error"] += 1
        if kind != IcmpV6.PACKET_TOO_BIG:
            return PathError(kind, None, quoted)
        (mtu,) = struct.unpack_from("!I", rest)
        destination = quoted[24:40]
        if not IPV6_MINIMUM_MTU <= mtu < self.path_mtu(destination, now):
            self.counters["icmp-mtu-refused"] += 1
            return None
        if len(self._paths) >= MOST_PATHS:
            self._paths.pop(next(iter(self._paths)))
        self._paths[destination] = (mtu, now + PATH_MTU_LIFETIME)
        return PathError(kind, mtu, quoted)
