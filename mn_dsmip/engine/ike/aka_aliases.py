# SPDX-License-Identifier: GPL-2.0-or-later
"""Other names of a subscriber: pseudonyms and fast re-authentication identities (RFC 4187 4.1.1, 5; TS 23.003 19.3).

A pseudonym hides the IMSI. Ours is the IMSI itself, sealed with a key of the server's (as TS 33.234 6.4 does), so that
the server need not remember any, and a restart forgets none. A fast re-authentication identity is good for one
attempt: the server remembers which keys and which counter go with it.
"""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

from ...crypto.kdf import AkaKeys
from ...crypto.suites import Random, cbc_decrypt, cbc_encrypt
from .aka_common import AKA, AKA_PRIME, LONGEST_NAME, Flavour
from .eap_method import imsi_of

MOST_REAUTHENTICATIONS = 16
"""Fast ones after a full one; then a full one is due (RFC 4187 5.1 leaves the number open)."""
MOST_TAKEN = 1000
"""Fast ones after a full one that a UE agrees to, whatever the server allows."""
MOST_CONTEXTS = 65536
"""Fast re-authentication identities that a server remembers; beyond that the oldest goes."""
_IMSI_OCTETS = 8
_NO_CHAINING = bytes(16)


@dataclass(frozen=True)
class ReauthContext:
    """What a fast re-authentication begins with; ``counter`` is the next one at a server, the last one at a peer."""

    identity: str
    counter: int
    keys: AkaKeys = field(repr=False)
    imsi: str = ""


def user_name(identity: str) -> str:
    """An identity without its realm."""
    return identity.partition("@")[0]


def flavour_of(identity: str) -> Flavour:
    """Which method an identity belongs to, by its first character (TS 23.003 19.3)."""
    first = identity[:1]
    return AKA_PRIME if first in (AKA_PRIME.leading, AKA_PRIME.pseudonym, AKA_PRIME.reauth) else AKA


class PeerAliases:
    """What a UE was called in earlier authentications; it outlives them. ``pseudonym`` has its realm.

    A ``conservative`` UE that has a pseudonym never tells its permanent identity any more (RFC 4187 4.1.6).
    """

    def __init__(self, random: Random, pseudonym: str | None = None, conservative: bool = False) -> None:
        self.random = random
        self.pseudonym = pseudonym
        self.conservative = conservative
        self.reauth: ReauthContext | None = None

    def first(self, permanent: str) -> str:
        """What the UE calls itself unless it is asked: the least that it has to give away."""
        return self.reauth.identity if self.reauth else self.pseudonym or permanent

    def take(self) -> ReauthContext | None:
        """The context of the next fast re-authentication; whatever comes of it, it is used up (RFC 4187 5.1)."""
        context, self.reauth = self.reauth, None
        return context

    def refused(self, identity: str) -> None:
        """Somebody turned ``identity`` away: a network that knows no pseudonyms must not keep a liberal UE out."""
        if identity == self.pseudonym and not self.conservative:
            self.pseudonym = None


class ServerAliases:
    """What a server called its subscribers; ``secret`` seals pseudonyms and must survive a restart if they are to.

    ``pseudonyms`` and ``fast`` tell which of the two it gives out.
    """

    def __init__(self, random: Random, secret: bytes, pseudonyms: bool = True, fast: bool = True) -> None:
        self.random = random
        self.pseudonyms = pseudonyms
        self.fast = fast
        self._key = hashlib.sha256(b"pseudonyms" + secret).digest()[:16]
        self._contexts: OrderedDict[str, ReauthContext] = OrderedDict()

    def imsi(self, identity: str) -> str | None:
        """Whose permanent identity, pseudonym or fast re-authentication identity that is."""
        flavour = flavour_of(identity)
        context = self._contexts.get(user_name(identity))
        known = imsi_of(identity, flavour.leading) or self.unseal(flavour, identity)
        return known or (context.imsi if context else None)

    # --- pseudonyms

    def seal(self, flavour: Flavour, imsi: str) -> str:
        """A new pseudonym, without realm."""
        packed = bytes.fromhex(imsi.ljust(2 * _IMSI_OCTETS, "f"))
        sealed = cbc_encrypt(self._key, _NO_CHAINING, packed + self.random(16 - _IMSI_OCTETS))
        return flavour.pseudonym + base64.b32encode(sealed).decode().rstrip("=").lower()

    def unseal(self, flavour: Flavour, identity: str) -> str | None:
        """The IMSI in a pseudonym of ours, ``None`` for anything else."""
        name = user_name(identity)
        if not name.startswith(flavour.pseudonym) or len(name) != 27:
            return None
        try:
            sealed = base64.b32decode(name[1:].upper() + "======")
        except ValueError:
            return None
        imsi = cbc_decrypt(self._key, _NO_CHAINING, sealed)[:_IMSI_OCTETS].hex().rstrip("f")
        return imsi if imsi.isdigit() and 6 <= len(imsi) <= 15 else None

    # --- fast re-authentication

    def fresh(self, flavour: Flavour, realm: str, counter: int) -> str | None:
        """A new identity to go with ``counter``; ``None`` when a full authentication is due instead."""
        if not self.fast or counter > MOST_REAUTHENTICATIONS:
            return None
        name = flavour.reauth + base64.b32encode(self.random(15)).decode().lower() + (f"@{realm}" if realm else "")
        return name if len(name.encode()) <= LONGEST_NAME else None

    def remember(self, identity: str, imsi: str, counter: int, keys: AkaKeys) -> None:
        """Let ``identity`` be redeemed, now that its owner is authenticated."""
        self._contexts[user_name(identity)] = ReauthContext(identity, counter, keys, imsi)
        if len(self._contexts) > MOST_CONTEXTS:
            self._contexts.popitem(last=False)

    def redeem(self, flavour: Flavour, identity: str) -> ReauthContext | None:
        """What goes with a fast re-authentication identity, which is thereby used up (RFC 4187 5.1).

        Keys of the other method are good for nothing (RFC 9048 3.3), so the first character decides.
        """
        return self._contexts.pop(user_name(identity), None) if identity.startswith(flavour.reauth) else None

    def holds(self, identity: str) -> bool:
        """Whether that is a fast re-authentication identity that may be redeemed."""
        return user_name(identity) in self._contexts
