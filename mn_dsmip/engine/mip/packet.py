# SPDX-License-Identifier: GPL-2.0-or-later
"""The unit in which the Mobile IPv6 engines speak: an opened mobility message with the addresses around it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple, TypeVar

from ...wire.mobility import BindingAcknowledgement, BindingUpdate, MobilityMessage
from ...wire.mobility_options import Option
from ..base import IPAddress

SEQUENCE_NUMBERS = 0x10000
"""Sequence numbers count modulo this (RFC 6275 9.5.1)."""
ANY_IPV4 = IPv4Address(0)
"""Asks for whatever IPv4 home address the home agent gives (RFC 5555 3.1.1)."""
Wanted = TypeVar("Wanted", bound=Option)


class MobilityPacket(NamedTuple):
    """A mobility message between a mobile node and its home agent, in either direction, out of and for its ESP SA.

    On the wire the care-of address stands in the header and the home address in a Home Address option (to the home
    agent) or a type 2 routing header (from it). A care-of address that *is* the home address means the home link, where
    neither of them is needed.
    """

    message: MobilityMessage
    home_address: IPv6Address
    home_agent: IPv6Address
    care_of_address: IPAddress
    """Where the packet comes from or goes to; IPv4 means UDP encapsulation (RFC 5555 4.1)."""


def is_unicast_routable(address: IPAddress) -> bool:
    """Whether ``address`` may be a home or care-of address (RFC 6275 9.3.1, 9.5.1)."""
    return not (address.is_multicast or address.is_unspecified or address.is_loopback or address.is_link_local)


def is_newer(sequence: int, last: int) -> bool:
    """Whether ``sequence`` comes after ``last``; the 32768 values up to ``last`` do not (RFC 6275 9.5.1)."""
    return 0 < (sequence - last) % SEQUENCE_NUMBERS < SEQUENCE_NUMBERS // 2


def options_of(message: BindingUpdate, kind: type[Wanted]) -> list[Wanted]:
    """All options of that kind."""
    return [option for option in message.options if isinstance(option, kind)]


def option_of(message: BindingUpdate | BindingAcknowledgement, kind: type[Wanted]) -> Wanted | None:
    """The first option of that kind."""
    for option in message.options:
        if isinstance(option, kind):
            return option
    return None
