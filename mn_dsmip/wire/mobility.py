# SPDX-License-Identifier: GPL-2.0-or-later
"""Mobility Header messages (RFC 6275 6.1, 3963, 5142, 5555, 5846) as frozen dataclasses.

::

    0      Payload Proto (59)        1      Header Len, 8-octet units without the first 8
    2      MH Type                   3      Reserved
    4-5    Checksum                  6-..   Message data: fixed part, then options

The checksum covers a pseudo-header with the addresses as the end points see them: the *home* address stands for the
care-of address wherever a Home Address option or a type 2 routing header carries it (RFC 6275 6.1.1).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv6Address
from typing import ClassVar, TypeVar

from .codec import Message, Reader, WireError, bit, dataclass_transform, ipv6, message, rest, u8, u16
from .ip import MOBILITY_HEADER, NO_NEXT_HEADER, internet_sum
from .mobility_options import Option, build_options, parse_options

LIFETIME_UNIT = 4
"""Seconds a unit of the Lifetime field stands for (RFC 6275 6.1.7)."""


class BadChecksum(WireError):
    """The Mobility Header checksum is wrong: drop silently (RFC 6275 9.2)."""


class UnknownType(WireError):
    """A MH Type without a class: answered with a Binding Error, status 2 (RFC 6275 9.2)."""

    def __init__(self, content: UnknownMessage) -> None:
        super().__init__(f"Mobility Header type {content.mh_type} is unknown")
        self.content = content
        """What was read, kept as octets."""


class BadHeader(WireError):
    """Payload Proto is not 59, or the header is too short for its type: ICMPv6 Parameter Problem (RFC 6275 9.2)."""

    def __init__(self, text: str, pointer: int) -> None:
        super().__init__(text)
        self.pointer = pointer
        """Offset, in the Mobility Header, of the field at fault."""


class Status(IntEnum):
    """Binding Acknowledgement status (IANA registry of RFC 6275; values below 128 accept)."""

    ACCEPTED = 0
    ACCEPTED_PREFIX_DISCOVERY_NECESSARY = 1
    REASON_UNSPECIFIED = 128
    ADMINISTRATIVELY_PROHIBITED = 129
    INSUFFICIENT_RESOURCES = 130
    HOME_REGISTRATION_NOT_SUPPORTED = 131
    NOT_HOME_SUBNET = 132
    NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE = 133
    DUPLICATE_ADDRESS_DETECTION_FAILED = 134
    SEQUENCE_NUMBER_OUT_OF_WINDOW = 135
    EXPIRED_HOME_NONCE_INDEX = 136
    EXPIRED_CARE_OF_NONCE_INDEX = 137
    EXPIRED_NONCES = 138
    REGISTRATION_TYPE_CHANGE_DISALLOWED = 139
    MOBILE_ROUTER_OPERATION_NOT_PERMITTED = 140
    INVALID_PREFIX = 141
    NOT_AUTHORIZED_FOR_PREFIX = 142
    FORWARDING_SETUP_FAILED = 143
    MIPV6_ID_MISMATCH = 144
    MIPV6_MESG_ID_REQD = 145
    MIPV6_AUTH_FAIL = 146
    SERVICE_AUTHORIZATION_FAILED = 151
    INVALID_CARE_OF_ADDRESS = 174


class IPv4Status(IntEnum):
    """IPv4 Address Acknowledgement status (RFC 5555 3.2.1)."""

    SUCCESS = 0
    REASON_UNSPECIFIED = 128
    ADMINISTRATIVELY_PROHIBITED = 129
    INCORRECT_IPV4_HOME_ADDRESS = 130
    INVALID_IPV4_ADDRESS = 131
    DYNAMIC_ASSIGNMENT_NOT_AVAILABLE = 132
    PREFIX_ALLOCATION_UNAUTHORIZED = 133


class MobilityMessage(Message):
    """A Mobility Header message: a fixed part and options."""

    __slots__ = ()
    number: ClassVar[int]


MESSAGES: dict[int, type[MobilityMessage]] = {}
Declared = TypeVar("Declared", bound=type[MobilityMessage])
_OPTIONS_BEGIN = 6
"""Octets before the message data; options are aligned from the header's start."""


def _options(fixed_part: int, *, default: tuple[Option, ...]) -> tuple[Option, ...]:
    """The options field of a message whose fixed part, header included, has that many octets."""

    def build(options: tuple[Option, ...]) -> bytes:
        return build_options(options, fixed_part)

    return rest(parse_options, build, default=default)  # type: ignore[no-any-return]  # a field specifier


@dataclass_transform(frozen_default=True, field_specifiers=(u8, u16, bit, ipv6, _options))
def _mobility_message(number: int) -> Callable[[Declared], Declared]:
    def register(cls: Declared) -> Declared:
        made = message(cls)
        made.number = number
        MESSAGES[number] = made
        return made

    return register


@_mobility_message(0)
class BindingRefreshRequest(MobilityMessage):
    """RFC 6275 6.1.2."""

    reserved: int = u16(default=0)
    options: tuple[Option, ...] = _options(8, default=())


@_mobility_message(5)
class BindingUpdate(MobilityMessage):
    """RFC 6275 6.1.7, with the flags of RFC 3963 (R), 5555 (F), 5648 (O); lifetime in units of 4 seconds."""

    sequence: int = u16()
    acknowledge: bool = bit(default=False)
    home: bool = bit(default=False)
    link_local: bool = bit(default=False)
    key_management: bool = bit(default=False)
    map_registration: bool = bit(default=False)
    mobile_router: bool = bit(default=False)
    proxy: bool = bit(default=False)
    force_udp: bool = bit(default=False)
    tlv: bool = bit(default=False)
    overwrite: bool = bit(spare=6, default=False)
    lifetime: int = u16(default=0)
    options: tuple[Option, ...] = _options(12, default=())


@_mobility_message(6)
class BindingAcknowledgement(MobilityMessage):
    """RFC 6275 6.1.8, with the flag of RFC 3963 (R); lifetime in units of 4 seconds."""

    status: int = u8(Status)
    key_management: bool = bit(default=False)
    mobile_router: bool = bit(spare=6, default=False)
    sequence: int = u16(default=0)
    lifetime: int = u16(default=0)
    options: tuple[Option, ...] = _options(12, default=())


@_mobility_message(7)
class BindingError(MobilityMessage):
    """RFC 6275 6.1.9: status 1 no binding for the Home Address option, 2 unknown MH Type."""

    status: int = u8(spare=1)
    home_address: IPv6Address = ipv6()
    options: tuple[Option, ...] = _options(24, default=())


@dataclass(frozen=True, slots=True)
class HomeAgentSwitch(MobilityMessage):
    """RFC 5142 4: other home agents to use; none means discover anew."""

    number: ClassVar[int] = 12
    home_agents: tuple[IPv6Address, ...]
    options: tuple[Option, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> HomeAgentSwitch:
        """Read the message data."""
        reader = Reader(data, "HomeAgentSwitch")
        count = reader.number(1)
        reader.take(1)
        addresses = tuple(IPv6Address(reader.take(16)) for _ in range(count))
        return cls(addresses, parse_options(data[reader.position :]))

    def build(self) -> bytes:
        """The message data."""
        head = bytes((len(self.home_agents), 0)) + b"".join(address.packed for address in self.home_agents)
        return head + build_options(self.options, _OPTIONS_BEGIN + len(head))


class RevocationTrigger(IntEnum):
    """RFC 5846 5.1."""

    UNSPECIFIED = 0
    ADMINISTRATIVE = 1


@message
class _Revocation(MobilityMessage):
    """RFC 5846 5: what indication and acknowledgement share."""

    revocation_type: int = u8()
    code: int = u8()
    sequence: int = u16()
    proxy: bool = bit()
    ipv4_only: bool = bit()
    is_global: bool = bit(spare=13)
    options: tuple[Option, ...] = _options(12, default=())


class BindingRevocation(_Revocation):
    """RFC 5846 5: type 1 indicates (``code`` is its trigger), type 2 acknowledges (``code`` is its status)."""

    __slots__ = ()
    number = 16
    INDICATION: ClassVar[int] = 1
    ACKNOWLEDGEMENT: ClassVar[int] = 2


MESSAGES[HomeAgentSwitch.number] = HomeAgentSwitch
MESSAGES[BindingRevocation.number] = BindingRevocation


@dataclass(frozen=True, slots=True)
class UnknownMessage(MobilityMessage):
    """A MH Type without a class here (route optimisation, fast handover, …): kept as octets."""

    mh_type: int
    data: bytes

    def build(self) -> bytes:
        """The message data, padded to whole 8-octet units by its maker."""
        return self.data


def _checksum(header: bytes, source: IPv6Address, destination: IPv6Address) -> int:
    pseudo = source.packed + destination.packed + struct.pack("!II", len(header), MOBILITY_HEADER)
    return internet_sum(pseudo + header)


def build_mobility(content: MobilityMessage, source: IPv6Address, destination: IPv6Address) -> bytes:
    """A whole Mobility Header; ``source`` and ``destination`` are the end points' (home) addresses."""
    body = content.build()
    number = content.mh_type if isinstance(content, UnknownMessage) else content.number
    units, left = divmod(_OPTIONS_BEGIN + len(body), 8)
    if left:
        raise ValueError(f"Mobility Header message of {len(body)} octets does not end on an 8-octet boundary")
    front = bytes((NO_NEXT_HEADER, units - 1, number, 0))
    checksum = _checksum(front + b"\0\0" + body, source, destination)
    return front + struct.pack("!H", checksum) + body


def parse_mobility(data: bytes, source: IPv6Address, destination: IPv6Address) -> MobilityMessage:
    """Read a whole Mobility Header, with the checks of RFC 6275 9.2 in their order.

    Raises ``BadChecksum``, ``UnknownType``, ``BadHeader``, or plain ``WireError`` for what lies behind the fixed part.
    """
    if len(data) < 8 or len(data) != 8 * (data[1] + 1):
        raise WireError(f"Mobility Header of {len(data)} octets does not fit its own length")
    if _checksum(data, source, destination):
        raise BadChecksum("Mobility Header checksum is wrong")
    cls = MESSAGES.get(data[2])
    if cls is None:
        raise UnknownType(UnknownMessage(data[2], data[_OPTIONS_BEGIN:]))
    if data[0] != NO_NEXT_HEADER:
        raise BadHeader(f"Payload Proto is {data[0]}, not {NO_NEXT_HEADER}", 0)
    body = data[_OPTIONS_BEGIN:]
    if len(body) < getattr(cls, "fixed_length", 2):
        raise BadHeader(f"{cls.__name__} of {len(data)} octets is too short", 1)
    return cls.parse(body)
