# SPDX-License-Identifier: GPL-2.0-or-later
"""Read an IKEv2 message out of tshark's columns, payload by payload.

A column holds the values of one field from all payloads, one after the other. Which belong together is told by
walking the list of payload types in order and taking from each column what a payload of that type has: a notification
one message type, a configuration attribute a value unless its length is 0, a transform a key length if it is long
enough for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address, summarize_address_range
from typing import NamedTuple

from mn_dsmip.check.model import IKE_KINDS, Packet, Value, number_of
from mn_dsmip.check.numbers import (
    AKA_ATTRIBUTES,
    AKA_SUBTYPES,
    AUTH_METHODS,
    CONFIGURATION_ATTRIBUTES,
    CONFIGURATION_TYPES,
    EAP_AKA_METHODS,
    EAP_CODES,
    EAP_TYPES,
    FIRST_STATUS_NOTIFY,
    IDENTITY_TYPES,
    NOTIFIES,
    PAYLOADS,
    PROTOCOLS,
    TRANSFORMS,
)
from mn_dsmip.check.reading.octets import address, from_hex, prefix, printable

Fields = dict[str, Value]
IKEV2 = 2  # major version
SK, SKF = 46, 53
PROPOSAL, TRANSFORM = 2, 3  # tshark lists them among the payloads
FIRST_PAYLOAD = 33
GENERIC_HEADER, PAD_LENGTH = 4, 1  # octets
WITH_ATTRIBUTE = 12  # octets of a transform with a key length; without one there are 8 (RFC 7296 3.3.2)
MIP6_HOME_PREFIX, MIP6_HOME_PREFIX_SIZE, HOME_AGENT_ADDRESS = 16, 21, 19
DNS_ATTRIBUTES = (3, 10)
ENCRYPTION, DH_GROUP = 1, 4
NAT_DETECTION, COOKIE, REDIRECT, REDIRECTED_FROM = (16388, 16389), 16390, 16407, 16408
IPV4_SELECTOR = 7
_TRANSFORM_COLUMNS = {
    1: "isakmp.tf.id.encr",
    2: "isakmp.tf.id.prf",
    3: "isakmp.tf.id.integ",
    4: "isakmp.tf.id.dh",
    5: "isakmp.tf.id.esn",
}
_ID = "isakmp.id.data."
_IDENTITY_COLUMNS = {1: "ipv4_addr", 2: "fqdn", 3: "user_fqdn", 5: "ipv6_addr", 11: "key_id"}
_REDIRECT = "isakmp.notify.data.redirect."
_NEW, _ORIGINAL = f"{_REDIRECT}new_resp_gw_ident.", f"{_REDIRECT}org_resp_gw_ident."
_GATEWAY_COLUMNS = {1: "ipv4", 2: "ipv6", 3: "fqdn"}  # RFC 5685 8.2


class Payload(NamedTuple):
    """One payload: type, octets with its header, type of the next, and what tshark lists as payloads within it."""

    kind: int
    length: int
    following: int
    parts: list[tuple[int, int]]


class _Columns:
    """Takes the values of columns one by one, in the order of the payloads."""

    def __init__(self, packet: Packet) -> None:
        self._packet = packet
        self._left: dict[str, Iterator[str]] = {}

    def text(self, name: str) -> str:
        left = self._left.get(name)
        if left is None:
            left = self._left[name] = iter(self._packet.all(name))
        return next(left, "")

    def number(self, name: str) -> int:
        return number_of(self.text(name))

    def octets(self, name: str) -> bytes:
        return from_hex(self.text(name))


def ike_message(packet: Packet, malformed: bool) -> tuple[str, Fields, str]:
    """Kind, fields and, when the content of an encrypted message is not to be seen, the reason."""
    fields: Fields = {
        "spi_i": packet.text("isakmp.ispi"),
        "spi_r": packet.text("isakmp.rspi"),
        "response": packet.flag("isakmp.flag_r"),
        "from_initiator": packet.flag("isakmp.flag_i"),
        "message_id": packet.number("isakmp.messageid"),
        "encrypted": False,
    }
    if packet.number("isakmp.version") >> 4 != IKEV2:
        return "ike_other", fields, ""
    kind = IKE_KINDS.get(packet.number("isakmp.exchangetype"), "ike_other")
    payloads = _payloads(packet)
    sealed = next((one for one in payloads if one.kind in (SK, SKF)), None)
    if sealed is None:
        return kind, fields | _content(packet, payloads), ""
    fields["encrypted"] = True
    if "isakmp.enc.decrypted" not in packet.cells:
        return kind, fields, "no key"
    if "isakmp.ikev2.integrity_checksum" in packet.cells:
        return kind, fields, "wrong key"
    inner = payloads[payloads.index(sealed) + 1 :]
    if malformed or not _makes_sense(sealed, inner):
        return kind, fields, "unreadable"
    return kind, fields | _content(packet, inner), ""


def _payloads(packet: Packet) -> list[Payload]:
    """The payloads in their order, those inside SK behind it; fewer when the message is cut."""
    kinds, lengths = packet.numbers("isakmp.typepayload"), packet.numbers("isakmp.payloadlength")
    following = packet.numbers("isakmp.nextpayload")[1:]  # the first is the IKE header's
    found: list[Payload] = []
    for kind, length, after in zip(kinds, lengths, following, strict=False):  # a cut message has fewer lengths
        if kind >= FIRST_PAYLOAD:
            found.append(Payload(kind, length, after, []))
        elif found:
            found[-1].parts.append((kind, length))
    return found


def _makes_sense(sealed: Payload, inner: list[Payload]) -> bool:
    """Whether what came out of SK is a chain of payloads that fits into it.

    With a wrong key it is not, although the ICV may fit: that has a key of its own.
    """
    announced = [sealed.following, *(one.following for one in inner)]
    room = sealed.length - GENERIC_HEADER - PAD_LENGTH
    return announced == [*(one.kind for one in inner), 0] and sum(one.length for one in inner) <= room


def _content(packet: Packet, payloads: list[Payload]) -> Fields:
    columns = _Columns(packet)
    kinds = [payload.kind for payload in payloads]
    fields: Fields = {"payloads": tuple([PAYLOADS.get(kind, kind) for kind in kinds])}
    notified: list[int] = []
    for payload in payloads:
        if payload.kind == 41:
            notified.append(_notification(columns, fields))
        elif payload.kind in _READERS:
            _READERS[payload.kind](payload, columns, fields)
    fields["notify"] = tuple([NOTIFIES.get(kind, kind) for kind in notified])
    fields["errors"] = tuple([NOTIFIES.get(kind, kind) for kind in notified if kind < FIRST_STATUS_NOTIFY])
    fields["cookie"] = COOKIE in notified
    fields["nat_detection"] = all(kind in notified for kind in NAT_DETECTION)
    return fields


def _notification(columns: _Columns, fields: Fields) -> int:
    kind = columns.number("isakmp.notify.msgtype")
    if columns.number("isakmp.spisize"):
        columns.text("isakmp.spi")  # of the SA that the notification is about
    if kind == REDIRECT:
        gateway = _GATEWAY_COLUMNS.get(columns.number(f"{_REDIRECT}gw_ident.type"), "")
        fields["redirect_to"] = printable(columns.text(_NEW + gateway))
        fields["redirect_nonce"] = len(columns.text(f"{_REDIRECT}nonce_data")) // 2
    elif kind == REDIRECTED_FROM:
        gateway = _GATEWAY_COLUMNS.get(columns.number(f"{_REDIRECT}gw_ident.type"), "")
        fields["redirected_from"] = printable(columns.text(_ORIGINAL + gateway))
    return kind


def _security_association(payload: Payload, columns: _Columns, fields: Fields) -> None:
    protocols, spis, suites = [], [], []
    chosen: dict[int, list[int]] = {}
    for transforms in _proposals(payload):
        protocols.append(columns.number("isakmp.prop.protoid"))
        if columns.number("isakmp.spisize"):
            spis.append(int.from_bytes(columns.octets("isakmp.spi"), "big"))
        suites.append(_suite(transforms, columns, chosen))
    fields["proposals"] = len(protocols)
    fields["sa_protocol"] = PROTOCOLS.get(protocols[0], protocols[0]) if protocols else 0
    fields["spis"] = tuple(spis)
    fields["suites"] = tuple(suites)
    fields["encryption"] = tuple(chosen.get(ENCRYPTION, ()))
    fields["dh_groups"] = tuple(chosen.get(DH_GROUP, ()))


def _proposals(payload: Payload) -> list[list[int]]:
    """Per proposal the lengths of its transforms."""
    found: list[list[int]] = []
    for kind, length in payload.parts:
        if kind == PROPOSAL:
            found.append([])
        elif found:
            found[-1].append(length)
    return found


def _suite(transforms: list[int], columns: _Columns, chosen: dict[int, list[int]]) -> str:
    """A proposal as text: types in order with a slash between them, alternatives with a plus."""
    names: dict[int, list[str]] = {}
    for length in transforms:
        kind = columns.number("isakmp.tf.type")
        number = columns.number(_TRANSFORM_COLUMNS.get(kind, ""))
        name = TRANSFORMS.get(kind, {}).get(number, str(number))
        if length >= WITH_ATTRIBUTE:
            name += f"-{columns.number('isakmp.ike2.attr.key_length')}"
        names.setdefault(kind, []).append(name)
        chosen.setdefault(kind, []).append(number)
    return "/".join("+".join(names[kind]) for kind in sorted(names))


def _key_exchange(_: Payload, columns: _Columns, fields: Fields) -> None:
    fields["dh_group"] = columns.number("isakmp.key_exchange.dh_group")


def _identity(payload: Payload, columns: _Columns, fields: Fields) -> None:
    name = "id_i" if payload.kind == 35 else "id_r"
    kind = columns.number("isakmp.id.type")
    fields[f"{name}_type"] = IDENTITY_TYPES.get(kind, kind)
    fields[name] = printable(columns.text(_ID + _IDENTITY_COLUMNS.get(kind, "")))


def _certificate(_: Payload, columns: _Columns, fields: Fields) -> None:
    fields["certificate_encoding"] = columns.number("isakmp.cert.encoding")


def _authentication(_: Payload, columns: _Columns, fields: Fields) -> None:
    method = columns.number("isakmp.auth.method")
    fields["auth_method"] = AUTH_METHODS.get(method, method)


def _delete(_: Payload, columns: _Columns, fields: Fields) -> None:
    protocol = columns.number("isakmp.delete.protoid")
    columns.text("isakmp.spisize")
    spis = [columns.octets("isakmp.delete.spi") for _ in range(columns.number("isakmp.spinum"))]
    fields["delete"] = PROTOCOLS.get(protocol, protocol)
    fields["deleted_spis"] = tuple([int.from_bytes(spi, "big") for spi in spis if spi])


def _selectors(payload: Payload, columns: _Columns, fields: Fields) -> None:
    """Ranges as text: one address, a prefix, or first and last address with a hyphen."""
    name = "ts_i" if payload.kind == 44 else "ts_r"
    ranges, protocols, ports = [], [], []
    for _ in range(columns.number("isakmp.ts.number")):
        version = "ipv4" if columns.number("isakmp.ts.type") == IPV4_SELECTOR else "ipv6"
        protocols.append(columns.number("isakmp.ts.protoid"))
        ports.append(f"{columns.number('isakmp.ts.start_port')}-{columns.number('isakmp.ts.end_port')}")
        ranges.append(_range(columns.text(f"isakmp.ts.start_{version}"), columns.text(f"isakmp.ts.end_{version}")))
    fields[name], fields[f"{name}_protocols"], fields[f"{name}_ports"] = tuple(ranges), tuple(protocols), tuple(ports)


def _range(first: str, last: str) -> str:
    if first == last:
        return first
    try:
        networks = list(summarize_address_range(ip_address(first), ip_address(last)))
    except (ValueError, TypeError):  # not a range, or of two versions
        networks = []
    return str(networks[0]) if len(networks) == 1 else f"{first}-{last}"


def _configuration(payload: Payload, columns: _Columns, fields: Fields) -> None:
    kind = columns.number("isakmp.cfg.type")
    names, sizes, prefixes, lifetimes, servers, home_agents = [], [], [], [], [], []
    left = payload.length - 2 * GENERIC_HEADER
    while left >= 4:  # octets of an attribute's type and length (RFC 7296 3.15.1)
        attribute, size = columns.number("isakmp.cfg.attr.type"), columns.number("isakmp.cfg.attr.length")
        left -= 4 + size
        value = columns.octets("isakmp.cfg.attr.value") if size else b""
        names.append(CONFIGURATION_ATTRIBUTES.get(attribute, attribute))
        sizes.append(size)
        if attribute == MIP6_HOME_PREFIX and len(value) == MIP6_HOME_PREFIX_SIZE:
            lifetimes.append(int.from_bytes(value[:4], "big"))
            prefixes.append(prefix(value[4:20], value[20]))
        elif attribute in DNS_ATTRIBUTES and len(value) in (4, 16):
            servers.append(address(value))
        elif attribute == HOME_AGENT_ADDRESS:  # IPv6, and IPv4 behind it (TS 24.302 8.2.4.1)
            home_agents += [text for part in (value[:16], value[16:]) if (text := address(part))]
    fields["cfg_type"] = CONFIGURATION_TYPES.get(kind, kind)
    fields["cfg_attributes"], fields["cfg_sizes"] = tuple(names), tuple(sizes)
    fields["home_prefixes"] = tuple(prefixes)
    fields["home_prefix_lifetimes"] = tuple(lifetimes)
    fields["cfg_dns_servers"] = tuple(servers)
    fields["home_agent_addresses"] = tuple(home_agents)


def _eap(_: Payload, columns: _Columns, fields: Fields) -> None:
    """EAP-AKA's attributes by name; a notification's number has its S and P bits with it (RFC 4187 10.19)."""
    code = columns.number("eap.code")
    fields["eap_id"] = columns.number("eap.id")
    fields["eap_code"] = EAP_CODES.get(code, code)
    if text := columns.text("eap.type"):
        method = number_of(text)
        fields["eap_type"] = EAP_TYPES.get(method, method)
        if identity := columns.text("eap.identity"):
            fields["eap_identity"] = printable(identity)
        if method in EAP_AKA_METHODS:
            subtype = columns.number("eap.aka.subtype")
            fields["eap_subtype"] = AKA_SUBTYPES.get(subtype, subtype)
            kinds = [number_of(one) for one in iter(lambda: columns.text("eap.aka.subtype.type"), "")]
            fields["eap_attributes"] = tuple([AKA_ATTRIBUTES.get(kind, kind) for kind in kinds])
            if notification := columns.text("eap.aka.notification_type"):
                fields["eap_notification"] = number_of(notification)


def _nonce(payload: Payload, _: _Columns, fields: Fields) -> None:
    fields["nonce_size"] = payload.length - GENERIC_HEADER


_READERS: dict[int, Callable[[Payload, _Columns, Fields], None]] = {
    33: _security_association,
    34: _key_exchange,
    35: _identity,
    36: _identity,
    37: _certificate,
    39: _authentication,
    40: _nonce,
    42: _delete,
    44: _selectors,
    45: _selectors,
    47: _configuration,
    48: _eap,
}
IKE_FIELDS = """
    spi_i spi_r response from_initiator message_id encrypted source_port destination_port payloads notify errors cookie
    nat_detection redirect_to redirect_nonce redirected_from proposals sa_protocol spis suites encryption dh_groups
    dh_group id_i_type id_i id_r_type id_r certificate_encoding auth_method delete deleted_spis ts_i ts_i_protocols
    ts_i_ports ts_r ts_r_protocols ts_r_ports cfg_type cfg_attributes home_prefixes home_prefix_lifetimes
    cfg_dns_servers home_agent_addresses cfg_sizes nonce_size eap_code eap_id eap_type eap_identity eap_subtype
    eap_attributes eap_notification
"""
