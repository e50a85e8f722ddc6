# SPDX-License-Identifier: GPL-2.0-or-later
"""The other hosts of a simulation: an authoritative DNS server and a correspondent that answers echo requests.

They build and read packets by themselves, so that a mistake in the engines' codecs does not cancel out.
"""

from __future__ import annotations

import struct
from collections import deque
from ipaddress import IPv4Address, IPv6Address

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from mn_dsmip.engine.base import Datagram, Event, Side

UDP, ICMP, ICMPV6 = 17, 1, 58


def ones_complement_sum(data: bytes) -> int:
    """The Internet checksum of ``data`` (RFC 1071)."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv6(source: bytes, destination: bytes, next_header: int, payload: bytes) -> bytes:
    """A whole IPv6 packet without extension headers."""
    return struct.pack("!IHBB", 6 << 28, len(payload), next_header, 64) + source + destination + payload


def with_checksum(source: bytes, destination: bytes, protocol: int, payload: bytes, at: int) -> bytes:
    """``payload`` with its upper-layer checksum (RFC 8200 8.1) written at offset ``at``."""
    pseudo = source + destination + struct.pack("!II", len(payload), protocol)
    cleared = payload[:at] + b"\0\0" + payload[at + 2 :]
    return payload[:at] + struct.pack("!H", ones_complement_sum(pseudo + cleared) or 0xFFFF) + payload[at + 2 :]


def echo_request(source: str, destination: str, number: int = 1, data: bytes = b"dsmip") -> bytes:
    """A ping of either family."""
    if ":" in source:
        here, there = IPv6Address(source).packed, IPv6Address(destination).packed
        body = struct.pack("!BBHHH", 128, 0, 0, 1, number) + data
        return ipv6(here, there, ICMPV6, with_checksum(here, there, ICMPV6, body, 2))
    body = struct.pack("!BBHHH", 8, 0, 0, 1, number) + data
    body = body[:2] + struct.pack("!H", ones_complement_sum(body)) + body[4:]
    return ipv4(IPv4Address(source).packed, IPv4Address(destination).packed, ICMP, body)


def ipv4(source: bytes, destination: bytes, protocol: int, payload: bytes, flags: int = 0) -> bytes:
    """A whole IPv4 packet without options; ``flags`` is the 16-bit flags and fragment offset word."""
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, flags, 64, protocol, 0) + source + destination
    return header[:10] + struct.pack("!H", ones_complement_sum(header)) + header[12:] + payload


class PassiveHost:
    """A host that only answers."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self._answers: deque[bytes] = deque()

    def receive_datagram(self, datagram: Datagram, now: float) -> None:
        self.received.append(datagram.packet)
        answer = self.answer(datagram.packet)
        if answer is not None:
            self._answers.append(answer)

    def answer(self, packet: bytes) -> bytes | None:
        """What to send back, if anything."""
        raise NotImplementedError

    def next_timer(self) -> float | None:
        return None

    def handle_timer(self, now: float) -> None:
        raise AssertionError("no timer was armed")

    def datagrams_to_send(self) -> list[Datagram]:
        answers = [Datagram(Side.ACCESS, packet) for packet in self._answers]
        self._answers.clear()
        return answers

    def events(self) -> list[Event]:
        return []


class EchoHost(PassiveHost):
    """A correspondent: answers echo requests of both families, keeps everything else."""

    def answer(self, packet: bytes) -> bytes | None:
        if packet[0] >> 4 == 6 and packet[6] == ICMPV6 and packet[40] == 128:
            here, there = packet[24:40], packet[8:24]
            return ipv6(here, there, ICMPV6, with_checksum(here, there, ICMPV6, b"\x81" + packet[41:], 2))
        if packet[0] >> 4 == 4 and packet[9] == ICMP and packet[20] == 8:
            body = b"\0" + packet[21:22] + b"\0\0" + packet[24:]
            body = body[:2] + struct.pack("!H", ones_complement_sum(body)) + body[4:]
            return ipv4(packet[16:20], packet[12:16], ICMP, body)
        return None


class DnsHost(PassiveHost):
    """An authoritative server for ``records``: ``{(name, type): [data, …]}``; a name without records is NXDOMAIN."""

    def __init__(self, records: dict[tuple[str, str], list[str]]) -> None:
        super().__init__()
        self.records = {(name.lower().rstrip(".") + ".", kind): data for (name, kind), data in records.items()}

    def answer(self, packet: bytes) -> bytes | None:
        if packet[6] != UDP:
            return None
        source, destination = packet[8:24], packet[24:40]
        source_port, destination_port = struct.unpack_from("!HH", packet, 40)
        query = dns.message.from_wire(packet[48:])
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        question = query.question[0]
        name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
        self._fill(response, name, kind)
        payload = response.to_wire()
        datagram = struct.pack("!HHHH", destination_port, source_port, 8 + len(payload), 0) + payload
        return ipv6(destination, source, UDP, with_checksum(destination, source, UDP, datagram, 6))

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        while (alias := self.records.get((name, "CNAME"))) is not None:
            response.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", *alias))
            name = alias[0].lower().rstrip(".") + "."
        data = self.records.get((name, kind))
        if data is not None:
            response.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *data))
        elif not any(known == name for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
