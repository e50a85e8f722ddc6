# SPDX-License-Identifier: GPL-2.0-or-later
"""What an IKE session needs of an EAP method, whichever it is and wherever its server runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from ..base import Event


@dataclass(frozen=True, slots=True)
class EapPacket:
    """The next packet to send to the other side."""

    packet: bytes


@dataclass(frozen=True, slots=True)
class EapSuccess:
    """The end: both sides hold ``msk`` (64 octets); a server has an EAP-Success ``packet`` to send.

    ``identity`` is who was authenticated: the IMSI at a server, the own identity at a peer.
    """

    msk: bytes = field(repr=False)
    identity: str
    packet: bytes = b""


@dataclass(frozen=True, slots=True)
class EapFailure:
    """The end without success; a server has an EAP-Failure ``packet`` to send, a peer may have a last response."""

    reason: str
    clause: str
    packet: bytes = b""


EapResult = EapPacket | EapSuccess | EapFailure


class EapMethod(Protocol):
    """One authentication, peer or server; hostile packets are counted and answered as the method's RFC says."""

    counters: Counter[str]

    def start(self) -> None:
        """Begin; only servers are asked to."""

    def receive(self, packet: bytes) -> None:
        """Take the other side's packet."""

    def take(self) -> EapResult | None:
        """What comes next; ``None`` while a distant server has not answered yet."""

    def events(self) -> list[Event]:
        """Effects that must be carried out before the next packet leaves."""


class EapPeer(EapMethod, Protocol):
    """The UE's side, which knows who it wants to be."""

    @property
    def identity(self) -> str:
        """What belongs into IDi, where IKE has its place for an EAP-Response/Identity."""


def network_access_identifier(imsi: str, mcc: str, mnc: str, leading: str) -> str:
    """The permanent identity of a subscriber (TS 23.003 19.3.2); ``leading`` is 0 for EAP-AKA, 6 for EAP-AKA'."""
    return f"{leading}{imsi}@nai.epc.mnc{mnc.zfill(3)}.mcc{mcc}.3gppnetwork.org"


def imsi_of(identity: str, leading: str) -> str | None:
    """The IMSI in a permanent identity, ``None`` when it is another kind of identity."""
    name = identity.partition("@")[0]
    if name.startswith(leading) and name[1:].isascii() and name[1:].isdigit() and 6 <= len(name) - 1 <= 15:
        return name[1:]
    return None


def permanent_imsi(identity: str) -> str | None:
    """The IMSI in a permanent identity of EAP-AKA or EAP-AKA', ``None`` in a name of another form."""
    return imsi_of(identity, identity[:1]) if identity.startswith(("0", "6")) else None
