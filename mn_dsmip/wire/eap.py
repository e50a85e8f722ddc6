# SPDX-License-Identifier: GPL-2.0-or-later
"""EAP packets (RFC 3748 4) and the attributes of EAP-AKA (RFC 4187 10) and EAP-AKA' (RFC 9048 3)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, TypeVar

from .codec import Message, WireError, fixed, message, rest, u16

FIRST_SKIPPABLE = 128
"""Attribute types from here on may be skipped when unknown (RFC 4187 8.1)."""
MAXIMUM_LENGTH = 1020
"""Of an EAP packet, which EAP-AKA cannot fragment (RFC 4187 8.2)."""
MAC_LENGTH = 16


class Code(IntEnum):
    """RFC 3748 4."""

    REQUEST = 1
    RESPONSE = 2
    SUCCESS = 3
    FAILURE = 4


class Method(IntEnum):
    """RFC 3748 5, RFC 4187 11, RFC 9048 6."""

    IDENTITY = 1
    NOTIFICATION = 2
    NAK = 3
    AKA = 23
    AKA_PRIME = 50


class Subtype(IntEnum):
    """RFC 4187 11."""

    CHALLENGE = 1
    AUTHENTICATION_REJECT = 2
    SYNCHRONIZATION_FAILURE = 4
    IDENTITY = 5
    NOTIFICATION = 12
    REAUTHENTICATION = 13
    CLIENT_ERROR = 14


class NotificationCode(IntEnum):
    """RFC 4187 10.19."""

    GENERAL_FAILURE_AFTER_AUTHENTICATION = 0
    TEMPORARILY_DENIED = 1026
    NOT_SUBSCRIBED = 1031
    GENERAL_FAILURE = 16384
    SUCCESS = 32768


class UnknownAttribute(WireError):
    """A non-skippable attribute that is not known (RFC 4187 8.1): Client-Error or failure."""


class Attribute(Message):
    """An EAP-AKA attribute: type, length in units of 4 octets, value."""

    __slots__ = ()
    number: ClassVar[int]


@dataclass(frozen=True, slots=True)
class SkippableAttribute(Attribute):
    """A skippable attribute without a class here: kept, and written back unchanged."""

    attribute_type: int
    value: bytes

    def build(self) -> bytes:
        """What follows type and length."""
        return self.value


ATTRIBUTES: dict[int, type[Attribute]] = {}
Declared = TypeVar("Declared", bound=type[Attribute])


def _attribute(number: int) -> Callable[[Declared], Declared]:
    def register(cls: Declared) -> Declared:
        made = message(cls)
        made.number = number
        ATTRIBUTES[number] = made
        return made

    return register


def _counted(data: bytes) -> bytes:
    """A value behind its length in octets, padded to 4 octets."""
    length = int.from_bytes(data[:2], "big")
    if not 0 <= length <= len(data) - 2 < length + 4 or any(data[2 + length :]):
        raise WireError(f"{length} octets of value in an attribute of {len(data)}")
    return data[2 : 2 + length]


def _count(value: bytes) -> bytes:
    return struct.pack("!H", len(value)) + value + bytes(-len(value) % 4)


def _counted_in_bits(data: bytes) -> bytes:
    """AT_RES: the length is in bits (RFC 4187 10.8); whole octets, 4 to 16 of them."""
    bits = int.from_bytes(data[:2], "big")
    if bits % 8 or not 32 <= bits <= 128:
        raise WireError(f"RES of {bits} bits")
    return _counted(struct.pack("!H", bits // 8) + data[2:])


def _count_in_bits(value: bytes) -> bytes:
    return struct.pack("!H", 8 * len(value)) + value + bytes(-len(value) % 4)


@_attribute(1)
class Rand(Attribute):
    """AT_RAND."""

    value: bytes = fixed(16, lead=2)


@_attribute(2)
class Autn(Attribute):
    """AT_AUTN."""

    value: bytes = fixed(16, lead=2)


@_attribute(3)
class Res(Attribute):
    """AT_RES."""

    value: bytes = rest(_counted_in_bits, _count_in_bits)


@_attribute(4)
class Auts(Attribute):
    """AT_AUTS; no reserved octets."""

    value: bytes = fixed(14)


@_attribute(10)
class PermanentIdReq(Attribute):
    """AT_PERMANENT_ID_REQ."""

    reserved: int = u16(default=0)


@_attribute(11)
class Mac(Attribute):
    """AT_MAC."""

    value: bytes = fixed(MAC_LENGTH, lead=2, default=bytes(MAC_LENGTH))


@_attribute(12)
class Notification(Attribute):
    """AT_NOTIFICATION: S bit 0x8000 success, P bit 0x4000 before authentication (RFC 4187 6.1)."""

    code: int = u16(NotificationCode)


@_attribute(13)
class AnyIdReq(Attribute):
    """AT_ANY_ID_REQ."""

    reserved: int = u16(default=0)


@_attribute(14)
class Identity(Attribute):
    """AT_IDENTITY."""

    value: bytes = rest(_counted, _count)


@_attribute(17)
class FullauthIdReq(Attribute):
    """AT_FULLAUTH_ID_REQ."""

    reserved: int = u16(default=0)


@_attribute(22)
class ClientErrorCode(Attribute):
    """AT_CLIENT_ERROR_CODE; 0 is "unable to process packet"."""

    code: int = u16(default=0)


@_attribute(23)
class KdfInput(Attribute):
    """AT_KDF_INPUT: the access network's name (RFC 9048 3.1)."""

    network_name: bytes = rest(_counted, _count)


@_attribute(24)
class Kdf(Attribute):
    """AT_KDF (RFC 9048 3.2)."""

    kdf: int = u16()


@_attribute(129)
class Iv(Attribute):
    """AT_IV."""

    value: bytes = fixed(16, lead=2)


@_attribute(130)
class EncrData(Attribute):
    """AT_ENCR_DATA: still encrypted."""

    value: bytes = rest(lambda data: data[2:], lambda value: b"\0\0" + value)


@_attribute(6)
class Padding(Attribute):
    """AT_PADDING: zeros, the last inside AT_ENCR_DATA (RFC 4187 10.12)."""

    value: bytes = rest(lambda data: data, lambda value: value)


@_attribute(19)
class ReauthCounter(Attribute):
    """AT_COUNTER, encrypted (RFC 4187 10.16)."""

    counter: int = u16()


@_attribute(20)
class CounterTooSmall(Attribute):
    """AT_COUNTER_TOO_SMALL, encrypted (RFC 4187 10.17)."""

    reserved: int = u16(default=0)


@_attribute(21)
class NonceS(Attribute):
    """AT_NONCE_S, encrypted (RFC 4187 10.18)."""

    value: bytes = fixed(16, lead=2)


@_attribute(132)
class NextPseudonym(Attribute):
    """AT_NEXT_PSEUDONYM, encrypted: a user name without realm (RFC 4187 10.10)."""

    value: bytes = rest(_counted, _count)


@_attribute(133)
class NextReauthId(Attribute):
    """AT_NEXT_REAUTH_ID, encrypted: a user name, with its realm if it has one (RFC 4187 10.11)."""

    value: bytes = rest(_counted, _count)


@_attribute(134)
class Checkcode(Attribute):
    """AT_CHECKCODE: empty, or a hash over the identity round (RFC 4187 10.13)."""

    value: bytes = rest(lambda data: data[2:], lambda value: b"\0\0" + value, default=b"")


@_attribute(135)
class ResultInd(Attribute):
    """AT_RESULT_IND."""

    reserved: int = u16(default=0)


@_attribute(136)
class Bidding(Attribute):
    """AT_BIDDING: top bit says that the server prefers EAP-AKA' (RFC 9048 4)."""

    flags: int = u16()


@dataclass(frozen=True, slots=True)
class Packet:
    """An EAP packet of any method; ``data`` is what follows the type octet, both absent in Success and Failure."""

    code: int
    identifier: int
    method: int | None = None
    data: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> Packet:
        """Read an EAP packet."""
        if len(data) < 4:
            raise WireError(f"EAP packet of {len(data)} octets")
        code, identifier, length = struct.unpack_from("!BBH", data)
        if length != len(data):
            raise WireError(f"EAP length {length} in {len(data)} octets")
        if code in (Code.SUCCESS, Code.FAILURE):
            if length != 4:
                raise WireError(f"EAP code {code} with {length} octets")
            return cls(code, identifier)
        if code not in (Code.REQUEST, Code.RESPONSE) or length < 5:
            raise WireError(f"EAP code {code} with {length} octets")
        return cls(code, identifier, data[4], data[5:])

    def build(self) -> bytes:
        """The packet's octets."""
        body = b"" if self.method is None else bytes((self.method,)) + self.data
        return struct.pack("!BBH", self.code, self.identifier, 4 + len(body)) + body


def parse_attributes(data: bytes) -> tuple[Attribute, ...]:
    """Read attributes; ``UnknownAttribute`` for one that is not known and must not be skipped."""
    attributes: list[Attribute] = []
    position = 0
    while position < len(data):
        kind, units = data[position], data[position + 1] if position + 1 < len(data) else 0
        end = position + 4 * units
        if not units or end > len(data):
            raise WireError(f"EAP-AKA attribute {kind} at octet {position} reaches beyond the packet")
        value = data[position + 2 : end]
        position = end
        known = ATTRIBUTES.get(kind)
        if known is None and kind < FIRST_SKIPPABLE:
            raise UnknownAttribute(f"EAP-AKA attribute {kind} is unknown and must not be skipped")
        attributes.append(SkippableAttribute(kind, value) if known is None else known.parse(value))
    return tuple(attributes)


def build_attributes(attributes: Iterable[Attribute]) -> bytes:
    """The octets of attributes, one after the other."""
    parts = []
    for each in attributes:
        value = each.build()
        kind = each.attribute_type if isinstance(each, SkippableAttribute) else each.number
        if (2 + len(value)) % 4 or len(value) > 4 * 255 - 2:
            raise ValueError(f"EAP-AKA attribute {kind} of {len(value)} octets")
        parts.append(bytes((kind, (2 + len(value)) // 4)) + value)
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class AkaPacket:
    """A request or response of EAP-AKA or EAP-AKA'."""

    code: int
    identifier: int
    method: int
    subtype: int
    attributes: tuple[Attribute, ...] = ()

    @classmethod
    def parse(cls, packet: Packet) -> AkaPacket:
        """Read the attributes; ``UnknownAttribute`` for one that is not known and must not be skipped."""
        data = packet.data
        if packet.method is None or len(data) < 3:
            raise WireError(f"EAP-AKA packet with {len(data)} octets of data")
        return cls(packet.code, packet.identifier, packet.method, data[0], parse_attributes(data[3:]))

    def build(self) -> bytes:
        """The whole EAP packet."""
        data = bytes((self.subtype, 0, 0)) + build_attributes(self.attributes)
        return Packet(self.code, self.identifier, self.method, data).build()

    def get(self, kind: type[Found]) -> Found | None:
        """The first attribute of that class."""
        return next((each for each in self.attributes if isinstance(each, kind)), None)

    def all(self, kind: type[Found]) -> list[Found]:
        """Every attribute of that class, in order."""
        return [each for each in self.attributes if isinstance(each, kind)]


Found = TypeVar("Found", bound=Attribute)
