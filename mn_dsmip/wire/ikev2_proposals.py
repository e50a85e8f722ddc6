# SPDX-License-Identifier: GPL-2.0-or-later
"""Proposals and transforms of an SA payload (RFC 7296 3.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .codec import Reader, WireError

_KEY_LENGTH_ATTRIBUTE = b"\x80\x0e"


@dataclass(frozen=True, slots=True)
class Transform:
    """One transform of a proposal; ``key_length`` in bits (RFC 7296 3.3.2).

    Anything but a single Key Length attribute is kept as it came in ``attributes``: nobody can choose such a transform
    (RFC 7296 3.3.6).
    """

    type: int
    id: int
    key_length: int | None = None
    attributes: bytes = b""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposal of an SA payload (RFC 7296 3.3.1)."""

    number: int
    protocol: int
    spi: bytes
    transforms: tuple[Transform, ...]

    def build(self, more: bool) -> bytes:
        """The substructure; ``more`` when another proposal follows."""
        last = len(self.transforms) - 1
        body = b"".join(_build_transform(each, index < last) for index, each in enumerate(self.transforms))
        length = 8 + len(self.spi) + len(body)
        head = struct.pack(
            "!BBHBBBB", 2 * more, 0, length, self.number, self.protocol, len(self.spi), len(self.transforms)
        )
        return head + self.spi + body


def _build_transform(transform: Transform, more: bool) -> bytes:
    attributes = transform.attributes
    if transform.key_length is not None:
        attributes = _KEY_LENGTH_ATTRIBUTE + struct.pack("!H", transform.key_length)
    return struct.pack("!BBHBBH", 3 * more, 0, 8 + len(attributes), transform.type, 0, transform.id) + attributes


def parse_proposal(data: bytes) -> Proposal:
    """Read one proposal substructure, its four first octets included."""
    reader = Reader(data, "proposal")
    reader.take(4)
    number, protocol, spi_size, count = reader.take(4)
    spi = reader.take(spi_size)
    transforms = []
    while reader:
        begin = reader.position
        more, _, length, kind, _, identifier = struct.unpack("!BBHBBH", reader.take(8))
        attributes = reader.take(length - 8) if length >= 8 else reader.take(-1)
        if bool(more) != (reader.position < len(data)):
            raise WireError(f"proposal: transform at octet {begin} is not marked last or more as it should be")
        transforms.append(_transform(kind, identifier, attributes))
    if len(transforms) != count:
        raise WireError(f"proposal: {len(transforms)} transforms where {count} are announced")
    return Proposal(number, protocol, spi, tuple(transforms))


def _transform(kind: int, identifier: int, attributes: bytes) -> Transform:
    if not attributes:
        return Transform(kind, identifier)
    if len(attributes) == 4 and attributes.startswith(_KEY_LENGTH_ATTRIBUTE):
        return Transform(kind, identifier, int.from_bytes(attributes[2:], "big"))
    reader = Reader(attributes, "transform attributes")
    while reader:
        attribute, value = struct.unpack("!HH", reader.take(4))
        if not attribute & 0x8000:
            reader.take(value)
    return Transform(kind, identifier, attributes=attributes)
