# SPDX-License-Identifier: GPL-2.0-or-later
"""Authentication and key agreement: Milenage (TS 35.206), the USIM's side and the network's (TS 33.102 6.3)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from .suites import CryptoError, Random

SQN_LENGTH, SQN_LIMIT = 6, 1 << 48
SQN_DELTA = 1 << 28
"""Greatest jump of SQN a USIM accepts (TS 33.102 C.2.1)."""
RESYNC_AMF = b"\0\0"
"""AMF* in f1* (TS 33.102 6.3.3)."""
SEPARATION_BIT = 0x80
"""Of AMF's first octet: must be 1 for EAP-AKA' (RFC 9048 3.1)."""


class AuthenticationRejected(CryptoError):
    """AUTN was not made by the holder of K: answer with Authentication-Reject."""


class SynchronizationFailed(CryptoError):
    """SQN is out of range: answer with AUTS."""

    def __init__(self, auts: bytes) -> None:
        super().__init__("the sequence number in AUTN is out of range")
        self.auts = auts


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(len(left), "big")


def _rotate(block: bytes, bits: int) -> bytes:
    octets = bits // 8
    return block[octets:] + block[:octets]


class Milenage:
    """f1 to f5* for one subscriber; ``opc`` as TS 35.206 4.1 derives it from OP."""

    __slots__ = ("_encrypt", "_opc")

    def __init__(self, k: bytes, opc: bytes) -> None:
        if len(k) != 16 or len(opc) != 16:
            raise CryptoError("K and OPc have 16 octets each")
        # One block at a time, as the algorithm prescribes; ECB keeps nothing between blocks, so one object does all.
        self._encrypt = Cipher(algorithms.AES(k), modes.ECB()).encryptor().update
        self._opc = opc

    def _out(self, rand: bytes, rotation: int, constant: int) -> bytes:
        temp = self._encrypt(_xor(rand, self._opc))
        mixed = _rotate(_xor(temp, self._opc), rotation)
        return _xor(self._encrypt(mixed[:15] + bytes((mixed[15] ^ constant,))), self._opc)

    def f1(self, rand: bytes, sqn: bytes, amf: bytes) -> tuple[bytes, bytes]:
        """MAC-A and MAC-S."""
        temp = self._encrypt(_xor(rand, self._opc))
        block = (sqn + amf) * 2
        out = _xor(self._encrypt(_xor(temp, _rotate(_xor(block, self._opc), 64))), self._opc)
        return out[:8], out[8:]

    def f2345(self, rand: bytes) -> tuple[bytes, bytes, bytes, bytes]:
        """RES, CK, IK, AK."""
        out2 = self._out(rand, 0, 1)
        return out2[8:], self._out(rand, 32, 2), self._out(rand, 64, 4), out2[:6]

    def f5_star(self, rand: bytes) -> bytes:
        """AK of a resynchronisation."""
        return self._out(rand, 96, 8)[:6]


def opc_from_op(k: bytes, op: bytes) -> bytes:
    """OPc = E_K(OP) xor OP (TS 35.206 4.1)."""
    encryptor = Cipher(algorithms.AES(k), modes.ECB()).encryptor()
    return _xor(encryptor.update(op), op)


@dataclass(frozen=True)
class Subscriber:
    """What the network holds of a subscriber; secrets are never shown by ``repr``."""

    imsi: str
    k: bytes = field(repr=False)
    opc: bytes = field(repr=False)
    amf: bytes = b"\x80\x00"


def separated(subscriber: Subscriber) -> Subscriber:
    """``subscriber`` with the AMF separation bit set, as EAP-AKA' demands of the network (RFC 9048 3.3)."""
    return replace(subscriber, amf=bytes((subscriber.amf[0] | SEPARATION_BIT,)) + subscriber.amf[1:])


@dataclass(frozen=True)
class Vector:
    """An authentication vector (TS 33.102 6.3.2)."""

    rand: bytes
    autn: bytes
    xres: bytes = field(repr=False)
    ck: bytes = field(repr=False)
    ik: bytes = field(repr=False)


def make_vector(subscriber: Subscriber, rand: bytes, sqn: int) -> Vector:
    """The vector for ``rand`` and ``sqn``."""
    milenage = Milenage(subscriber.k, subscriber.opc)
    sequence = sqn.to_bytes(SQN_LENGTH, "big")
    mac, _ = milenage.f1(rand, sequence, subscriber.amf)
    res, ck, ik, ak = milenage.f2345(rand)
    return Vector(rand, _xor(sequence, ak) + subscriber.amf + mac, res, ck, ik)


class AuthenticationCentre:
    """The network's side: vectors with rising sequence numbers, resynchronisation.

    ``sequence`` holds the last SQN used for each IMSI; whoever owns it makes it durable before a challenge leaves.
    """

    def __init__(self, random: Random, sequence: dict[str, int]) -> None:
        self._random = random
        self.sequence = sequence

    def vector(self, subscriber: Subscriber) -> Vector:
        """A fresh vector; afterwards ``sequence`` holds its SQN."""
        sqn = (self.sequence.get(subscriber.imsi, 0) + 1) % SQN_LIMIT
        self.sequence[subscriber.imsi] = sqn
        return make_vector(subscriber, self._random(16), sqn)

    def resynchronise(self, subscriber: Subscriber, rand: bytes, auts: bytes) -> None:
        """Take the USIM's SQN out of ``auts``; ``AuthenticationRejected`` when it is not genuine."""
        milenage = Milenage(subscriber.k, subscriber.opc)
        sqn = _xor(auts[:SQN_LENGTH], milenage.f5_star(rand))
        _, mac = milenage.f1(rand, sqn, RESYNC_AMF)
        if not hmac.compare_digest(mac, auts[SQN_LENGTH:]):
            raise AuthenticationRejected("MAC-S in AUTS is wrong")
        self.sequence[subscriber.imsi] = int.from_bytes(sqn, "big")


@dataclass(frozen=True)
class AkaResult:
    """What a USIM gives for a genuine challenge; secrets are never shown by ``repr``."""

    res: bytes = field(repr=False)
    ck: bytes = field(repr=False)
    ik: bytes = field(repr=False)


class Usim:
    """The subscriber's side; ``sqn`` is the highest sequence number accepted, to be made durable by its owner."""

    def __init__(self, k: bytes, opc: bytes, sqn: int = 0) -> None:
        self._milenage = Milenage(k, opc)
        self.sqn = sqn

    def authenticate(self, rand: bytes, autn: bytes) -> AkaResult:
        """Answer a challenge; raises ``AuthenticationRejected`` or ``SynchronizationFailed`` (TS 33.102 6.3.3)."""
        res, ck, ik, ak = self._milenage.f2345(rand)
        sequence, amf, mac = _xor(autn[:SQN_LENGTH], ak), autn[6:8], autn[8:16]
        expected, _ = self._milenage.f1(rand, sequence, amf)
        if not hmac.compare_digest(expected, mac):
            raise AuthenticationRejected("MAC-A in AUTN is wrong")
        sqn = int.from_bytes(sequence, "big")
        if not self.sqn < sqn <= self.sqn + SQN_DELTA:
            raise SynchronizationFailed(self._auts(rand))
        self.sqn = sqn
        return AkaResult(res, ck, ik)

    def _auts(self, rand: bytes) -> bytes:
        sequence = self.sqn.to_bytes(SQN_LENGTH, "big")
        _, mac = self._milenage.f1(rand, sequence, RESYNC_AMF)
        return _xor(sequence, self._milenage.f5_star(rand)) + mac
