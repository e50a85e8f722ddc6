# SPDX-License-Identifier: GPL-2.0-or-later
"""One table: what each IKEv2 transform number means (RFC 7296 3.3.2, 4106, 4868, 5282, 5903, 8031).

Ciphers are made once a key and then used for many messages: ``Encryption.cipher(key)`` gives ``seal`` and ``open``.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as RawCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Random = Callable[[int], bytes]


class CryptoError(Exception):
    """A key, value or message that the algorithm refuses; the text says why."""


class AuthenticityError(CryptoError):
    """An integrity check value does not match."""


class Cipher(Protocol):
    """A cipher with its key; ``aad`` is authenticated by the combined modes only."""

    def seal(self, iv: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Ciphertext, with the integrity check value in combined modes."""

    def open(self, iv: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """Plaintext; ``AuthenticityError`` in combined modes."""


class _Gcm:
    """AES-GCM with the salt at the end of the key material (RFC 4106 8.1, RFC 5282 7.1)."""

    __slots__ = ("_aead", "_salt")

    def __init__(self, key: bytes) -> None:
        self._aead, self._salt = AESGCM(key[:-4]), key[-4:]

    def seal(self, iv: bytes, plaintext: bytes, aad: bytes) -> bytes:
        return self._aead.encrypt(self._salt + iv, plaintext, aad)

    def open(self, iv: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        try:
            return self._aead.decrypt(self._salt + iv, ciphertext, aad)
        except InvalidTag:
            raise AuthenticityError("integrity check value does not match") from None


class _Cbc:
    __slots__ = ("_algorithm",)

    def __init__(self, key: bytes) -> None:
        self._algorithm = algorithms.AES(key)

    def seal(self, iv: bytes, plaintext: bytes, aad: bytes) -> bytes:
        encryptor = RawCipher(self._algorithm, modes.CBC(iv)).encryptor()
        return encryptor.update(plaintext) + encryptor.finalize()

    def open(self, iv: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        if len(ciphertext) % 16:
            raise CryptoError(f"CBC ciphertext of {len(ciphertext)} octets")
        decryptor = RawCipher(self._algorithm, modes.CBC(iv)).decryptor()
        return decryptor.update(ciphertext) + decryptor.finalize()


class _Null:
    __slots__ = ()

    def __init__(self, key: bytes) -> None:
        pass

    def seal(self, iv: bytes, plaintext: bytes, aad: bytes) -> bytes:
        return plaintext

    def open(self, iv: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        return ciphertext


@dataclass(frozen=True)
class Encryption:
    """An encryption transform; lengths in octets, ``key_length`` with the salt of combined modes."""

    name: str
    transform: int
    key_bits: int | None
    key_length: int
    iv_length: int
    icv_length: int
    block: int
    make: Callable[[bytes], Cipher]

    @property
    def combined(self) -> bool:
        """Whether the mode authenticates by itself."""
        return self.icv_length > 0

    def cipher(self, key: bytes) -> Cipher:
        """The cipher with ``key``."""
        if len(key) != self.key_length:
            raise CryptoError(f"{self.name} takes a key of {self.key_length} octets, not {len(key)}")
        return self.make(key)


@dataclass(frozen=True)
class Integrity:
    """An integrity transform: HMAC truncated to ``icv_length`` octets."""

    name: str
    transform: int
    hash_name: str
    key_length: int
    icv_length: int

    def compute(self, key: bytes, data: bytes) -> bytes:
        """The integrity check value of ``data``."""
        return hmac.digest(key, data, self.hash_name)[: self.icv_length]

    def verify(self, key: bytes, data: bytes, icv: bytes) -> None:
        """``AuthenticityError`` unless ``icv`` is right; takes the same time either way."""
        if not hmac.compare_digest(self.compute(key, data), icv):
            raise AuthenticityError("integrity check value does not match")


@dataclass(frozen=True)
class Prf:
    """A pseudo-random function: HMAC; its preferred key and its output have ``length`` octets."""

    name: str
    transform: int
    hash_name: str
    length: int

    def __call__(self, key: bytes, data: bytes) -> bytes:
        return hmac.digest(key, data, self.hash_name)

    def plus(self, key: bytes, seed: bytes, length: int) -> bytes:
        """prf+ (RFC 7296 2.13): ``length`` octets of key material."""
        out, block = bytearray(), b""
        for counter in range(1, 256):
            block = self(key, block + seed + bytes((counter,)))
            out += block
            if len(out) >= length:
                return bytes(out[:length])
        raise CryptoError(f"prf+ cannot give {length} octets")


def _gcm(bits: int) -> Encryption:
    return Encryption(f"AES-GCM-16-{bits}", 20, bits, bits // 8 + 4, 8, 16, 1, _Gcm)


def _cbc(bits: int) -> Encryption:
    return Encryption(f"AES-CBC-{bits}", 12, bits, bits // 8, 16, 0, 16, _Cbc)


ENCRYPTION: dict[tuple[int, int | None], Encryption] = {
    (each.transform, each.key_bits): each
    for each in (_gcm(128), _gcm(256), _cbc(128), _cbc(256), Encryption("NULL", 11, None, 0, 0, 0, 1, _Null))
}
INTEGRITY: dict[int, Integrity] = {
    each.transform: each
    for each in (
        Integrity("HMAC-SHA1-96", 2, "sha1", 20, 12),
        Integrity("HMAC-SHA2-256-128", 12, "sha256", 32, 16),
        Integrity("HMAC-SHA2-384-192", 13, "sha384", 48, 24),
        Integrity("HMAC-SHA2-512-256", 14, "sha512", 64, 32),
    )
}
PRF: dict[int, Prf] = {
    each.transform: each
    for each in (
        Prf("PRF-HMAC-SHA1", 2, "sha1", 20),
        Prf("PRF-HMAC-SHA2-256", 5, "sha256", 32),
        Prf("PRF-HMAC-SHA2-384", 6, "sha384", 48),
        Prf("PRF-HMAC-SHA2-512", 7, "sha512", 64),
    )
}


@dataclass(frozen=True)
class Protection:
    """The algorithms of an ESP SA, or of an IKE SA's SK payloads."""

    encryption: Encryption
    integrity: Integrity | None

    @property
    def integrity_key_length(self) -> int:
        """Octets of one integrity key; 0 in combined modes."""
        return self.integrity.key_length if self.integrity else 0


class Sealer:
    """Seals messages with one key: IV, ciphertext and integrity check value, as ESP and SK payloads carry them.

    The IV of combined modes is a counter, unique a key (RFC 4106 3.1); CBC's is random.
    """

    __slots__ = ("_cipher", "_counter", "_integrity_key", "_random", "protection")

    def __init__(self, protection: Protection, key: bytes, integrity_key: bytes, random: Random) -> None:
        self.protection = protection
        self._cipher = protection.encryption.cipher(key)
        self._integrity_key = integrity_key
        self._random = random
        self._counter = 0

    def overhead(self) -> int:
        """Octets that sealing adds besides padding."""
        encryption, integrity = self.protection.encryption, self.protection.integrity
        return encryption.iv_length + encryption.icv_length + (integrity.icv_length if integrity else 0)

    def seal(self, plaintext: bytes, associated: bytes) -> bytes:
        """Seal ``plaintext``, already padded, behind ``associated`` data."""
        encryption, integrity = self.protection.encryption, self.protection.integrity
        if encryption.combined:
            self._counter += 1
            iv = struct.pack("!Q", self._counter)
        else:
            iv = self._random(encryption.iv_length)
        body = iv + self._cipher.seal(iv, plaintext, associated)
        return body if integrity is None else body + integrity.compute(self._integrity_key, associated + body)


class Opener:
    """Opens what a ``Sealer`` with the same keys sealed."""

    __slots__ = ("_cipher", "_integrity_key", "protection")

    def __init__(self, protection: Protection, key: bytes, integrity_key: bytes) -> None:
        self.protection = protection
        self._cipher = protection.encryption.cipher(key)
        self._integrity_key = integrity_key

    def open(self, body: bytes, associated: bytes) -> bytes:
        """The padded plaintext; ``AuthenticityError`` when anything was changed, ``CryptoError`` when too short."""
        encryption, integrity = self.protection.encryption, self.protection.integrity
        tail = encryption.icv_length if integrity is None else integrity.icv_length
        if len(body) < encryption.iv_length + tail:
            raise CryptoError(f"sealed body of {len(body)} octets")
        if integrity is not None:
            body, icv = body[:-tail], body[-tail:]
            integrity.verify(self._integrity_key, associated + body, icv)
        return self._cipher.open(body[: encryption.iv_length], body[encryption.iv_length :], associated)


def cbc_encrypt(key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    """AES-CBC without padding and without integrity, for EAP-AKA's AT_ENCR_DATA."""
    encryptor = RawCipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(plaintext) + encryptor.finalize()


def cbc_decrypt(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """What ``cbc_encrypt`` took."""
    decryptor = RawCipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    return decryptor.update(ciphertext) + decryptor.finalize()
