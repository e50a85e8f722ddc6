# SPDX-License-Identifier: GPL-2.0-or-later
"""A Binding Update as the home agent sees it: with who sent it and what is bound already."""

from __future__ import annotations

import math
from dataclasses import dataclass
from ipaddress import IPv6Network

from ...wire.mobility import LIFETIME_UNIT, BindingUpdate, IPv4Status
from ...wire.mobility_options import AlternateCareOfAddress, IPv4HomeAddress, NonceIndices
from ..base import IPAddress
from .events import Binding, Owner
from .packet import ANY_IPV4, MobilityPacket, is_unicast_routable, option_of


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


class Request:
    """One Binding Update under judgement."""

    __slots__ = ("authorization", "care_of_address", "known", "now", "packet", "update")

    def __init__(
        self,
        packet: MobilityPacket,
        update: BindingUpdate,
        authorization: Authorization,
        known: Binding | None,
        now: float,
    ) -> None:
        self.packet = packet
        self.update = update
        self.authorization = authorization
        self.known = known
        """The owner's entry for this home address, active or remembered."""
        self.now = now
        alternate = option_of(update, AlternateCareOfAddress)
        self.care_of_address: IPAddress = packet.care_of_address if alternate is None else alternate.address

    def fault(self) -> str | None:
        """Why to drop it silently (RFC 6275 9.5.1), as the name of a counter."""
        update, packet = self.update, self.packet
        if not is_unicast_routable(packet.home_address):
            return "bu-home-address"
        if update.home and option_of(update, NonceIndices) is not None:
            return "bu-nonce-indices"
        bound = self.known is not None and self.known.active
        if not update.home and not update.mobile_router and not bound:
            return "bu-not-home"  # route optimization is not for home agents (G-3)
        at_home = packet.care_of_address == packet.home_address  # no Home Address option (RFC 6275 10.3.1)
        if update.lifetime and (at_home or not is_unicast_routable(self.care_of_address)):
            return "bu-care-of-address"
        return None

    def prefix_units(self) -> float:
        """Lifetime units for which the home prefix stays valid; compared in units as RFC 6275 10.3.1 says."""
        seconds = self.authorization.prefix_expires - self.now
        return seconds // LIFETIME_UNIT if math.isfinite(seconds) else seconds

    def is_home_subnet(self) -> bool:
        """Whether the home address lies in the home prefix, and that is still valid."""
        return self.packet.home_address in self.authorization.home_prefix and self.prefix_units() > 0

    def care_of_address_is_home(self) -> bool:
        """Whether tunnelling to the care-of address would come back here."""
        return self.care_of_address in self.authorization.home_prefix or self.care_of_address == self.packet.home_agent

    def ipv4_fault(self, asked: IPv4HomeAddress) -> IPv4Status | None:
        """What is wrong with an IPv4 Home Address option (RFC 5555 3.1.1, 4.5), before anybody looks at a pool."""
        address = asked.address
        if not asked.prefix_length:
            return IPv4Status.REASON_UNSPECIFIED
        if asked.prefix_requested or asked.prefix_length != address.max_prefixlen:
            return IPv4Status.PREFIX_ALLOCATION_UNAUTHORIZED
        if address == ANY_IPV4:
            return None
        if not is_unicast_routable(address) or address.is_reserved:
            return IPv4Status.INVALID_IPV4_ADDRESS
        bound = self.known.ipv4_home_address if self.known is not None and self.known.active else None
        return IPv4Status.INCORRECT_IPV4_HOME_ADDRESS if bound not in (None, address) else None
