# SPDX-License-Identifier: GPL-2.0-or-later
"""The mobile node's IPv4 home address: asked for, kept, refused (TS 24.303 5.1.2.4, RFC 5555 4.4.2)."""

from __future__ import annotations

from ipaddress import IPv4Address

from ...wire.mobility import BindingAcknowledgement, BindingUpdate, IPv4Status
from ...wire.mobility_options import IPv4AddressAcknowledgement, IPv4HomeAddress
from .packet import ANY_IPV4, option_of

NOT_AGAIN = (
    IPv4Status.ADMINISTRATIVELY_PROHIBITED,
    IPv4Status.DYNAMIC_ASSIGNMENT_NOT_AVAILABLE,
    IPv4Status.PREFIX_ALLOCATION_UNAUTHORIZED,
)
"""After these the home agent is not asked again (B-25)."""
ANOTHER = (IPv4Status.INCORRECT_IPV4_HOME_ADDRESS, IPv4Status.INVALID_IPV4_ADDRESS)
"""After these any address is asked for."""


class Ipv4Registration:
    """One IPv4 home address beside an IPv6 one."""

    def __init__(self, ask: IPv4Address | None) -> None:
        self.registered: IPv4Address | None = None
        self._ask = ask

    def option(self, ending: bool) -> IPv4HomeAddress | None:
        """What the next Binding Update says of it; one that ends the binding names only what is registered (A.5)."""
        address = self.registered or (None if ending else self._ask)
        return None if address is None else IPv4HomeAddress(32, False, address)

    def release(self) -> None:
        """Give it back: Binding Updates no longer mention it (RR-3)."""
        self._ask = self.registered = None

    def forget(self) -> None:
        """Lose it together with the binding; the next registration asks for one again."""
        self.registered = None

    def accept(self, answer: BindingAcknowledgement, update: BindingUpdate) -> int | None:
        """Take what an accepting ``answer`` says of it; its status, if it says anything."""
        self.registered = None
        if option_of(update, IPv4HomeAddress) is None:
            return None
        granted = option_of(answer, IPv4AddressAcknowledgement)
        if granted is None:  # the home agent knows no IPv4 home addresses (RFC 5555 2.3.1)
            self._ask = None
            return None
        if granted.status < IPv4Status.REASON_UNSPECIFIED and granted.address != ANY_IPV4:
            self.registered = granted.address
        elif granted.status in NOT_AGAIN:
            self._ask = None
        elif granted.status in ANOTHER:
            self._ask = ANY_IPV4
        return granted.status
