# SPDX-License-Identifier: GPL-2.0-or-later
"""The generator of FIPS 186-2 change notice 1, from which EAP-AKA takes its keys (RFC 4187 7 and appendix A).

It needs SHA-1's compression function on one block without SHA-1's padding, which no library gives, so it stands here.
That block is 20 octets and zeros, and its message schedule is linear: the exclusive or of what each octet contributes.
"""

from __future__ import annotations

import struct
from functools import cache

_START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
_MASK, _MODULUS = 0xFFFFFFFF, 1 << 160
_WORDS = struct.Struct("!80I")


def fips186_prf(key: bytes, length: int) -> bytes:
    """``length`` octets out of ``key``, 20 octets; b = 160, XSEED = 0, no modulus q."""
    contributions = _contributions()
    xkey, out = int.from_bytes(key, "big"), b""
    while len(out) < length:
        schedule = 0
        for octet, contribution in zip(xkey.to_bytes(20, "big"), contributions, strict=True):
            schedule ^= contribution[octet]
        w = _compress(_WORDS.unpack(schedule.to_bytes(_WORDS.size, "big")))
        xkey = (1 + xkey + w) % _MODULUS
        out += w.to_bytes(20, "big")
    return out[:length]


def _compress(words: tuple[int, ...]) -> int:
    """G(t, c) of FIPS 186-2 3.3 out of the message schedule: 80 rounds and the feed-forward (FIPS 180-4 6.1.2)."""
    a, b, c, d, e = _START
    for word in words[:20]:
        mixed = (a << 5 | a >> 27) + (d ^ b & (c ^ d)) + e + 0x5A827999 + word
        a, b, c, d, e = mixed & _MASK, a, (b << 30 | b >> 2) & _MASK, c, d
    for word in words[20:40]:
        mixed = (a << 5 | a >> 27) + (b ^ c ^ d) + e + 0x6ED9EBA1 + word
        a, b, c, d, e = mixed & _MASK, a, (b << 30 | b >> 2) & _MASK, c, d
    for word in words[40:60]:
        mixed = (a << 5 | a >> 27) + (b & c | d & (b | c)) + e + 0x8F1BBCDC + word
        a, b, c, d, e = mixed & _MASK, a, (b << 30 | b >> 2) & _MASK, c, d
    for word in words[60:]:
        mixed = (a << 5 | a >> 27) + (b ^ c ^ d) + e + 0xCA62C1D6 + word
        a, b, c, d, e = mixed & _MASK, a, (b << 30 | b >> 2) & _MASK, c, d
    out = 0
    for start, end in zip(_START, (a, b, c, d, e), strict=True):
        out = out << 32 | (start + end) & _MASK
    return out


@cache
def _contributions() -> tuple[tuple[int, ...], ...]:
    """For each of the 20 octets and each of its 256 values, the 80 words of schedule it brings, as one number."""
    return tuple(_octet_contributions(8 * (19 - position)) for position in range(20))


def _octet_contributions(shift: int) -> tuple[int, ...]:
    rows = [0]
    for bit in range(8):
        one = _schedule(1 << (shift + bit))
        rows += [row ^ one for row in rows]
    return tuple(rows)


def _schedule(block: int) -> int:
    """The message schedule of a block whose first 20 octets are ``block`` and whose others are zero."""
    words = [*struct.unpack("!5I", block.to_bytes(20, "big")), *[0] * 11]
    for index in range(16, 80):
        word = words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16]
        words.append((word << 1 | word >> 31) & _MASK)
    return int.from_bytes(_WORDS.pack(*words), "big")
