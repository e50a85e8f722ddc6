# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn a packet, as a reader delivers it, into the one message that flows and rules look at.

tshark's list of protocols is walked from the outermost to the innermost; the n-th "ipv6" in it has the n-th value of
each column of IPv6. Numbers are taken as they are on the wire, never from Wireshark's names, several of which are
wrong. None of this raises, whatever a packet holds.
"""

from __future__ import annotations

from functools import lru_cache

from mn_dsmip.check.model import Message, Packet, Value, number_of
from mn_dsmip.check.numbers import (
    ECHO,
    ICMP_ERRORS,
    ICMPV6_ERRORS,
    MOBILITY,
)
from mn_dsmip.check.reading.dhcpv6 import dhcpv6_message
from mn_dsmip.check.reading.dns import dns_message
from mn_dsmip.check.reading.icmp import discovery, icmp_error, icmpv6_error, is_discovery, router_advertisement
from mn_dsmip.check.reading.ike import ike_message
from mn_dsmip.check.reading.mobility import BA_FLAGS, BU_FLAGS, mobility_header
from mn_dsmip.check.reading.octets import fingerprint

__all__ = ["BA_FLAGS", "BU_FLAGS", "dissect"]

Fields = dict[str, Value]
Found = tuple[str, Fields, str, str]  # kind, fields, reason for being hidden, content
ROUTER_ADVERTISEMENT = 134
IKE_NAT, DSMIP = 4500, 4191
SMALLEST_IP = 20  # octets of an IP header: fewer in UDP 4191 are a keepalive
TCP_FLAGS = ((0x04, "rst"), (0x02, "syn"), (0x01, "fin"))
# Protocols of tshark's list that say something; "data" is what tshark has no dissector for.
_HEADERS = frozenset({"ipv6", "ip", "udp", "esp", "ipv6.dstopts", "ipv6.routing", "ipv6.hopopts", "ipv6.fraghdr"})
_ENDS = frozenset({"isakmp", "dns", "dhcpv6", "icmpv6", "icmp", "tcp"})


class Headers:
    """The headers around a message, from the outermost to the innermost."""

    __slots__ = ("addresses", "esp", "hops", "in_udp", "inner_ports", "kind", "next_header", "ports", "version")

    def __init__(self) -> None:
        self.addresses: list[tuple[str, str]] = []  # source and destination of each IP header
        self.version = 0  # of the innermost IP header
        self.hops = 0  # of the outermost
        self.next_header = 0  # of the innermost header that has one
        self.ports: tuple[int, int] | None = None  # of a UDP header around the last IP header, else behind it
        self.inner_ports: tuple[int, int] | None = None
        self.in_udp = False  # an IP header inside UDP: RFC 5555's encapsulation
        self.esp = False
        self.kind = ""  # protocol behind the headers


@lru_cache(maxsize=1024)
def _steps(protocols: tuple[str, ...], in_udp: str) -> tuple[tuple[str, int], ...]:
    """The protocols that matter, each with its number among those of its name, until the message itself.

    `in_udp` is the version in the first octet of the outermost UDP payload. tshark lists its dissector for IPv4 also
    when that only handed an IPv6 packet in UDP 4191 on; such an entry has no column of its own.
    """
    found: list[tuple[str, int]] = []
    count: dict[str, int] = {}
    before = ""
    for name in protocols:
        phantom = name == "ip" and before == "udp" and count.get("udp") == 1 and in_udp != "4"
        if name in _HEADERS and not phantom:
            found.append((name, count.get(name, 0)))
            count[name] = count.get(name, 0) + 1
        elif name in _ENDS or name == "data":
            found.append((name, 0))
            break
        before = name if name != "udpencap" else before
    return tuple(found)


def dissect(packet: Packet) -> Message | None:
    """The message in a packet; None when it has no IP header."""
    headers = _headers(packet)
    if not headers.addresses:
        return None
    kind, fields, hidden, content = _message(packet, headers)
    cells = packet.cells
    if "_ws.malformed" in cells:
        fields["malformed"] = True
    status = cells.get("udp.checksum.status")
    if status is not None and "0" in status:
        fields["bad_udp_checksum"] = True
    source, destination = headers.addresses[0]
    point = (packet.number("frame.interface_id"), headers.hops)
    return Message(kind, packet.frame, packet.time, source, destination, fields, hidden, content, point)


def _headers(packet: Packet) -> Headers:
    """Walk the headers; the columns have one value for each."""
    headers = Headers()
    columns: dict[str, list[str]] = {}

    def value(name: str, index: int) -> str:
        values = columns.get(name)
        if values is None:
            values = columns[name] = packet.all(name)
        return values[index] if index < len(values) else ""

    for name, index in _steps(packet.protocols, packet.cells.get("udp.payload", "")[:1]):
        if name in ("ipv6", "ip"):
            if headers.inner_ports is not None:
                headers.in_udp, headers.ports, headers.inner_ports = True, headers.inner_ports, None
            if not headers.addresses:
                headers.hops = number_of(value("ipv6.hlim" if name == "ipv6" else "ip.ttl", index))
            headers.addresses.append((value(f"{name}.src", index), value(f"{name}.dst", index)))
            headers.version = 6 if name == "ipv6" else 4
            headers.next_header = number_of(value("ipv6.nxt" if name == "ipv6" else "ip.proto", index))
        elif name == "udp":
            headers.inner_ports = (number_of(value("udp.srcport", index)), number_of(value("udp.dstport", index)))
        elif name == "esp":
            headers.esp = True
        elif name in _ENDS or name == "data":
            headers.kind = name
        else:
            headers.next_header = number_of(value(f"{name}.nxt", index))
    return headers


def _message(packet: Packet, headers: Headers) -> Found:
    """Kind, fields, reason for being hidden, and content of the message behind the headers."""
    if headers.esp:
        octets = _contained(packet)
        if octets is not None:
            return _mobility(packet, headers, octets)
        if headers.kind == "icmpv6" and is_discovery(packet):
            return _discovery(packet, headers)
        if len(headers.addresses) == 1 + headers.in_udp:
            return _opaque_esp(packet, headers)
    elif headers.kind == "data" and headers.next_header == MOBILITY:
        return _mobility(packet, headers, packet.text("data.data"))
    elif len(headers.addresses) == 1:
        found = _signalling(packet, headers)
        if found is not None:
            return found
    if headers.kind == "icmpv6" and len(headers.addresses) == 1 + headers.in_udp and is_discovery(packet):
        return _discovery(packet, headers)
    return _data(packet, headers)


def _signalling(packet: Packet, headers: Headers) -> Found | None:
    """What is not in a tunnel; there it would be somebody's data, whatever it is."""
    kind, ports = headers.kind, headers.inner_ports
    if kind == "isakmp" and ports:
        name, fields, hidden = ike_message(packet, malformed="_ws.malformed" in packet.cells)
        fields["source_port"], fields["destination_port"] = ports
        return name, fields, hidden, fingerprint(packet.text("udp.payload"))
    if kind in ("dns", "dhcpv6") and ports:
        payload = packet.text("udp.payload")
        octets = bytes.fromhex(payload)
        fields = dns_message(octets) if kind == "dns" else dhcpv6_message(octets)
        if kind == "dhcpv6":
            fields["source_port"], fields["destination_port"] = ports
        return kind, fields, "", fingerprint(payload)
    if kind == "icmpv6":
        number = packet.number("icmpv6.type")
        if number == ROUTER_ADVERTISEMENT:
            return "router_advertisement", router_advertisement(packet), "", ""
        if number in ICMPV6_ERRORS:
            return "icmpv6_error", icmpv6_error(packet), "", ""
    if kind == "icmp" and packet.number("icmp.type") in ICMP_ERRORS:
        return "icmp_error", icmp_error(packet), "", ""
    return _keepalive(packet, ports) if ports is not None else None


def _keepalive(packet: Packet, ports: tuple[int, int]) -> Found | None:
    """RFC 3948 2.3 on UDP 4500; on 4191 anything too short for an IP header (RFC 5555 4.3)."""
    size = len(packet.text("udp.payload")) // 2
    if (IKE_NAT in ports and size <= 1) or (DSMIP in ports and size < SMALLEST_IP):
        fields: Fields = {"source_port": ports[0], "destination_port": ports[1], "size": size, "udp": DSMIP in ports}
        return "keepalive", fields, "", ""
    return None


def _contained(packet: Packet) -> str | None:
    """A Mobility Header in ESP; one whose ICV is wrong is not looked into."""
    if packet.number("esp.protocol") != MOBILITY or packet.flag("esp.icv_bad"):
        return None
    return packet.text("esp.contained_data") or packet.text("esp.decrypted_data") or None


def _mobility(packet: Packet, headers: Headers, octets: str) -> Found:
    """A Mobility Header, in ESP or in the clear."""
    source, destination = headers.addresses[-1]
    home_address = packet.text("ipv6.opt.mipv6.home_address")
    routed = packet.text("ipv6.routing.mipv6.home_address")
    # What the end points see as addresses (RFC 6275 6.1.1): the home address wherever it stands for the care-of one
    ends = home_address or source, routed or destination
    kind, fields = mobility_header(bytes.fromhex(octets), *ends)
    fields["protected"] = headers.esp
    fields["home_address_option"], fields["type2_routing"] = bool(home_address), bool(routed)
    fields["end_source"], fields["end_destination"] = ends
    _outer(headers, fields)
    from_ue = kind == "binding_update" or bool(home_address)
    fields["home_address"] = ends[0] if from_ue else ends[1]
    if not headers.esp:
        return kind, fields, "", ""
    fields["spi"], fields["esp_sequence"] = packet.number("esp.spi"), packet.number("esp.sequence")
    return kind, fields, "", f"{fields['spi']}:{fields['esp_sequence']}:{fields['octets'] or octets}"


def _discovery(packet: Packet, headers: Headers) -> Found:
    kind, fields = discovery(packet)
    fields["protected"] = headers.esp
    _outer(headers, fields)
    return kind, fields, "", ""


def _opaque_esp(packet: Packet, headers: Headers) -> Found:
    """ESP in which no Mobility Header is to be seen."""
    source, destination = headers.addresses[-1]
    home_address = packet.text("ipv6.opt.mipv6.home_address")
    routed = packet.text("ipv6.routing.mipv6.home_address")
    spi, sequence = packet.number("esp.spi"), packet.number("esp.sequence")
    fields: Fields = {
        "protected": True,
        "spi": spi,
        "esp_sequence": sequence,
        "end_source": home_address or source,
        "end_destination": routed or destination,
        "home_address": home_address or routed,
    }
    _outer(headers, fields)
    if headers.inner_ports is not None:
        fields["source_port"], fields["destination_port"] = headers.inner_ports
    content = f"{spi}:{sequence}"
    if packet.flag("esp.icv_bad"):
        return "esp", fields, "wrong key", content
    if "esp.decrypted_data" not in packet.cells:
        return "esp", fields, "no key", content
    fields["next_header"] = packet.number("esp.protocol")
    return "esp", fields, "wrong key" if fields["next_header"] == MOBILITY else "", content


def _outer(headers: Headers, fields: Fields) -> None:
    """RFC 5555's encapsulation: the version of the outermost header, and the ports of UDP around the inner one."""
    fields["udp"] = headers.in_udp
    fields["outer_version"] = 6 if ":" in headers.addresses[0][0] else 4
    if headers.in_udp and headers.ports is not None:
        fields["source_port"], fields["destination_port"] = headers.ports


def _data(packet: Packet, headers: Headers) -> Found:
    """A tunnelled packet, or a plain one."""
    fields: Fields = {"protected": headers.esp, "protocol": headers.next_header}
    _outer(headers, fields)
    name = headers.kind
    if name in ("icmpv6", "icmp"):
        kind = number_of((packet.all(f"{name}.type") or ["-1"])[0])
        echo = ECHO.get((name, kind), "other")
        fields["icmp_type"], fields["icmp"] = kind, echo
        ident, sequence = ("icmp.ident", "icmp.seq")
        if name == "icmpv6":
            ident, sequence = "icmpv6.echo.identifier", "icmpv6.echo.sequence_number"
        fields["icmp_id"], fields["icmp_sequence"] = packet.number(ident), packet.number(sequence)
    elif name == "tcp":
        flags = packet.number("tcp.flags")
        fields["tcp"] = next((text for mask, text in TCP_FLAGS if flags & mask), "other")
        fields["tcp_ports"] = (packet.number("tcp.srcport"), packet.number("tcp.dstport"))
        fields["tcp_sequence"] = packet.number("tcp.seq_raw")
    if len(headers.addresses) == 1:
        return "plain", fields, "", ""
    fields["inner_source"], fields["inner_destination"] = headers.addresses[-1]
    fields["inner_version"] = headers.version
    return "tunnelled", fields, "", ""
