# SPDX-License-Identifier: GPL-2.0-or-later
"""What the Mobile IPv6 engines tell their users: first the mobile node's events, then the home agent's."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from ..base import Event, IPAddress
from .status import Reaction

Owner = Hashable
"""Whom IKE authenticated for what: a subscriber and an APN."""


@dataclass(frozen=True, slots=True)
class BindingUpdateSent(Event):
    """A Binding Update left; ``attempt`` counts from 1, ``lifetime`` in seconds."""

    home_address: IPv6Address
    sequence: int
    lifetime: int
    attempt: int


@dataclass(frozen=True, slots=True)
class BindingUpdateUnanswered(Event):
    """No acknowledgement came in time; after a few of these the user should look whether the home agent still lives."""

    home_address: IPv6Address
    attempts: int


@dataclass(frozen=True, slots=True)
class BindingUpdateRefused(Event):
    """A refusing acknowledgement; the attempt goes on unless a ``RegistrationFailed`` follows."""

    home_address: IPv6Address
    status: int
    reaction: Reaction


@dataclass(frozen=True, slots=True)
class Registered(Event):
    """The home agent accepted: the home address may be used through the tunnel from ``care_of_address``."""

    home_address: IPv6Address
    care_of_address: IPAddress
    home_agent: IPv6Address
    lifetime: int
    """Seconds, counted from the sending of the Binding Update."""
    refreshed: bool
    """The binding existed before."""
    prefix_served: bool
    """R: any address of the home prefix may be used, not only the home address (B-20, B-21)."""
    key_management: bool
    """K: the IKE SA survives a change of the care-of address."""
    ipv4_home_address: IPv4Address | None
    ipv4_status: int | None
    """What the home agent said about the IPv4 home address; ``None`` when it said nothing."""


@dataclass(frozen=True, slots=True)
class RegistrationFailed(Event):
    """The binding is gone or never was; ``reaction`` says what may help, ``reason`` is a sentence for a person."""

    home_address: IPv6Address
    status: int | None
    """The home agent's last word; ``None`` when it was not even asked."""
    reaction: Reaction
    reason: str
    clause: str


@dataclass(frozen=True, slots=True)
class BindingExpired(Event):
    """No refresh got through before the lifetime ended; the mobile node goes on registering anew."""

    home_address: IPv6Address


@dataclass(frozen=True, slots=True)
class Deregistered(Event):
    """De-registration is over; unconfirmed when the home agent refused it or did not answer in time."""

    home_address: IPv6Address
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Binding:
    """An entry of the binding cache."""

    owner: Owner
    home_address: IPv6Address
    home_prefix: IPv6Network
    home_agent: IPv6Address
    care_of_address: IPAddress
    ipv4_home_address: IPv4Address | None
    sequence: int
    lifetime: int
    """Seconds granted last."""
    expires: float
    mobile_router: bool
    """R: the whole home prefix is forwarded, not only the home address."""
    key_management: bool
    active: bool = True
    """False for ten seconds after a de-registration: nothing is forwarded, late Binding Updates still get their 135."""


class Removal(Enum):
    """Why a binding ended."""

    DEREGISTERED = "the mobile node de-registered"
    EXPIRED = "its lifetime ended"
    REPLACED = "its owner registered another home address"
    WITHDRAWN = "the home agent withdrew it"


@dataclass(frozen=True, slots=True)
class BindingCreated(Event):
    """Begin to forward for ``binding``."""

    binding: Binding


@dataclass(frozen=True, slots=True)
class BindingUpdated(Event):
    """Forward by ``binding`` instead of ``previous``."""

    binding: Binding
    previous: Binding


@dataclass(frozen=True, slots=True)
class BindingRemoved(Event):
    """Stop forwarding for ``binding`` at once; its addresses must stay reserved until ``BindingForgotten``."""

    binding: Binding
    reason: Removal


@dataclass(frozen=True, slots=True)
class BindingForgotten(Event):
    """Nothing is known any more of that home address; its prefix and IPv4 home address are free to be leased anew."""

    owner: Owner
    home_address: IPv6Address


@dataclass(frozen=True, slots=True)
class BindingRefused(Event):
    """A Binding Update was answered with a refusing ``status``."""

    owner: Owner
    home_address: IPv6Address
    status: int
