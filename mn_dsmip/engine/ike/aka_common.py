# SPDX-License-Identifier: GPL-2.0-or-later
"""What peer and server of EAP-AKA (RFC 4187) and EAP-AKA' (RFC 9048) compute alike."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from ...crypto.kdf import AkaKeys, aka_keys, aka_prime_keys, ck_ik_prime
from ...wire.codec import WireError
from ...wire.eap import (
    MAC_LENGTH,
    AkaPacket,
    Attribute,
    EncrData,
    Iv,
    Kdf,
    Method,
    SkippableAttribute,
    with_mac,
    without_mac,
)

KDF_CK_IK_PRIME = 1
"""The only key derivation function there is (RFC 9048 3.3)."""


@dataclass(frozen=True)
class Flavour:
    """Where the two methods differ."""

    method: Method
    leading: str
    """First character of a permanent identity."""
    hash_name: str


AKA = Flavour(Method.AKA, "0", "sha1")
AKA_PRIME = Flavour(Method.AKA_PRIME, "6", "sha256")


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


def seal(flavour: Flavour, packet: AkaPacket, keys: AkaKeys) -> bytes:
    """``packet``, whose attributes include an empty AT_MAC, with the right AT_MAC."""
    return with_mac(packet.build(), lambda octets: hmac.digest(keys.aut, octets, flavour.hash_name))


def check_mac(flavour: Flavour, octets: bytes, keys: AkaKeys) -> None:
    """``WireError`` unless ``octets`` carry the right AT_MAC."""
    cleared, mac = without_mac(octets)
    if not hmac.compare_digest(hmac.digest(keys.aut, cleared, flavour.hash_name)[:MAC_LENGTH], mac):
        raise WireError("AT_MAC is wrong")


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
