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
from mn_dsmip.check.reading.octets import fingerprint, from_hex

__all__ = ["BA_FLAGS", "BU_FLAGS", "dissect"]

Fields = dict[str, Value]
Found = tuple[str, Fields, str, str]  # kind, fields, reason for being hidden, content
ROUTER_ADVERTISEMENT = 134
IKE_NAT, DSMIP = 4500, 4191
SMALLEST_IP = 20  # octets of an IP header: fewer in UDP 4191 are a keepalive
TCP_FLAGS = ((0x04, "rst"), (0x02, "syn"), (0x01, "fin"))
# Protocols of tshark's list that say something; "data" is what tshark has no dissector for.
_HEADERS = frozenset({"ipv6", "ip", "udp", "esp", "ipv6.dstopts", "ipv6.routing", "ipv6.hopopts", "ipv6.fraghdr"})
_IP = ("ipv6", "ip")
_ENDS = frozenset({"isakmp", "dns", "dhcpv6", "icmpv6", "icmp", "tcp"})


class Headers:
    """The headers around a message, from the outermost to the innermost."""

    __slots__ = (
        "addresses",
        "esp",
        "in_udp",
        "inner_ports",
        "kind",
        "next_header",
        "ports",
        "tunnel",
        "udp",
        "version",
    )

    def __init__(self) -> None:
        self.addresses: list[tuple[str, str]] = []  # source and destination of each IP header
        self.tunnel: tuple[str, str] | None = None  # those of an ESP tunnel around the first of them
        self.version = 0  # of the innermost IP header
        self.next_header = 0  # of the innermost header that has one
        self.ports: tuple[int, int] | None = None  # of a UDP header around the last IP header
        self.inner_ports: tuple[int, int] | None = None  # of one behind it
        self.in_udp = False  # an IP header inside UDP: RFC 5555's encapsulation
        self.esp = -1  # number of the innermost ESP header in the columns; -1: there is none
        self.udp = 0  # the same of UDP
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
    return _without_tunnel(found)


def _without_tunnel(steps: list[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """Without an ESP tunnel to an ePDG, which has S2c inside (TS 24.302): IKE, ESP, or a tunnel again.

    Anything else in an ESP tunnel is user data of S2c itself; there the tunnel stays. "tunnel" takes its place.
    """
    for place, (name, _) in enumerate(steps[:-1]):
        inner = [one for one, _ in steps[place + 1 :]]
        if name == "esp" and inner[0] in _IP:
            if "isakmp" in inner or "esp" in inner or any(one in _IP for one in inner[1:]):
                return (next(("tunnel" + one, index) for one, index in steps if one in _IP), *steps[place + 1 :])
            break
    return tuple(steps)


def dissect(packet: Packet) -> Message | None:
    """The message in a packet; None when it has no IP header.

    What is in an ESP tunnel to an ePDG has the source and destination of the header inside.
    """
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
    if headers.tunnel is not None:
        fields["outer_source"], fields["outer_destination"] = headers.tunnel
    source, destination = headers.addresses[0]
    # The outermost header is one of the two; what is inside is the same at every point.
    point = (packet.number("frame.interface_id"), packet.number("ipv6.hlim") + packet.number("ip.ttl"))
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
        if name in _IP:
            if headers.inner_ports is not None:
                headers.in_udp, headers.ports, headers.inner_ports = True, headers.inner_ports, None
            headers.addresses.append((value(f"{name}.src", index), value(f"{name}.dst", index)))
            headers.version = 6 if name == "ipv6" else 4
            headers.next_header = number_of(value("ipv6.nxt" if name == "ipv6" else "ip.proto", index))
        elif name == "udp":
            headers.udp = index
            headers.inner_ports = (number_of(value("udp.srcport", index)), number_of(value("udp.dstport", index)))
        elif name == "esp":
            headers.esp = index
        elif name.startswith("tunnel"):
            version = name.removeprefix("tunnel")
            headers.tunnel = (value(f"{version}.src", index), value(f"{version}.dst", index))
        elif name in _ENDS or name == "data":
            headers.kind = name
        else:
            headers.next_header = number_of(value(f"{name}.nxt", index))
    return headers


def _message(packet: Packet, headers: Headers) -> Found:
    """Kind, fields, reason for being hidden, and content of the message behind the headers."""
    if headers.esp >= 0:
        octets = _contained(packet, headers)
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


def _nth(packet: Packet, name: str, index: int) -> str:
    values = packet.all(name)
    return values[index] if index < len(values) else ""


def _signalling(packet: Packet, headers: Headers) -> Found | None:
    """What is not in a tunnel; there it would be somebody's data, whatever it is."""
    kind, ports = headers.kind, headers.inner_ports
    if kind == "isakmp" and ports:
        name, fields, hidden = ike_message(packet, malformed="_ws.malformed" in packet.cells)
        fields["source_port"], fields["destination_port"] = ports
        return name, fields, hidden, fingerprint(_nth(packet, "udp.payload", headers.udp))
    if kind in ("dns", "dhcpv6") and ports:
        payload = _nth(packet, "udp.payload", headers.udp)
        octets = from_hex(payload)
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
    return _keepalive(ports, len(_nth(packet, "udp.payload", headers.udp)) // 2) if ports is not None else None


def _keepalive(ports: tuple[int, int], size: int) -> Found | None:
    """RFC 3948 2.3 on UDP 4500; on 4191 anything too short for an IP header (RFC 5555 4.3)."""
    if (IKE_NAT in ports and size <= 1) or (DSMIP in ports and size < SMALLEST_IP):
        fields: Fields = {"source_port": ports[0], "destination_port": ports[1], "size": size, "udp": DSMIP in ports}
        return "keepalive", fields, "", ""
    return None


def _contained(packet: Packet, headers: Headers) -> str | None:
    """A Mobility Header in ESP; one whose ICV is wrong is not looked into."""
    index = headers.esp
    if number_of(_nth(packet, "esp.protocol", index)) != MOBILITY or number_of(_nth(packet, "esp.icv_bad", index)):
        return None
    return _nth(packet, "esp.contained_data", index) or _nth(packet, "esp.decrypted_data", index) or None


def _mobility(packet: Packet, headers: Headers, octets: str) -> Found:
    """A Mobility Header, in ESP or in the clear."""
    source, destination = headers.addresses[-1]
    home_address = packet.text("ipv6.opt.mipv6.home_address")
    routed = packet.text("ipv6.routing.mipv6.home_address")
    # What the end points see as addresses (RFC 6275 6.1.1): the home address wherever it stands for the care-of one
    ends = home_address or source, routed or destination
    kind, fields = mobility_header(from_hex(octets), *ends)
    fields["protected"] = headers.esp >= 0
    fields["home_address_option"], fields["type2_routing"] = bool(home_address), bool(routed)
    fields["end_source"], fields["end_destination"] = ends
    _outer(headers, fields)
    from_ue = kind == "binding_update" or bool(home_address)
    fields["home_address"] = ends[0] if from_ue else ends[1]
    if headers.esp < 0:
        return kind, fields, "", ""
    fields["spi"] = number_of(_nth(packet, "esp.spi", headers.esp))
    fields["esp_sequence"] = number_of(_nth(packet, "esp.sequence", headers.esp))
    return kind, fields, "", f"{fields['spi']}:{fields['esp_sequence']}:{fields['octets'] or octets}"


def _discovery(packet: Packet, headers: Headers) -> Found:
    kind, fields = discovery(packet)
    fields["protected"] = headers.esp >= 0
    _outer(headers, fields)
    return kind, fields, "", ""


def _opaque_esp(packet: Packet, headers: Headers) -> Found:
    """ESP in which no Mobility Header is to be seen."""
    source, destination = headers.addresses[-1]
    home_address = packet.text("ipv6.opt.mipv6.home_address")
    routed = packet.text("ipv6.routing.mipv6.home_address")
    spi, sequence = (number_of(_nth(packet, name, headers.esp)) for name in ("esp.spi", "esp.sequence"))
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
    if number_of(_nth(packet, "esp.icv_bad", headers.esp)):
        return "esp", fields, "wrong key", content
    if not _nth(packet, "esp.decrypted_data", headers.esp):
        return "esp", fields, "no key", content
    fields["next_header"] = number_of(_nth(packet, "esp.protocol", headers.esp))
    return "esp", fields, "wrong key" if fields["next_header"] == MOBILITY else "", content


def _outer(headers: Headers, fields: Fields) -> None:
    """RFC 5555's encapsulation: the version of the outermost header, and the ports of UDP around the inner one."""
    fields["udp"] = headers.in_udp
    fields["outer_version"] = 6 if ":" in headers.addresses[0][0] else 4
    if headers.in_udp and headers.ports is not None:
        fields["source_port"], fields["destination_port"] = headers.ports


def _data(packet: Packet, headers: Headers) -> Found:
    """A tunnelled packet, or a plain one."""
    fields: Fields = {"protected": headers.esp >= 0, "protocol": headers.next_header}
    if "ipv6.opt.mipv6.home_address" in packet.cells or "ipv6.routing.mipv6.home_address" in packet.cells:
        fields["route_optimised"] = True  # only between a mobile node and its correspondents (RFC 6275 6.3, 6.4)
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
