# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys of EAP-AKA and EAP-AKA': NIST's generator example, a worked exchange, RFC 9048's cases."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.crypto.fips186 import fips186_prf
from mn_dsmip.crypto.kdf import aka_keys, aka_prime_keys, ck_ik_prime, prf_prime
from tests.crypto.published import load, unhex

EXCHANGE = load("eap_aka.json")["exchange"]
PRF = load("eap_aka.json")["prf"]
CASES = load("eap_aka_prime.json")["cases"]
SETS = {each["set"]: each for each in load("milenage.json")["sets"]}
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['network_name']} {case['rand'][:4]}")


def test_generator():
    assert fips186_prf(unhex(PRF["key"]), 40) == unhex(PRF["output"])


def plain_generator(key: bytes, length: int) -> bytes:
    """The generator by the letter of FIPS 186-2 and FIPS 180-4, one round after the other."""
    mask, start = 0xFFFFFFFF, (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
    constants = (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6)

    def left(word: int, bits: int) -> int:
        return (word << bits | word >> 32 - bits) & mask

    def function(index: int, x: int, y: int, z: int) -> int:
        return (x & y | ~x & z, x ^ y ^ z, x & y | x & z | y & z, x ^ y ^ z)[index // 20] & mask

    xkey, out = int.from_bytes(key, "big"), b""
    while len(out) < length:
        block = xkey.to_bytes(20, "big") + bytes(44)
        words = [int.from_bytes(block[place : place + 4], "big") for place in range(0, 64, 4)]
        for index in range(16, 80):
            words.append(left(words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16], 1))
        a, b, c, d, e = start
        for index, word in enumerate(words):
            mixed = left(a, 5) + function(index, b, c, d) + e + constants[index // 20] + word
            a, b, c, d, e = mixed & mask, a, left(b, 30), c, d
        state = [(left_ + right) & mask for left_, right in zip(start, (a, b, c, d, e), strict=True)]
        w = b"".join(word.to_bytes(4, "big") for word in state)
        xkey = (1 + xkey + int.from_bytes(w, "big")) % 2**160
        out += w
    return out[:length]


@given(st.binary(min_size=20, max_size=20), st.integers(0, 170))
def test_generator_by_the_letter(key, length):
    assert fips186_prf(key, length) == plain_generator(key, length)


@pytest.mark.parametrize("key", [b"\xff" * 20, bytes(20)])
def test_generator_at_the_ends_of_its_range(key):
    """XKEY wraps at 2^160."""
    assert fips186_prf(key, 160) == plain_generator(key, 160)


def test_keys_of_a_full_authentication():
    vectors = SETS[EXCHANGE["milenage_set"]]
    keys = aka_keys(EXCHANGE["identity"].encode(), unhex(vectors["f4"]), unhex(vectors["f3"]))
    assert keys.master == unhex(EXCHANGE["mk"])
    assert (keys.encr, keys.aut) == (unhex(EXCHANGE["k_encr"]), unhex(EXCHANGE["k_aut"]))
    assert (keys.msk, keys.emsk) == (unhex(EXCHANGE["msk"]), unhex(EXCHANGE["emsk"]))


def test_mac_of_the_worked_exchange():
    """AT_MAC is the first 16 octets of HMAC-SHA1 over the packet with zeros in its place (RFC 4187 10.15)."""
    for name in ("challenge_request", "challenge_response"):
        packet = unhex(EXCHANGE[name])
        cleared = packet[:-16] + bytes(16)
        assert hmac.digest(unhex(EXCHANGE["k_aut"]), cleared, hashlib.sha1)[:16] == packet[-16:]


@each_case
def test_ck_and_ik_prime(case):
    sqn_xor_ak = unhex(case["autn"])[:6]
    ck, ik = ck_ik_prime(unhex(case["ck"]), unhex(case["ik"]), case["network_name"].encode(), sqn_xor_ak)
    assert (ck, ik) == (unhex(case["ck_prime"]), unhex(case["ik_prime"]))


@each_case
def test_keys_of_a_full_authentication_with_aka_prime(case):
    keys = aka_prime_keys(case["identity"].encode(), unhex(case["ik_prime"]), unhex(case["ck_prime"]))
    assert (keys.encr, keys.aut, keys.master) == tuple(unhex(case[name]) for name in ("k_encr", "k_aut", "k_re"))
    assert (keys.msk, keys.emsk) == (unhex(case["msk"]), unhex(case["emsk"]))


def test_prf_prime_is_a_chain():
    """T1 = HMAC(K, S | 1), T2 = HMAC(K, T1 | S | 2) (RFC 9048 3.4.1)."""
    first = hmac.digest(b"key", b"seed\1", "sha256")
    assert prf_prime(b"key", b"seed", 40) == first + hmac.digest(b"key", first + b"seed\2", "sha256")[:8]


def test_keys_are_not_shown():
    keys = aka_keys(b"identity", bytes(16), bytes(range(16)))
    assert repr(keys) == "AkaKeys()"
