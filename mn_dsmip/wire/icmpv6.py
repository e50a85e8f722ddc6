# SPDX-License-Identifier: GPL-2.0-or-later
"""ICMPv6 (RFC 4443) and the few ICMPv4 messages (RFC 792) that a tunnel end point sends."""

from __future__ import annotations

import struct
from enum import IntEnum

from .codec import WireError
from .ip import (
    DESTINATION_OPTIONS,
    FRAGMENT,
    HOP_BY_HOP,
    HOP_LIMIT,
    ICMP,
    ICMPV6,
    IPV6_HEADER,
    IPV6_MINIMUM_MTU,
    ROUTING,
    internet_sum,
    ipv6_packet,
    transport_sum,
    with_header_checksum,
)


class IcmpV6(IntEnum):
    """RFC 4443 and 4861 types used here; below 128 are errors."""

    DESTINATION_UNREACHABLE = 1
    PACKET_TOO_BIG = 2
    TIME_EXCEEDED = 3
    PARAMETER_PROBLEM = 4
    ECHO_REQUEST = 128
    ECHO_REPLY = 129
    REDIRECT = 137


class IcmpV4(IntEnum):
    """RFC 792 types used here."""

    ECHO_REPLY = 0
    DESTINATION_UNREACHABLE = 3
    ECHO_REQUEST = 8
    TIME_EXCEEDED = 11
    PARAMETER_PROBLEM = 12


FRAGMENTATION_NEEDED = 4
"""Code of an ICMPv4 Destination Unreachable (RFC 1191)."""
_QUOTED_IPV4 = 548
"""Octets of the packet at fault in an ICMPv4 error, so that the whole stays within 576 (RFC 1812 4.3.2.3)."""


def icmpv6_message(source: bytes, destination: bytes, kind: int, code: int, body: bytes) -> bytes:
    """A whole IPv6 packet with an ICMPv6 message whose checksum is right."""
    content = struct.pack("!BBH", kind, code, 0) + body
    checksum = transport_sum(source, destination, ICMPV6, content)
    return ipv6_packet(source, destination, ICMPV6, content[:2] + struct.pack("!H", checksum) + body)


def icmpv6_error(source: bytes, kind: int, code: int, word: int, packet: bytes) -> bytes | None:
    """An error about ``packet`` to its source, from ``source``; ``None`` where RFC 4443 2.4 (e) forbids one.

    ``word`` is the MTU, the pointer, or 0.
    """
    origin, destination = packet[8:24], packet[24:40]
    if origin[0] == 0xFF or not any(origin):
        return None
    if destination[0] == 0xFF and kind != IcmpV6.PACKET_TOO_BIG:
        return None
    if _is_icmpv6_error(packet):
        return None
    quoted = packet[: IPV6_MINIMUM_MTU - 48]
    return icmpv6_message(source, origin, kind, code, struct.pack("!I", word) + quoted)


def _is_icmpv6_error(packet: bytes) -> bool:
    """Whether ``packet``, perhaps cut, carries an ICMPv6 error or redirect behind whatever extension headers."""
    protocol, position = packet[6], IPV6_HEADER
    while protocol in (HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING, FRAGMENT) and position + 8 <= len(packet):
        if protocol == FRAGMENT and struct.unpack_from("!H", packet, position + 2)[0] & 0xFFF8:
            return False  # no upper-layer header in a later fragment
        units = 0 if protocol == FRAGMENT else packet[position + 1]
        protocol, position = packet[position], position + 8 * (1 + units)
    return (
        protocol == ICMPV6
        and position < len(packet)
        and (packet[position] < 128 or packet[position] == IcmpV6.REDIRECT)
    )


def icmpv4_error(source: bytes, kind: int, code: int, word: int, packet: bytes) -> bytes | None:
    """An ICMPv4 error about ``packet`` to its source; ``None`` where RFC 1122 3.2.2 forbids one."""
    origin, destination = packet[12:16], packet[16:20]
    if origin[0] >= 224 or not any(origin) or destination[0] >= 224:
        return None
    if struct.unpack_from("!H", packet, 6)[0] & 0x1FFF:
        return None
    begin = 4 * (packet[0] & 15)
    if packet[9] == ICMP and len(packet) > begin and packet[begin] not in (IcmpV4.ECHO_REPLY, IcmpV4.ECHO_REQUEST):
        return None
    content = struct.pack("!BBHI", kind, code, 0, word) + packet[:_QUOTED_IPV4]
    content = content[:2] + struct.pack("!H", internet_sum(content)) + content[4:]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(content), 0, 0, HOP_LIMIT, ICMP, 0) + source + origin
    return with_header_checksum(bytearray(header)) + content


def parse_icmpv6(source: bytes, destination: bytes, payload: bytes) -> tuple[int, int, bytes]:
    """Type, code and what follows the checksum; ``WireError`` when short or when the checksum is wrong."""
    if len(payload) < 8:
        raise WireError(f"ICMPv6 message of {len(payload)} octets")
    if transport_sum(source, destination, ICMPV6, payload):
        raise WireError("ICMPv6 checksum is wrong")
    return payload[0], payload[1], payload[4:]
