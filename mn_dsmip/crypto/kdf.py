# SPDX-License-Identifier: GPL-2.0-or-later
"""Key derivation: IKE and child SAs (RFC 7296 2.14 to 2.18), AUTH (2.15), EAP-AKA (RFC 4187 7, RFC 9048 3)."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from .fips186 import fips186_prf
from .suites import Prf, Protection

KEY_PAD = b"Key Pad for IKEv2"
"""RFC 7296 2.15; no terminator."""


@dataclass(frozen=True)
class IkeKeys:
    """SK_* of an IKE SA (RFC 7296 2.14); never shown by ``repr``."""

    d: bytes = field(repr=False)
    ai: bytes = field(repr=False)
    ar: bytes = field(repr=False)
    ei: bytes = field(repr=False)
    er: bytes = field(repr=False)
    pi: bytes = field(repr=False)
    pr: bytes = field(repr=False)


@dataclass(frozen=True)
class ChildKeys:
    """Keys of one direction of a child SA (RFC 7296 2.17); never shown by ``repr``."""

    encryption: bytes = field(repr=False)
    integrity: bytes = field(repr=False)


def skeyseed(prf: Prf, nonces: bytes, shared: bytes) -> bytes:
    """SKEYSEED of a first IKE SA; ``nonces`` is Ni | Nr."""
    return prf(nonces, shared)


def rekey_skeyseed(old_prf: Prf, old_d: bytes, nonces: bytes, shared: bytes) -> bytes:
    """SKEYSEED of a rekeyed IKE SA, by the old SA's PRF (RFC 7296 2.18)."""
    return old_prf(old_d, shared + nonces)


def ike_keys(prf: Prf, protection: Protection, seed: bytes, nonces: bytes, spis: bytes) -> IkeKeys:
    """All keys of an IKE SA; ``seed`` is SKEYSEED, ``spis`` is SPIi | SPIr."""
    integrity, encryption = protection.integrity_key_length, protection.encryption.key_length
    lengths = (prf.length, integrity, integrity, encryption, encryption, prf.length, prf.length)
    return IkeKeys(*_cut(prf.plus(seed, nonces + spis, sum(lengths)), lengths))


def child_keys(
    prf: Prf, protection: Protection, d: bytes, nonces: bytes, shared: bytes = b""
) -> tuple[ChildKeys, ChildKeys]:
    """Keys initiator to responder and back; the initiator is that of the exchange that makes the child SA."""
    encryption, integrity = protection.encryption.key_length, protection.integrity_key_length
    lengths = (encryption, integrity, encryption, integrity)
    parts = _cut(prf.plus(d, shared + nonces, sum(lengths)), lengths)
    return ChildKeys(*parts[:2]), ChildKeys(*parts[2:])


def _cut(data: bytes, lengths: tuple[int, ...]) -> list[bytes]:
    parts, position = [], 0
    for length in lengths:
        parts.append(data[position : position + length])
        position += length
    return parts


def signed_octets(prf: Prf, first_message: bytes, peer_nonce: bytes, sk_p: bytes, identity: bytes) -> bytes:
    """What AUTH covers: the own first message, the peer's nonce, and the own ID payload's body (RFC 7296 2.15)."""
    return first_message + peer_nonce + prf(sk_p, identity)


def shared_key_auth(prf: Prf, secret: bytes, signed: bytes) -> bytes:
    """AUTH data of a shared key or an EAP MSK (RFC 7296 2.15, 2.16)."""
    return prf(prf(secret, KEY_PAD), signed)


@dataclass(frozen=True)
class AkaKeys:
    """Keys of an EAP-AKA or EAP-AKA' authentication; never shown by ``repr``."""

    encr: bytes = field(repr=False)
    aut: bytes = field(repr=False)
    msk: bytes = field(repr=False)
    master: bytes = field(repr=False)
    """MK, or K_re of EAP-AKA': what fast re-authentication begins with."""
    derive_emsk: Callable[[], bytes] = field(repr=False, compare=False)
    """IKE has no use for the EMSK, so it is derived only where it is asked for."""

    @property
    def emsk(self) -> bytes:
        """The extended master session key."""
        return self.derive_emsk()


def aka_keys(identity: bytes, ik: bytes, ck: bytes) -> AkaKeys:
    """EAP-AKA full authentication (RFC 4187 7)."""
    master = hashlib.sha1(identity + ik + ck).digest()  # the protocol's own choice
    x = fips186_prf(master, 96)
    return AkaKeys(x[:16], x[16:32], x[32:], master, lambda: fips186_prf(master, 160)[96:])


def aka_prime_keys(identity: bytes, ik_prime: bytes, ck_prime: bytes) -> AkaKeys:
    """EAP-AKA' full authentication (RFC 9048 3.3)."""
    mk = prf_prime(ik_prime + ck_prime, b"EAP-AKA'" + identity, 208)
    return AkaKeys(mk[:16], mk[16:48], mk[80:144], mk[48:80], lambda: mk[144:])


def aka_reauth_keys(identity: bytes, counter: int, nonce_s: bytes, full: AkaKeys) -> AkaKeys:
    """EAP-AKA fast re-authentication after ``full`` (RFC 4187 7): new MSK and EMSK, all else stays."""
    seed = hashlib.sha1(identity + struct.pack("!H", counter) + nonce_s + full.master).digest()
    msk = fips186_prf(seed, 64)
    return AkaKeys(full.encr, full.aut, msk, full.master, lambda: fips186_prf(seed, 128)[64:])


def aka_prime_reauth_keys(identity: bytes, counter: int, nonce_s: bytes, full: AkaKeys) -> AkaKeys:
    """EAP-AKA' fast re-authentication (RFC 9048 3.3); ``full.master`` is K_re."""
    seed = b"EAP-AKA' re-auth" + identity + struct.pack("!H", counter) + nonce_s
    mk = prf_prime(full.master, seed, 128)
    return AkaKeys(full.encr, full.aut, mk[:64], full.master, lambda: mk[64:])


def ck_ik_prime(ck: bytes, ik: bytes, network_name: bytes, sqn_xor_ak: bytes) -> tuple[bytes, bytes]:
    """CK' and IK' (TS 33.402 A.2, RFC 9048 3.3)."""
    text = b"\x20" + network_name + struct.pack("!H", len(network_name)) + sqn_xor_ak + b"\x00\x06"
    out = hmac.digest(ck + ik, text, "sha256")
    return out[:16], out[16:]


def prf_prime(key: bytes, seed: bytes, length: int) -> bytes:
    """PRF' (RFC 9048 3.4.1)."""
    out, block, counter = b"", b"", 0
    while len(out) < length:
        counter += 1
        block = hmac.digest(key, block + seed + bytes((counter,)), "sha256")
        out += block
    return out[:length]
