# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages of ICMPv6 and ICMP that flows and rules look at: errors, router advertisements, home agent discovery."""

from __future__ import annotations

from mn_dsmip.check.model import Packet, Value, number_of

Fields = dict[str, Value]
DISCOVERY = {  # RFC 6275 6.5 to 6.8: kind, and whether it is the answer
    144: ("home_agent_discovery", False),
    145: ("home_agent_discovery", True),
    146: ("mobile_prefix", False),
    147: ("mobile_prefix", True),
}
_QUOTED = frozenset({"ipv6", "ipv6.hopopts", "ipv6.dstopts", "ipv6.routing", "ipv6.fraghdr"})
ERROR_FIELDS = "icmp_type icmp_code quoted_source quoted_destination quoted_headers quoted_ports"
ADVERTISEMENT_FIELDS = "prefixes autonomous_prefixes dns_servers router_lifetime home_agent"
DISCOVERY_FIELDS = "response id addresses prefixes home_address home_address_option type2_routing protected"


def router_advertisement(packet: Packet) -> Fields:
    texts = _prefixes(packet)
    flags = packet.numbers("icmpv6.opt.prefix.flag.a")
    return {
        "prefixes": texts,
        "autonomous_prefixes": tuple([text for text, flag in zip(texts, flags, strict=False) if flag]),
        "dns_servers": tuple(packet.all("icmpv6.opt.rdnss")),
        "router_lifetime": packet.number("icmpv6.nd.ra.router_lifetime"),
        "home_agent": packet.flag("icmpv6.nd.ra.flag.h"),
    }


def _prefixes(packet: Packet) -> tuple[str, ...]:
    pairs = zip(packet.all("icmpv6.opt.prefix"), packet.all("icmpv6.opt.prefix.length"), strict=False)
    return tuple([f"{prefix}/{length}" for prefix, length in pairs])


def is_discovery(packet: Packet) -> bool:
    return packet.number("icmpv6.type") in DISCOVERY


def discovery(packet: Packet) -> tuple[str, Fields]:
    """Dynamic home agent address discovery, or mobile prefix discovery: kind and fields."""
    kind, response = DISCOVERY[packet.number("icmpv6.type")]
    fields: Fields = {"response": response, "id": packet.number("icmpv6.mip6.identifier")}
    home_address = packet.text("ipv6.opt.mipv6.home_address")
    routed = packet.text("ipv6.routing.mipv6.home_address")
    if kind == "home_agent_discovery":
        fields["addresses"] = tuple(packet.all("icmpv6.mip6.home_agent_address"))
        return kind, fields
    fields["prefixes"] = _prefixes(packet) if response else ()
    fields["home_address"] = home_address or routed
    fields["home_address_option"], fields["type2_routing"] = bool(home_address), bool(routed)
    return kind, fields


def icmpv6_error(packet: Packet) -> Fields:
    """The error and what it quotes: the columns list the quoted headers behind the packet's own."""
    place = packet.protocols.index("icmpv6")
    before, after = packet.protocols[:place], packet.protocols[place + 1 :]
    own = before.count("ipv6")
    count = {name: before.count(name) for name in _QUOTED}
    headers = []
    for name in after:
        if name in _QUOTED:
            values = packet.all("ipv6.nxt" if name == "ipv6" else f"{name}.nxt")
            headers += values[count[name] : count[name] + 1]
            count[name] += 1
    return _error(packet, "icmpv6", own, "ipv6") | {"quoted_headers": tuple([number_of(one) for one in headers])}


def icmp_error(packet: Packet) -> Fields:
    """The same over IPv4, where there is one quoted protocol."""
    own = packet.protocols[: packet.protocols.index("icmp")].count("ip")
    headers = packet.numbers("ip.proto")[own : own + 1]
    return _error(packet, "icmp", own, "ip") | {"quoted_headers": tuple(headers)}


def _error(packet: Packet, name: str, own: int, quoted: str) -> Fields:
    sources, destinations = packet.all(f"{quoted}.src")[own:], packet.all(f"{quoted}.dst")[own:]
    ports = packet.numbers("udp.srcport")[:1] + packet.numbers("udp.dstport")[:1]
    return {
        "icmp_type": packet.number(f"{name}.type"),
        "icmp_code": packet.number(f"{name}.code"),
        "quoted_source": sources[0] if sources else "",
        "quoted_destination": destinations[0] if destinations else "",
        "quoted_ports": tuple(ports),
    }
