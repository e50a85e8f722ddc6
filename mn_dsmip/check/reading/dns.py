# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a DNS message from its octets (RFC 1035 4.1): the question and the addresses in the answer."""

from __future__ import annotations

from struct import unpack_from

from mn_dsmip.check.model import Value
from mn_dsmip.check.numbers import DNS_TYPES
from mn_dsmip.check.reading.octets import address, domain_name

HEADER, RECORD = 12, 10  # octets; of a record those between its name and its data
A, AAAA, SRV = 1, 28, 33
RESPONSE, RCODE = 0x8000, 0x000F
SRV_TARGET = 6  # octets of priority, weight and port before it (RFC 2782)
DNS_FIELDS = "response id name type rcode addresses srv_targets"


def dns_message(data: bytes) -> dict[str, Value]:
    """The first question, and every address in the answer and additional sections, IPv6 before IPv4."""
    fields: dict[str, Value] = {"response": False, "id": 0, "name": "", "type": 0, "rcode": 0, "addresses": ()}
    if len(data) < HEADER:
        return fields | {"malformed": True}
    ident, flags, questions, *sections = unpack_from("!6H", data)
    fields |= {"id": ident, "response": bool(flags & RESPONSE), "rcode": flags & RCODE}
    addresses: dict[int, list[str]] = {AAAA: [], A: []}
    targets: list[str] = []
    try:
        at = HEADER
        for index in range(questions):
            name, at = domain_name(data, at)
            (kind,) = _unpack("!H", data, at)
            at += 4
            if index == 0:
                fields["name"], fields["type"] = name, DNS_TYPES.get(kind, kind)
        for _ in range(sum(sections)):
            _, at = domain_name(data, at)
            kind, _class, _lifetime, size = _unpack("!HHIH", data, at)
            at += RECORD
            if kind in addresses and at + size <= len(data):
                addresses[kind].append(address(data[at : at + size]))
            elif kind == SRV and size > SRV_TARGET:
                targets.append(domain_name(data, at + SRV_TARGET)[0])
            at += size
        if at > len(data):
            fields["malformed"] = True
    except ValueError:
        fields["malformed"] = True
    fields["addresses"] = tuple([text for text in addresses[AAAA] + addresses[A] if text])
    if targets:
        fields["srv_targets"] = tuple(targets)
    return fields


def _unpack(layout: str, data: bytes, at: int) -> tuple[int, ...]:
    size = RECORD if len(layout) > 2 else 2
    if at + size > len(data):
        raise ValueError("the message ends in the middle of a record")
    return unpack_from(layout, data, at)
