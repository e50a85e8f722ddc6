# SPDX-License-Identifier: GPL-2.0-or-later
"""The mobile node's side of one binding: registers a home address, keeps it registered, de-registers it.

One ``MobileNode`` is one entry of a binding update list (RFC 6275 11.1). It takes messages that were already opened by the
SA of its home address, and yields messages for that SA. What it learns goes up as events; what to do about a lost or
refused binding beyond repeating Binding Updates is its user's decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Address, IPv6Address

from ...wire.mobility import (
    MobilityMessage,
)
from ..base import Event, IPAddress, Random
from .packet import MobilityPacket


class State(Enum):
    """Where the binding stands, as the mobile node knows it."""

    UNBOUND = auto()
    REGISTERING = auto()
    BOUND = auto()
    REFRESHING = auto()
    DEREGISTERING = auto()


class Input(Enum):
    """What moves the binding."""

    REGISTER = auto()
    REFRESH = auto()
    DEREGISTER = auto()
    ACCEPTED = auto()
    """A Binding Acknowledgement below 128; while de-registering also 133, nothing was bound."""
    REFUSED = auto()
    """A status that ends the attempt, or the last of the allowed tries."""
    EXPIRED = auto()
    """The lifetime ended without a refresh."""
    ABANDONED = auto()
    """The user ends it without a word to the home agent, because its SA is gone."""


# An attempt that goes on (retransmission, statuses 128, 130, 135, 139, 140, 143) stays in its state.
# A refresh or a de-registration already under way absorbs another one.
TABLE = {
    (State.UNBOUND, Input.REGISTER): State.REGISTERING,
    (State.UNBOUND, Input.ABANDONED): State.UNBOUND,
    (State.REGISTERING, Input.ACCEPTED): State.BOUND,
    (State.REGISTERING, Input.REFUSED): State.UNBOUND,
    (State.REGISTERING, Input.DEREGISTER): State.DEREGISTERING,  # the home agent may have answered already
    (State.REGISTERING, Input.ABANDONED): State.UNBOUND,
    (State.BOUND, Input.REFRESH): State.REFRESHING,
    (State.BOUND, Input.DEREGISTER): State.DEREGISTERING,
    (State.BOUND, Input.EXPIRED): State.REGISTERING,
    (State.BOUND, Input.ABANDONED): State.UNBOUND,
    (State.REFRESHING, Input.REFRESH): State.REFRESHING,
    (State.REFRESHING, Input.ACCEPTED): State.BOUND,
    (State.REFRESHING, Input.REFUSED): State.UNBOUND,
    (State.REFRESHING, Input.DEREGISTER): State.DEREGISTERING,
    (State.REFRESHING, Input.EXPIRED): State.REGISTERING,
    (State.REFRESHING, Input.ABANDONED): State.UNBOUND,
    (State.DEREGISTERING, Input.DEREGISTER): State.DEREGISTERING,
    (State.DEREGISTERING, Input.ACCEPTED): State.UNBOUND,
    (State.DEREGISTERING, Input.REFUSED): State.UNBOUND,
    (State.DEREGISTERING, Input.ABANDONED): State.UNBOUND,
}


@dataclass(frozen=True, slots=True)
class MobileConfig:
    """What a mobile node asks for; the defaults are what TS 24.303 A.2 prescribes."""

    lifetime: int = 3600
    """Seconds to ask for; granted may be less."""
    ipv4_home_address: IPv4Address | None = None
    """0.0.0.0 asks for any IPv4 home address, another one for exactly that; ``None`` for none."""
    overwrite_flag: bool = True
    """O in a first registration (A.2); never set in a refresh (A.3)."""
    link_local_flag: bool = False
    """L: the home address and the link-local address share the interface identifier (A.2)."""
    router_fallback: bool = True
    """After status 140 or 143 register without R here, instead of ending so that another home agent can be tried."""


class MobileNode:
    """One home address's entry of the binding update list.

    Sequence numbers start at a random value out of ``random``; ``first_sequence`` fixes it.
    """

    def __init__(
        self,
        config: MobileConfig,
        home_address: IPv6Address,
        home_agent: IPv6Address,
        care_of_address: IPAddress,
        random: Random,
    ) -> None: ...

    @property
    def state(self) -> State: ...

    @property
    def ipv4_home_address(self) -> IPv4Address | None:
        """The registered IPv4 home address."""

    def lifetime_left(self, now: float) -> float:
        """Seconds until the binding expires; 0 without one."""

    def register(self, now: float) -> None:
        """Begin a first registration; ``ProtocolError`` unless unbound."""

    def refresh(self, now: float) -> None:
        """Extend the binding now; ``ProtocolError`` without one."""

    def release_ipv4(self, now: float) -> None:
        """Give the IPv4 home address back and keep the IPv6 binding (RR-3); ``ProtocolError`` without a binding."""

    def deregister(self, now: float) -> None:
        """End the binding; ``Deregistered`` follows. ``ProtocolError`` when unbound."""

    def abandon(self) -> None:
        """Forget the binding at once and silently, because the SA that would carry messages is gone."""

    def receive(self, message: MobilityMessage, now: float) -> None:
        """Take a message that the home agent sent inside the SA of this home address."""

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to be called."""

    def handle_timer(self, now: float) -> None:
        """Retransmit, refresh or expire, whatever is due."""

    def datagrams_to_send(self) -> list[MobilityPacket]:
        """Messages that must leave now, oldest first."""

    def events(self) -> list[Event]:
        """What happened since the last call."""
