# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a UE's PDN connection stands, and what moves it.

The table says which step may follow which. What it cannot say: a step that fails goes on with the next home agent found
as long as there is one, or one may be looked up, and only then to FAILED; DETACHING first ends the binding, then the
IKE SA.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from ipaddress import IPv6Address, IPv6Network

from cryptography import x509

from ..crypto.aka import Usim
from .base import Event, IPAddress
from .ike.aka_aliases import PeerAliases
from .ike.aka_common import AKA, Flavour
from .ike.events import DEFAULT_TIMERS, Timers
from .ike.fragmentation import IP_DATAGRAM
from .ike.proposals import PROFILES, Profile
from .mip.config import MobileConfig


class UeState(Enum):
    """Where the PDN connection stands."""

    IDLE = auto()
    """No access, or nobody asked to attach."""
    DISCOVERING = auto()
    SECURING = auto()
    """IKE_SA_INIT and IKE_AUTH."""
    ADDRESSING = auto()
    """The home address is formed, its child SA is asked for."""
    REGISTERING = auto()
    ATTACHED = auto()
    DETACHING = auto()
    FAILED = auto()


class Step(Enum):
    """What moves a UE."""

    ATTACH = auto()
    FOUND = auto()
    """A home agent to try: the first, the next one, or the one that another names."""
    NEXT = auto()
    """None of those found is of use: the next one is looked up."""
    SECURED = auto()
    ADDRESSED = auto()
    ANOTHER_ADDRESS = auto()
    REGISTERED = auto()
    DETACH = auto()
    DETACHED = auto()
    FAILED = auto()
    LOST = auto()
    """The access, or the gateway's side of an attachment, is gone."""


WORKING = (UeState.DISCOVERING, UeState.SECURING, UeState.ADDRESSING, UeState.REGISTERING)

TABLE: dict[tuple[UeState, Step], UeState] = {
    (UeState.IDLE, Step.ATTACH): UeState.DISCOVERING,
    (UeState.FAILED, Step.ATTACH): UeState.DISCOVERING,
    (UeState.FAILED, Step.DETACH): UeState.IDLE,
    (UeState.FAILED, Step.LOST): UeState.IDLE,
    (UeState.IDLE, Step.LOST): UeState.IDLE,
    (UeState.IDLE, Step.DETACH): UeState.IDLE,
    (UeState.DISCOVERING, Step.FOUND): UeState.SECURING,
    (UeState.SECURING, Step.SECURED): UeState.ADDRESSING,
    (UeState.ADDRESSING, Step.ADDRESSED): UeState.REGISTERING,
    (UeState.REGISTERING, Step.ANOTHER_ADDRESS): UeState.ADDRESSING,
    (UeState.REGISTERING, Step.REGISTERED): UeState.ATTACHED,
    (UeState.ATTACHED, Step.REGISTERED): UeState.ATTACHED,
    **{(state, Step.FOUND): UeState.SECURING for state in (*WORKING, UeState.ATTACHED)},
    **{(state, Step.NEXT): UeState.DISCOVERING for state in WORKING},
    **{(state, Step.FAILED): UeState.FAILED for state in (*WORKING, UeState.ATTACHED)},
    **{(state, Step.DETACH): UeState.DETACHING for state in (*WORKING, UeState.ATTACHED, UeState.DETACHING)},
    **{(state, Step.LOST): UeState.IDLE for state in (*WORKING, UeState.ATTACHED, UeState.DETACHING)},
    (UeState.DETACHING, Step.DETACHED): UeState.IDLE,
}


@dataclass(frozen=True)
class UeConfig:
    """A subscriber, what it wants and whom it trusts."""

    imsi: str
    mcc: str
    mnc: str
    apn: str
    usim: Usim | None
    interface_secret: bytes = field(repr=False)
    """Makes stable, private interface identifiers (RFC 7217)."""
    profile: Profile = PROFILES["modern"]
    flavour: Flavour = AKA
    network_name: bytes = b""
    psk: bytes | None = field(default=None, repr=False)
    anchors: tuple[x509.Certificate, ...] = ()
    aliases: PeerAliases | None = None
    """Pseudonyms and fast re-authentication; without it the UE always gives its permanent identity."""
    eap_only: bool = False
    """Offer the gateway to prove itself by EAP alone (RFC 5998)."""
    clock: Callable[[], datetime] | None = None
    ipv4: bool = False
    binding: MobileConfig = MobileConfig()  # noqa: RUF009 - frozen
    home_agents: tuple[IPAddress, ...] = ()
    """Configured ones; nothing is looked up then."""
    dns_servers: tuple[IPAddress, ...] = ()
    """Instead of those that the router advertises."""
    srv_fallback: bool = False
    attach: bool = True
    """Attach as soon as there is an access, and again after failures."""
    timers: Timers = DEFAULT_TIMERS
    fragment_size: int = IP_DATAGRAM
    """Octets of an IP datagram from which on IKE messages go in fragments; 0 never."""


@dataclass(frozen=True)
class Access:
    """A usable access link."""

    care_of: IPv6Address
    dns_servers: tuple[IPAddress, ...]
    prefixes: tuple[IPv6Network, ...] = ()
    """On-link prefixes: one of them being the home prefix means the home link (TS 23.402 4.5.6)."""
    mtu: int = 1500


@dataclass(frozen=True, slots=True)
class Progressed(Event):
    """One step further."""

    step: Step


@dataclass(frozen=True, slots=True)
class Ended(Event):
    """The connection is over. ``wanted``: because its user closed it, and then ``confirmed`` if the gateway agreed.

    ``redirect``: another gateway is to serve the UE (RFC 5685).
    """

    wanted: bool
    confirmed: bool
    reason: str = ""
    clause: str = ""
    may_retry: bool = False
    redirect: IPAddress | str | None = None
