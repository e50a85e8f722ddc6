# SPDX-License-Identifier: GPL-2.0-or-later
"""Diffie-Hellman groups: published exchanges, the primes as others know them, public values to be refused."""

from __future__ import annotations

import random
import warnings

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from mn_dsmip.crypto.groups import GROUPS
from mn_dsmip.crypto.suites import CryptoError
from tests.crypto.published import constant, load, unhex

VECTORS = load("diffie_hellman.json")
MODP, ECP, CURVE25519 = (2, 14, 15, 16), (19, 20, 21), 31
each_group = pytest.mark.parametrize("group", GROUPS.values(), ids=lambda group: group.name)
SPARE_BITS = {21: 7}
"""Group 21's 521 bits fill 65 octets and a bit; candidates are the upper bits of the octets drawn."""


def prime(number: int) -> int:
    """Of a MODP group, as scapy knows it for TLS (RFC 2409 6.2, RFC 3526)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from scapy.layers.tls.crypto import groups
    return int(getattr(groups, f"modp{GROUPS[number].public_length * 8}").m)


def drawn(group: int, private: str) -> bytes:
    """The octets to draw so that the private value is the published one."""
    return (int(private, 16) << SPARE_BITS.get(group, 0)).to_bytes(len(private) // 2, "big")


@pytest.mark.parametrize("vector", VECTORS["exchanges"], ids=lambda vector: vector["source"][:18])
def test_published_exchange(vector):
    group = GROUPS[vector["group"]]
    initiator = group.generate(constant(drawn(vector["group"], vector["initiator_private"])))
    responder = group.generate(constant(drawn(vector["group"], vector["responder_private"])))
    assert initiator.public == unhex(vector["initiator_public"])
    assert responder.public == unhex(vector["responder_public"])
    assert initiator.shared(responder.public) == responder.shared(initiator.public) == unhex(vector["shared"])


@pytest.mark.parametrize("vector", VECTORS["x25519"], ids=lambda vector: vector["scalar"][:6])
def test_x25519(vector):
    """RFC 7748 5.2; the second example's u has its top bit set, which must be masked (RFC 8031 3.2)."""
    private = GROUPS[31].generate(constant(unhex(vector["scalar"])))
    assert private.shared(unhex(vector["u"])) == unhex(vector["output"])


@each_group
def test_both_sides_agree(group):
    source = random.Random(group.transform)
    ours, theirs = group.generate(source.randbytes), group.generate(source.randbytes)
    assert len(ours.public) == len(theirs.public) == group.public_length
    assert ours.public != theirs.public
    assert ours.shared(theirs.public) == theirs.shared(ours.public)


@each_group
def test_the_same_randomness_gives_the_same_key(group):
    first, second = (group.generate(random.Random(5).randbytes) for _ in range(2))
    assert first.public == second.public


@pytest.mark.parametrize("number", MODP)
def test_the_primes_are_the_published_ones(number):
    """And safe, so that only 1 and p - 1 generate small subgroups."""
    private = GROUPS[number].generate(random.Random(1).randbytes)
    assert private._prime == prime(number)
    assert pow(3, private._prime - 1, private._prime) == 1
    half = (private._prime - 1) // 2
    assert pow(3, half - 1, half) == 1


@pytest.mark.parametrize("number", MODP)
def test_shared_values_of_modp_are_padded(number):
    """g^ir is as long as the prime (RFC 7296 2.14), also when it begins with zeros."""
    group = GROUPS[number]
    private = group.generate(random.Random(1).randbytes)
    length, p = group.public_length, private._prime
    wanted = 2**40  # a square, so there is a peer whose shared value is this small: its root by the private exponent
    peer = pow(wanted, pow(private._exponent, -1, (p - 1) // 2), p)
    assert private.shared(peer.to_bytes(length, "big")) == wanted.to_bytes(length, "big")


@pytest.mark.parametrize("number", MODP)
def test_modp_public_values_out_of_range_are_refused(number):
    group = GROUPS[number]
    private = group.generate(random.Random(1).randbytes)
    p, length = private._prime, group.public_length
    for value in (0, 1, p - 1, p, p + 1, 2 ** (8 * length) - 1):
        with pytest.raises(CryptoError, match="out of range"):
            private.shared(value.to_bytes(length, "big"))
    good = group.generate(random.Random(2).randbytes).public
    for wrong in (good[1:], b"\0" + good, b""):
        with pytest.raises(CryptoError, match="out of range"):
            private.shared(wrong)


@pytest.mark.parametrize("number", ECP)
def test_points_off_the_curve_are_refused(number):
    group = GROUPS[number]
    private = group.generate(random.Random(1).randbytes)
    good = group.generate(random.Random(2).randbytes).public
    half = len(good) // 2
    flipped = bytes((good[-1] ^ 1,))
    for wrong in (good[:-1] + flipped, bytes(len(good)), good[half:] + good[:half], b"\xff" * len(good)):
        with pytest.raises(CryptoError, match="not a point"):
            private.shared(wrong)
    for wrong in (good[1:], b"\x04" + good, b""):
        with pytest.raises(CryptoError, match=f"{2 * half} expected"):
            private.shared(wrong)


@pytest.mark.parametrize("number", ECP)
def test_private_values_out_of_range_are_drawn_again(number):
    group = GROUPS[number]
    length = group.public_length // 2
    values = iter((bytes(length), b"\xff" * length, b"\x01" * length))
    again = group.generate(lambda _: next(values))
    assert again.public == group.generate(constant(b"\x01" * length)).public
    with pytest.raises(CryptoError, match="random source"):
        group.generate(bytes)


@pytest.mark.parametrize(
    "public",
    [
        bytes(32),
        b"\x01" + bytes(31),
        unhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        unhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        unhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ],
    ids=["0", "1", "order 8", "order 8 too", "p - 1"],
)
def test_curve25519_refuses_a_zero_result(public):
    """The points of small order give zero with every private key (RFC 7748 7)."""
    with pytest.raises(CryptoError, match="refused"):
        GROUPS[31].generate(random.Random(1).randbytes).shared(public)


def test_curve25519_takes_32_octets_only():
    good = GROUPS[31].generate(random.Random(2).randbytes).public
    for wrong in (good[1:], good + b"\0", b""):
        with pytest.raises(CryptoError):
            GROUPS[31].generate(random.Random(1).randbytes).shared(wrong)


def test_elliptic_groups_agree_with_keys_made_elsewhere():
    """Not only with themselves: the other side is the library's own key."""
    for number, curve in ((19, ec.SECP256R1()), (20, ec.SECP384R1()), (21, ec.SECP521R1())):
        ours, theirs = GROUPS[number].generate(random.Random(3).randbytes), ec.generate_private_key(curve)
        numbers, length = theirs.public_key().public_numbers(), GROUPS[number].public_length // 2
        public = numbers.x.to_bytes(length, "big") + numbers.y.to_bytes(length, "big")
        point = ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + ours.public)
        assert ours.shared(public) == theirs.exchange(ec.ECDH(), point)
    other = x25519.X25519PrivateKey.generate()
    mine = GROUPS[31].generate(random.Random(4).randbytes)
    shared = other.exchange(x25519.X25519PublicKey.from_public_bytes(mine.public))
    assert mine.shared(other.public_key().public_bytes_raw()) == shared
