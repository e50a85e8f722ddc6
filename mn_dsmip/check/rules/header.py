# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules about the octets of the Mobility Header, which Wireshark shows but does not judge."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from socket import AF_INET6, inet_pton
from typing import NamedTuple

from mn_dsmip.check.model import Message
from mn_dsmip.check.numbers import MOBILITY, MOBILITY_OPTIONS
from mn_dsmip.check.rules.rule import Check, check, rule, unseen
from mn_dsmip.check.session import Session

NO_NEXT_HEADER = 59  # payload proto (RFC 6275 6.1.1)
LEAST_SIZE = 8  # octets: a Mobility Header counts them by the eight (RFC 6275 6.1.1)
PAD1, PADN = 0, 1
# Octets of the fixed part by MH type (RFC 6275 6.1, RFC 5846 5): options begin there.
FIXED_PART = {0: 8, 1: 16, 2: 16, 3: 24, 4: 24, 5: 12, 6: 12, 7: 24, 16: 12}
# Reserved bits: offset of a 16-bit word and mask, by MH type. In an acknowledgement the flags of Proxy Mobile IPv6
# (P, T, B, S, D) count among them: they have no meaning on S2c.
RESERVED = {5: (8, 0x003F), 6: (6, 0x003F), 16: (10, 0x1FFF)}


class Shape(NamedTuple):
    """An option's length, its alignment xn+y counted from the Mobility Header, and reserved bits of its first word."""

    length: int
    multiple: int
    offset: int
    reserved: int = 0


SHAPES = {  # RFC 6275 6.2, RFC 3963 4.3, RFC 5555 3
    2: Shape(2, 2, 0),
    3: Shape(16, 8, 6),
    4: Shape(4, 2, 0),
    6: Shape(18, 8, 4),
    10: Shape(8, 8, 2),
    29: Shape(6, 4, 0, 0x01FF),
    30: Shape(6, 4, 0, 0x0003),
    31: Shape(6, 4, 0, 0x7FFF),
    32: Shape(6, 4, 0, 0xFFFF),
}


def _messages(session: Session) -> Iterator[tuple[Message, bytes]]:
    """Those whose Mobility Header is all there; rule MALFORMED tells of the others."""
    for message in session.messages:
        if message.is_mobility:
            octets = bytes.fromhex(message.text("octets"))
            if len(octets) >= LEAST_SIZE and not len(octets) % 2:
                yield message, octets


@rule("MH-CHECKSUM", "RFC 6275 6.1.1, 9.2", "Mobility Header checksums are correct", sees="mobility")
def mobility_checksum(session: Session) -> Iterator[Check]:
    """Computed here over the pseudo-header with the home address, since Wireshark does not; a wrong one is dropped."""
    for message, octets in _messages(session):
        try:
            wanted = _checksum(octets, message.text("end_source"), message.text("end_destination"))
        except OSError:
            yield unseen("a Mobility Header that is not in IPv6 has no pseudo-header")
            continue
        found = int.from_bytes(octets[4:6], "big")
        yield check(message, "checksum", f"0x{wanted:04x}", f"0x{found:04x}", holds=wanted == found)


def _checksum(octets: bytes, source: str, destination: str) -> int:
    ends = inet_pton(AF_INET6, source) + inet_pton(AF_INET6, destination)
    data = ends + struct.pack("!II", len(octets), MOBILITY) + octets[:4] + b"\0\0" + octets[6:]
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@rule("MH-PROTO", "RFC 6275 6.1.1, 9.2", "nothing follows the Mobility Header", sees="mobility")
def payload_proto(session: Session) -> Iterator[Check]:
    """Payload Proto is 59; anything else is answered with an ICMPv6 Parameter Problem."""
    for message, octets in _messages(session):
        yield check(message, "payload_proto", NO_NEXT_HEADER, octets[0], holds=octets[0] == NO_NEXT_HEADER)


@rule("MH-RESERVED", "RFC 6275 6.1", "reserved bits are zero", sees="mobility")
def reserved_bits(session: Session) -> Iterator[Check]:
    """Senders must set them to zero, so that a later standard can give them a meaning."""
    for message, octets in _messages(session):
        yield check(message, "reserved", 0, octets[3], holds=octets[3] == 0)
        if octets[2] in RESERVED:
            offset, mask = RESERVED[octets[2]]
            found = int.from_bytes(octets[offset : offset + 2], "big") & mask
            yield check(message, "reserved", 0, f"0x{found:04x}" if found else 0, holds=found == 0)


@rule("MH-OPTIONS", "RFC 6275 6.2, RFC 5555 3", "mobility options are well formed", sees="mobility")
def option_format(session: Session) -> Iterator[Check]:
    """Each has its length, alignment and zeros where it must, and together they fill the header exactly."""
    for message, octets in _messages(session):
        if octets[2] not in FIXED_PART:
            continue
        faults = list(_faults(octets, FIXED_PART[octets[2]]))
        found = "; ".join(faults) or "well formed"
        yield check(message, "options", "well-formed options", found, holds=not faults)


def _faults(octets: bytes, at: int) -> Iterator[str]:
    """What is wrong with the options that start at this octet."""
    while at < len(octets):
        if octets[at] == PAD1:
            at += 1
            continue
        kind = octets[at]
        name = MOBILITY_OPTIONS.get(kind, f"option {kind}")
        if at + 2 > len(octets) or at + 2 + octets[at + 1] > len(octets):
            yield f"{name} at octet {at} reaches beyond the header"
            return
        length = octets[at + 1]
        data = octets[at + 2 : at + 2 + length]
        if kind == PADN and any(data):
            yield f"the padding at octet {at} is not zero"
        if kind in SHAPES:
            yield from _misshapen(name, SHAPES[kind], at, data)
        at += 2 + length


def _misshapen(name: str, shape: Shape, at: int, data: bytes) -> Iterator[str]:
    if len(data) != shape.length:
        yield f"{name} has {len(data)} octets instead of {shape.length}"
        return
    if at % shape.multiple != shape.offset:
        yield f"{name} at octet {at} is not aligned to {shape.multiple}n+{shape.offset}"
    if int.from_bytes(data[:2], "big") & shape.reserved:
        yield f"{name} has reserved bits set"
