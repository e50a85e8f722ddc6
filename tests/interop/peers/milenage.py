# SPDX-License-Identifier: GPL-2.0-or-later
"""Milenage (TS 35.206) a second time, for the peers' side: their keys must not come from the code under test."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

STEP = 32
"""What a new vector adds to SQN: five bits of it are an index (TS 33.102 C.1)."""


def _aes(key: bytes, block: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=False))


@dataclass(frozen=True)
class Functions:
    """f1 to f5* for one RAND."""

    mac_a: bytes
    mac_s: bytes
    res: bytes
    ak: bytes
    ck: bytes
    ik: bytes
    ak_resync: bytes


def functions(k: bytes, opc: bytes, rand: bytes, sqn: bytes, amf: bytes) -> Functions:
    """All of them at once."""
    temp = _aes(k, _xor(rand, opc))
    both = (sqn + amf) * 2

    def out(rotation: int, constant: int) -> bytes:
        mixed = _xor(temp, opc)
        return _xor(_aes(k, _xor(mixed[rotation:] + mixed[:rotation], bytes(15) + bytes((constant,)))), opc)

    mixed = _xor(both, opc)
    first = _xor(_aes(k, _xor(temp, mixed[8:] + mixed[:8])), opc)
    second, third, fourth, fifth = out(0, 1), out(4, 2), out(8, 4), out(12, 8)
    return Functions(first[:8], first[8:], second[8:], second[:6], third, fourth, fifth[:6])


@dataclass
class Card:
    """A subscription, as a home subscriber server or a USIM holds it."""

    imsi: str
    k: bytes
    opc: bytes
    amf: bytes = b"\x80\x00"
    sqn: int = 0

    def vector(self) -> tuple[bytes, bytes, Functions]:
        """RAND, AUTN and the rest, for the next SQN."""
        self.sqn += STEP
        rand, sqn = os.urandom(16), self.sqn.to_bytes(6, "big")
        found = functions(self.k, self.opc, rand, sqn, self.amf)
        return rand, _xor(sqn, found.ak) + self.amf + found.mac_a, found

    def resynchronise(self, rand: bytes, auts: bytes) -> bool:
        """Take SQN from AUTS, if its MAC-S is right."""
        hidden = functions(self.k, self.opc, rand, bytes(6), bytes(2)).ak_resync
        sqn = _xor(auts[:6], hidden)
        if functions(self.k, self.opc, rand, sqn, bytes(2)).mac_s != auts[6:]:
            return False
        self.sqn = int.from_bytes(sqn, "big")
        return True

    def answer(self, rand: bytes, autn: bytes) -> Functions | bytes | None:
        """As a USIM: the keys; AUTS when SQN is not above our own; ``None`` when MAC-A is wrong."""
        ak = functions(self.k, self.opc, rand, bytes(6), bytes(2)).ak
        sqn = _xor(autn[:6], ak)
        found = functions(self.k, self.opc, rand, sqn, autn[6:8])
        if found.mac_a != autn[8:]:
            return None
        if int.from_bytes(sqn, "big") <= self.sqn:
            own = self.sqn.to_bytes(6, "big")
            again = functions(self.k, self.opc, rand, own, bytes(2))
            return _xor(own, again.ak_resync) + again.mac_s
        self.sqn = int.from_bytes(sqn, "big")
        return found
