# SPDX-License-Identifier: GPL-2.0-or-later
"""Read an IKEv2 message out of tshark's fields, payload by payload.

tshark lists the fields of all payloads one after the other. Which belong together is told by where their octets lie:
every payload is an interval, and a configuration attribute's value starts 4 octets after its type.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Network, ip_address, summarize_address_range

from mn_dsmip.check.model import IKE_KINDS, Field, Layer, Value
from mn_dsmip.check.numbers import (
    AKA_SUBTYPES,
    AUTH_METHODS,
    CONFIGURATION_ATTRIBUTES,
    CONFIGURATION_TYPES,
    EAP_CODES,
    EAP_TYPES,
    FIRST_STATUS_NOTIFY,
    IDENTITY_TYPES,
    NOTIFIES,
    PAYLOADS,
    PROTOCOLS,
)

SK, SKF = 46, 53
FIRST_PAYLOAD = 33  # below are proposals (2) and transforms (3), which tshark shows like payloads
MIP6_HOME_PREFIX, MIP6_HOME_PREFIX_SIZE = 16, 21
DNS_ATTRIBUTES = (3, 10)


@dataclass(frozen=True)
class Payload:
    """One payload's type, octets and the fields that lie in it."""

    kind: int
    octets: bytes
    fields: tuple[Field, ...]

    def all(self, name: str) -> list[Field]:
        return [item for item in self.fields if item.name == name]

    def numbers(self, name: str) -> list[int]:
        return [int(item.show, 0) for item in self.all(name) if item.show]

    def number(self, name: str) -> int:
        return next(iter(self.numbers(name)), 0)

    @property
    def whole(self) -> bool:
        """Whether the payload's own length fits what there is of it."""
        return len(self.octets) >= 4 and int.from_bytes(self.octets[2:4], "big") == len(self.octets)


def ike_message(layer: Layer, malformed: bool) -> tuple[str, dict[str, Value], str]:
    """Kind, fields and, when the content of an encrypted message is not to be seen, the reason."""
    fields: dict[str, Value] = {
        "spi_i": _hex(layer, "isakmp.ispi"),
        "spi_r": _hex(layer, "isakmp.rspi"),
        "response": layer.flag("isakmp.flag_r"),
        "from_initiator": layer.flag("isakmp.flag_i"),
        "message_id": layer.number("isakmp.messageid") or 0,
    }
    kind = IKE_KINDS.get(layer.number("isakmp.exchangetype") or 0, "ike_other")
    payloads = _payloads(layer)
    fields["encrypted"] = any(payload.kind in (SK, SKF) for payload in payloads)
    if not fields["encrypted"]:
        return kind, fields | _content(payloads), ""
    inner = [payload for payload in payloads if payload.kind not in (SK, SKF)]
    if layer.first("isakmp.enc.decrypted") is None:
        return kind, fields, "no key"
    if layer.first("isakmp.ikev2.integrity_checksum") is not None:
        return kind, fields, "wrong key"
    if malformed or not _makes_sense(payloads, inner):
        return kind, fields, "unreadable"
    return kind, fields | _content(inner), ""


def _makes_sense(payloads: list[Payload], inner: list[Payload]) -> bool:
    """Whether what came out of SK are the payloads that it announces; with a wrong key it is not (its ICV may fit)."""
    announced = next(payload.octets[0] for payload in payloads if payload.kind in (SK, SKF))
    return (inner[0].kind if inner else 0) == announced and all(payload.whole for payload in inner)


def _hex(layer: Layer, name: str) -> str:
    found = layer.first(name)
    return found.value if found else ""


def _payloads(layer: Layer) -> list[Payload]:
    """The payloads in their order; those inside SK lie in octets of their own, counted from 0."""
    found = []
    for item in layer.all("isakmp.typepayload"):
        kind = int(item.show, 0)
        if kind < FIRST_PAYLOAD:
            continue
        end = item.position + item.size
        inside = tuple(one for one in layer.fields if item.position <= one.position < end)
        octets = bytes.fromhex(item.value) if len(item.value) == 2 * item.size else b""
        found.append(Payload(kind, octets, inside))
    return found


def _content(payloads: list[Payload]) -> dict[str, Value]:
    fields: dict[str, Value] = {"payloads": tuple(PAYLOADS.get(payload.kind, payload.kind) for payload in payloads)}
    readers = {
        33: _security_association,
        34: _key_exchange,
        35: _identity,
        36: _identity,
        37: lambda payload: {"certificate_encoding": payload.number("isakmp.cert.encoding")},
        39: lambda payload: {"auth_method": _named(AUTH_METHODS, payload.number("isakmp.auth.method"))},
        42: _delete,
        44: _selectors,
        45: _selectors,
        47: _configuration,
        48: _eap,
    }
    for payload in payloads:
        if payload.kind in readers:
            fields |= readers[payload.kind](payload)
    types = [payload.number("isakmp.notify.msgtype") for payload in payloads if payload.kind == 41]
    fields["notify"] = tuple(_named(NOTIFIES, kind) for kind in types)
    fields["errors"] = tuple(_named(NOTIFIES, kind) for kind in types if kind < FIRST_STATUS_NOTIFY)
    return fields


def _named(names: dict[int, str], number: int) -> Value:
    return names.get(number, number)


def _security_association(payload: Payload) -> dict[str, Value]:
    spis = tuple(int(item.value or "0", 16) for item in payload.all("isakmp.spi"))
    protocols = payload.numbers("isakmp.prop.protoid")
    return {
        "proposals": len(protocols),
        "sa_protocol": _named(PROTOCOLS, protocols[0]) if protocols else 0,
        "spis": spis,
        "encryption": tuple(payload.numbers("isakmp.tf.id.encr")),
        "dh_groups": tuple(payload.numbers("isakmp.tf.id.dh")),
    }


def _key_exchange(payload: Payload) -> dict[str, Value]:
    return {"dh_group": payload.number("isakmp.key_exchange.dh_group")}


def _identity(payload: Payload) -> dict[str, Value]:
    name = "id_i" if payload.kind == 35 else "id_r"
    kind = payload.octets[4]
    data = payload.octets[8:]
    text = str(ip_address(data)) if kind in (1, 5) and len(data) in (4, 16) else _readable(data)
    return {f"{name}_type": _named(IDENTITY_TYPES, kind), name: text}


def _readable(data: bytes) -> str:
    """An identity as text that can be printed anywhere, whatever a peer put into it."""
    text = data.decode("ascii", "backslashreplace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _delete(payload: Payload) -> dict[str, Value]:
    protocol = payload.number("isakmp.delete.protoid")
    spis = tuple(int(item.value or "0", 16) for item in payload.all("isakmp.delete.spi"))
    return {"delete": _named(PROTOCOLS, protocol), "deleted_spis": spis}


def _selectors(payload: Payload) -> dict[str, Value]:
    """Ranges as text: one address, a prefix, or first and last address with a hyphen."""
    name = "ts_i" if payload.kind == 44 else "ts_r"
    firsts = payload.all("isakmp.ts.start_ipv6") + payload.all("isakmp.ts.start_ipv4")
    lasts = payload.all("isakmp.ts.end_ipv6") + payload.all("isakmp.ts.end_ipv4")
    ports = zip(payload.numbers("isakmp.ts.start_port"), payload.numbers("isakmp.ts.end_port"), strict=False)
    return {
        name: tuple(_range(first.show, last.show) for first, last in zip(firsts, lasts, strict=False)),
        f"{name}_protocols": tuple(payload.numbers("isakmp.ts.protoid")),
        f"{name}_ports": tuple(f"{first}-{last}" for first, last in ports),
    }


def _range(first: str, last: str) -> str:
    if first == last:
        return first
    start, end = ip_address(first), ip_address(last)
    if start.version == end.version and start <= end:  # type: ignore[operator]  # same version
        networks = list(summarize_address_range(start, end))
        if len(networks) == 1:
            return str(networks[0])
    return f"{first}-{last}"


def _configuration(payload: Payload) -> dict[str, Value]:
    types = {item.position: int(item.show, 0) for item in payload.all("isakmp.cfg.attr.type")}
    prefixes, lifetimes, servers = [], [], []
    for position, kind in types.items():
        value = _attribute(payload, position)
        if kind == MIP6_HOME_PREFIX and len(value) == MIP6_HOME_PREFIX_SIZE:
            lifetimes.append(int.from_bytes(value[:4], "big"))
            prefixes.append(str(IPv6Network((value[4:20], min(value[20], 128)), strict=False)))
        elif kind in DNS_ATTRIBUTES and len(value) in (4, 16):
            servers.append(str(ip_address(value)))
    return {
        "cfg_type": _named(CONFIGURATION_TYPES, payload.number("isakmp.cfg.type")),
        "cfg_attributes": tuple(_named(CONFIGURATION_ATTRIBUTES, kind) for kind in types.values()),
        "home_prefixes": tuple(prefixes),
        "home_prefix_lifetimes": tuple(lifetimes),
        "cfg_dns_servers": tuple(servers),
    }


def _attribute(payload: Payload, position: int) -> bytes:
    """The value of the attribute whose type is at `position`: its length follows the type (RFC 7296 3.15.1)."""
    start = position - payload.fields[0].position
    size = int.from_bytes(payload.octets[start + 2 : start + 4], "big")
    return payload.octets[start + 4 : start + 4 + size]


def _eap(payload: Payload) -> dict[str, Value]:
    fields: dict[str, Value] = {"eap_code": _named(EAP_CODES, payload.number("eap.code"))}
    if payload.all("eap.type"):
        fields["eap_type"] = _named(EAP_TYPES, payload.number("eap.type"))
    if payload.all("eap.aka.subtype"):
        fields["eap_subtype"] = _named(AKA_SUBTYPES, payload.number("eap.aka.subtype"))
    return fields
