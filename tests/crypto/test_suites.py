# SPDX-License-Identifier: GPL-2.0-or-later
"""Ciphers, integrity and PRFs against NIST's and the RFCs' own vectors; sealing and opening as properties."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.crypto.suites import (
    ENCRYPTION,
    INTEGRITY,
    PRF,
    AuthenticityError,
    CryptoError,
    Opener,
    Protection,
    Sealer,
)
from tests.crypto.published import PROTECTIONS, load, unhex

VECTORS = load("ciphers.json")
each_protection = pytest.mark.parametrize("protection", PROTECTIONS.values(), ids=PROTECTIONS)


def pair(protection: Protection, seed: int = 1) -> tuple[Sealer, Opener]:
    source = random.Random(seed)
    key, integrity_key = (
        source.randbytes(protection.encryption.key_length),
        source.randbytes(protection.integrity_key_length),
    )
    return Sealer(protection, key, integrity_key, source.randbytes), Opener(protection, key, integrity_key)


def plaintext(protection: Protection, blocks: int = 3) -> bytes:
    return bytes(range(max(16, protection.encryption.block) * blocks))


@pytest.mark.parametrize("vector", VECTORS["gcm"], ids=lambda vector: vector["key"][:8])
def test_gcm(vector):
    """The nonce is the salt, which ends the key material, and the IV that the packet carries (RFC 4106 4)."""
    key, nonce = unhex(vector["key"]), unhex(vector["iv"])
    cipher = ENCRYPTION[20, 8 * len(key)].cipher(key + nonce[:4])
    sealed = unhex(vector["ciphertext"] + vector["tag"])
    assert cipher.seal(nonce[4:], unhex(vector["plaintext"]), unhex(vector["aad"])) == sealed
    assert cipher.open(nonce[4:], sealed, unhex(vector["aad"])) == unhex(vector["plaintext"])
    with pytest.raises(AuthenticityError):
        cipher.open(nonce[4:], sealed, unhex(vector["aad"]) + b"\0")


@pytest.mark.parametrize("vector", VECTORS["cbc"], ids=lambda vector: vector["key"][:8])
def test_cbc(vector):
    key, iv = unhex(vector["key"]), unhex(vector["iv"])
    cipher = ENCRYPTION[12, 8 * len(key)].cipher(key)
    assert cipher.seal(iv, unhex(vector["plaintext"]), b"") == unhex(vector["ciphertext"])
    assert cipher.open(iv, unhex(vector["ciphertext"]), b"") == unhex(vector["plaintext"])
    with pytest.raises(CryptoError, match="CBC ciphertext of 15 octets"):
        cipher.open(iv, unhex(vector["ciphertext"])[:15], b"")


@pytest.mark.parametrize("vector", VECTORS["prf"], ids=lambda vector: f"{vector['prf']} {vector['name']}")
def test_prf(vector):
    output = PRF[vector["prf"]](unhex(vector["key"]), unhex(vector["data"]))
    assert output == unhex(vector["output"])
    assert len(output) == PRF[vector["prf"]].length


@pytest.mark.parametrize("vector", VECTORS["integrity"], ids=lambda vector: vector["name"])
def test_integrity(vector):
    integrity, key, data = INTEGRITY[vector["integrity"]], unhex(vector["key"]), unhex(vector["data"])
    icv = integrity.compute(key, data)
    assert icv == unhex(vector["output"])
    assert (len(icv), len(key)) == (integrity.icv_length, integrity.key_length)
    integrity.verify(key, data, icv)
    for wrong in (icv[:-1], icv + b"\0", bytes((icv[0] ^ 1,)) + icv[1:], b""):
        with pytest.raises(AuthenticityError):
            integrity.verify(key, data, wrong)


def test_prf_plus_ends_at_255_blocks():
    prf = PRF[5]
    assert len(prf.plus(b"key", b"seed", 255 * 32)) == 255 * 32
    with pytest.raises(CryptoError, match=r"prf\+ cannot give 8161 octets"):
        prf.plus(b"key", b"seed", 255 * 32 + 1)


def test_prf_plus_is_a_chain():
    """T1 = prf(K, S | 1), T2 = prf(K, T1 | S | 2) (RFC 7296 2.13)."""
    prf = PRF[6]
    first = prf(b"key", b"seed\1")
    assert prf.plus(b"key", b"seed", 60) == first + prf(b"key", first + b"seed\2")[:12]


@pytest.mark.parametrize("encryption", ENCRYPTION.values(), ids=lambda each: each.name)
def test_a_key_of_another_length_is_refused(encryption):
    with pytest.raises(CryptoError, match=f"{encryption.name} takes a key of {encryption.key_length} octets"):
        encryption.cipher(bytes(encryption.key_length + 1))


def test_numbers_are_those_of_the_registries():
    """RFC 7296 3.3.2 and 3.3.5, RFC 4868 4, RFC 8247 2: numbers, key bits, lengths of key and check value."""
    assert {number: each.name for number, each in PRF.items()} == {
        2: "PRF-HMAC-SHA1",
        5: "PRF-HMAC-SHA2-256",
        6: "PRF-HMAC-SHA2-384",
        7: "PRF-HMAC-SHA2-512",
    }
    assert {number: (each.key_length, each.icv_length) for number, each in INTEGRITY.items()} == {
        2: (20, 12),
        12: (32, 16),
        13: (48, 24),
        14: (64, 32),
    }
    lengths = {number: (each.key_length, each.iv_length, each.icv_length) for number, each in ENCRYPTION.items()}
    assert lengths == {
        (20, 128): (20, 8, 16),
        (20, 256): (36, 8, 16),
        (12, 128): (16, 16, 0),
        (12, 256): (32, 16, 0),
        (11, None): (0, 0, 0),
    }


@each_protection
def test_what_is_sealed_opens(protection):
    sealer, opener = pair(protection)
    for blocks in range(4):
        text = plaintext(protection, blocks)
        body = sealer.seal(text, b"header")
        assert len(body) == len(text) + sealer.overhead()
        assert opener.open(body, b"header") == text


@each_protection
def test_every_changed_octet_is_noticed(protection):
    sealer, opener = pair(protection)
    body = sealer.seal(plaintext(protection), b"header")
    for place in range(len(body)):
        changed = body[:place] + bytes((body[place] ^ 0x40,)) + body[place + 1 :]
        with pytest.raises(AuthenticityError):
            opener.open(changed, b"header")
    with pytest.raises(AuthenticityError):
        opener.open(body, b"heades")


@each_protection
def test_every_truncation_is_refused(protection):
    sealer, opener = pair(protection)
    body = sealer.seal(plaintext(protection), b"header")
    for length in range(len(body)):
        with pytest.raises(CryptoError):
            opener.open(body[:length], b"header")


@each_protection
@given(st.binary(max_size=80))
def test_noise_never_opens(protection, noise):
    with pytest.raises(CryptoError):
        pair(protection)[1].open(noise, b"header")


def test_initialisation_vectors_of_gcm_count():
    """Unique for a key, whatever the random source does (RFC 4106 3.1)."""
    protection = PROTECTIONS["GCM-256"]
    sealer = Sealer(protection, bytes(36), b"", bytes)
    assert [sealer.seal(b"", b"")[:8] for _ in range(3)] == [number.to_bytes(8, "big") for number in (1, 2, 3)]


def test_initialisation_vectors_of_cbc_are_random():
    protection = PROTECTIONS["CBC-128 SHA2-256"]
    drawn = [bytes((number,)) * 16 for number in (7, 9)]
    source = iter(drawn)
    sealer = Sealer(protection, bytes(16), bytes(32), lambda length: next(source))
    assert [sealer.seal(bytes(16), b"")[:16] for _ in range(2)] == drawn
