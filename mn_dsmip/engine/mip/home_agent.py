# SPDX-License-Identifier: GPL-2.0-or-later
"""The home agent's side: the binding cache of any number of mobile nodes.

It takes Binding Updates that an SA opened, together with what IKE authorized the holder of that SA to bind, and answers
them. Bindings that come, change and go are events; forwarding is its user's work.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Protocol

from ...wire.mobility import IPv4Status
from ..base import Event
from .events import Binding, Owner
from .packet import MobilityPacket


@dataclass(frozen=True, slots=True)
class Authorization:
    """What the holder of one ESP SA may bind; made once when the SA comes up."""

    owner: Owner
    home_prefix: IPv6Network
    """The home network prefix that IKE assigned to the owner; a /128 when only an address was assigned."""
    selector: IPv6Network
    """The mobile node's traffic selector of the SA: a Binding Update for a home address outside is dropped (B-11)."""
    prefix_expires: float = float("inf")
    """When the home prefix stops being valid, in the engine's time."""


class Ipv4Assigner(Protocol):
    """Hands out IPv4 home addresses."""

    def assign(self, owner: Owner, wanted: IPv4Address | None) -> IPv4Address | IPv4Status:
        """The owner's address, the same as long as it holds one; ``wanted`` is ``None`` for any, or why not."""
        ...


class HomeAgent:
    """The binding cache of one home agent.

    ``counters`` counts what was dropped: "mh-foreign-sa" (the home address is not that of the SA), "mh-unexpected",
    "bu-home-address", "bu-care-of-address", "bu-not-home", "bu-nonce-indices".
    """

    def __init__(self, config: HomeAgentConfig, ipv4_assigner: Ipv4Assigner | None = None) -> None: ...

    def receive(self, packet: MobilityPacket, authorization: Authorization, now: float) -> None:
        """Take a message that an SA with that ``authorization`` opened; the answer is in ``datagrams_to_send``."""

    def binding(self, home_address: IPv6Address) -> Binding | None:
        """The active binding of a home address."""

    def bindings(self) -> list[Binding]:
        """All active bindings."""

    def withdraw(self, owner: Owner) -> None:
        """Remove the owner's bindings at once, for example because its IKE SA ended."""

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to be called."""

    def handle_timer(self, now: float) -> None:
        """Remove what expired."""

    def datagrams_to_send(self) -> list[MobilityPacket]:
        """Messages that must leave now, oldest first."""

    def events(self) -> list[Event]:
        """What happened since the last call."""
