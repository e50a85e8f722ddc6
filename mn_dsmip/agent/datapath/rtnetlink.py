# SPDX-License-Identifier: GPL-2.0-or-later
"""Links, addresses, routes, rules and proxy entries of the network namespace that we are in (rtnetlink(7))."""

from __future__ import annotations

import errno
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import NamedTuple

from ...engine.base import IPAddress
from ..errors import EnvironmentProblem
from .netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Netlink,
    build_attributes,
    listener,
    parse_attributes,
    parse_messages,
)

RTM_NEWLINK, RTM_GETLINK = 16, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH, RTM_DELNEIGH = 28, 29
RTM_NEWRULE, RTM_DELRULE = 32, 33
RTM_NEWNDUSEROPT = 68
RTNLGRP_LINK, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE, RTNLGRP_ND_USEROPT = 1, 9, 11, 20

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_AF_SPEC = 1, 3, 4, 26
IFLA_INET6_CONF, DEVCONF_MTU6 = 2, 2
IFF_UP = 1
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
IFA_F_TEMPORARY, IFA_F_NODAD, IFA_F_DADFAILED = 0x01, 0x02, 0x08
IFA_F_DEPRECATED, IFA_F_TENTATIVE, IFA_F_NOPREFIXROUTE = 0x20, 0x40, 0x200
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PREFSRC, RTA_TABLE = 1, 4, 5, 7, 15
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK = 0, 253
RT_TABLE_UNSPEC, RT_TABLE_MAIN = 0, 254
RTPROT_STATIC, RTN_UNICAST = 4, 1
FRA_SRC, FRA_PRIORITY, FRA_SUPPRESS_PREFIXLEN, FRA_TABLE = 2, 6, 14, 15
FR_ACT_TO_TBL, FIB_RULE_INVERT = 1, 2
NDA_DST, NTF_PROXY, NUD_PERMANENT = 1, 0x08, 0x80

ROUTE_WAIT = 1.0
"""Seconds; under load the kernel needs some milliseconds."""

_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")

Prefix = IPv4Network | IPv6Network


class Link(NamedTuple):
    """A network interface; ``interface`` is its index, ``mtu`` what it takes and what a router allows, in octets."""

    interface: int
    name: str
    mtu: int
    hardware_address: bytes


class InterfaceAddress(NamedTuple):
    """An address on an interface; ``flags`` are IFA_F_*."""

    interface: int
    address: IPAddress
    prefix_length: int
    scope: int
    flags: int


class Rule(NamedTuple):
    """A routing policy rule: who looks into ``table``, in the order of ``priority``.

    ``source`` restricts it, ``inverted`` to all but that; ``specific_only``: default routes found there do not count.
    """

    family: socket.AddressFamily
    priority: int
    table: int
    source: Prefix | None = None
    inverted: bool = False
    specific_only: bool = False


class Rtnetlink(Netlink):
    """Requests that change or list one kind of thing; all raise ``EnvironmentProblem`` with the kernel's reason.

    What shall be there and is, or shall not be there and is not, is no error.
    """

    def links(self) -> list[Link]:
        """All interfaces."""
        found = []
        for message in self.dump(RTM_GETLINK, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
            _, _, index, _, _ = _LINK.unpack_from(message.body)
            attributes = parse_attributes(message.body[_LINK.size :])
            name = attributes[IFLA_IFNAME].rstrip(b"\0").decode(errors="replace")
            mtu = min(struct.unpack("=I", attributes[IFLA_MTU])[0], _advertised_mtu(attributes))
            found.append(Link(index, name, mtu, attributes.get(IFLA_ADDRESS, b"")))
        return found

    def addresses(self, family: socket.AddressFamily) -> list[InterfaceAddress]:
        """All addresses of a family."""
        found = []
        for message in self.dump(RTM_GETADDR, _ADDRESS.pack(family, 0, 0, 0, 0)):
            _, length, flags, scope, index = _ADDRESS.unpack_from(message.body)
            attributes = parse_attributes(message.body[_ADDRESS.size :])
            if IFA_FLAGS in attributes:
                (flags,) = struct.unpack("=I", attributes[IFA_FLAGS])
            packed = attributes.get(IFA_LOCAL) or attributes[IFA_ADDRESS]
            found.append(InterfaceAddress(index, ip_address(packed), length, scope, flags))
        return found

    def on_link_prefixes(self, index: int) -> list[IPv6Network]:
        """Prefixes whose addresses are neighbours on the interface."""
        found = []
        for message in self.dump(RTM_GETROUTE, _ROUTE.pack(socket.AF_INET6, *(0,) * 8)):
            _, length, _, _, _, _, _, kind, _ = _ROUTE.unpack_from(message.body)
            attributes = parse_attributes(message.body[_ROUTE.size :])
            here = attributes.get(RTA_OIF) == struct.pack("=i", index) and RTA_GATEWAY not in attributes
            main = attributes.get(RTA_TABLE) == struct.pack("=I", RT_TABLE_MAIN)
            if here and main and kind == RTN_UNICAST and RTA_DST in attributes:
                prefix = IPv6Network((attributes[RTA_DST], length))
                if length < 128 and not (prefix.is_link_local or prefix.is_multicast):
                    found.append(prefix)
        return found

    def bring_up(self, index: int) -> None:
        """Set the interface up."""
        with _explained(f"bring up interface {index}"):
            self.request(RTM_NEWLINK, _LINK.pack(socket.AF_UNSPEC, 0, index, IFF_UP, IFF_UP))

    def set_mtu(self, index: int, mtu: int) -> None:
        """Set the interface's MTU in octets."""
        body = _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0) + build_attributes({IFLA_MTU: struct.pack("=I", mtu)})
        with _explained(f"set the MTU of interface {index} to {mtu}"):
            self.request(RTM_NEWLINK, body)

    def add_address(self, index: int, address: IPAddress, prefix_length: int) -> None:
        """Add an address that needs no Duplicate Address Detection and brings no route for its prefix.

        Packets for it are received from now on: for IPv6 the kernel sees to that a little after its answer.
        """
        body = _address(index, address, prefix_length, IFA_F_NODAD | IFA_F_NOPREFIXROUTE)
        with _explained(f"add address {address}/{prefix_length}", errno.EEXIST), listener(RTNLGRP_IPV6_ROUTE) as routes:
            self.request(RTM_NEWADDR, body, NLM_F_CREATE | NLM_F_EXCL)
            if address.version == 6:
                _await_route(routes, address)

    def remove_address(self, index: int, address: IPAddress, prefix_length: int) -> None:
        """Remove an address."""
        with _explained(f"remove address {address}", errno.EADDRNOTAVAIL, errno.ENODEV):
            self.request(RTM_DELADDR, _address(index, address, prefix_length, 0))

    def add_route(self, prefix: Prefix, index: int, table: int, source: IPAddress | None = None) -> None:
        """Send what is for ``prefix`` out of the interface, with ``source`` unless the sender has chosen one."""
        with _explained(f"add a route to {prefix}"):
            self.request(RTM_NEWROUTE, _route(prefix, index, table, source), NLM_F_CREATE | NLM_F_REPLACE)

    def remove_route(self, prefix: Prefix, index: int, table: int) -> None:
        """Undo ``add_route``."""
        with _explained(f"remove the route to {prefix}", errno.ESRCH, errno.ENODEV):
            self.request(RTM_DELROUTE, _route(prefix, index, table, None))

    def add_rule(self, rule: Rule) -> None:
        """Add a routing policy rule."""
        with _explained(f"add routing rule {rule.priority}", errno.EEXIST):
            self.request(RTM_NEWRULE, _rule(rule), NLM_F_CREATE | NLM_F_EXCL)

    def remove_rule(self, rule: Rule) -> None:
        """Undo ``add_rule``."""
        with _explained(f"remove routing rule {rule.priority}", errno.ENOENT):
            self.request(RTM_DELRULE, _rule(rule))

    def remove_rules_like(self, rule: Rule) -> None:
        """Remove all rules with this family, priority and table, whatever their source."""
        alike = _rule(rule._replace(source=None))
        with _explained(f"remove routing rules {rule.priority}", errno.ENOENT):
            while True:
                self.request(RTM_DELRULE, alike)

    def add_proxy(self, index: int, address: IPAddress) -> None:
        """Answer neighbours on the interface who ask for an address that is not ours."""
        with _explained(f"add a proxy neighbour entry for {address}"):
            self.request(RTM_NEWNEIGH, _proxy(index, address), NLM_F_CREATE | NLM_F_REPLACE)

    def remove_proxy(self, index: int, address: IPAddress) -> None:
        """Undo ``add_proxy``."""
        with _explained(f"remove the proxy neighbour entry for {address}", errno.ENOENT, errno.ENODEV):
            self.request(RTM_DELNEIGH, _proxy(index, address))


def family_of(item: IPAddress | Prefix) -> socket.AddressFamily:
    """The socket family of an address or prefix."""
    return socket.AF_INET6 if item.version == 6 else socket.AF_INET


@contextmanager
def _explained(action: str, *harmless: int) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        if problem.errno not in harmless:
            raise EnvironmentProblem(f"the kernel refused to {action}: {problem.strerror}") from None


def _advertised_mtu(attributes: dict[int, bytes]) -> int:
    """The MTU of Router Advertisements (RFC 4861 4.6.4), or what stands for it where there is no IPv6."""
    families = parse_attributes(attributes.get(IFLA_AF_SPEC, b""))
    settings = parse_attributes(families.get(socket.AF_INET6, b"")).get(IFLA_INET6_CONF)
    return 1 << 32 if settings is None else int(struct.unpack_from("=I", settings, 4 * DEVCONF_MTU6)[0])


def _await_route(routes: socket.socket, address: IPAddress) -> None:
    """Return when the kernel has announced the route that makes the address its own, or is unusually late."""
    deadline = time.monotonic() + ROUTE_WAIT
    while (left := deadline - time.monotonic()) > 0 and select.select([routes], [], [], left)[0]:
        for message in parse_messages(routes.recv(1 << 16)):
            attributes = parse_attributes(message.body[_ROUTE.size :])
            if message.kind == RTM_NEWROUTE and attributes.get(RTA_DST) == address.packed:
                return


def _address(index: int, address: IPAddress, prefix_length: int, flags: int) -> bytes:
    fixed = _ADDRESS.pack(family_of(address), prefix_length, flags & 0xFF, RT_SCOPE_UNIVERSE, index)
    attributes = {IFA_LOCAL: address.packed, IFA_ADDRESS: address.packed, IFA_FLAGS: struct.pack("=I", flags)}
    return fixed + build_attributes(attributes)


def _route(prefix: Prefix, index: int, table: int, source: IPAddress | None) -> bytes:
    scope = RT_SCOPE_UNIVERSE if prefix.version == 6 else RT_SCOPE_LINK
    fixed = _ROUTE.pack(
        family_of(prefix), prefix.prefixlen, 0, 0, RT_TABLE_UNSPEC, RTPROT_STATIC, scope, RTN_UNICAST, 0
    )
    attributes = {RTA_OIF: struct.pack("=i", index), RTA_TABLE: struct.pack("=I", table)}
    if prefix.prefixlen:
        attributes[RTA_DST] = prefix.network_address.packed
    if source is not None:
        attributes[RTA_PREFSRC] = source.packed
    return fixed + build_attributes(attributes)


def _rule(rule: Rule) -> bytes:
    length = rule.source.prefixlen if rule.source is not None else 0
    flags = FIB_RULE_INVERT if rule.inverted else 0
    fixed = _ROUTE.pack(rule.family, 0, length, 0, RT_TABLE_UNSPEC, 0, 0, FR_ACT_TO_TBL, flags)
    attributes = {FRA_PRIORITY: struct.pack("=I", rule.priority), FRA_TABLE: struct.pack("=I", rule.table)}
    if rule.source is not None:
        attributes[FRA_SRC] = rule.source.network_address.packed
    if rule.specific_only:
        attributes[FRA_SUPPRESS_PREFIXLEN] = struct.pack("=I", 0)
    return fixed + build_attributes(attributes)


def _proxy(index: int, address: IPAddress) -> bytes:
    fixed = _NEIGHBOUR.pack(family_of(address), index, NUD_PERMANENT, NTF_PROXY, 0)
    return fixed + build_attributes({NDA_DST: address.packed})
