# SPDX-License-Identifier: GPL-2.0-or-later
"""Home addresses on a UE's TUN device, and which packets take that way.

Applications use a home address like any other, without being told. Three routing rules do it, for IPv6:

    24300  from the home prefix        -> our table   whoever has bound to a home address, wherever it sends
    24301  everyone, but no default    -> main        what is on a link of ours is reached there
    24302  who has no source yet       -> our table   its default route and preferred source make it a home address

and then `main` as ever, with the access router's default route. A default route in `main` with a better metric would do
for the last two, but would also take what the kernel sends from the care-of address, for example echo replies. What the
agent itself sends is bound to the access interface, which a route through the TUN device never matches; so is
neighbour discovery. For IPv4 the rules are the same.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Network, IPv6Network, ip_network

from ...engine.base import Effect, IPAddress
from ...engine.effects import AddAddress, AddRoute, RemoveAddress, RemoveRoute, SetMtu
from ...wire.ip import IPV6_MINIMUM_MTU
from .rtnetlink import RT_TABLE_MAIN, Prefix, Rtnetlink, Rule, family_of

TABLE = 24303
FROM_HOME, SPECIFIC, WITHOUT_SOURCE = 24300, 24301, 24302
"""Priorities; lower ones come first, and `main` has 32766."""
FAMILIES = (socket.AF_INET6, socket.AF_INET)
_WITHOUT_SOURCE = {
    # "Not from a global address" leaves only those that have none yet: the kernel compares no source that is unknown.
    socket.AF_INET6: Rule(socket.AF_INET6, WITHOUT_SOURCE, TABLE, IPv6Network("2000::/3"), inverted=True),
    socket.AF_INET: Rule(socket.AF_INET, WITHOUT_SOURCE, TABLE, IPv4Network("0.0.0.0/32")),
}


class HomeNetwork:
    """What a UE's effects mean to the kernel; the device's own end removes its addresses and routes."""

    def __init__(self, netlink: Rtnetlink, index: int) -> None:
        self._netlink = netlink
        self._index = index
        self._addresses: dict[socket.AddressFamily, IPAddress] = {}
        self._routes: set[Prefix] = set()
        self.close()  # rules that an agent left which could not end orderly

    def carry_out(self, effect: Effect) -> None:
        """Addresses, routes and MTU; other effects are nothing to the kernel."""
        if isinstance(effect, AddAddress):
            self._addresses[family_of(effect.address)] = effect.address
            self._netlink.add_address(self._index, effect.address, effect.prefix_length)
            self._netlink.add_rule(_from_home(effect.address, effect.prefix_length))
        elif isinstance(effect, RemoveAddress):
            self._addresses.pop(family_of(effect.address), None)
            self._netlink.remove_rule(_from_home(effect.address, effect.prefix_length))
            self._netlink.remove_address(self._index, effect.address, effect.prefix_length)
        elif isinstance(effect, AddRoute):
            self._add_route(effect.prefix)
        elif isinstance(effect, RemoveRoute):
            self._remove_route(effect.prefix)
        elif isinstance(effect, SetMtu):
            self._netlink.set_mtu(self._index, max(effect.mtu, IPV6_MINIMUM_MTU))  # less would end IPv6 there

    def _add_route(self, prefix: Prefix) -> None:
        family = family_of(prefix)
        self._routes.add(prefix)
        self._netlink.add_route(prefix, self._index, TABLE, self._addresses.get(family))
        for rule in _for_everyone(family):
            self._netlink.add_rule(rule)

    def _remove_route(self, prefix: Prefix) -> None:
        family = family_of(prefix)
        self._routes.discard(prefix)
        if not any(family_of(each) == family for each in self._routes):
            for rule in _for_everyone(family):
                self._netlink.remove_rule(rule)
        self._netlink.remove_route(prefix, self._index, TABLE)

    def close(self) -> None:
        """Remove every rule of ours."""
        for family in FAMILIES:
            for rule in (Rule(family, FROM_HOME, TABLE), *_for_everyone(family)):
                self._netlink.remove_rules_like(rule)


def _from_home(address: IPAddress, prefix_length: int) -> Rule:
    prefix = ip_network((address, prefix_length), strict=False)
    return Rule(family_of(address), FROM_HOME, TABLE, prefix)


def _for_everyone(family: socket.AddressFamily) -> tuple[Rule, Rule]:
    return Rule(family, SPECIFIC, RT_TABLE_MAIN, specific_only=True), _WITHOUT_SOURCE[family]
