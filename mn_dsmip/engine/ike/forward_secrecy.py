# SPDX-License-Identifier: GPL-2.0-or-later
"""A Diffie-Hellman exchange for a child SA alone, so that its keys outlive a theft of SK_d (RFC 7296 1.3.1, 2.12).

Never in IKE_AUTH, which has no KE payload. We ask for it when an ESP suite of ours names a group, or when the peer did
before; and we grant it to whoever asks with a group that is good enough for IKE.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace

from ...crypto.groups import Group
from ...crypto.suites import CryptoError, Random
from ...wire.codec import WireError
from ...wire.ikev2_numbers import NotifyType
from ...wire.ikev2_payloads import KeyExchange, Notify
from .proposals import Offer, Profile


class KeyShare:
    """Our half of an exchange."""

    def __init__(self, group: Group, random: Random) -> None:
        self.group = group
        self._key = group.generate(random)

    @property
    def payload(self) -> KeyExchange:
        """What the peer gets of it."""
        return KeyExchange(self.group.transform, self._key.public)

    def shared(self, exchange: KeyExchange | None) -> bytes:
        """g^ir; ``WireError`` when the peer's half is missing, of another group or not allowed."""
        if exchange is None or exchange.group != self.group.transform:
            raise WireError("no key exchange that fits the choice of a group")
        try:
            return self._key.shared(exchange.data)
        except CryptoError as problem:
            raise WireError(f"public value: {problem}") from None


def first_group(profile: Profile) -> Group | None:
    """The one that our ESP suites want, if any does."""
    return next((group for offer in profile.esp for group in offer.groups), None)


def offers_with(profile: Profile, share: KeyShare | None) -> tuple[Offer, ...]:
    """Our ESP suites as we ask for them: without groups, or each with its own and that of ``share``."""
    if share is None:
        return tuple(replace(offer, groups=()) for offer in profile.esp)
    return tuple(replace(offer, groups=tuple(_distinct((*offer.groups, share.group)))) for offer in profile.esp)


def offers_for(profile: Profile, exchange: KeyExchange | None) -> tuple[Offer, ...]:
    """Our ESP suites as we grant them: with any group of ours, that of the peer's ``exchange`` first."""
    ours = _distinct(group for offer in (*profile.esp, *profile.ike) for group in offer.groups)
    wanted = exchange.group if exchange else None
    groups = tuple(sorted(ours, key=lambda group: group.transform != wanted)) if exchange else ()
    return tuple(replace(offer, groups=groups) for offer in profile.esp)


def _distinct(groups: Iterable[Group]) -> list[Group]:
    return list(dict.fromkeys(groups))


def wanted_group(told: Notify, offers: Iterable[Offer], tried: Group) -> Group | None:
    """The group that an INVALID_KE_PAYLOAD names, if we had offered it and not tried it (RFC 7296 1.3)."""
    number = struct.unpack("!H", told.data)[0] if len(told.data) == 2 else 0
    found = (group for offer in offers for group in offer.groups if group.transform == number)
    return next((group for group in found if group is not tried), None)


def other_group(group: Group) -> Notify:
    """INVALID_KE_PAYLOAD: ask again with that one."""
    return Notify(NotifyType.INVALID_KE_PAYLOAD, struct.pack("!H", group.transform))
