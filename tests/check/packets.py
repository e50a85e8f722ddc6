# SPDX-License-Identifier: GPL-2.0-or-later
"""Headers and payloads octet by octet, for forged and damaged traces."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

ESP, MOBILITY, DESTINATION_OPTIONS, ROUTING, UDP, ICMPV6, IPV6, IPV4, ICMP = 50, 135, 60, 43, 17, 58, 41, 4, 1


def checksum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo(source: IPv6Address, destination: IPv6Address, length: int, protocol: int) -> bytes:
    return source.packed + destination.packed + struct.pack("!II", length, protocol)


def ipv6(source: IPv6Address, destination: IPv6Address, protocol: int, payload: bytes, hops: int = 64) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops) + source.packed + destination.packed + payload


def ipv4(source: IPv4Address, destination: IPv4Address, protocol: int, payload: bytes) -> bytes:
    start = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(payload), 1, 0x4000, 64, protocol)
    addresses = source.packed + destination.packed
    return start + struct.pack("!H", checksum(start + b"\0\0" + addresses)) + addresses + payload


def udp(source: IPv6Address, destination: IPv6Address, ports: tuple[int, int], payload: bytes) -> bytes:
    datagram = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    total = checksum(pseudo(source, destination, len(datagram), UDP) + datagram) or 0xFFFF
    return ipv6(source, destination, UDP, datagram[:6] + struct.pack("!H", total) + payload)


def icmpv6(source: IPv6Address, destination: IPv6Address, message: bytes, hops: int = 64) -> bytes:
    total = checksum(pseudo(source, destination, len(message), ICMPV6) + message)
    return ipv6(source, destination, ICMPV6, message[:2] + struct.pack("!H", total) + message[4:], hops)


def home_address_option(home_address: IPv6Address, protocol: int) -> bytes:
    return bytes([protocol, 2, 1, 2, 0, 0, 0xC9, 16]) + home_address.packed


def type2_routing(home_address: IPv6Address, protocol: int) -> bytes:
    return bytes([protocol, 2, 2, 1, 0, 0, 0, 0]) + home_address.packed


def mobility(source: IPv6Address, destination: IPv6Address, kind: int, body: bytes) -> bytes:
    """A Mobility Header; `body` (from octet 6 on) is padded to a multiple of 8 octets (RFC 6275 6.1.1)."""
    pad = -(6 + len(body)) % 8
    body += bytes(pad) if pad < 2 else bytes([1, pad - 2]) + bytes(pad - 2)
    header = bytes([59, (6 + len(body)) // 8 - 1, kind, 0])
    total = checksum(pseudo(source, destination, 6 + len(body), MOBILITY) + header + b"\0\0" + body)
    return header + struct.pack("!H", total) + body


# --- IKE -----------------------------------------------------------------------------------------------------------


def chain(*payloads: tuple[int, bytes]) -> tuple[int, bytes]:
    """Type of the first payload and all payloads with their generic headers."""
    data = b""
    for index, (_, body) in enumerate(payloads):
        following = payloads[index + 1][0] if index + 1 < len(payloads) else 0
        data += struct.pack("!BBH", following, 0, 4 + len(body)) + body
    return (payloads[0][0] if payloads else 0), data


def notify(kind: int, data: bytes = b"") -> tuple[int, bytes]:
    return 41, struct.pack("!BBH", 0, 0, kind) + data


def selectors(payload: int, first: IPv6Address, last: IPv6Address, protocol: int = MOBILITY) -> tuple[int, bytes]:
    body = struct.pack("!BxxxBBHHH", 1, 8, protocol, 40, 0, 0xFFFF) + first.packed + last.packed
    return payload, body


def ike_proposal() -> tuple[int, bytes]:
    """AES-GCM-16 with 128 bits, PRF_HMAC_SHA2_256, curve25519."""
    return 33, bytes.fromhex("00000024010100030300000c01000014800e00800300000802000005000000080400001f")


def esp_proposal(spi: int) -> tuple[int, bytes]:
    """AES-GCM-16 with 128 bits, no extended sequence numbers."""
    return 33, bytes.fromhex("0000002001030402") + spi.to_bytes(4, "big") + bytes.fromhex(
        "0300000c01000014800e00800000000805000000"
    )
