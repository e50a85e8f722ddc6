# SPDX-License-Identifier: GPL-2.0-or-later
"""The bidirectional tunnel: IPv6 and IPv4 inside IPv6 (RFC 6275 10.4, 11.3, RFC 5555 4, RFC 2473).

One ``Tunnel`` joins a care-of address with a home agent; a UE has one, a gateway one for each binding. These functions
are the user plane: they touch few octets and make few objects. Hop limits of inner packets are counted down by the
kernel that forwards them into and out of the gateway's device, not here.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from ..wire.ip import (
    DESTINATION_OPTIONS,
    FRAGMENT,
    HOP_BY_HOP,
    HOP_LIMIT,
    IPIP,
    IPV6_HEADER,
    IPV6_IN,
    ROUTING,
    TUNNEL_ENCAPSULATION_LIMIT,
    EcnField,
    with_header_checksum,
)

_pack_front = struct.Struct("!IHBB").pack
EXTENSION_HEADERS = frozenset((HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS))
IPV4_HEADER = 20
"""Octets without options."""
LIMIT_HEADER = 8
"""Octets of a destination options header with a tunnel encapsulation limit."""


class Tunnel:
    """The ends of one tunnel and what may travel inside.

    ``prefix`` is the whole home network prefix when the binding serves it (R), else only ``home_address`` counts.
    """

    __slots__ = (
        "_down",
        "_up",
        "care_of",
        "home_address",
        "home_agent",
        "ipv4",
        "packets_down",
        "packets_up",
        "prefix",
    )  # fmt: skip

    def __init__(
        self,
        care_of: IPv6Address,
        home_agent: IPv6Address,
        home_address: IPv6Address,
        home_prefix: IPv6Network,
        whole_prefix: bool,
        ipv4: IPv4Address | None,
    ) -> None:
        self.care_of, self.home_agent = care_of.packed, home_agent.packed
        self.home_address = home_address.packed
        self.prefix = home_prefix.network_address.packed[:8] if whole_prefix else home_address.packed
        self.ipv4 = ipv4.packed if ipv4 else b""
        self.packets_up = self.packets_down = 0
        """Towards the home agent, and towards the mobile node."""
        self._up = self.care_of + self.home_agent
        self._down = self.home_agent + self.care_of

    def take_counts(self, former: Tunnel) -> None:
        """Go on counting where the tunnel before this one ended."""
        self.packets_up, self.packets_down = former.packets_up, former.packets_down

    def holds(self, packet: bytes, position: int) -> bool:
        """Whether the inner packet's address at ``position`` (source or destination) is one of the mobile node's."""
        if packet[0] >> 4 == 6:
            return packet[position : position + 16].startswith(self.prefix)
        return bool(self.ipv4) and packet[position : position + 4] == self.ipv4

    def wrap_up(self, inner: bytes) -> bytes:
        """``inner`` on its way from the mobile node to the home agent."""
        self.packets_up += 1
        return _wrap(inner, self._up)

    def wrap_down(self, inner: bytes) -> bytes:
        """``inner`` on its way from the home agent to the mobile node."""
        self.packets_down += 1
        return _wrap(inner, self._down)


IPV6_SOURCE, IPV6_DESTINATION, IPV4_SOURCE, IPV4_DESTINATION = 8, 24, 12, 16


def inner_source(packet: bytes) -> int:
    """Where the source address of an inner packet begins."""
    return IPV6_SOURCE if packet[0] >> 4 == 6 else IPV4_SOURCE


def inner_destination(packet: bytes) -> int:
    """Where the destination address of an inner packet begins."""
    return IPV6_DESTINATION if packet[0] >> 4 == 6 else IPV4_DESTINATION


def encapsulation_limit(inner: bytes) -> tuple[int, int] | None:
    """How many more tunnels ``inner`` may enter, if it says so, and where it says so (RFC 2473 4.1.1)."""
    protocol, position = inner[6], IPV6_HEADER
    while protocol in EXTENSION_HEADERS and position + 8 <= len(inner):
        if protocol == FRAGMENT and (inner[position + 2] or inner[position + 3] & 0xF8):
            return None  # what follows in a later fragment is no header
        end = position + (8 if protocol == FRAGMENT else 8 * (1 + inner[position + 1]))
        option = position + 2
        while protocol == DESTINATION_OPTIONS and option + 2 < min(end, len(inner)):
            if inner[option] == TUNNEL_ENCAPSULATION_LIMIT and inner[option + 1] == 1:
                return inner[option + 2], option + 2
            option += 2 + inner[option + 1] if inner[option] else 1
        protocol, position = inner[position], end
    return None


def _wrap(inner: bytes, addresses: bytes) -> bytes:
    """An outer header with the traffic class of the inner one (RFC 2473 6.4, RFC 6040 4.1 normal mode)."""
    if inner[0] >> 4 == 6:
        first = 0x60000000 | ((inner[0] & 15) << 4 | inner[1] >> 4) << 20
        if inner[6] in EXTENSION_HEADERS and (limit := encapsulation_limit(inner)) is not None:
            options = bytes((IPV6_IN, 0, TUNNEL_ENCAPSULATION_LIMIT, 1, limit[0] - 1, 1, 1, 0))
            front = _pack_front(first, LIMIT_HEADER + len(inner), DESTINATION_OPTIONS, HOP_LIMIT)
            return front + addresses + options + inner
        return _pack_front(first, len(inner), IPV6_IN, HOP_LIMIT) + addresses + inner
    return _pack_front(0x60000000 | inner[1] << 20, len(inner), IPIP, HOP_LIMIT) + addresses + inner


def is_tunnelled(packet: bytes) -> bool:
    """Whether ``packet`` is nothing but an IPv6 header around an inner packet: most user traffic is."""
    return (
        len(packet) > IPV6_HEADER
        and packet[6] in (IPV6_IN, IPIP)
        and packet[0] >> 4 == 6
        and (packet[4] << 8 | packet[5]) == len(packet) - IPV6_HEADER
    )


def is_inner(packet: bytes, protocol: int) -> bool:
    """Whether ``packet`` is a whole IP packet of the version that ``protocol`` (41 or 4) announces."""
    if protocol == IPV6_IN:
        return (
            len(packet) >= IPV6_HEADER
            and packet[0] >> 4 == 6
            and IPV6_HEADER + (packet[4] << 8 | packet[5]) == len(packet)
        )
    return (
        protocol == IPIP
        and len(packet) >= IPV4_HEADER
        and packet[0] >> 4 == 4
        and IPV4_HEADER <= 4 * (packet[0] & 15) <= len(packet)
        and packet[2] << 8 | packet[3] == len(packet)
    )


def may_travel(packet: bytes) -> bool:
    """Whether an inner packet may be tunnelled at all: no multicast, no link-local addresses (RFC 6275 10.4.2)."""
    if packet[0] >> 4 == 6:
        return not any(packet[at] == 0xFF or (packet[at] == 0xFE and packet[at + 1] >= 0x80) for at in (8, 24))
    return packet[12] < 224 and packet[16] < 224


def take_congestion(inner: bytes, outer_traffic_class: int) -> bytes | None:
    """``inner`` with the outer header's congestion mark (RFC 6040 4.2); ``None`` when it has to be dropped."""
    mark = outer_traffic_class & 3
    if mark in (EcnField.NOT_ECT, EcnField.ECT_0):
        return inner
    ipv6 = inner[0] >> 4 == 6
    own = inner[1] >> 4 & 3 if ipv6 else inner[1] & 3
    if own == EcnField.NOT_ECT:
        return None if mark == EcnField.CE else inner
    if own in (EcnField.CE, mark):
        return inner
    changed = bytearray(inner)
    if ipv6:
        changed[1] = changed[1] & 0xCF | mark << 4
        return bytes(changed)
    changed[1] = changed[1] & 0xFC | mark
    length = 4 * (inner[0] & 15)
    return with_header_checksum(changed[:length]) + inner[length:]
