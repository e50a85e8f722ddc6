# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE fragmentation (RFC 7383): long messages in several datagrams, each sealed by itself.

IP fragments are what middleboxes drop and attackers fill up memory with; a fragment of IKE counts only once its own
integrity check has passed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ...crypto.suites import Sealer
from ...wire.ikev2 import GENERIC_HEADER_LENGTH, HEADER_LENGTH, Message
from ...wire.ikev2_numbers import PayloadType
from ...wire.ikev2_payloads import EncryptedFragment

IP_DATAGRAM = 1280
"""Octets of an IP datagram that every IPv6 path carries (RFC 7383 2.5.1)."""
OUTER_HEADERS = 40 + 8 + 4
"""IPv6, UDP, non-ESP marker."""
FRAGMENT_HEADER = 4
MAXIMUM_FRAGMENTS = 64
"""More than that no message of ours needs; a peer that announces more is not followed."""

LONGEST_CONTENT = 65535
"""Octets of a message that is put together, whoever sends it: there is no proof yet who that is."""


def padded(content: bytes, sealer: Sealer) -> bytes:
    """The plaintext of an SK or SKF payload (RFC 7296 3.14)."""
    block = sealer.protection.encryption.block
    padding = -(len(content) + 1) % block
    return content + bytes(padding) + bytes((padding,))


def room(sealer: Sealer, datagram: int, extra: int = 0) -> int:
    """Octets of content in one SK payload, when an IP datagram may have ``datagram`` octets."""
    block = sealer.protection.encryption.block
    octets = datagram - OUTER_HEADERS - HEADER_LENGTH - GENERIC_HEADER_LENGTH - extra - sealer.overhead()
    return octets // block * block - 1


def seal_fragments(message: Message, first: int, content: bytes, sealer: Sealer, datagram: int) -> Iterator[bytes]:
    """The messages that carry ``content``, whose first payload has type ``first``."""
    size = room(sealer, datagram, FRAGMENT_HEADER)
    total = -(-len(content) // size)
    for number in range(1, total + 1):
        plaintext = padded(content[(number - 1) * size : number * size], sealer)
        length = GENERIC_HEADER_LENGTH + FRAGMENT_HEADER + sealer.overhead() + len(plaintext)
        following = first if number == 1 else PayloadType.NONE
        head = struct.pack("!BBHHH", following, 0, length, number, total)
        associated = message.header(PayloadType.SKF, length) + head
        yield associated + sealer.seal(plaintext, associated)


class Reassembly:
    """The fragments of one message, all of which passed their integrity check."""

    __slots__ = ("_content", "_octets", "first", "message_id", "total")

    def __init__(self, message_id: int) -> None:
        self.message_id = message_id
        self.total = 0
        self.first: int = PayloadType.NONE
        self._octets = 0
        self._content: dict[int, bytes] = {}

    def add(self, fragment: EncryptedFragment, content: bytes) -> bytes | None:
        """Take a fragment; the whole content once it is there (RFC 7383 2.6).

        Who splits anew into more pieces has found the path narrower: the earlier ones do not count any more.
        """
        if not 1 <= fragment.fragment <= fragment.total <= MAXIMUM_FRAGMENTS or fragment.total < self.total:
            return None
        if fragment.total > self.total:
            self.total = fragment.total
            self._content.clear()
            self._octets = 0
        if fragment.fragment == 1:
            self.first = fragment.first_inner
        if fragment.fragment not in self._content and self._octets + len(content) <= LONGEST_CONTENT:
            self._content[fragment.fragment] = content
            self._octets += len(content)
        if len(self._content) < self.total:
            return None
        return b"".join(self._content[number] for number in range(1, self.total + 1))
