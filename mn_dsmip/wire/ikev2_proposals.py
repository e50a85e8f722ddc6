# SPDX-License-Identifier: GPL-2.0-or-later
"""Proposals and transforms of an SA payload (RFC 7296 3.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .codec import Reader, WireError

_KEY_LENGTH_ATTRIBUTE = 0x800E


@dataclass(frozen=True, slots=True)
class Transform:
    """One transform of a proposal; ``key_length`` in bits (RFC 7296 3.3.2)."""

    type: int
    id: int
    key_length: int | None = None


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
    if transform.key_length is None:
        return struct.pack("!BBHBBH", 3 * more, 0, 8, transform.type, 0, transform.id)
    return struct.pack(
        "!BBHBBHHH", 3 * more, 0, 12, transform.type, 0, transform.id, _KEY_LENGTH_ATTRIBUTE, transform.key_length
    )


def parse_proposal(data: bytes) -> Proposal:
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
        transforms.append(Transform(kind, identifier, _key_length(attributes)))
    if len(transforms) != count:
        raise WireError(f"proposal: {len(transforms)} transforms where {count} are announced")
    return Proposal(number, protocol, spi, tuple(transforms))


def _key_length(attributes: bytes) -> int | None:
    """The Key Length attribute; unknown ones make the transform one that nobody can choose (RFC 7296 3.3.6)."""
    if not attributes:
        return None
    if len(attributes) == 4 and attributes[:2] == b"\x80\x0e":
        return int.from_bytes(attributes[2:], "big")
    reader = Reader(attributes, "transform attributes")
    while reader:
        kind, value = struct.unpack("!HH", reader.take(4))
        if not kind & 0x8000:
            reader.take(value)
    return -1
