# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv2 payloads (RFC 7296 3.3 to 3.16), one class a type."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import ClassVar, TypeVar

from .codec import Message as Declared
from .codec import Reader, WireError, ipv6, message, rest, u8, u16, u32
from .ikev2_numbers import (
    FIRST_STATUS_NOTIFY,
    AuthMethod,
    CertEncoding,
    DhGroup,
    IdType,
    NotifyType,
    PayloadType,
    Protocol,
    TsType,
)
from .ikev2_proposals import Proposal, parse_proposal

NONCE_LENGTHS = range(16, 257)
"""Octets that a nonce may have (RFC 7296 3.9)."""


class Payload(Declared):
    """An IKEv2 payload; ``parse`` and ``build`` handle its body, the generic header is the message's matter."""

    __slots__ = ()
    number: ClassVar[int]


PAYLOADS: dict[int, type[Payload]] = {}
Kind = TypeVar("Kind", bound=type[Payload])


def _payload(number: int) -> Callable[[Kind], Kind]:
    def register(cls: Kind) -> Kind:
        if "parse" not in cls.__dict__:
            cls = message(cls)
        cls.number = number
        PAYLOADS[number] = cls
        return cls

    return register


@dataclass(frozen=True, slots=True)
class UnknownPayload(Payload):
    """A payload type without a class here, kept with its critical bit (RFC 7296 2.5)."""

    payload_type: int
    critical: bool
    data: bytes

    def build(self) -> bytes:
        """The body."""
        return self.data


@lru_cache(maxsize=64)
def _parse_proposals(data: bytes) -> tuple[Proposal, ...]:
    """Offers are the longest payloads, and every UE of one kind makes the same: the latest are remembered."""
    reader, proposals, more = Reader(data, "SA payload"), [], 2
    while reader:
        head = reader.take(4)
        more, length = head[0], int.from_bytes(head[2:], "big")
        body = reader.take(length - 4) if length >= 8 else reader.take(-1)
        proposals.append(parse_proposal(head + body))
        if bool(more) != bool(reader):
            raise WireError("SA payload: a proposal is not marked last or more as it should be")
    if not proposals:
        raise WireError("SA payload without a proposal")
    return tuple(proposals)


@_payload(PayloadType.SA)
@dataclass(frozen=True, slots=True)
class SecurityAssociation(Payload):
    """What is offered, or the one proposal chosen (RFC 7296 3.3)."""

    proposals: tuple[Proposal, ...]

    @classmethod
    def parse(cls, data: bytes) -> SecurityAssociation:
        """Read the body."""
        return cls(_parse_proposals(data))

    def build(self) -> bytes:
        """The body."""
        last = len(self.proposals) - 1
        return b"".join(each.build(index < last) for index, each in enumerate(self.proposals))


@_payload(PayloadType.KE)
class KeyExchange(Payload):
    """A Diffie-Hellman public value (RFC 7296 3.4)."""

    group: int = u16(DhGroup, spare=2)
    data: bytes = rest()


@message
class Identification(Payload):
    """An identity; ``data`` without terminators (RFC 7296 3.5)."""

    id_type: int = u8(IdType, spare=3)
    data: bytes = rest()


@_payload(PayloadType.ID_I)
class IdInitiator(Identification):
    """IDi."""


@_payload(PayloadType.ID_R)
class IdResponder(Identification):
    """IDr."""


@_payload(PayloadType.CERT)
class Certificate(Payload):
    """A certificate (RFC 7296 3.6); encoding 4 is X.509, DER."""

    encoding: int = u8(CertEncoding)
    data: bytes = rest()


@_payload(PayloadType.CERTREQ)
class CertificateRequest(Payload):
    """Trusted authorities: SHA-1 hashes of their SubjectPublicKeyInfo, 20 octets each (RFC 7296 3.7)."""

    encoding: int = u8(CertEncoding)
    authorities: bytes = rest(default=b"")


@_payload(PayloadType.AUTH)
class Authentication(Payload):
    """The proof of identity (RFC 7296 3.8)."""

    method: int = u8(AuthMethod, spare=3)
    data: bytes = rest()


@_payload(PayloadType.NONCE)
class Nonce(Payload):
    """A nonce of 16 to 256 octets (RFC 7296 3.9)."""

    data: bytes = rest()


@_payload(PayloadType.NOTIFY)
@dataclass(frozen=True, slots=True)
class Notify(Payload):
    """An error or a status (RFC 7296 3.10)."""

    notify_type: int
    data: bytes = b""
    protocol: int = Protocol.NONE
    spi: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> Notify:
        """Read the body."""
        reader = Reader(data, "Notify payload")
        protocol, spi_size, kind = struct.unpack("!BBH", reader.take(4))
        spi = reader.take(spi_size)
        return cls(_NOTIFY_TYPES.get(kind, kind), data[reader.position :], protocol, spi)

    def build(self) -> bytes:
        """The body."""
        return struct.pack("!BBH", self.protocol, len(self.spi), self.notify_type) + self.spi + self.data

    @property
    def is_error(self) -> bool:
        """Whether the type is in the range of errors."""
        return self.notify_type < FIRST_STATUS_NOTIFY


_NOTIFY_TYPES = {int(each): each for each in NotifyType}


@_payload(PayloadType.DELETE)
@dataclass(frozen=True, slots=True)
class Delete(Payload):
    """SAs that the sender closed; its own inbound SPIs for ESP, none for IKE (RFC 7296 3.11)."""

    protocol: int
    spis: tuple[bytes, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> Delete:
        """Read the body."""
        reader = Reader(data, "Delete payload")
        protocol, size, count = struct.unpack("!BBH", reader.take(4))
        spis = tuple(reader.take(size) for _ in range(count)) if size else ()  # a count of nothing costs no work
        reader.finish()
        return cls(protocol, spis)

    def build(self) -> bytes:
        """The body."""
        size = len(self.spis[0]) if self.spis else 0
        return struct.pack("!BBH", self.protocol, size, len(self.spis)) + b"".join(self.spis)


@_payload(PayloadType.VENDOR_ID)
class VendorId(Payload):
    """RFC 7296 3.12."""

    data: bytes = rest()


@dataclass(frozen=True, slots=True)
class TrafficSelector:
    """A range of addresses and "ports" of one protocol (RFC 7296 3.13.1).

    For protocol 135 a port is the MH Type times 256 (RFC 4877 7.1), so 0..65535 is every type.
    """

    protocol: int
    start_port: int
    end_port: int
    start: IPv4Address | IPv6Address
    end: IPv4Address | IPv6Address

    def build(self) -> bytes:
        """The selector's octets."""
        addresses = self.start.packed + self.end.packed
        kind = TsType.IPV6_ADDR_RANGE if len(addresses) == 32 else TsType.IPV4_ADDR_RANGE
        length = 8 + len(addresses)
        return struct.pack("!BBHHH", kind, self.protocol, length, self.start_port, self.end_port) + addresses


def _parse_selectors(data: bytes) -> tuple[TrafficSelector, ...]:
    reader = Reader(data, "traffic selectors")
    count = reader.take(4)[0]
    selectors = []
    for _ in range(count):
        kind, protocol, length, start_port, end_port = struct.unpack("!BBHHH", reader.take(8))
        body = reader.take(length - 8) if length >= 8 else reader.take(-1)
        if kind == TsType.IPV6_ADDR_RANGE and len(body) == 32:
            low, high = IPv6Address(body[:16]), IPv6Address(body[16:])
            selectors.append(TrafficSelector(protocol, start_port, end_port, low, high))
        elif kind == TsType.IPV4_ADDR_RANGE and len(body) == 8:
            low4, high4 = IPv4Address(body[:4]), IPv4Address(body[4:])
            selectors.append(TrafficSelector(protocol, start_port, end_port, low4, high4))
        elif kind in (TsType.IPV4_ADDR_RANGE, TsType.IPV6_ADDR_RANGE):
            raise WireError(f"traffic selector of type {kind} with {length} octets")
    reader.finish()
    return tuple(selectors)  # unknown types are left out: nothing can match them


@dataclass(frozen=True, slots=True)
class TrafficSelectors(Payload):
    """Traffic selectors of one side (RFC 7296 3.13)."""

    selectors: tuple[TrafficSelector, ...]

    @classmethod
    def parse(cls: type[Selectors], data: bytes) -> Selectors:
        """Read the body."""
        return cls(_parse_selectors(data))

    def build(self) -> bytes:
        """The body."""
        return bytes((len(self.selectors), 0, 0, 0)) + b"".join(each.build() for each in self.selectors)


Selectors = TypeVar("Selectors", bound=TrafficSelectors)


class TrafficSelectorsInitiator(TrafficSelectors):
    """TSi."""

    __slots__ = ()


class TrafficSelectorsResponder(TrafficSelectors):
    """TSr."""

    __slots__ = ()


for _number, _cls in ((PayloadType.TS_I, TrafficSelectorsInitiator), (PayloadType.TS_R, TrafficSelectorsResponder)):
    _cls.number = _number
    PAYLOADS[_number] = _cls


@dataclass(frozen=True, slots=True)
class Attribute:
    """A configuration attribute as it stands on the wire (RFC 7296 3.15.1)."""

    type: int
    value: bytes = b""


@_payload(PayloadType.CP)
@dataclass(frozen=True, slots=True)
class Configuration(Payload):
    """A configuration request or reply (RFC 7296 3.15)."""

    cfg_type: int
    attributes: tuple[Attribute, ...]

    @classmethod
    def parse(cls, data: bytes) -> Configuration:
        """Read the body."""
        reader = Reader(data, "Configuration payload")
        cfg_type = reader.take(4)[0]
        attributes = []
        while reader:
            kind = reader.number(2) & 0x7FFF
            attributes.append(Attribute(kind, reader.take(reader.number(2))))
        return cls(cfg_type, tuple(attributes))

    def build(self) -> bytes:
        """The body."""
        parts = [struct.pack("!HH", each.type, len(each.value)) + each.value for each in self.attributes]
        return bytes((self.cfg_type, 0, 0, 0)) + b"".join(parts)

    def all(self, kind: int) -> list[bytes]:
        """The values of every attribute of that type."""
        return [each.value for each in self.attributes if each.type == kind]


@message
class HomePrefix(Declared):
    """The value of MIP6_HOME_PREFIX (RFC 5026 8.2); lifetime in seconds."""

    lifetime: int = u32()
    prefix: IPv6Address = ipv6()
    prefix_length: int = u8()


@dataclass(frozen=True, slots=True)
class HomeAgentAddress:
    """The value of HOME_AGENT_ADDRESS (TS 24.302 8.2.4.1)."""

    ipv6: IPv6Address
    ipv4: IPv4Address | None = None

    @classmethod
    def parse(cls, data: bytes) -> HomeAgentAddress:
        """Read 16 or 20 octets."""
        if len(data) not in (16, 20):
            raise WireError(f"HOME_AGENT_ADDRESS of {len(data)} octets, 16 or 20 expected")
        return cls(IPv6Address(data[:16]), IPv4Address(data[16:]) if data[16:] else None)

    def build(self) -> bytes:
        """The value."""
        return self.ipv6.packed + (self.ipv4.packed if self.ipv4 else b"")


@_payload(PayloadType.EAP)
class Eap(Payload):
    """An EAP packet (RFC 7296 3.16)."""

    data: bytes = rest()


@dataclass(frozen=True, slots=True)
class Encrypted(Payload):
    """An SK payload: still sealed (RFC 7296 3.14)."""

    number: ClassVar[int] = PayloadType.SK
    first_inner: int
    body: bytes
    """IV, ciphertext, integrity check value."""

    def build(self) -> bytes:
        """The body."""
        return self.body


@dataclass(frozen=True, slots=True)
class EncryptedFragment(Payload):
    """An SKF payload: one sealed fragment (RFC 7383 2.5); ``first_inner`` counts in fragment 1 only."""

    number: ClassVar[int] = PayloadType.SKF
    first_inner: int
    fragment: int
    total: int
    body: bytes

    def build(self) -> bytes:
        """The body."""
        return struct.pack("!HH", self.fragment, self.total) + self.body
