# SPDX-License-Identifier: GPL-2.0-or-later
"""Effects and milestones of the composite engines, as data.

The edge carries an effect out (``agent/``), a simulation only looks at it. Milestones are what a journal, a prompt or a
test waits for; the small engines have finer events of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from .base import Effect, Event, IPAddress


@dataclass(frozen=True, slots=True)
class AddAddress(Effect):
    """A home address that applications may now use; it belongs on the UE's home device."""

    address: IPAddress
    prefix_length: int


@dataclass(frozen=True, slots=True)
class RemoveAddress(Effect):
    """The end of what ``AddAddress`` began."""

    address: IPAddress
    prefix_length: int


@dataclass(frozen=True, slots=True)
class SetMtu(Effect):
    """The largest inner packet, in octets, that the home device should offer to applications."""

    mtu: int


@dataclass(frozen=True, slots=True)
class AddRoute(Effect):
    """Inner packets for ``prefix`` belong to this engine (a UE: everything; a gateway: the prefix of one UE)."""

    prefix: IPv6Network | IPv4Network


@dataclass(frozen=True, slots=True)
class RemoveRoute(Effect):
    """The end of what ``AddRoute`` began."""

    prefix: IPv6Network | IPv4Network


@dataclass(frozen=True, slots=True)
class LeaseChanged(Effect):
    """What must survive a restart of the gateway: who holds which home prefix and IPv4 home address."""

    subscriber: str
    apn: str
    prefix: IPv6Network
    ipv4_home_address: IPv4Address | None


@dataclass(frozen=True, slots=True)
class StateChanged(Event):
    """The UE moved from one state to another; both are names of ``UeState``."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class AttachSucceeded(Event):
    """The UE is registered and may carry traffic; ``lifetime`` in seconds."""

    home_agent: IPAddress
    home_prefix: IPv6Network
    home_address: IPv6Address
    ipv4_home_address: IPv4Address | None
    care_of_address: IPAddress
    lifetime: int


@dataclass(frozen=True, slots=True)
class AttachFailed(Event):
    """The attach ended; ``reason`` is a sentence for a person, ``clause`` where it is laid down."""

    state: str
    reason: str
    clause: str
    retry_after: float | None
    """Seconds until the engine tries again by itself; ``None`` when it waits for its user."""


@dataclass(frozen=True, slots=True)
class Redirected(Event):
    """The home agent sent the UE to another one (RFC 5685), which it now tries."""

    old_home_agent: IPv6Address
    new_home_agent: IPv6Address


@dataclass(frozen=True, slots=True)
class RefreshSucceeded(Event):
    """The binding was extended; ``lifetime`` in seconds."""

    lifetime: int


@dataclass(frozen=True, slots=True)
class DetachFinished(Event):
    """The PDN connection is gone; ``confirmed`` tells whether the gateway acknowledged it."""

    confirmed: bool


@dataclass(frozen=True, slots=True)
class SqnAdvanced(Effect):
    """The AKA sequence number used last, at a USIM or in the network; durable before the message with it leaves."""

    imsi: str
    sqn: int


@dataclass(frozen=True, slots=True)
class PseudonymChanged(Effect):
    """What the network calls the subscriber from now on; to be kept as privately as the IMSI."""

    imsi: str
    pseudonym: str
