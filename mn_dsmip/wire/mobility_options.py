# SPDX-License-Identifier: GPL-2.0-or-later
"""Mobility options (RFC 6275 6.2 and the documents named at each): one class each, alignment and padding computed."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import ClassVar, TypeVar

from .codec import (
    Message,
    WireError,
    bit,
    bits,
    dataclass_transform,
    fixed,
    ipv4,
    ipv6,
    message,
    rest,
    text,
    u8,
    u16,
    u32,
)

PAD1, PADN = 0, 1


class Option(Message):
    """A mobility option; ``alignment`` (x, y) puts its type octet at a multiple of x plus y from the header's start."""

    __slots__ = ()
    number: ClassVar[int]
    alignment: ClassVar[tuple[int, int]] = (1, 0)


@dataclass(frozen=True, slots=True)
class UnknownOption(Option):
    """An option without a class here: kept, and written back unchanged (without alignment)."""

    option_type: int
    data: bytes

    def build(self) -> bytes:
        """The option's data."""
        return self.data


OPTIONS: dict[int, type[Option]] = {}
Declared = TypeVar("Declared", bound=type[Option])


@dataclass_transform(frozen_default=True, field_specifiers=(u8, u16, u32, bit, bits, fixed, ipv4, ipv6, rest, text))
def option(number: int, alignment: tuple[int, int] = (1, 0)) -> Callable[[Declared], Declared]:
    """Declare the class of mobility option ``number``."""

    def register(cls: Declared) -> Declared:
        made = message(cls)
        made.number = number
        made.alignment = alignment
        OPTIONS[number] = made
        return made

    return register


@option(2, (2, 0))
class BindingRefreshAdvice(Option):
    """RFC 6275 6.2.4: when to refresh, in units of 4 seconds; in a Binding Acknowledgement from a home agent."""

    interval: int = u16()


@option(3, (8, 6))
class AlternateCareOfAddress(Option):
    """RFC 6275 6.2.5: the care-of address that ESP protects."""

    address: IPv6Address = ipv6()


@option(4, (2, 0))
class NonceIndices(Option):
    """RFC 6275 6.2.6; never valid in a home registration (9.5.1)."""

    home: int = u16()
    care_of: int = u16()


@option(6, (8, 4))
class MobileNetworkPrefix(Option):
    """RFC 3963 4.3; absent in the implicit mode that TS 24.303 prescribes."""

    prefix_length: int = u8(lead=1)
    prefix: IPv6Address = ipv6()


@option(8)
class MobileNodeIdentifier(Option):
    """RFC 4283 3; subtype 1 is a network access identifier."""

    subtype: int = u8()
    identifier: str = text()


@option(9, (8, 5))
class Authentication(Option):
    """RFC 4285 5; subtype 1 is MN-HA, 2 is MN-AAA.

    The alignment is 4n+1 there; 8n+5 satisfies it and lets a 96-bit authenticator end the header without padding, which
    would otherwise follow an option that must be the last.
    """

    subtype: int = u8()
    spi: int = u32()
    authenticator: bytes = rest()


@option(10, (8, 2))
class MessageIdentifier(Option):
    """RFC 4285 6: replay protection by a 64-bit NTP timestamp."""

    timestamp: bytes = fixed(8)


@option(17)
class DnsUpdate(Option):
    """RFC 5026 8.1: have the home agent update (or ``remove``) the DNS entry of the home address."""

    status: int = u8()
    remove: bool = bit(spare=7)
    name: bytes = rest()


@option(20)
class ServiceSelection(Option):
    """RFC 5149 3: which service; carries the APN."""

    identifier: str = text()


@option(29, (4, 0))
class IPv4HomeAddress(Option):
    """RFC 5555 3.1.1: asks for (0.0.0.0) or names the IPv4 home address."""

    prefix_length: int = bits(6)
    prefix_requested: bool = bit(spare=9)
    address: IPv4Address = ipv4()


@option(30, (4, 0))
class IPv4AddressAcknowledgement(Option):
    """RFC 5555 3.2.1 (number 30: IANA, not the RFC's own section 8); statuses below 128 are success."""

    status: int = u8()
    prefix_length: int = bits(6, spare=2)
    address: IPv4Address = ipv4()


@option(31, (4, 0))
class NatDetection(Option):
    """RFC 5555 3.2.2: refresh time in seconds, all ones for no NAT."""

    force_udp: bool = bit(spare=15)
    refresh_time: int = u32()


@option(32, (4, 0))
class IPv4CareOfAddress(Option):
    """RFC 5555 3.1.2."""

    address: IPv4Address = ipv4(lead=2)


def _parse_care_of_address(data: bytes) -> IPv4Address | IPv6Address | None:
    if not data:
        return None
    if len(data) not in (4, 16):
        raise WireError(f"care-of address of {len(data)} octets in a binding identifier, 0, 4 or 16 expected")
    return IPv4Address(data) if len(data) == 4 else IPv6Address(data)


def _build_care_of_address(address: IPv4Address | IPv6Address | None) -> bytes:
    return b"" if address is None else address.packed


@option(35, (8, 2))
class BindingIdentifier(Option):
    """RFC 5648 4.1 with the priority of RFC 6089 4.1; without an address it is aligned at 2n."""

    bid: int = u16()
    status: int = u8()
    home: bool = bit()
    priority: int = bits(7)
    care_of_address: IPv4Address | IPv6Address | None = rest(_parse_care_of_address, _build_care_of_address)


def _parse_flows(data: bytes) -> tuple[int, ...]:
    if len(data) % 2:
        raise WireError(f"flow identifiers in {len(data)} octets, an even number expected")
    return struct.unpack(f"!{len(data) // 2}H", data)


def _build_flows(flows: tuple[int, ...]) -> bytes:
    return struct.pack(f"!{len(flows)}H", *flows)


@option(44, (2, 0))
class FlowSummary(Option):
    """RFC 6089 4.3: the flow identifiers to keep."""

    flows: tuple[int, ...] = rest(_parse_flows, _build_flows)


@option(45, (2, 0))
class FlowIdentification(Option):
    """RFC 6089 4.2; sub-options say which traffic and where it goes."""

    fid: int = u16()
    priority: int = u16(spare=1)
    status: int = u8(default=0)
    sub_options: bytes = rest(default=b"")


def parse_options(data: bytes) -> tuple[Option, ...]:
    """All options but padding, in order; ``WireError`` when one reaches beyond the end."""
    options: list[Option] = []
    position, end = 0, len(data)
    while position < end:
        kind = data[position]
        if kind == PAD1:
            position += 1
            continue
        if position + 2 > end or position + 2 + data[position + 1] > end:
            raise WireError(f"mobility option {kind} at octet {position} reaches beyond the header")
        begin, position = position + 2, position + 2 + data[position + 1]
        if kind != PADN:
            cls = OPTIONS.get(kind)
            body = data[begin:position]
            options.append(UnknownOption(kind, body) if cls is None else cls.parse(body))
    return tuple(options)


def build_options(options: tuple[Option, ...], offset: int) -> bytes:
    """Write ``options`` behind ``offset`` octets: aligned, and padded to a multiple of 8 octets in all."""
    out = bytearray()
    for each in options:
        body = each.build()
        kind = each.option_type if isinstance(each, UnknownOption) else each.number
        unit, place = (2, 0) if kind == 35 and len(body) == 4 else each.alignment  # RFC 5648 4.1
        out += _padding((place - offset - len(out)) % unit)
        out += bytes((kind, len(body))) + body
    return bytes(out + _padding(-(offset + len(out)) % 8))


def _padding(length: int) -> bytes:
    """Pad1 or PadN of that many octets (RFC 6275 6.2.2, 6.2.3)."""
    if length < 2:
        return bytes(length)
    return bytes((PADN, length - 2)) + bytes(length - 2)
