# SPDX-License-Identifier: GPL-2.0-or-later
"""What a gateway decides while IKE runs: who may in, what it gets, which traffic its child SAs may carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ...wire.ikev2_payloads import Configuration, IdInitiator
from ..base import IPAddress
from .eap_method import EapMethod
from .events import Refusal, Selectors


@dataclass
class Peer:
    """What the responder knows of a session's peer; filled as the exchange goes on."""

    session: bytes
    """The own SPI of the session."""
    address: IPAddress
    local: IPAddress
    claimed: IdInitiator
    """IDi: what the peer says it is, which may serve routing only (RFC 7296 2.16)."""
    apn: str | None
    """IDr as text; ``None`` when the peer named nobody, or the gateway itself."""
    identity: str = ""
    """Who was authenticated."""


class ResponderPolicy(Protocol):
    """The gateway's decisions. A ``Refusal`` becomes its notify on the wire, and its reason a journal entry."""

    def authenticator(self, peer: Peer) -> EapMethod | bytes | Refusal:
        """How to authenticate this peer: an EAP server, a pre-shared key, or not at all."""

    def forget(self, session: bytes) -> None:
        """The session is no more, whatever became of it."""

    def authorise(self, peer: Peer) -> Refusal | None:
        """Whether the authenticated peer may use its APN; afterwards ``peer.apn`` is the one in force."""

    def assign(self, peer: Peer, request: Configuration | None) -> Configuration | Refusal | None:
        """The CFG_REPLY, which no peer gets that did not ask (RFC 7296 2.19)."""

    def narrow(self, peer: Peer, asked: Selectors) -> Selectors | Refusal:
        """What of the selectors asked for (seen from the gateway) a child SA may protect."""
