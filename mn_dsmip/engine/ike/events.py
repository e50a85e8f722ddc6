# SPDX-License-Identifier: GPL-2.0-or-later
"""What IKE tells its user, and what it takes from its user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv6Address

from cryptography import x509

from ...crypto.certs import Identity
from ...crypto.groups import Group
from ...crypto.kdf import ChildKeys, IkeKeys
from ...crypto.suites import Protection
from ...wire.ikev2_payloads import Configuration, TrafficSelector
from ..base import Backoff, Event, IPAddress
from .eap_method import EapPeer
from .fragmentation import IP_DATAGRAM
from .proposals import Chosen, Profile

RETRANSMISSION = Backoff(first=1.0, factor=2.0, limit=16.0, tries=8)


@dataclass(frozen=True)
class Timers:
    """Ours, in seconds: RFC 7296 2.4 leaves them open."""

    retransmission: Backoff = RETRANSMISSION
    liveness: float = 60.0
    """Without any sign of the peer for that long, ask whether it is alive; 0 never asks (RFC 7296 2.4)."""
    patience: float = 6.0
    """How long a request goes on after an unauthenticated error answered it (RFC 7296 2.21.1)."""
    half_open: float = 90.0
    """A responder forgets who does not finish the authentication; longer than an initiator's retransmissions."""
    linger: float = 64.0
    """A closed session still repeats its last response, in case it was lost."""
    cookie_secret: float = 60.0
    """After that a new secret signs cookies; the one before is still good (RFC 7296 2.6)."""
    ike_lifetime: float = 14400.0
    """Keys of an IKE SA are replaced before that; 0 never replaces them (RFC 7296 2.8)."""
    child_lifetime: float = 3600.0
    """The same for child SAs."""
    nat_keepalive: float = 20.0
    """Who is behind a NAT sends an octet after so long a silence of its own; 0 never (RFC 3948 4)."""
    redirected: float = 60.0
    """A UE that was sent to another gateway may take that long until its IKE SA is closed (RFC 5685 5)."""
    again: float = 10.0
    """What the peer refuses with TEMPORARY_FAILURE is tried again after that (RFC 7296 2.25)."""


DEFAULT_TIMERS = Timers()


@dataclass(frozen=True)
class Selectors:
    """What a child SA protects, from the side that asks for it."""

    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]
    transport: bool = True


@dataclass(frozen=True)
class InitiatorConfig:
    """How a UE sets up an IKE SA.

    ``identity`` goes into IDi as a NAI unless ``eap`` names another, ``apn`` into IDr. ``expected_name`` is what the
    gateway's certificate must hold as subjectAltName: the name that was looked up, or the address when no name was
    used. Either ``eap`` or ``psk``.
    """

    identity: str
    apn: str | None
    expected_name: str
    profile: Profile
    first_child: Selectors
    anchors: tuple[x509.Certificate, ...] = ()
    clock: Callable[[], datetime] | None = None
    eap: Callable[[], EapPeer] | None = None
    psk: bytes | None = field(default=None, repr=False)
    want_home_prefix: bool = True
    home_address: IPv6Address | None = None
    """One that an earlier attach gave: the same prefix is asked for again (RFC 4877 9, TS 23.402 6.10)."""
    want_home_address: bool = False
    """Ask for an address as well, for gateways that insist on giving one (RFC 7296 3.15.1, FAILED_CP_REQUIRED)."""
    want_dns: bool = True
    eap_only: bool = False
    """Let the gateway prove itself by EAP alone, without a certificate (RFC 5998); our EAP methods are good for that.

    One that sends a certificate all the same is believed only when an authority vouches for it.
    """
    fragment_size: int = IP_DATAGRAM
    """Octets of an IP datagram from which on IKE messages go in fragments (RFC 7383); 0 never."""
    redirected_from: IPAddress | None = None
    """The gateway that sent us here (RFC 5685 9.3)."""
    timers: Timers = DEFAULT_TIMERS

    @property
    def wants_address(self) -> bool:
        """Whether INTERNAL_IP6_ADDRESS is asked for, with a value or without."""
        return self.want_home_address or self.home_address is not None


@dataclass(frozen=True)
class Refusal:
    """A policy's no: the notify type for the peer, and the reason for our own journal."""

    notify: int
    reason: str
    data: bytes = b""


@dataclass(frozen=True)
class ResponderConfig:
    """How a gateway answers; ``identity`` is its certificate, ``name`` its own FQDN."""

    name: str
    profile: Profile
    identity: Identity | None
    eap_only: bool = False
    """Send no certificate to a UE that offers EAP-only authentication (RFC 5998); without one we never do."""
    cookie_threshold: int = 64
    """Half-open sessions from which on a cookie is demanded (RFC 7296 2.6)."""
    maximum_half_open: int = 4096
    """Beyond that, new requests are dropped, cookie or not."""
    fragment_size: int = IP_DATAGRAM
    """Octets of an IP datagram from which on IKE messages go in fragments (RFC 7383); 0 never."""
    timers: Timers = DEFAULT_TIMERS


@dataclass(frozen=True, slots=True)
class ChildSa:
    """A child SA as one side sees it; keys are never shown by ``repr``."""

    inbound_spi: bytes
    outbound_spi: bytes
    protection: Protection
    inbound_keys: ChildKeys
    outbound_keys: ChildKeys
    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]
    transport: bool
    group: Group | None = None
    """Of the Diffie-Hellman exchange for this child SA alone, if there was one (RFC 7296 1.3.1)."""


@dataclass(frozen=True, slots=True)
class IkeSaEstablished(Event):
    """Both sides are authenticated. ``session`` is the own SPI; ``configuration`` the CFG_REPLY sent or received."""

    session: bytes
    peer: IPAddress
    identity: str
    """At a gateway who was authenticated (an IMSI for EAP-AKA), at a UE the gateway's IDr."""
    apn: str | None
    suite: str
    configuration: Configuration | None
    child_refused: str = ""
    """Why there is no first child SA, if there is none."""
    child_notify: int | None = None
    """The notify that refused it."""
    assigned: bool = False
    """USE_ASSIGNED_HoA: no other home address than that of ``configuration`` may be used (RFC 5026 5.3.2)."""


@dataclass(frozen=True, slots=True)
class ChildSaEstablished(Event):
    """A child SA is ready in both directions; ``first`` marks the one of IKE_AUTH.

    ``replaces`` is the inbound SPI of the one that it follows; ``standby``: the peer asked for that, so we send with
    the old one until the peer uses the new one or closes the old (RFC 7296 2.8).
    """

    session: bytes
    child: ChildSa
    first: bool
    replaces: bytes | None = None
    standby: bool = False


@dataclass(frozen=True, slots=True)
class ChildSaFailed(Event):
    """A child SA that was asked for does not come about."""

    session: bytes
    reason: str
    clause: str
    notify: int | None


@dataclass(frozen=True, slots=True)
class ChildSaClosed(Event):
    """A child SA is gone; named by its inbound SPI."""

    session: bytes
    inbound_spi: bytes


@dataclass(frozen=True, slots=True)
class IkeSaRekeyed(Event):
    """Another pair of SPIs and other keys; the session keeps its name and its child SAs."""

    session: bytes
    initiator_spi: bytes
    responder_spi: bytes
    suite: str


@dataclass(frozen=True, slots=True)
class RekeyFailed(Event):
    """The peer does not want new keys; the old ones stay in use."""

    session: bytes
    reason: str
    clause: str


@dataclass(frozen=True, slots=True)
class IkeSaClosed(Event):
    """An established IKE SA is gone, with all its child SAs."""

    session: bytes
    reason: str
    by_peer: bool


@dataclass(frozen=True, slots=True)
class IkeRedirected(Event):
    """The gateway sends us to another one (RFC 5685). Unless ``established``, there is no IKE SA with it any more."""

    session: bytes
    peer: IPAddress
    gateway: IPAddress | str
    established: bool


@dataclass(frozen=True, slots=True)
class UeRedirected(Event):
    """At a gateway: the UE has confirmed that it is to turn to another one (RFC 5685 5)."""

    session: bytes
    peer: IPAddress
    gateway: IPAddress | str


@dataclass(frozen=True, slots=True)
class IkeFailed(Event):
    """An IKE SA did not come about. ``reason`` is a sentence for a person.

    ``authentication`` tells failures of identity, which another try does not mend, from those of the network.
    """

    session: bytes
    peer: IPAddress
    reason: str
    clause: str
    authentication: bool
    notify: int | None = None


@dataclass(frozen=True, slots=True)
class IkeKeysDerived(Event):
    """Keys of an IKE SA, for whoever logs them on demand."""

    initiator_spi: bytes
    responder_spi: bytes
    chosen: Chosen
    keys: IkeKeys


@dataclass(frozen=True, slots=True)
class EspKeysDerived(Event):
    """Keys of a child SA, for whoever logs them on demand."""

    child: ChildSa
