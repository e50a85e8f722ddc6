# SPDX-License-Identifier: GPL-2.0-or-later
"""IPv6 and IPv4 packets, UDP, and the extension headers of Mobile IPv6; addresses are packed ``bytes`` here.

User traffic passes through these functions, so they slice and join instead of making objects.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from .codec import WireError

HOP_BY_HOP, ICMP, IPIP, TCP, UDP, IPV6_IN = 0, 1, 4, 6, 17, 41
ROUTING, FRAGMENT, ESP, AUTHENTICATION_HEADER, ICMPV6, NO_NEXT_HEADER = 43, 44, 50, 51, 58, 59
DESTINATION_OPTIONS, MOBILITY_HEADER = 60, 135

IPV6_HEADER = 40
IPV6_MINIMUM_MTU = 1280
"""RFC 8200 5."""
HOP_LIMIT = 64
"""Of packets that an agent makes itself, tunnel headers included (RFC 2473 6.3 leaves it open)."""
HOME_ADDRESS_OPTION = 0xC9
"""RFC 6275 6.3."""
TUNNEL_ENCAPSULATION_LIMIT = 4
"""RFC 2473 4.1.1."""


class EcnField(IntEnum):
    """RFC 3168 5."""

    NOT_ECT = 0
    ECT_1 = 1
    ECT_0 = 2
    CE = 3


def internet_sum(data: bytes) -> int:
    """The Internet checksum of ``data`` (RFC 1071); 0 when ``data`` contains its own right checksum."""
    if len(data) % 2:
        data += b"\0"
    total = int.from_bytes(data, "big")
    # Modulo 65535 adds 16-bit words with end-around carry; it confuses 0 and 65535, but only all-zero data sums to 0.
    return 0xFFFF - (total % 0xFFFF or (0xFFFF if total else 0))


def transport_sum(source: bytes, destination: bytes, protocol: int, payload: bytes) -> int:
    """The upper-layer checksum over the IPv6 pseudo-header (RFC 8200 8.1), or IPv4's for addresses of 4 octets."""
    if len(source) == 16:
        pseudo = source + destination + struct.pack("!II", len(payload), protocol)
    else:
        pseudo = source + destination + struct.pack("!HH", protocol, len(payload))
    return internet_sum(pseudo + payload)


def ipv6_packet(
    source: bytes,
    destination: bytes,
    next_header: int,
    payload: bytes,
    hop_limit: int = HOP_LIMIT,
    traffic_class: int = 0,
) -> bytes:
    """A whole IPv6 packet; ``payload`` begins with the header that ``next_header`` names."""
    first = 0x60000000 | traffic_class << 20
    return struct.pack("!IHBB", first, len(payload), next_header, hop_limit) + source + destination + payload


def udp_payload(source: bytes, source_port: int, destination: bytes, destination_port: int, payload: bytes) -> bytes:
    """A UDP header with its checksum, and ``payload``."""
    datagram = struct.pack("!HHHH", source_port, destination_port, 8 + len(payload), 0) + payload
    checksum = transport_sum(source, destination, UDP, datagram) or 0xFFFF  # RFC 768: zero would mean "none"
    return datagram[:6] + struct.pack("!H", checksum) + payload


def home_address_header(next_header: int, home_address: bytes) -> bytes:
    """A Destination Options header with the Home Address option, aligned at 8n+6 (RFC 6275 6.3)."""
    return bytes((next_header, 2, 1, 2, 0, 0, HOME_ADDRESS_OPTION, 16)) + home_address


def type2_routing_header(next_header: int, home_address: bytes) -> bytes:
    """A type 2 routing header (RFC 6275 6.4)."""
    return bytes((next_header, 2, 2, 1, 0, 0, 0, 0)) + home_address


@dataclass(slots=True)
class Ipv6Packet:
    """What the header chain of an IPv6 packet says; ``payload`` begins with the header of type ``protocol``."""

    source: bytes
    destination: bytes
    hop_limit: int
    traffic_class: int
    protocol: int = NO_NEXT_HEADER
    payload: bytes = b""
    home_address_option: bytes | None = None
    routing_home_address: bytes | None = None
    """From a type 2 routing header with one segment left."""
    fragment: tuple[int, int, bool] | None = None
    """Identification, offset in octets, and whether more follow; then ``payload`` is the fragment's."""
    encapsulation_limit: int | None = None
    unfragmentable: bytes = b""
    """The headers before the fragment header, the IPv6 header included."""


def parse_ipv6(packet: bytes) -> Ipv6Packet:
    """Read an IPv6 packet up to its upper-layer header or its fragment header; ``WireError`` when it is broken.

    Octets behind the packet's own length (a link's padding) are cut off.
    """
    if len(packet) < IPV6_HEADER or packet[0] >> 4 != 6:
        raise WireError(f"no IPv6 header in {len(packet)} octets")
    first, length, protocol, hop_limit = struct.unpack_from("!IHBB", packet)
    if IPV6_HEADER + length > len(packet):
        raise WireError(f"IPv6 payload of {length} octets in a packet of {len(packet)}")
    packet = packet[: IPV6_HEADER + length]
    found = Ipv6Packet(packet[8:24], packet[24:40], hop_limit, first >> 20 & 0xFF)
    position, pointer = IPV6_HEADER, 6
    while protocol in (HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING, FRAGMENT):
        if protocol == HOP_BY_HOP and position > IPV6_HEADER:
            raise WireError("hop-by-hop options that do not follow the IPv6 header (RFC 8200 4.1)")
        units = 0 if protocol == FRAGMENT or position + 1 >= len(packet) else packet[position + 1]
        end = position + 8 * (1 + units)
        if end > len(packet):
            raise WireError(f"IPv6 extension header {protocol} at octet {position} reaches beyond the packet")
        if protocol == FRAGMENT:
            word, identification = struct.unpack_from("!HI", packet, position + 2)
            found.fragment = (identification, word & 0xFFF8, bool(word & 1))
            found.unfragmentable = packet[:pointer] + packet[position : position + 1] + packet[pointer + 1 : position]
            found.protocol, found.payload = packet[position], packet[end:]
            return found
        if protocol == ROUTING:
            _read_routing(found, packet[position:end])
        else:
            _read_options(found, packet[position + 2 : end])
        pointer = position
        protocol, position = packet[position], end
    found.protocol, found.payload = protocol, packet[position:]
    return found


def _read_routing(found: Ipv6Packet, header: bytes) -> None:
    segments_left = header[3]
    if not segments_left:
        return
    if header[2] != 2 or len(header) != 24 or segments_left != 1 or found.routing_home_address:
        raise WireError(f"routing header of type {header[2]} with {segments_left} segments left")
    found.routing_home_address = header[8:24]


def _read_options(found: Ipv6Packet, options: bytes) -> None:
    """Take the two options known here, skip what may be skipped, refuse what may not (RFC 8200 4.2)."""
    position, end = 0, len(options)
    while position < end:
        kind = options[position]
        if kind == 0:
            position += 1
            continue
        if position + 2 > end or position + 2 + options[position + 1] > end:
            raise WireError(f"IPv6 option {kind} reaches beyond its header")
        begin, position = position + 2, position + 2 + options[position + 1]
        data = options[begin:position]
        if kind == HOME_ADDRESS_OPTION:
            if len(data) != 16 or found.home_address_option:
                raise WireError("a malformed or second Home Address option")
            found.home_address_option = data
        elif kind == TUNNEL_ENCAPSULATION_LIMIT and len(data) == 1:
            found.encapsulation_limit = data[0]
        elif kind >> 6:
            raise WireError(f"IPv6 option {kind} is unknown and must not be skipped")


@dataclass(slots=True)
class Ipv4Packet:
    """What the header of an IPv4 packet says."""

    source: bytes
    destination: bytes
    ttl: int
    traffic_class: int
    protocol: int
    identification: int
    dont_fragment: bool
    more_fragments: bool
    offset: int
    """In octets."""
    payload: bytes
    header: bytes


def parse_ipv4(packet: bytes) -> Ipv4Packet:
    """Read an IPv4 packet, its header checksum included; ``WireError`` when it is broken."""
    if len(packet) < 20 or packet[0] >> 4 != 4:
        raise WireError(f"no IPv4 header in {len(packet)} octets")
    header_length = 4 * (packet[0] & 15)
    _, traffic_class, length, identification, flags, ttl, protocol = struct.unpack_from("!BBHHHBB", packet)
    if not 20 <= header_length <= length <= len(packet):
        raise WireError(f"IPv4 lengths {header_length} and {length} do not fit {len(packet)} octets")
    header = packet[:header_length]
    if internet_sum(header):
        raise WireError("IPv4 header checksum is wrong")
    return Ipv4Packet(
        packet[12:16], packet[16:20], ttl, traffic_class, protocol, identification, bool(flags & 0x4000),
        bool(flags & 0x2000), (flags & 0x1FFF) * 8, packet[header_length:length], header,
    )  # fmt: skip


def parse_udp(payload: bytes, source: bytes, destination: bytes) -> tuple[int, int, bytes]:
    """Source port, destination port and payload; ``WireError`` for a bad length or checksum (RFC 8200 8.1: or none)."""
    if len(payload) < 8:
        raise WireError(f"UDP header in {len(payload)} octets")
    source_port, destination_port, length, checksum = struct.unpack_from("!HHHH", payload)
    if not 8 <= length <= len(payload):
        raise WireError(f"UDP length {length} in {len(payload)} octets")
    payload = payload[:length]
    if (checksum or len(source) == 16) and (not checksum or transport_sum(source, destination, UDP, payload)):
        raise WireError("UDP checksum is wrong")
    return source_port, destination_port, payload[8:]


def fragments(packet: bytes, mtu: int, identification: int) -> list[bytes]:
    """``packet`` as it is when it fits ``mtu``, else in fragments (RFC 8200 4.5); for packets of our own making.

    The unfragmentable part is the IPv6 header and, for Mobile IPv6, a routing header directly behind it.
    """
    if len(packet) <= mtu:
        return [packet]
    begin, pointer = IPV6_HEADER, 6
    if packet[6] == ROUTING:
        begin, pointer = IPV6_HEADER + 8 * (1 + packet[41]), IPV6_HEADER
    room = (mtu - begin - 8) & ~7
    pieces = []
    for offset in range(0, len(packet) - begin, room):
        part = packet[begin + offset : begin + offset + room]
        more = begin + offset + len(part) < len(packet)
        header = struct.pack("!BBHI", packet[pointer], 0, offset | more, identification)
        front = bytearray(packet[:begin])
        front[pointer] = FRAGMENT
        struct.pack_into("!H", front, 4, begin - IPV6_HEADER + 8 + len(part))
        pieces.append(bytes(front) + header + part)
    return pieces


def ipv4_fragments(packet: bytes, mtu: int) -> list[bytes]:
    """An IPv4 packet without DF in fragments of at most ``mtu`` octets (RFC 791); options are copied to all."""
    header_length = 4 * (packet[0] & 15)
    room = (mtu - header_length) & ~7
    (word,) = struct.unpack_from("!H", packet, 6)
    pieces = []
    for offset in range(0, len(packet) - header_length, room):
        part = packet[header_length + offset : header_length + offset + room]
        more = 0x2000 if header_length + offset + len(part) < len(packet) else word & 0x2000
        front = bytearray(packet[:header_length])
        struct.pack_into("!H", front, 2, header_length + len(part))
        struct.pack_into("!H", front, 6, (word & 0x4000) | more | ((word & 0x1FFF) + offset // 8))
        pieces.append(with_header_checksum(front) + part)
    return pieces


def with_header_checksum(header: bytearray) -> bytes:
    """An IPv4 header with its checksum computed anew."""
    header[10:12] = b"\0\0"
    struct.pack_into("!H", header, 10, internet_sum(bytes(header)))
    return bytes(header)
