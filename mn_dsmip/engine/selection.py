# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic selectors against packets: what an SA may carry (RFC 4301 4.4.1, RFC 7296 3.13.1, RFC 4877 7.1).

A protocol has two ports, or a type that is its sender's alone, or neither. So a type is compared with the selectors of
the end that sends, while those of the other end say what may come from there (RFC 4301 4.4.1.3 B to D): TSi with
Binding Updates and TSr with Binding Acknowledgements are what a mobile node and its home agent need.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..wire.ikev2_numbers import ANY_PORT, OPAQUE_PORT
from ..wire.ikev2_payloads import TrafficSelector
from ..wire.ip import FRAGMENT, ICMPV6, IPV6_HEADER, MOBILITY_HEADER, UDP
from .tunnel import EXTENSION_HEADERS

ICMP, TCP, DCCP, SCTP, UDP_LITE = 1, 6, 33, 132, 136
_WITH_PORTS = frozenset((TCP, UDP, DCCP, SCTP, UDP_LITE))
_WITH_TYPE_AND_CODE = frozenset((ICMP, ICMPV6))
OF_THE_OTHER_END = -1
"""In place of a port, where the packet has a type: the selectors of this end say nothing about it."""


class Flow(NamedTuple):
    """What traffic selectors see of a packet; ports are ``None`` where a fragment hides them or there are none."""

    protocol: int
    source_port: int | None
    destination_port: int | None


def of_type(protocol: int, value: int) -> Flow:
    """A message whose type takes the port's place; a Mobility Header's stands in the high octet."""
    return Flow(protocol, value, OF_THE_OTHER_END)


def flow_of(packet: bytes) -> Flow:
    """Look behind an inner packet's extension headers; ICMP types and codes count as ports (RFC 4301 4.4.1.1)."""
    if packet[0] >> 4 == 6:
        protocol, position, first = _upper_layer(packet)
    else:
        protocol, position = packet[9], 4 * (packet[0] & 15)
        first = not ((packet[6] & 0x1F) or packet[7])
    content = packet[position : position + 4]
    if first and len(content) == 4:
        if protocol in _WITH_PORTS:
            return Flow(protocol, content[0] << 8 | content[1], content[2] << 8 | content[3])
        if protocol in _WITH_TYPE_AND_CODE:
            return of_type(protocol, content[0] << 8 | content[1])
        if protocol == MOBILITY_HEADER:
            return of_type(protocol, content[2] << 8)
    return Flow(protocol, None, None)


def _upper_layer(packet: bytes) -> tuple[int, int, bool]:
    """Protocol, where it begins, and whether this is its beginning."""
    protocol, position = packet[6], IPV6_HEADER
    while protocol in EXTENSION_HEADERS and position + 8 <= len(packet):
        if protocol == FRAGMENT:
            if packet[position + 2] or packet[position + 3] & 0xF8:
                return packet[position], position + 8, False
            length = 8
        else:
            length = 8 * (1 + packet[position + 1])
        protocol, position = packet[position], position + length
    return protocol, position, True


def selects(selectors: Iterable[TrafficSelector], version: int, address: int, protocol: int, port: int | None) -> bool:
    """Whether one of an end's selectors holds that end of a flow.

    A port that cannot be seen fits ANY, and OPAQUE, which fits nothing else (RFC 4301 4.4.1).
    """
    return any(
        each.start.version == version
        and int(each.start) <= address <= int(each.end)
        and each.protocol in (0, protocol)
        and (
            port == OF_THE_OTHER_END
            or (
                (each.start_port, each.end_port) in (ANY_PORT, OPAQUE_PORT)
                if port is None
                else each.start_port <= port <= each.end_port
            )
        )
        for each in selectors
    )
