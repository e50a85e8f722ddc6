# SPDX-License-Identifier: GPL-2.0-or-later
"""What peer and server of EAP-AKA (RFC 4187) and EAP-AKA' (RFC 9048) compute alike."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace

from ...crypto.kdf import AkaKeys, aka_keys, aka_prime_keys, aka_prime_reauth_keys, aka_reauth_keys, ck_ik_prime
from ...crypto.suites import cbc_decrypt, cbc_encrypt
from ...wire.codec import WireError
from ...wire.eap import (
    MAC_LENGTH,
    AkaPacket,
    Attribute,
    EncrData,
    Iv,
    Kdf,
    Method,
    Padding,
    SkippableAttribute,
    build_attributes,
    parse_attributes,
)
from ...wire.eap_mac import with_mac, without_mac
from ..base import Random

AES_BLOCK = 16
LONGEST_NAME = 253
"""Octets of an identity (RFC 4282 2.1)."""
KDF_CK_IK_PRIME = 1
"""The only key derivation function there is (RFC 9048 3.3)."""


@dataclass(frozen=True)
class Flavour:
    """Where the two methods differ."""

    method: Method
    leading: str
    """First character of a permanent identity."""
    pseudonym: str
    """First character of a pseudonym."""
    reauth: str
    """First character of a fast re-authentication identity (TS 23.003 19.3)."""
    hash_name: str

    @property
    def names(self) -> tuple[str, str, str]:
        """The first characters of its identities."""
        return self.leading, self.pseudonym, self.reauth


AKA = Flavour(Method.AKA, "0", "2", "4", "sha1")
AKA_PRIME = Flavour(Method.AKA_PRIME, "6", "7", "8", "sha256")


def derive(flavour: Flavour, identity: str, ck: bytes, ik: bytes, autn: bytes, network_name: bytes) -> AkaKeys:
    """The keys of a full authentication; the identity is the one EAP saw last (RFC 4187 7)."""
    if flavour is AKA:
        return aka_keys(identity.encode(), ik, ck)
    ck_prime, ik_prime = ck_ik_prime(ck, ik, network_name, autn[:6])
    return aka_prime_keys(identity.encode(), ik_prime, ck_prime)


class Transcript:
    """The packets of the identity rounds, for AT_CHECKCODE (RFC 4187 10.13)."""

    def __init__(self, flavour: Flavour) -> None:
        self._hash_name = flavour.hash_name
        self._packets: list[bytes] = []

    def add(self, *packets: bytes) -> None:
        """Note a request or a response, as it was sent."""
        self._packets += packets

    def checkcode(self) -> bytes:
        """The hash over all of them; empty when there was no identity round."""
        return hashlib.new(self._hash_name, b"".join(self._packets)).digest() if self._packets else b""

    def matches(self, value: bytes) -> bool:
        """Whether the other side saw the same packets."""
        return hmac.compare_digest(value, self.checkcode())


def seal(flavour: Flavour, packet: AkaPacket, keys: AkaKeys, extra: bytes = b"") -> bytes:
    """``packet``, whose attributes include an empty AT_MAC, with the right AT_MAC; ``extra`` is NONCE_S or nothing."""
    return with_mac(packet.build(), lambda octets: hmac.digest(keys.aut, octets + extra, flavour.hash_name))


def check_mac(flavour: Flavour, octets: bytes, keys: AkaKeys, extra: bytes = b"") -> None:
    """``WireError`` unless ``octets`` carry the right AT_MAC."""
    cleared, mac = without_mac(octets)
    if not hmac.compare_digest(hmac.digest(keys.aut, cleared + extra, flavour.hash_name)[:MAC_LENGTH], mac):
        raise WireError("AT_MAC is wrong")


def encrypt(keys: AkaKeys, random: Random, *attributes: Attribute) -> tuple[Iv, EncrData]:
    """AT_IV and AT_ENCR_DATA around ``attributes`` (RFC 4187 10.12); AES-128-CBC with both methods (RFC 9048 3.4)."""
    plaintext = build_attributes(attributes)
    missing = -len(plaintext) % AES_BLOCK
    if missing:
        plaintext += build_attributes([Padding(bytes(missing - 2))])
    iv = random(AES_BLOCK)
    return Iv(iv), EncrData(cbc_encrypt(keys.encr, iv, plaintext))


def decrypt(keys: AkaKeys, packet: AkaPacket) -> AkaPacket:
    """``packet`` with what AT_ENCR_DATA holds as its attributes; ``WireError`` when that is no list of attributes."""
    iv, sealed = packet.get(Iv), packet.get(EncrData)
    if iv is None or sealed is None:
        return replace(packet, attributes=())
    if not sealed.value or len(sealed.value) % AES_BLOCK:
        raise WireError(f"AT_ENCR_DATA of {len(sealed.value)} octets")
    found = parse_attributes(cbc_decrypt(keys.encr, iv.value, sealed.value))
    paddings = [each for each in found if isinstance(each, Padding)]
    if paddings and (found[-1] is not paddings[0] or len(paddings) > 1):
        raise WireError("AT_PADDING is not the last in AT_ENCR_DATA")
    if any(any(each.value) or len(each.value) not in (2, 6, 10) for each in paddings):
        raise WireError("AT_PADDING is not 4, 8 or 12 octets of zeros")
    return replace(packet, attributes=tuple(each for each in found if not isinstance(each, Padding)))


def rederive(flavour: Flavour, identity: str, counter: int, nonce_s: bytes, full: AkaKeys) -> AkaKeys:
    """The keys of a fast re-authentication after the full one with keys ``full``."""
    function = aka_reauth_keys if flavour is AKA else aka_prime_reauth_keys
    return function(identity.encode(), counter, nonce_s, full)


def exactly_one(packet: AkaPacket, *kinds: type[Attribute]) -> None:
    """``WireError`` unless each of ``kinds`` is there once."""
    for kind in kinds:
        if (count := len(packet.all(kind))) != 1:
            raise WireError(f"{count} attributes {kind.__name__} where one belongs")


def only(packet: AkaPacket, *kinds: type[Attribute]) -> None:
    """``WireError`` when an attribute that we know is not among ``kinds``, or is there twice (RFC 4187 6.3, 10.1).

    AT_KDF alone may be repeated; AT_IV and AT_ENCR_DATA come together or not at all.
    """
    for each in packet.attributes:
        if not isinstance(each, (*kinds, SkippableAttribute)):
            raise WireError(f"attribute {type(each).__name__} does not belong into subtype {packet.subtype}")
    for kind in kinds:
        if kind is not Kdf and len(packet.all(kind)) > 1:
            raise WireError(f"attribute {kind.__name__} is repeated")
    if len(packet.all(Iv)) != len(packet.all(EncrData)):
        raise WireError("of AT_IV and AT_ENCR_DATA one is missing")
