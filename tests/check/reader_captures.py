# SPDX-License-Identifier: GPL-2.0-or-later
"""Captures of every link type and file format, and packets that a reader may meet, for tests of the readers."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from tests.check.packets import IPV6, checksum, icmpv6, ipv4, ipv6, udp

ROOT = Path(__file__).parents[2]
VECTORS = {
    one["name"]: bytes.fromhex(one["packet"])
    for part in ("messages", "tunnels")
    for one in json.loads((ROOT / "tests" / "vectors" / "mobility.json").read_text())[part]
}
UE, HA, HOME = (IPv6Address(text) for text in ("2001:db8:f:1::10", "2001:db8:aaaa::1", "2001:db8:1:1::100"))
UE4, HA4 = IPv4Address("198.51.100.10"), IPv4Address("192.0.2.1")
MICROSECONDS, NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D
ETHERNET, RAW, COOKED, COOKED2 = 1, 101, 113, 276
DHCP_REQUEST = bytes.fromhex(
    "0babcdef0001000a000300010200000000010008000200000006000e00450031004700480049002000530031003308696e7465726e6574"
    "0668612d61706e066d6e63303031066d6363303031037075620b336770706e6574776f726b036f726700"
)
DHCP_REPLY = bytes.fromhex(
    "07abcdef0002000a000300010200000000aa0001000a00030001020000000001004500890031003308696e7465726e65740668612d6170"
    "6e066d6e63303031066d6363303031037075620b336770706e6574776f726b036f726700004700114020010db8000100010000000000000000"
    "0048001020010db8aaaa00000000000000000001004800100064ff9b0000000000000000c00002010049001103686131076578616d706c65"
    "03636f6d00"
)


def _kind(packet: bytes) -> bytes:
    return b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\0"


def ethernet(packet: bytes) -> bytes:
    return bytes.fromhex("020000000002020000000001") + _kind(packet) + packet


def vlan(packet: bytes) -> bytes:
    return bytes.fromhex("0200000000020200000000018100002a") + _kind(packet) + packet


def cooked(packet: bytes) -> bytes:
    return bytes.fromhex("0000000100060200000000010000") + _kind(packet) + packet


def cooked2(packet: bytes) -> bytes:
    return _kind(packet) + bytes.fromhex("0000000000030001000602000000000100 00") + packet


LINKS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "ethernet": (ETHERNET, ethernet),
    "vlan": (ETHERNET, vlan),
    "cooked": (COOKED, cooked),
    "cooked2": (COOKED2, cooked2),
    "raw": (RAW, bytes),
}


def write_pcap(file: Path, packets: list[bytes], link: str = "ethernet", magic: int = MICROSECONDS) -> Path:
    """Packets a second apart, from the IP header on; gzipped when the name ends in .gz."""
    number, header = LINKS[link]
    blocks = [struct.pack("<IHHiIII", magic, 2, 4, 0, 0, 65535, number)]
    for index, packet in enumerate(packets):
        frame = header(packet)
        blocks += (struct.pack("<IIII", 1_800_000_000 + index, 123_456, len(frame), len(frame)), frame)
    data = b"".join(blocks)
    file.write_bytes(gzip.compress(data) if file.suffix == ".gz" else data)
    return file


def udp4(ports: tuple[int, int], payload: bytes) -> bytes:
    """Without a checksum, which IPv4 allows."""
    return ipv4(UE4, HA4, 17, struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload)


def ping(number: int = 1) -> bytes:
    return icmpv6(UE, HA, struct.pack("!BBHHH", 128, 0, 0, 1, number))


def tcp(flags: int) -> bytes:
    return ipv6(UE, HA, 6, struct.pack("!HHIIBBHHH", 40000, 80, 7, 0, 0x50, flags, 8192, 0, 0))


def icmp(message: bytes) -> bytes:
    return ipv4(HA4, UE4, 1, message[:2] + struct.pack("!H", checksum(message)) + message[4:])


def dns_query(*labels: bytes, tail: bytes = b"\0\x1c\0\1") -> bytes:
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + name + tail


def everything() -> dict[str, bytes]:
    """A packet of each sort, by a name."""
    anycast = IPv6Address("2001:db8:1:1:fdff:ffff:ffff:fffe")
    addresses = HA.packed + IPv6Address("2001:db8:aaaa::2").packed
    error = struct.pack("!BBHI", 4, 1, 0, 40)
    return {
        **VECTORS,
        "dhcp-request": udp(UE, HA, (546, 547), DHCP_REQUEST),
        "dhcp-reply": udp(HA, UE, (547, 546), DHCP_REPLY),
        "dhaad-request": icmpv6(UE, anycast, struct.pack("!BBHHH", 144, 0, 0, 77, 0)),
        "dhaad-reply": icmpv6(HA, UE, struct.pack("!BBHHH", 145, 0, 0, 77, 0) + addresses),
        "prefix-solicitation": icmpv6(UE, HA, struct.pack("!BBHHH", 146, 0, 0, 78, 0)),
        "keepalive-4500": udp4((40001, 4500), b"\xff"),
        "keepalive-4191": udp4((40000, 4191), b"\0"),
        "keepalive-empty": udp4((40000, 4191), b""),
        "syn": tcp(0x02),
        "fin": tcp(0x11),
        "data": tcp(0x10),
        "tunnelled-syn": ipv6(UE, HA, IPV6, tcp(0x02)),
        "hostile-dns": udp(UE, HA, (1234, 53), dns_query(b"a,b\tc\nd\x1e\x1f\0\xff\xc3\\\"'", b"example")),
        "cut-dns": udp(UE, HA, (1234, 53), dns_query(b"a", tail=b"\0")),
        "error-quoting-update": icmpv6(HA, UE, error + VECTORS["E1"]),
        "error-quoting-ike": icmpv6(HA, UE, struct.pack("!BBHI", 1, 4, 0, 0) + udp(UE, HA, (500, 500), b"x" * 40)),
        "icmp-error": icmp(struct.pack("!BBHI", 3, 3, 0, 0) + udp4((40000, 4191), b"x")),
        "unreadable-esp": ipv6(UE, HA, 50, struct.pack("!II", 0x1234, 5) + bytes(60)),
        "ping": ping(),
    }
