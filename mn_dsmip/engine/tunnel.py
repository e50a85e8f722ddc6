# SPDX-License-Identifier: GPL-2.0-or-later
"""The bidirectional tunnel: IPv6 and IPv4 inside IPv6 (RFC 6275 10.4, 11.3, RFC 5555 4, RFC 2473).

One ``Tunnel`` joins a care-of address with a home agent; a UE has one, a gateway one for each binding. These functions
are the user plane: they touch few octets and make few objects. Hop limits of inner packets are counted down by the
kernel that forwards them into and out of the gateway's device, not here.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from ..wire.icmpv6 import FRAGMENTATION_NEEDED, IcmpV4, IcmpV6, icmpv4_error, icmpv6_error
from ..wire.ip import HOP_LIMIT, IPIP, IPV6_HEADER, IPV6_IN, IPV6_MINIMUM_MTU, EcnField, with_header_checksum

_pack_front = struct.Struct("!IHBB").pack


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


def _wrap(inner: bytes, addresses: bytes) -> bytes:
    """An outer header with the traffic class of the inner one (RFC 2473 6.4, RFC 6040 4.1 normal mode)."""
    if inner[0] >> 4 == 6:
        traffic_class = (inner[0] & 15) << 4 | inner[1] >> 4
        return _pack_front(0x60000000 | traffic_class << 20, len(inner), IPV6_IN, HOP_LIMIT) + addresses + inner
    return _pack_front(0x60000000 | inner[1] << 20, len(inner), IPIP, HOP_LIMIT) + addresses + inner


def is_inner(packet: bytes, protocol: int) -> bool:
    """Whether ``packet`` is a whole IP packet of the version that ``protocol`` (41 or 4) announces."""
    if protocol == IPV6_IN:
        return (
            len(packet) >= IPV6_HEADER
            and packet[0] >> 4 == 6
            and IPV6_HEADER + (packet[4] << 8 | packet[5]) == len(packet)
        )
    return protocol == IPIP and len(packet) >= 20 and packet[0] >> 4 == 4 and packet[2] << 8 | packet[3] == len(packet)


def may_travel(packet: bytes) -> bool:
    """Whether an inner packet may be tunnelled at all: no multicast, no link-local addresses (RFC 6275 10.4.2)."""
    if packet[0] >> 4 == 6:
        return not any(packet[at] == 0xFF or (packet[at] == 0xFE and packet[at + 1] >= 0x80) for at in (8, 24))
    return packet[12] < 224 and packet[16] < 224


def declared_length(inner: bytes) -> int:
    """The length of an inner packet by its own header; a quotation holds less of it."""
    return IPV6_HEADER + (inner[4] << 8 | inner[5]) if inner[0] >> 4 == 6 else inner[2] << 8 | inner[3]


def too_big(inner: bytes, tunnel_mtu: int, reporter: bytes, ipv4_reporter: bytes) -> tuple[bool, bytes | None]:
    """Whether ``inner`` must not enter a tunnel that takes ``tunnel_mtu`` octets, and the error to its source.

    What is not reported is sent in outer fragments (RFC 2473 7.1, 7.2; RFC 5555 4.1.1).
    """
    length = declared_length(inner)
    if length <= tunnel_mtu:
        return False, None
    if inner[0] >> 4 == 6:
        mtu = max(tunnel_mtu, IPV6_MINIMUM_MTU)
        if length <= mtu:
            return False, None
        return True, icmpv6_error(reporter, IcmpV6.PACKET_TOO_BIG, 0, mtu, inner)
    if not inner[6] & 0x40:
        return False, None
    error = icmpv4_error(ipv4_reporter, IcmpV4.DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED, tunnel_mtu, inner)
    return True, error


def take_congestion(inner: bytes, outer_traffic_class: int) -> bytes | None:
    """``inner`` with the outer header's congestion mark (RFC 6040 4.2); ``None`` when it has to be dropped."""
    if outer_traffic_class & 3 != EcnField.CE:
        return inner
    ipv6 = inner[0] >> 4 == 6
    own = inner[1] >> 4 & 3 if ipv6 else inner[1] & 3
    if own == EcnField.NOT_ECT:
        return None
    if own == EcnField.CE:
        return inner
    changed = bytearray(inner)
    if ipv6:
        changed[1] |= EcnField.CE << 4
        return bytes(changed)
    changed[1] |= EcnField.CE
    length = 4 * (inner[0] & 15)
    return with_header_checksum(changed[:length]) + inner[length:]


def report_unreachable(inner: bytes, reporter: bytes, ipv4_reporter: bytes) -> bytes | None:
    """The tunnel failed on the way: tell the inner source (RFC 2473 8.2: code 3, address unreachable)."""
    if inner[0] >> 4 == 6:
        return icmpv6_error(reporter, IcmpV6.DESTINATION_UNREACHABLE, 3, 0, inner)
    return icmpv4_error(ipv4_reporter, IcmpV4.DESTINATION_UNREACHABLE, 1, 0, inner)
