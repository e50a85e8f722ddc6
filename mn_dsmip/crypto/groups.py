# SPDX-License-Identifier: GPL-2.0-or-later
"""Diffie-Hellman groups of IKEv2: MODP (RFC 2409, 3526), ECP (RFC 5903), Curve25519 (RFC 8031)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec, x25519

from .suites import CryptoError, Random

_CANDIDATES = 4
"""Private values tried before the random source is called broken."""


class PrivateKey(Protocol):
    """One side's private value."""

    public: bytes
    """What the KE payload carries."""

    def shared(self, peer: bytes) -> bytes:
        """g^ir as the key derivation takes it; ``CryptoError`` for a public value that is not allowed."""


@dataclass(frozen=True)
class Group:
    """A Diffie-Hellman group; ``generate(random)`` makes a private key out of injected randomness."""

    name: str
    transform: int
    public_length: int
    generate: Callable[[Random], PrivateKey]


class _Modp:
    """Python's own modular exponentiation: libraries retire finite-field Diffie-Hellman, old gateways do not.

    It does not run in constant time; the exponent serves one exchange and then goes.
    """

    def __init__(self, prime: int, length: int, exponent_length: int, random: Random) -> None:
        self._prime, self._length = prime, length
        self._exponent = int.from_bytes(random(exponent_length), "big") | 1 << (8 * exponent_length - 1)
        self.public = pow(2, self._exponent, prime).to_bytes(self._length, "big")

    def shared(self, peer: bytes) -> bytes:
        value = int.from_bytes(peer, "big")
        if len(peer) != self._length or not 1 < value < self._prime - 1:
            raise CryptoError("Diffie-Hellman public value out of range (RFC 6989 2.1)")
        return pow(value, self._exponent, self._prime).to_bytes(self._length, "big")


class _Ecp:
    """Public values are x|y without a prefix, the shared secret is x (RFC 5903 7)."""

    def __init__(self, curve: ec.EllipticCurve, random: Random) -> None:
        self._curve, self._length = curve, (curve.key_size + 7) // 8
        self._key = self._candidate(random)
        numbers = self._key.public_key().public_numbers()
        self.public = numbers.x.to_bytes(self._length, "big") + numbers.y.to_bytes(self._length, "big")

    def _candidate(self, random: Random) -> ec.EllipticCurvePrivateKey:
        """A private value by testing candidates (FIPS 186-5 A.2.2): at most one in 2^32 is out of range."""
        for _ in range(_CANDIDATES):
            secret = int.from_bytes(random(self._length), "big") >> (8 * self._length - self._curve.key_size)
            try:
                return ec.derive_private_key(secret, self._curve)
            except ValueError:
                continue
        raise CryptoError(f"the random source gave {_CANDIDATES} unusable private values")

    def shared(self, peer: bytes) -> bytes:
        if len(peer) != 2 * self._length:
            raise CryptoError(f"public value of {len(peer)} octets, {2 * self._length} expected (RFC 5903 7)")
        try:
            point = ec.EllipticCurvePublicKey.from_encoded_point(self._curve, b"\x04" + peer)
        except ValueError:
            raise CryptoError("public value is not a point of the curve (RFC 6989 2.3)") from None
        return self._key.exchange(ec.ECDH(), point)


class _Curve25519:
    def __init__(self, random: Random) -> None:
        self._key = x25519.X25519PrivateKey.from_private_bytes(random(32))
        self.public = self._key.public_key().public_bytes_raw()

    def shared(self, peer: bytes) -> bytes:
        try:
            return self._key.exchange(x25519.X25519PublicKey.from_public_bytes(peer))
        except ValueError:
            raise CryptoError("Curve25519 public value refused (RFC 8031 3.2)") from None


def _modp_prime(bits: int, offset: int) -> int:
    """p = 2^n - 2^(n-64) - 1 + 2^64 * ([2^(n-130) pi] + offset), as RFC 2409 6 and RFC 3526 give every group."""
    return (1 << bits) - (1 << (bits - 64)) - 1 + (_pi_times(bits - 130) + offset << 64)


def _pi_times(power: int) -> int:
    """[2^power * pi] by Machin's formula in integers."""
    unit = 1 << (power + 64)

    def arctangent(inverse: int) -> int:
        term = total = unit // inverse
        square, divisor, sign = inverse * inverse, 1, 1
        while term:
            term //= square
            divisor, sign = divisor + 2, -sign
            total += sign * (term // divisor)
        return total

    return (4 * (4 * arctangent(5) - arctangent(239))) >> 64


def _modp(name: str, transform: int, bits: int, offset: int, exponent: int) -> Group:
    """``exponent`` is the private value's length in bits, RFC 3526 8's larger estimate or more."""
    prime, length = _modp_prime(bits, offset), bits // 8
    return Group(name, transform, length, lambda random: _Modp(prime, length, exponent // 8, random))


def _ecp(name: str, transform: int, curve: ec.EllipticCurve) -> Group:
    return Group(name, transform, 2 * ((curve.key_size + 7) // 8), lambda random: _Ecp(curve, random))


GROUPS: dict[int, Group] = {
    each.transform: each
    for each in (
        _modp("MODP-1024", 2, 1024, 129093, 256),
        _modp("MODP-2048", 14, 2048, 124476, 320),
        _modp("MODP-3072", 15, 3072, 1690314, 424),
        _modp("MODP-4096", 16, 4096, 240904, 480),
        _ecp("ECP-256", 19, ec.SECP256R1()),
        _ecp("ECP-384", 20, ec.SECP384R1()),
        _ecp("ECP-521", 21, ec.SECP521R1()),
        Group("CURVE25519", 31, 32, _Curve25519),
    )
}
