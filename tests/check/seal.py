# SPDX-License-Identifier: GPL-2.0-or-later
"""Seal and open IKE and ESP payloads with the keys of Wireshark's two tables: for tests that forge or damage traces.

Nothing of the agents is used, so that a mistake of theirs cannot hide here. Every function raises `SealError` when
an integrity check fails or an algorithm is not known.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SALT = 4  # octets at the end of a GCM key (RFC 4106 8.1)
GCM_IV = 8
CBC_IV = 16

# Wireshark's names: hash, octets of ICV
IKE_INTEGRITY = {
    "HMAC_SHA1_96 [RFC2404]": ("sha1", 12),
    "HMAC_SHA2_256_128 [RFC4868]": ("sha256", 16),
    "HMAC_SHA2_384_192 [RFC4868]": ("sha384", 24),
    "HMAC_SHA2_512_256 [RFC4868]": ("sha512", 32),
}
ESP_INTEGRITY = {
    "HMAC-SHA-1-96 [RFC2404]": ("sha1", 12),
    "HMAC-SHA-256-128 [RFC4868]": ("sha256", 16),
    "HMAC-SHA-384-192 [RFC4868]": ("sha384", 24),
    "HMAC-SHA-512-256 [RFC4868]": ("sha512", 32),
}


class SealError(Exception):
    """A packet does not open with the key given."""


@dataclass(frozen=True)
class Key:
    """One direction: encryption key (GCM: with its salt), integrity key and algorithm (None: AES-GCM-16)."""

    encryption: bytes
    integrity: bytes = b""
    algorithm: tuple[str, int] | None = None

    def seal(self, iv: bytes, plaintext: bytes, associated: bytes) -> bytes:
        """IV, ciphertext and ICV; with HMAC the ICV covers the associated data, IV and ciphertext."""
        if self.algorithm is None:
            key, salt = self.encryption[:-SALT], self.encryption[-SALT:]
            return iv + AESGCM(key).encrypt(salt + iv, plaintext, associated)
        encryptor = Cipher(algorithms.AES(self.encryption), modes.CBC(iv)).encryptor()
        sealed = iv + encryptor.update(plaintext) + encryptor.finalize()
        return sealed + self._icv(associated + sealed)

    def open(self, sealed: bytes, associated: bytes) -> tuple[bytes, bytes]:
        """IV and plaintext."""
        if self.algorithm is None:
            iv, rest = sealed[:GCM_IV], sealed[GCM_IV:]
            key, salt = self.encryption[:-SALT], self.encryption[-SALT:]
            try:
                return iv, AESGCM(key).decrypt(salt + iv, rest, associated)
            except InvalidTag as error:
                raise SealError("the GCM tag does not match") from error
        sealed, icv = sealed[: -self.algorithm[1]], sealed[-self.algorithm[1] :]
        if not hmac.compare_digest(icv, self._icv(associated + sealed)):
            raise SealError("the ICV does not match")
        decryptor = Cipher(algorithms.AES(self.encryption), modes.CBC(sealed[:CBC_IV])).decryptor()
        return sealed[:CBC_IV], decryptor.update(sealed[CBC_IV:]) + decryptor.finalize()

    def _icv(self, data: bytes) -> bytes:
        assert self.algorithm is not None
        name, size = self.algorithm
        return hmac.digest(self.integrity, data, getattr(hashlib, name))[:size]

    @property
    def icv_size(self) -> int:
        return 16 if self.algorithm is None else self.algorithm[1]

    @property
    def block(self) -> int:
        return 4 if self.algorithm is None else 16


class IkeKeys(NamedTuple):
    """What one line of `ikev2_decryption_table` holds: the key of the original initiator and of the responder."""

    initiator: Key
    responder: Key

    def seal(self, header: bytes, first: int, iv: bytes, payloads: bytes) -> bytes:
        """A whole IKE message: `header` gives SPIs, exchange, flags and message id; lengths are filled in."""
        key = self.initiator if header[19] & 0x08 else self.responder
        pad = 0 if key.algorithm is None else -(len(payloads) + 1) % 16
        plaintext = payloads + bytes(pad) + bytes([pad])
        size = 4 + len(iv) + len(plaintext) + key.icv_size
        start = header[:16] + b"\x2e" + header[17:24] + (28 + size).to_bytes(4, "big")
        start += bytes([first, 0]) + size.to_bytes(2, "big")
        return start + key.seal(iv, plaintext, start)

    def open(self, message: bytes) -> tuple[int, bytes, bytes]:
        """First payload type, IV and payloads of a message whose only clear payload is SK."""
        if message[16] != 46:
            raise SealError("the first payload is not SK")
        key = self.initiator if message[19] & 0x08 else self.responder
        iv, plaintext = key.open(message[32:], message[:32])
        return message[28], iv, plaintext[: len(plaintext) - 1 - plaintext[-1]]


def seal_esp(key: Key, spi: int, sequence: int, iv: bytes, payload: bytes, next_header: int) -> bytes:
    """An ESP packet from SPI to ICV (RFC 4303 2), padded with 1, 2, 3."""
    header = spi.to_bytes(4, "big") + sequence.to_bytes(4, "big")
    pad = -(len(payload) + 2) % key.block
    plaintext = payload + bytes(range(1, pad + 1)) + bytes([pad, next_header])
    return header + key.seal(iv, plaintext, header)


def open_esp(key: Key, packet: bytes) -> tuple[bytes, bytes, int]:
    """IV, payload and next header of an ESP packet."""
    iv, plaintext = key.open(packet[8:], packet[:8])
    return iv, plaintext[: len(plaintext) - 2 - plaintext[-2]], plaintext[-1]


def read_ike_table(file: Path) -> dict[tuple[bytes, bytes], IkeKeys]:
    """`ikev2_decryption_table` by SPI pair."""
    table = {}
    for row in _rows(file):
        spi_i, spi_r, sk_ei, sk_er, _, sk_ai, sk_ar, integrity = row
        algorithm = IKE_INTEGRITY.get(integrity)
        table[bytes.fromhex(spi_i), bytes.fromhex(spi_r)] = IkeKeys(
            Key(bytes.fromhex(sk_ei), bytes.fromhex(sk_ai), algorithm),
            Key(bytes.fromhex(sk_er), bytes.fromhex(sk_ar), algorithm),
        )
    return table


def read_esp_table(file: Path) -> dict[int, Key]:
    """`esp_sa` by SPI."""
    return {
        int(spi, 16): Key(bytes.fromhex(key[2:]), bytes.fromhex(integrity[2:]), ESP_INTEGRITY.get(algorithm))
        for _, _, _, spi, _, key, algorithm, integrity, *_ in _rows(file)
    }


def _rows(file: Path) -> list[list[str]]:
    lines = [line for line in file.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return list(csv.reader(lines))
