# SPDX-License-Identifier: GPL-2.0-or-later
"""The home addresses and routes that applications of a UE may use, as effects."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from .base import Event
from .effects import AddAddress, AddRoute, RemoveAddress, RemoveRoute
from .mip.events import Registered

EVERYTHING, EVERYTHING_IPV4 = AddRoute(IPv6Network("::/0")), AddRoute(IPv4Network("0.0.0.0/0"))


class HomeAddresses:
    """What is in use now; each change gives the effects that lead from the old to the new."""

    def __init__(self) -> None:
        self._addresses: Sequence[AddAddress] = ()
        self._routes: Sequence[AddRoute] = ()

    def __bool__(self) -> bool:
        return bool(self._addresses)

    def use(self, event: Registered, prefix_length: int) -> list[Event]:
        """What an acceptance allows: the whole prefix with R, an IPv4 home address if granted (B-20 to B-24)."""
        addresses = [AddAddress(event.home_address, prefix_length if event.prefix_served else 128)]
        routes = [EVERYTHING]
        if event.ipv4_home_address is not None:
            addresses.append(AddAddress(event.ipv4_home_address, 32))
            routes.append(EVERYTHING_IPV4)
        return self.replace(addresses, routes)

    def replace(self, addresses: Sequence[AddAddress], routes: Sequence[AddRoute]) -> list[Event]:
        """Effects from what is in use to what shall be; routes go first and come last."""
        events: list[Event] = [RemoveRoute(each.prefix) for each in self._routes if each not in routes]
        events += [RemoveAddress(each.address, each.prefix_length) for each in self._addresses if each not in addresses]
        events += [each for each in addresses if each not in self._addresses]
        events += [each for each in routes if each not in self._routes]
        self._addresses, self._routes = addresses, routes
        return events


def form_home_address(prefix: IPv6Network, secret: bytes, tries: int) -> IPv6Address:
    """A stable interface identifier that tells nothing of its owner (RFC 7217 5), none of the reserved (RFC 5453)."""
    content = prefix.network_address.packed + bytes((tries,))
    identifier = hmac.digest(secret, content, hashlib.sha256)[:8]
    if identifier[:1] == b"\0" or identifier[:6] == b"\xfd\xff\xff\xff\xff\xff":
        identifier = b"\x02" + identifier[1:]
    return IPv6Address(prefix.network_address.packed[:8] + identifier)
