# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn a packet, as a reader delivers it, into the one message that flows and rules look at.

Numbers are taken as they are on the wire, never from Wireshark's names, several of which are wrong (binding statuses
144 to 148, all statuses of the IPv4 Address Acknowledgement).
"""

from __future__ import annotations

from dataclasses import dataclass

from mn_dsmip.check.model import MOBILITY_KINDS, Layer, Message, Packet, Value
from mn_dsmip.check.numbers import DNS_TYPES, ECHO, ICMPV6_ERRORS, MOBILITY, MOBILITY_OPTIONS
from mn_dsmip.check.reading.ike import ike_message

ROUTER_ADVERTISEMENT = 134
BU_FLAGS = {
    "mip6.bu.a_flag": "acknowledge",
    "mip6.bu.h_flag": "home_registration",
    "mip6.bu.l_flag": "link_local",
    "mip6.bu.k_flag": "key_management",
    "mip6.bu.m_flag": "map_registration",
    "mip6.nemo.bu.r_flag": "mobile_router",
    "mip6.bu.p_flag": "proxy",
    "mip6.bu.f_flag": "force_udp",
    "mip6.bu.t_flag": "tlv_header",
    "mip6.bu.b_flag": "overwrite",  # Wireshark has RFC 6602's name; on S2c the bit is RFC 5648's O
}
BA_FLAGS = {"mip6.ba.k_flag": "key_management", "mip6.nemo.ba.r_flag": "mobile_router"}


@dataclass
class _Headers:
    """What the layers around a message say, filled in from the outermost to the innermost."""

    addresses: list[tuple[str, str]]  # source and destination of each IP header
    home_address_option: str = ""
    type2_routing: str = ""
    ports: tuple[int, int] | None = None
    outer_ports: tuple[int, int] | None = None  # of the UDP header before the last IP header
    in_udp: bool = False  # an IP header inside UDP: RFC 5555's encapsulation
    payload: str = ""
    bad_udp_checksum: bool = False
    esp: Layer | None = None


def dissect(packet: Packet) -> Message | None:
    """The message in a packet; None when it has no IP header."""
    headers = _Headers([])
    malformed = any(layer.name == "_ws.malformed" for layer in packet.layers)
    found: tuple[str, dict[str, Value], str, str] | None = None
    for layer in packet.layers:
        if layer.name in ("ipv6", "ip"):
            if headers.ports is not None:
                headers.in_udp, headers.outer_ports = True, headers.ports
            headers.addresses.append((layer.text(f"{layer.name}.src"), layer.text(f"{layer.name}.dst")))
            headers.ports = None
            continue
        _read_header(layer, headers)
        found = _read_message(layer, headers, packet)
        if found:
            break  # what follows an ICMPv6 error is its quotation
    if not headers.addresses:
        return None
    kind, fields, hidden, content = found or _other(packet, headers)
    if malformed:
        fields["malformed"] = True
    if headers.bad_udp_checksum:
        fields["bad_udp_checksum"] = True
    source, destination = headers.addresses[0]
    return Message(kind, packet.frame, packet.time, source, destination, fields, hidden, content)


def _read_header(layer: Layer, headers: _Headers) -> None:
    if layer.name == "ipv6.dstopts":
        headers.home_address_option = layer.text("ipv6.opt.mipv6.home_address") or headers.home_address_option
    elif layer.name == "ipv6.routing":
        headers.type2_routing = layer.text("ipv6.routing.mipv6.home_address") or headers.type2_routing
    elif layer.name == "udp":
        headers.ports = (layer.number("udp.srcport") or 0, layer.number("udp.dstport") or 0)
        payload = layer.first("udp.payload")
        headers.payload = payload.value if payload else ""
        headers.bad_udp_checksum |= layer.number("udp.checksum.status") == 0
    elif layer.name == "esp":
        headers.esp = layer


def _read_message(layer: Layer, headers: _Headers, packet: Packet) -> tuple[str, dict[str, Value], str, str] | None:
    """Kind, fields, reason for being hidden, and content of the message that starts with this layer."""
    if layer.name == "mipv6":
        return _mobility(layer, headers)
    if len(headers.addresses) > 1:
        return None  # somebody's data in a tunnel, whatever it is
    if layer.name == "isakmp" and headers.ports:
        kind, fields, hidden = ike_message(layer, malformed=any(one.name == "_ws.malformed" for one in packet.layers))
        fields["source_port"], fields["destination_port"] = headers.ports
        return kind, fields, hidden, headers.payload
    if layer.name == "dns" and headers.ports:
        return "dns", _dns(layer), "", headers.payload
    if layer.name == "icmpv6":
        number = layer.number("icmpv6.type") or 0
        if number == ROUTER_ADVERTISEMENT:
            return "router_advertisement", _router_advertisement(layer), "", ""
        if number in ICMPV6_ERRORS:
            return "icmpv6_error", _icmpv6_error(number, layer), "", ""
    return None


def _mobility(layer: Layer, headers: _Headers) -> tuple[str, dict[str, Value], str, str] | None:
    """A Mobility Header, in ESP or in the clear; one whose ICV is wrong is not looked into."""
    if headers.esp is not None and headers.esp.flag("esp.icv_bad"):
        return None
    octets = _octets(layer)
    source, destination = headers.addresses[-1]
    fields: dict[str, Value] = {
        "protected": headers.esp is not None,
        "mh_type": layer.number("mip6.mhtype") or 0,
        "header_length": layer.number("mip6.hlen") or 0,
        "octets": octets.hex(),
        "udp": headers.in_udp,
        "home_address_option": bool(headers.home_address_option),
        "type2_routing": bool(headers.type2_routing),
        # What the end points see as addresses (RFC 6275 6.1.1): the home address wherever it stands for the care-of one
        "end_source": headers.home_address_option or source,
        "end_destination": headers.type2_routing or destination,
        "options": _options(layer),
    }
    fields |= _outer_ports(headers)
    if headers.esp is not None:
        fields |= _esp_numbers(headers.esp)
    kind = MOBILITY_KINDS.get(layer.number("mip6.mhtype") or 0, "mobility")
    if kind == "binding_update":
        fields |= _binding_update(layer)
    elif kind == "binding_acknowledgement":
        fields |= _binding_acknowledgement(layer)
    elif kind == "binding_revocation":
        fields["indication"] = layer.number("mip6.bri_br.type") == 1
        fields["sequence"] = layer.number("mip6.bri_seqnr") or 0
        fields["status"] = layer.number("mip6.bri_status") or 0
    from_ue = kind == "binding_update" or bool(headers.home_address_option)
    fields["home_address"] = str(fields["end_source" if from_ue else "end_destination"])
    content = f"{fields['spi']}:{fields['esp_sequence']}:{fields['octets']}" if headers.esp is not None else ""
    return kind, fields, "", content


def _outer_ports(headers: _Headers) -> dict[str, Value]:
    if not headers.in_udp or headers.outer_ports is None:
        return {}
    return {"source_port": headers.outer_ports[0], "destination_port": headers.outer_ports[1]}


def _binding_update(layer: Layer) -> dict[str, Value]:
    fields: dict[str, Value] = {name: layer.flag(field) for field, name in BU_FLAGS.items()}
    fields["sequence"] = layer.number("mip6.bu.seqnr") or 0
    fields["lifetime"] = layer.number("mip6.bu.lifetime") or 0
    if layer.first("mip6.acoa.acoa"):
        fields["alternate_care_of_address"] = layer.text("mip6.acoa.acoa")
    if layer.first("mip6.options.ipv4ha"):
        fields["ipv4_home_address"] = layer.text("mip6.ipv4ha.ha")
        fields["ipv4_prefix_length"] = layer.number("mip6.ipv4ha.preflen") or 0
        fields["ipv4_prefix_request"] = layer.flag("mip6.ipv4ha.p_flag")
    if layer.first("mip6.ipv4coa.addr"):
        fields["ipv4_care_of_address"] = layer.text("mip6.ipv4coa.addr")
    return fields


def _binding_acknowledgement(layer: Layer) -> dict[str, Value]:
    fields: dict[str, Value] = {name: layer.flag(field) for field, name in BA_FLAGS.items()}
    fields["status"] = layer.number("mip6.ba.status") or 0
    fields["sequence"] = layer.number("mip6.ba.seqnr") or 0
    fields["lifetime"] = layer.number("mip6.ba.lifetime") or 0
    if layer.first("mip6.bra.interval"):
        fields["refresh_advice"] = layer.number("mip6.bra.interval") or 0
    if layer.first("mip6.options.ipv4aa"):  # its address has the field names of the IPv4 Home Address option
        fields["ipv4_home_address"] = layer.text("mip6.ipv4ha.ha")
        fields["ipv4_status"] = layer.number("mip6.ipv4aa.sts") or 0
        fields["ipv4_prefix_length"] = layer.number("mip6.ipv4ha.preflen") or 0
    return fields


def _options(layer: Layer) -> tuple[Value, ...]:
    """Names of the mobility options in their order, without padding; each option's first octet is its type."""
    starts = {item.position: item.value for item in layer.fields if item.name.startswith("mip6.options.")}
    for item in layer.all("mip6.mobility_opt"):  # those that Wireshark does not know
        starts.setdefault(item.position, item.value)
    types = [int(value[:2], 16) for _, value in sorted(starts.items()) if value]
    return tuple(MOBILITY_OPTIONS.get(kind, kind) for kind in types if kind > 1)


def _octets(layer: Layer) -> bytes:
    """The Mobility Header put together from the fields that tshark shows of it; empty when a gap is left."""
    start = min((item.position for item in layer.fields), default=0)
    octets: dict[int, int] = {}
    for item in layer.fields:
        if len(item.value) == 2 * item.size:
            octets |= {item.position - start + index: byte for index, byte in enumerate(bytes.fromhex(item.value))}
    size = 8 * ((layer.number("mip6.hlen") or 0) + 1)
    return bytes(octets[index] for index in range(size)) if octets.keys() >= set(range(size)) else b""


def _esp_numbers(layer: Layer) -> dict[str, Value]:
    return {"spi": layer.number("esp.spi") or 0, "esp_sequence": layer.number("esp.sequence") or 0}


def _dns(layer: Layer) -> dict[str, Value]:
    kind = layer.number("dns.qry.type") or 0
    return {
        "response": layer.flag("dns.flags.response"),
        "id": layer.number("dns.id") or 0,
        "name": layer.text("dns.qry.name").rstrip(".").lower(),
        "type": DNS_TYPES.get(kind, kind),
        "rcode": layer.number("dns.flags.rcode") or 0,
        "addresses": tuple(item.show for name in ("dns.aaaa", "dns.a") for item in layer.all(name)),
    }


def _router_advertisement(layer: Layer) -> dict[str, Value]:
    prefixes = layer.all("icmpv6.opt.prefix")
    lengths = layer.all("icmpv6.opt.prefix.length")
    autonomous = layer.all("icmpv6.opt.prefix.flag.a")
    texts = [f"{prefix.show}/{length.show}" for prefix, length in zip(prefixes, lengths, strict=False)]
    flags = [one.show in ("1", "True") for one in autonomous]
    return {
        "prefixes": tuple(texts),
        "autonomous_prefixes": tuple(text for text, flag in zip(texts, flags, strict=False) if flag),
        "dns_servers": tuple(item.show for item in layer.all("icmpv6.opt.rdnss")),
        "router_lifetime": layer.number("icmpv6.nd.ra.router_lifetime") or 0,
    }


def _icmpv6_error(kind: int, layer: Layer) -> dict[str, Value]:
    """The error and what it quotes: the fields of the quoted headers lie in the layer of the error."""
    headers = [one for name in ("ipv6.nxt", "ipv6.dstopts.nxt", "ipv6.routing.nxt") for one in layer.all(name)]
    ports = layer.all("udp.srcport") + layer.all("udp.dstport")
    return {
        "icmp_type": kind,
        "icmp_code": layer.number("icmpv6.code") or 0,
        "quoted_source": layer.text("ipv6.src"),
        "quoted_destination": layer.text("ipv6.dst"),
        "quoted_headers": tuple(int(one.show) for one in sorted(headers, key=lambda one: one.position)),
        "quoted_ports": tuple(int(one.show) for one in ports),
    }


def _other(packet: Packet, headers: _Headers) -> tuple[str, dict[str, Value], str, str]:
    """ESP that shows no Mobility Header, a tunnelled packet, or a plain one."""
    if headers.esp is not None and len(headers.addresses) == 1 + headers.in_udp:
        return _opaque_esp(headers)
    fields: dict[str, Value] = {"udp": headers.in_udp, "protected": headers.esp is not None}
    inner_source, inner_destination = headers.addresses[-1]
    last = [layer for layer in packet.layers if layer.name in ("ipv6", "ip")][-1]
    fields["protocol"] = last.number("ipv6.nxt") or last.number("ip.proto") or 0
    for name, ident, sequence in (
        ("icmpv6", "icmpv6.echo.identifier", "icmpv6.echo.sequence_number"),
        ("icmp", "icmp.ident", "icmp.seq"),
    ):
        for layer in packet.layers:
            if layer.name == name:
                kind = layer.number(f"{name}.type")
                fields["icmp_type"] = kind if kind is not None else -1
                fields["icmp"] = ECHO.get((name, kind or 0), "other")
                fields["icmp_id"] = layer.number(ident) or 0
                fields["icmp_sequence"] = layer.number(sequence) or 0
    if len(headers.addresses) == 1:
        return "plain", fields, "", ""
    fields |= {"inner_source": inner_source, "inner_destination": inner_destination}
    fields["inner_version"] = 4 if last.name == "ip" else 6
    return "tunnelled", fields, "", ""


def _opaque_esp(headers: _Headers) -> tuple[str, dict[str, Value], str, str]:
    layer = headers.esp
    assert layer is not None
    source, destination = headers.addresses[-1]
    fields = _esp_numbers(layer)
    fields["end_source"] = headers.home_address_option or source
    fields["end_destination"] = headers.type2_routing or destination
    fields["home_address"] = headers.home_address_option or headers.type2_routing
    if layer.flag("esp.icv_bad"):
        return "esp", fields, "wrong key", ""
    if layer.first("esp.decrypted_data") is None:
        return "esp", fields, "no key", ""
    fields["next_header"] = layer.number("esp.protocol") or 0
    hidden = "wrong key" if fields["next_header"] == MOBILITY else ""
    return "esp", fields, hidden, ""
