# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames for the dissector's tests, built octet by octet; scapy lays the lower headers around them."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import wrpcap

HOME_AGENT, HOME_AGENT_IPV4 = IPv6Address("2001:db8:aaaa::1"), IPv4Address("192.0.2.1")
HOME_ADDRESS, CARE_OF = IPv6Address("2001:db8:1:1::100"), IPv6Address("2001:db8:f:1::10")
CARE_OF_IPV4, HOME_ADDRESS_IPV4 = IPv4Address("198.51.100.10"), IPv4Address("10.45.0.2")
NAI = b"0001010123456789@nai.epc.mnc001.mcc001.3gppnetwork.org"
MOBILITY_HEADER, DESTINATION_OPTIONS, ROUTING = 135, 60, 43
UPDATE, ACKNOWLEDGEMENT, SWITCH, REVOCATION = 5, 6, 12, 16
SPI_I, SPI_R = bytes.fromhex("1122334455667788"), bytes.fromhex("99aabbccddeeff00")


def frame(packet: bytes) -> bytes:
    """An Ethernet frame around an IPv6 or IPv4 packet."""
    kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    return bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=kind) / Raw(packet))


def write(path: Path, frames: Iterable[bytes], snaplen: int = 262144, times: Sequence[float] | None = None) -> Path:
    """A capture of `frames`, one each millisecond or at `times`, cut after `snaplen` octets as in a capture program."""
    packets = []
    for number, octets in enumerate(frames):
        packet = Ether(octets[:snaplen])
        packet.wirelen, packet.time = len(octets), 1767225600 + (times[number] if times else number / 1000)
        packets.append(packet)
    wrpcap(str(path), packets, linktype=1)
    return path


def folded(octets: bytes) -> int:
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def mobility(
    kind: int, body: bytes, source: IPv6Address, destination: IPv6Address, *, damage: int = 0, padded: bool = True
) -> bytes:
    """A Mobility Header (RFC 6275 6.1.1) with PadN behind `body` and a checksum, `damage` added to it."""
    pad = -(6 + len(body)) % 8 if padded else 0
    body += bytes(pad) if pad < 2 else bytes([1, pad - 2]) + bytes(pad - 2)
    start = bytes([59, (6 + len(body)) // 8 - 1, kind, 0])
    pseudo = source.packed + destination.packed + struct.pack("!II", 6 + len(body), MOBILITY_HEADER)
    checksum = 0xFFFF - folded(pseudo + start + b"\0\0" + body)
    return start + struct.pack("!H", (checksum + damage) & 0xFFFF) + body


def padding(octets: int) -> bytes:
    return bytes(octets) if octets < 2 else bytes([1, octets - 2]) + bytes(octets - 2)


def update(*options: bytes, sequence: int = 1, flags: int = 0xD400, lifetime: int = 900, damage: int = 0) -> bytes:
    """A Binding Update from the home address to the home agent; options stand one behind the other."""
    body = struct.pack("!HHH", sequence, flags, lifetime) + b"".join(options)
    return mobility(UPDATE, body, HOME_ADDRESS, HOME_AGENT, damage=damage)


def acknowledgement(*options: bytes, status: int = 0, sequence: int = 1) -> bytes:
    body = struct.pack("!BBHH", status, 0xC0, sequence, 900) + b"".join(options)
    return mobility(ACKNOWLEDGEMENT, body, HOME_AGENT, HOME_ADDRESS)


def to_home_agent(header: bytes) -> bytes:
    """A frame with the Home Address option, from the care-of address."""
    option = bytes([MOBILITY_HEADER, 2, 1, 2, 0, 0, 0xC9, 16]) + HOME_ADDRESS.packed
    return frame(bytes(IPv6(src=str(CARE_OF), dst=str(HOME_AGENT), nh=DESTINATION_OPTIONS) / Raw(option + header)))


def from_home_agent(header: bytes) -> bytes:
    """A frame with the type 2 routing header, to the care-of address."""
    route = bytes([MOBILITY_HEADER, 2, 2, 1, 0, 0, 0, 0]) + HOME_ADDRESS.packed
    return frame(bytes(IPv6(src=str(HOME_AGENT), dst=str(CARE_OF), nh=ROUTING) / Raw(route + header)))


def inner(source: IPv6Address, destination: IPv6Address, header: bytes) -> bytes:
    """An IPv6 packet with a Mobility Header and no extension header, as in a tunnel or on the home link."""
    return bytes(IPv6(src=str(source), dst=str(destination), nh=MOBILITY_HEADER) / Raw(header))


def in_ipv4(header: bytes) -> bytes:
    """A frame with a Mobility Header right behind an IPv4 header, where no checksum is defined."""
    return frame(bytes(IP(src=str(CARE_OF_IPV4), dst=str(HOME_AGENT_IPV4), proto=MOBILITY_HEADER) / Raw(header)))


def in_udp(payload: bytes, *, source_port: int = 4191, port: int = 4191, zero_checksum: bool = False) -> bytes:
    """A frame from the IPv4 care-of address to the home agent's port 4191."""
    datagram = UDP(sport=source_port, dport=port)
    if zero_checksum:
        datagram.chksum = 0
    return frame(bytes(IP(src=str(CARE_OF_IPV4), dst=str(HOME_AGENT_IPV4)) / datagram / Raw(payload)))


def authenticated(
    kind: int, body: bytes, key: bytes, care_of: bytes, *, spi: int = 256, subtype: int = 1, forged: bool = False
) -> bytes:
    """A Mobility Header whose last option is an authenticator (RFC 4285 5); MN-HA for subtype 1, MN-AAA for 2."""
    octets = 12 if subtype == 1 else 20
    body += padding((1 - 6 - len(body)) % 4) + bytes([9, 5 + octets, subtype]) + struct.pack("!I", spi)
    total = 6 + len(body) + octets
    tail = padding(-total % 8)
    start = bytes([59, (total + len(tail)) // 8 - 1, kind, 0])
    ends = (HOME_ADDRESS, HOME_AGENT) if kind == UPDATE else (HOME_AGENT, HOME_ADDRESS)
    data = care_of + HOME_ADDRESS.packed + start + b"\0\0" + body
    mac = hmac.digest(key, data if subtype == 1 else hashlib.sha1(data).digest(), "sha1")[:octets]
    if forged:
        mac = bytes([mac[0] ^ 1]) + mac[1:]
    return mobility(kind, body + mac + tail, *ends, padded=False)


def dhcpv6(message: bytes, *, reply: bool = False) -> bytes:
    ports = (547, 546) if reply else (546, 547)
    ends = ("fe80::2", "fe80::1") if reply else ("fe80::1", "ff02::1:2")
    return frame(bytes(IPv6(src=ends[0], dst=ends[1]) / UDP(sport=ports[0], dport=ports[1]) / Raw(message)))


def option(code: int, data: bytes) -> bytes:
    """A DHCPv6 option (RFC 8415 21.1)."""
    return struct.pack("!HH", code, len(data)) + data


def name(text: str) -> bytes:
    """A domain name in wire form."""
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


def ike(*payloads: tuple[int, bytes], exchange: int = 35, message: int = 1, response: bool = False) -> bytes:
    """An IKEv2 message whose payloads (type, body) stand in an SK payload under the NULL cipher: see NULL_KEYS."""
    chain = b""
    for (_, body), following in zip(payloads, [*(kind for kind, _ in payloads[1:]), 0], strict=True):
        chain += struct.pack("!BBH", following, 0, 4 + len(body)) + body
    sealed = struct.pack("!BBH", payloads[0][0], 0, 4 + len(chain) + 1) + chain + b"\0"
    flags = 0x20 if response else 0x08
    header = SPI_I + SPI_R + struct.pack("!BBBBII", 46, 0x20, exchange, flags, message, 28 + len(sealed))
    ends = (HOME_AGENT, CARE_OF) if response else (CARE_OF, HOME_AGENT)
    return frame(bytes(IPv6(src=str(ends[0]), dst=str(ends[1])) / UDP(sport=500, dport=500) / Raw(header + sealed)))


NULL_KEYS = f'{SPI_I.hex()},{SPI_R.hex()},,,"NULL [RFC2410]",,,"NONE [RFC4306]"'
CONFIGURATION, EAP, SELECTORS_I = 47, 48, 44


def eap_aka(code: int, subtype: int, *attributes: bytes, method: int = 23) -> bytes:
    """An EAP-AKA packet (RFC 4187 8.1)."""
    body = bytes([method, subtype, 0, 0]) + b"".join(attributes)
    return struct.pack("!BBH", code, 7, 4 + len(body)) + body


def attribute(kind: int, value: bytes) -> bytes:
    """An EAP-AKA attribute; `value` is everything behind the length, padded to a multiple of 4 octets."""
    value += bytes(-(2 + len(value)) % 4)
    return bytes([kind, (2 + len(value)) // 4]) + value


def selector(protocol: int, first: int, last: int, address: IPv6Address) -> bytes:
    """A Traffic Selector payload's body with one IPv6 selector (RFC 7296 3.13)."""
    one = struct.pack("!BBHHH", 8, protocol, 40, first, last) + 2 * address.packed
    return bytes([1, 0, 0, 0]) + one
