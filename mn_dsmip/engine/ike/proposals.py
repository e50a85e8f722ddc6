# SPDX-License-Identifier: GPL-2.0-or-later
"""Offers and choices of algorithms (RFC 7296 2.7, 3.3), and their names in configuration files.

A suite is written ``aes256gcm16-prfsha256-curve25519`` for IKE and ``aes256gcm16`` for ESP; several ciphers, PRFs or
groups joined by hyphens are alternatives within one proposal. With a group, ``aes256gcm16-curve25519``, ESP gets
forward secrecy: a Diffie-Hellman exchange of its own in CREATE_CHILD_SA.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from ...crypto.groups import GROUPS, Group
from ...crypto.suites import ENCRYPTION, INTEGRITY, PRF, Encryption, Integrity, Prf, Protection
from ...wire.ikev2_numbers import Protocol, TransformType
from ...wire.ikev2_proposals import Proposal, Transform


@dataclass(frozen=True)
class Offer:
    """One proposal: alternatives of each kind, preferred first; ESP has no PRF, a group for forward secrecy only."""

    encryption: tuple[Encryption, ...]
    integrity: tuple[Integrity, ...] = ()
    prf: tuple[Prf, ...] = ()
    groups: tuple[Group, ...] = ()

    def __str__(self) -> str:
        parts: tuple[Encryption | Integrity | Prf | Group, ...]
        parts = (*self.encryption, *self.integrity, *self.prf, *self.groups)
        return "/".join(each.name for each in parts)


@dataclass(frozen=True)
class Chosen:
    """The algorithms that both sides agreed on; ``prf`` for IKE only, ``group`` seldom for ESP."""

    protection: Protection
    prf: Prf | None = None
    group: Group | None = None

    def __str__(self) -> str:
        parts = (self.protection.encryption, self.protection.integrity, self.prf, self.group)
        return "/".join(each.name for each in parts if each)


_WORDS: dict[str, Encryption | Integrity | Prf | Group] = {
    "aes128gcm16": ENCRYPTION[20, 128],
    "aes256gcm16": ENCRYPTION[20, 256],
    "aes128": ENCRYPTION[12, 128],
    "aes256": ENCRYPTION[12, 256],
    "null": ENCRYPTION[11, None],
    "sha1": INTEGRITY[2],
    "sha256": INTEGRITY[12],
    "sha384": INTEGRITY[13],
    "sha512": INTEGRITY[14],
    "prfsha1": PRF[2],
    "prfsha256": PRF[5],
    "prfsha384": PRF[6],
    "prfsha512": PRF[7],
    "modp1024": GROUPS[2],
    "modp2048": GROUPS[14],
    "modp3072": GROUPS[15],
    "modp4096": GROUPS[16],
    "ecp256": GROUPS[19],
    "ecp384": GROUPS[20],
    "ecp521": GROUPS[21],
    "curve25519": GROUPS[31],
    "x25519": GROUPS[31],
}


def parse_offer(text: str, protocol: Protocol) -> Offer:
    """Read a suite's name; ``ValueError`` says which word is wrong or what is missing."""
    words = []
    for word in text.lower().split("-"):
        if word not in _WORDS:
            near = get_close_matches(word, _WORDS, 1)
            hint = f", did you mean {near[0]}?" if near else f"; known are {', '.join(_WORDS)}"
            raise ValueError(f"{word!r} in suite {text!r} is unknown{hint}")
        words.append(_WORDS[word])
    offer = Offer(
        tuple(each for each in words if isinstance(each, Encryption)),
        tuple(each for each in words if isinstance(each, Integrity)),
        tuple(each for each in words if isinstance(each, Prf)),
        tuple(each for each in words if isinstance(each, Group)),
    )
    _check_offer(offer, text, protocol)
    return offer


def _check_offer(offer: Offer, text: str, protocol: Protocol) -> None:
    if not offer.encryption:
        raise ValueError(f"suite {text!r} names no cipher")
    combined = {each.combined for each in offer.encryption}
    if len(combined) > 1:
        raise ValueError(f"suite {text!r} mixes ciphers with and without their own integrity: write two suites")
    if True in combined and offer.integrity:
        raise ValueError(f"suite {text!r} names an integrity algorithm beside a cipher that has its own")
    if False in combined and not offer.integrity:
        raise ValueError(f"suite {text!r} lacks an integrity algorithm")
    if protocol == Protocol.IKE and not (offer.prf and offer.groups):
        raise ValueError(f"IKE suite {text!r} lacks a {'PRF' if not offer.prf else 'Diffie-Hellman group'}")
    if protocol == Protocol.IKE and ENCRYPTION[11, None] in offer.encryption:
        raise ValueError("NULL encryption is not allowed for IKE (RFC 8247 2.1)")
    if protocol == Protocol.ESP and offer.prf:
        raise ValueError(f"ESP suite {text!r} names a PRF, which ESP has not")


@dataclass(frozen=True)
class Profile:
    """What a side offers, or accepts, in order of preference."""

    ike: tuple[Offer, ...]
    esp: tuple[Offer, ...]


def _profile(ike: Iterable[str], esp: Iterable[str]) -> Profile:
    return Profile(
        tuple(parse_offer(text, Protocol.IKE) for text in ike), tuple(parse_offer(text, Protocol.ESP) for text in esp)
    )


PROFILES: dict[str, Profile] = {
    # RFC 8247 and 8221: combined modes and curves first, what every grown implementation has second.
    "modern": _profile(
        (
            "aes256gcm16-aes128gcm16-prfsha256-prfsha384-prfsha512-curve25519-ecp256-ecp384-ecp521-modp2048-modp3072",
            "aes256-aes128-sha256-sha384-sha512-prfsha256-prfsha384-prfsha512-curve25519-ecp256-ecp384-ecp521-modp2048-modp3072",
        ),
        ("aes256gcm16-aes128gcm16", "aes256-aes128-sha256-sha384-sha512"),
    ),
    # What older 3GPP devices do (TS 33.234 6.5, TS 36.508 4.7C.1; unconfirmed).
    "legacy": _profile(("aes128-sha1-prfsha1-modp2048-modp1024",), ("aes128-sha1",)),
}


def build_proposals(offers: Sequence[Offer], protocol: Protocol, spi: bytes) -> tuple[Proposal, ...]:
    """The proposals of an SA payload."""
    return tuple(
        Proposal(number, protocol, spi, _transforms(offer, protocol)) for number, offer in enumerate(offers, start=1)
    )


def _transforms(offer: Offer, protocol: Protocol) -> tuple[Transform, ...]:
    found = [Transform(TransformType.ENCR, each.transform, each.key_bits) for each in offer.encryption]
    found += [Transform(TransformType.PRF, each.transform) for each in offer.prf]
    found += [Transform(TransformType.INTEG, each.transform) for each in offer.integrity]
    found += [Transform(TransformType.DH, each.transform) for each in offer.groups]
    if protocol == Protocol.ESP:
        found.append(Transform(TransformType.ESN, 0))
    return tuple(found)


def choose(
    proposals: Sequence[Proposal], offers: Sequence[Offer], protocol: Protocol
) -> tuple[Proposal, Chosen] | None:
    """The first of our ``offers`` that a peer's proposal allows, as the answer's proposal, and its algorithms."""
    for offer in offers:
        for proposal in proposals:
            if proposal.protocol == protocol and (found := _match(proposal, offer, protocol)):
                transforms = _transforms(_single(found), protocol)
                return Proposal(proposal.number, protocol, proposal.spi, transforms), found
    return None


LONGEST_NAME = 400
"""Characters of a stranger's offer that are worth showing."""


def none_acceptable(proposals: Sequence[Proposal], offers: Sequence[Offer]) -> str:
    """A sentence for a person: what the peer offered and what we accept."""
    offered = " or ".join("/".join(filter(None, map(_name, proposal.transforms))) for proposal in proposals)
    accepted = " or ".join(str(each) for each in offers)
    return f"no proposal of the peer is acceptable: it offered {offered[:LONGEST_NAME]}, we accept {accepted}"


def _name(transform: Transform) -> str:
    """What configuration files' readers know it by; nothing for what goes without saying."""
    if transform.type == TransformType.ESN:
        return "extended sequence numbers" if transform.id else ""
    known: dict[int, Encryption | Integrity | Prf | Group | None] = {
        TransformType.ENCR: ENCRYPTION.get((transform.id, transform.key_length)),
        TransformType.PRF: PRF.get(transform.id),
        TransformType.INTEG: INTEGRITY.get(transform.id),
        TransformType.DH: GROUPS.get(transform.id),
    }
    found = known.get(transform.type)
    return found.name if found else f"transform {transform.type}:{transform.id}"


def check_answer(answer: Sequence[Proposal], offers: Sequence[Offer], protocol: Protocol) -> Chosen | None:
    """The algorithms of a responder's answer; ``None`` when it is not exactly one choice out of what was offered."""
    if len(answer) != 1 or answer[0].protocol != protocol or not 1 <= answer[0].number <= len(offers):
        return None
    offer = offers[answer[0].number - 1]
    found = _match(answer[0], offer, protocol)
    if found is None or (offer.groups and found.group is None):
        return None
    wanted = set(_transforms(_single(found), protocol)) | {Transform(TransformType.INTEG, 0)}
    extra = set(answer[0].transforms) - wanted
    return None if extra else found


def _single(chosen: Chosen) -> Offer:
    integrity = chosen.protection.integrity
    return Offer(
        (chosen.protection.encryption,),
        (integrity,) if integrity else (),
        (chosen.prf,) if chosen.prf else (),
        (chosen.group,) if chosen.group else (),
    )


def _match(proposal: Proposal, offer: Offer, protocol: Protocol) -> Chosen | None:
    by_type: dict[int, set[tuple[int, int | None]]] = {}
    for each in proposal.transforms:
        ids = by_type.setdefault(each.type, set())
        if not each.attributes:  # RFC 7296 3.3.6: an unknown attribute rules out this transform, not the proposal
            ids.add((each.id, each.key_length))
    known = {TransformType.ENCR, TransformType.PRF, TransformType.INTEG, TransformType.DH, TransformType.ESN}
    if by_type.keys() - known:  # RFC 7296 3.3.6: an unknown transform type rules the proposal out
        return None
    encryption = next((e for e in offer.encryption if (e.transform, e.key_bits) in by_type.get(1, set())), None)
    if encryption is None:
        return None
    integrity = next((i for i in offer.integrity if (i.transform, None) in by_type.get(3, set())), None)
    if encryption.combined != (integrity is None) or (
        encryption.combined and by_type.get(3, {(0, None)}) != {(0, None)}
    ):
        return None
    prf = next((p for p in offer.prf if (p.transform, None) in by_type.get(2, set())), None)
    group = next((g for g in offer.groups if (g.transform, None) in by_type.get(4, set())), None)
    if protocol == Protocol.IKE and (prf is None or group is None):
        return None
    if protocol == Protocol.ESP and not _esp_fits(by_type, group):
        return None
    return Chosen(Protection(encryption, integrity), prf, group)


def _esp_fits(by_type: dict[int, set[tuple[int, int | None]]], group: Group | None) -> bool:
    """Extended sequence numbers are not used; a peer that insists on them, or on a group that we lack, is refused."""
    return (0, None) in by_type.get(5, {(0, None)}) and (group is not None or (0, None) in by_type.get(4, {(0, None)}))
