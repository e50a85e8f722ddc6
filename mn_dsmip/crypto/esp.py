# SPDX-License-Identifier: GPL-2.0-or-later
"""ESP in user space (RFC 4303), one object a direction.

::

    SPI(4) Sequence(4) | IV | payload, padding 1 2 3 …, pad length(1), next header(1) | ICV
"""

from __future__ import annotations

import struct

from .kdf import ChildKeys
from .suites import CryptoError, Opener, Protection, Random, Sealer

HEADER_LENGTH = 8
ALIGNMENT = 4
"""Octets to which the sealed part is padded at least (RFC 4303 2.4)."""
REPLAY_WINDOW = 1024
"""Packets; RFC 4303 3.4.3 demands 32 and recommends 64, reordering networks like more."""
LAST_SEQUENCE = 0xFFFFFFFF
_PADDING = bytes(range(1, 256))


class EspError(CryptoError):
    """A packet that was refused; ``reason`` is the word it is counted under."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class OutboundSa:
    """Seals packets of one SA; the sequence number starts at 1 and never wraps (RFC 4303 3.3.3)."""

    __slots__ = ("_sealer", "_spi", "sequence", "spi")

    def __init__(self, spi: bytes, protection: Protection, keys: ChildKeys, random: Random) -> None:
        self.spi = spi
        self.sequence = 0
        self._spi = int.from_bytes(spi, "big")
        self._sealer = Sealer(protection, keys.encryption, keys.integrity, random)

    def seal(self, payload: bytes, next_header: int) -> bytes:
        """The ESP packet; ``EspError`` when the sequence numbers are used up and the SA must be rekeyed."""
        if self.sequence >= LAST_SEQUENCE:
            raise EspError("esp-sequence-overflow", "the ESP SA has used all its sequence numbers")
        self.sequence += 1
        unit = max(ALIGNMENT, self._sealer.protection.encryption.block)
        padding = -(len(payload) + 2) % unit
        header = struct.pack("!II", self._spi, self.sequence)
        plaintext = payload + _PADDING[:padding] + bytes((padding, next_header))
        return header + self._sealer.seal(plaintext, header)

    def overhead(self) -> int:
        """Most octets that sealing adds to a payload."""
        return HEADER_LENGTH + self._sealer.overhead() + max(ALIGNMENT, self._sealer.protection.encryption.block) + 1


class InboundSa:
    """Opens packets of one SA: replay check, integrity, padding, in that order; the window moves only at the end."""

    __slots__ = ("_opener", "_seen", "highest", "spi")

    def __init__(self, spi: bytes, protection: Protection, keys: ChildKeys) -> None:
        self.spi = spi
        self.highest = 0
        self._seen = 0  # bit n: sequence number highest - n was received
        self._opener = Opener(protection, keys.encryption, keys.integrity)

    def open(self, packet: bytes) -> tuple[int, bytes]:
        """Next header and payload; ``EspError`` for replays, changed, malformed packets."""
        if len(packet) < HEADER_LENGTH:
            raise EspError("esp-short", f"ESP packet of {len(packet)} octets")
        (sequence,) = struct.unpack_from("!I", packet, 4)
        self._check_replay(sequence)
        try:
            plaintext = self._opener.open(packet[HEADER_LENGTH:], packet[:HEADER_LENGTH])
        except CryptoError as error:
            raise EspError("esp-integrity", str(error)) from None
        if len(plaintext) < 2:
            raise EspError("esp-padding", "no room for the ESP trailer")
        padding, next_header = plaintext[-2:]
        end = len(plaintext) - 2 - padding
        if end < 0 or plaintext[end:-2] != _PADDING[:padding]:
            raise EspError("esp-padding", "the ESP padding is not 1, 2, 3, … (RFC 4303 2.4)")
        self._accept(sequence)
        return next_header, plaintext[:end]

    def _check_replay(self, sequence: int) -> None:
        if sequence == 0:
            raise EspError("esp-sequence-zero", "ESP sequence number 0 (RFC 4303 3.3.3)")
        behind = self.highest - sequence
        if behind >= REPLAY_WINDOW or (behind >= 0 and self._seen >> behind & 1):
            raise EspError("esp-replay", f"ESP sequence number {sequence} was seen before or is too old")

    def _accept(self, sequence: int) -> None:
        ahead = sequence - self.highest
        if ahead > 0:
            self._seen = (self._seen << min(ahead, REPLAY_WINDOW) | 1) & ((1 << REPLAY_WINDOW) - 1)
            self.highest = sequence
        else:
            self._seen |= 1 << -ahead
