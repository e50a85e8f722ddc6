# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv2 messages (RFC 7296 3) as frozen dataclasses.

::

    0-7 SPIi   8-15 SPIr   16 Next Payload   17 version   18 exchange   19 flags   20-23 Message ID   24-27 Length

A message is a header and payloads. What an SK payload carries stays sealed here: ``Message.parse`` gives an
``Encrypted`` payload with its octets, and the session opens it and calls ``parse_payloads``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from .codec import Message as Declared
from .codec import WireError, fixed, message, u8, u32
from .ikev2_numbers import Exchange, PayloadType
from .ikev2_payloads import PAYLOADS, Encrypted, EncryptedFragment, Payload, UnknownPayload

HEADER_LENGTH = 28
GENERIC_HEADER_LENGTH = 4
VERSION = 0x20
FLAG_INITIATOR, FLAG_RESPONSE = 0x08, 0x20


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message; payloads of an SK payload are not in ``payloads``, the SK payload is."""

    initiator_spi: bytes
    responder_spi: bytes
    exchange: int
    message_id: int
    payloads: tuple[Payload, ...]
    from_original_initiator: bool
    is_response: bool
    version: int = VERSION

    @property
    def flags(self) -> int:
        """The flags octet of the header."""
        return FLAG_INITIATOR * self.from_original_initiator | FLAG_RESPONSE * self.is_response

    @classmethod
    def parse(cls, data: bytes) -> Message:
        """Read a datagram (without non-ESP marker); ``WireError`` when any length does not fit."""
        header = Header.parse(data[:HEADER_LENGTH])
        if header.length != len(data):
            raise WireError(f"IKE length {header.length} in a datagram of {len(data)} octets")
        payloads = parse_payloads(header.next_payload, data[HEADER_LENGTH:])
        return cls(
            header.initiator_spi,
            header.responder_spi,
            header.exchange,
            header.message_id,
            payloads,
            bool(header.flags & FLAG_INITIATOR),
            bool(header.flags & FLAG_RESPONSE),
            header.version,
        )

    def build(self) -> bytes:
        """The datagram."""
        first, body = build_payloads(self.payloads)
        return self.header(first, len(body)) + body

    def header(self, first: int, length: int) -> bytes:
        """The header in front of ``length`` octets of payloads beginning with type ``first``."""
        return Header(
            self.initiator_spi,
            self.responder_spi,
            first,
            self.version,
            self.exchange,
            self.flags,
            self.message_id,
            HEADER_LENGTH + length,
        ).build()

    def associated_data(self, first_inner: int, body_length: int) -> bytes:
        """Header and generic header of an SK payload with ``body_length`` octets: what RFC 5282 5.1 authenticates."""
        length = GENERIC_HEADER_LENGTH + body_length
        return self.header(PayloadType.SK, length) + struct.pack("!BBH", first_inner, 0, length)


@message
class Header(Declared):
    """The fixed header (RFC 7296 3.1)."""

    initiator_spi: bytes = fixed(8)
    responder_spi: bytes = fixed(8)
    next_payload: int = u8()
    version: int = u8()
    exchange: int = u8(Exchange)
    flags: int = u8()
    message_id: int = u32()
    length: int = u32()


def parse_payloads(first: int, data: bytes) -> tuple[Payload, ...]:
    """A chain of payloads beginning with type ``first``; it must fill ``data`` exactly."""
    payloads: list[Payload] = []
    kind, position, end = first, 0, len(data)
    while kind:
        if position + GENERIC_HEADER_LENGTH > end:
            raise WireError(f"payload {kind} at octet {position} has no generic header")
        following, critical, length = struct.unpack_from("!BBH", data, position)
        if not GENERIC_HEADER_LENGTH <= length <= end - position:
            raise WireError(f"payload {kind} at octet {position} has length {length}, {end - position} octets left")
        body = data[position + GENERIC_HEADER_LENGTH : position + length]
        position += length
        if kind in (PayloadType.SK, PayloadType.SKF):
            if position != end:
                raise WireError("an encrypted payload is not the last one")
            payloads.append(_sealed(kind, following, body))
            return tuple(payloads)
        cls = PAYLOADS.get(kind)
        payloads.append(UnknownPayload(kind, bool(critical & 0x80), body) if cls is None else cls.parse(body))
        kind = following
    if position != end:
        raise WireError(f"{end - position} octets left over behind the last payload")
    return tuple(payloads)


def _sealed(kind: int, first_inner: int, body: bytes) -> Payload:
    if kind == PayloadType.SK:
        return Encrypted(first_inner, body)
    if len(body) < 4:
        raise WireError(f"encrypted fragment of {len(body)} octets")
    fragment, total = struct.unpack_from("!HH", body)
    return EncryptedFragment(first_inner, fragment, total, body[4:])


def build_payloads(payloads: Iterable[Payload]) -> tuple[int, bytes]:
    """The type of the first payload and the whole chain."""
    chain = tuple(payloads)
    parts = []
    for index, each in enumerate(chain):
        if isinstance(each, Encrypted | EncryptedFragment):
            following = each.first_inner
        else:
            following = _type_of(chain[index + 1]) if index + 1 < len(chain) else PayloadType.NONE
        body = each.build()
        critical = 0x80 if isinstance(each, UnknownPayload) and each.critical else 0
        parts.append(struct.pack("!BBH", following, critical, GENERIC_HEADER_LENGTH + len(body)) + body)
    return (_type_of(chain[0]) if chain else PayloadType.NONE), b"".join(parts)


def _type_of(payload: Payload) -> int:
    return payload.payload_type if isinstance(payload, UnknownPayload) else payload.number
