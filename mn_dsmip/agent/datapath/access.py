# SPDX-License-Identifier: GPL-2.0-or-later
"""What an access link offers: the care-of address, DNS servers, on-link prefixes and MTU, as the kernel learns them.

The kernel hears Router Advertisements, forms addresses and checks them; it announces both. DNS servers it only passes
on, so those of an advertisement from before our time have to be asked for once more.
"""

from __future__ import annotations

import errno
import socket
import struct
from asyncio import AbstractEventLoop, Handle
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address

from ...engine.base import earliest
from ...engine.ue_states import Access
from .base import word_of
from .netlink import Message, listener, parse_attributes, parse_messages
from .rtnetlink import (
    IFA_F_DADFAILED,
    IFA_F_DEPRECATED,
    IFA_F_TEMPORARY,
    IFA_F_TENTATIVE,
    RT_SCOPE_UNIVERSE,
    RTA_OIF,
    RTM_DELROUTE,
    RTM_NEWNDUSEROPT,
    RTM_NEWROUTE,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV6_ROUTE,
    RTNLGRP_LINK,
    RTNLGRP_ND_USEROPT,
    InterfaceAddress,
    Link,
    Rtnetlink,
)

MAX_RTR_SOLICITATIONS, RTR_SOLICITATION_INTERVAL, MAX_RTR_SOLICITATION_DELAY = 3, 4.0, 1.0
"""RFC 4861 10, in seconds."""
DNS_WAIT = (MAX_RTR_SOLICITATIONS - 1) * RTR_SOLICITATION_INTERVAL + MAX_RTR_SOLICITATION_DELAY
"""Seconds that a usable care-of address waits for DNS servers: all solicitations were in vain then (RFC 4861 6.3.7)."""
ROUTER_SOLICITATION, SOURCE_LINK_LAYER_ADDRESS = 133, 1
"""RFC 4861 4.1, 4.6.1."""
ALL_ROUTERS = "ff02::2"
RDNSS, INFINITE_LIFETIME = 25, 0xFFFFFFFF
"""RFC 8106 5.1."""
MOST_SERVERS = 8
"""DNS servers that are kept, those that last longest; RFC 8106 5.3.1 asks for room for three."""
ICMP6_FILTER = 1
_INDEX = struct.Struct("=4xi")
"""Both in ``ifinfomsg``, ``ifaddrmsg`` and ``nduseroptmsg``."""
_USER_OPTIONS = struct.Struct("=BxH12x")
_ROUTE_LENGTH = 12
_LARGEST = 1 << 16


class AccessWatch:
    """Tells ``on_access`` when there is an access, when it changes, and with ``None`` that it is gone."""

    def __init__(
        self,
        interface: str,
        dns_wanted: bool,
        on_access: Callable[[Access | None], None],
        netlink: Rtnetlink,
        counters: Counter[str],
    ) -> None:
        self._interface, self._index = interface, socket.if_nametoindex(interface)
        self._dns_wanted = dns_wanted
        self._on_access = on_access
        self._netlink = netlink
        self._counters = counters
        self._servers: dict[IPv6Address, float] = {}  # until when
        self._care_of: IPv6Address | None = None
        self._since = 0.0
        self._solicitations = 0
        self._announced: Access | None = None
        self._timer: Handle | None = None

    def open(self, loop: AbstractEventLoop) -> None:
        """Begin; the first call of ``on_access`` comes out of ``loop``, not out of here."""
        self._loop = loop
        self._listener = listener(RTNLGRP_LINK, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE, RTNLGRP_ND_USEROPT)
        loop.add_reader(self._listener, self._hear)
        self._timer = loop.call_soon(self._look)

    def close(self) -> None:
        """End, without another word."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    # --- what the kernel says

    def _hear(self) -> None:
        try:
            messages = list(parse_messages(self._listener.recv(_LARGEST)))
        except BlockingIOError:
            return
        except OSError as problem:
            if problem.errno != errno.ENOBUFS:
                raise
            self._look()  # announcements were lost
            return
        concerned = [each for each in messages if self._concerns(each)]
        for message in concerned:
            if message.kind == RTM_NEWNDUSEROPT:
                self._read_options(message.body)
        if concerned:
            self._look()

    def _concerns(self, message: Message) -> bool:
        if message.kind in (RTM_NEWROUTE, RTM_DELROUTE):
            return parse_attributes(message.body[_ROUTE_LENGTH:]).get(RTA_OIF) == struct.pack("=i", self._index)
        return len(message.body) >= _INDEX.size and _INDEX.unpack_from(message.body)[0] == self._index

    def _read_options(self, body: bytes) -> None:
        """Recursive DNS Server options of a Router Advertisement; a lifetime of 0 ends a server (RFC 8106 5.1)."""
        _, length = _USER_OPTIONS.unpack_from(body)
        options = body[_USER_OPTIONS.size : _USER_OPTIONS.size + length]
        now = self._loop.time()
        while len(options) >= 8 and options[1]:
            option, options = options[: 8 * options[1]], options[8 * options[1] :]
            if option[0] != RDNSS:
                continue
            (lifetime,) = struct.unpack_from("!I", option, 4)
            until = float("inf") if lifetime == INFINITE_LIFETIME else now + lifetime
            for at in range(8, len(option) - 15, 16):
                self._servers[IPv6Address(option[at : at + 16])] = until
        while len(self._servers) > MOST_SERVERS:
            del self._servers[min(self._servers, key=lambda server: self._servers[server])]

    # --- what it means

    def _look(self) -> None:
        """See what there is now, say so when it is news, and arm the timer for what may come."""
        now = self._loop.time()
        self._servers = {server: until for server, until in self._servers.items() if until > now}
        care_of = self._choose()
        if care_of is None:
            if self._care_of is not None:
                self._servers.clear()  # they were that access's; those of a new one come before its address is usable
            self._care_of = None
            self._say(None)
            self._arm(None)
            return
        if care_of != self._care_of:
            self._care_of, self._since, self._solicitations = care_of, now, 0
        patient = self._dns_wanted and not self._servers and self._announced is None
        if not patient or now >= self._since + DNS_WAIT:
            self._say(self._describe(care_of))
        self._arm(self._solicit_if_due(now))

    def _choose(self) -> IPv6Address | None:
        """The care-of address: the one in use as long as it may be, else the best of those that passed DAD."""
        usable = [
            each
            for each in self._netlink.addresses(socket.AF_INET6)
            if each.interface == self._index
            and each.scope == RT_SCOPE_UNIVERSE
            and not each.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)
        ]
        best = min(usable, key=self._rank, default=None)
        return None if best is None else IPv6Address(best.address)

    def _rank(self, candidate: InterfaceAddress) -> tuple[int, bool, int]:
        """Lower is better: neither deprecated, nor changed without need, nor temporary."""
        deprecated, temporary = candidate.flags & IFA_F_DEPRECATED, candidate.flags & IFA_F_TEMPORARY
        return deprecated, candidate.address != self._care_of, temporary

    def _describe(self, care_of: IPv6Address) -> Access | None:
        link = self._link()
        prefixes = tuple(self._netlink.on_link_prefixes(self._index))
        return Access(care_of, tuple(self._servers), prefixes, link.mtu) if link is not None else None

    def _link(self) -> Link | None:
        """The interface, unless it has just been taken away."""
        return next((each for each in self._netlink.links() if each.interface == self._index), None)

    def _say(self, access: Access | None) -> None:
        if access != self._announced:
            self._announced = access
            self._on_access(access)

    # --- time

    def _arm(self, solicitation: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        waiting = self._care_of is not None and self._announced is None
        expiry = min(self._servers.values(), default=None)
        due = earliest(solicitation, self._since + DNS_WAIT if waiting else None, expiry)
        self._timer = None if due is None or due == float("inf") else self._loop.call_at(due, self._look)

    def _solicit_if_due(self, now: float) -> float | None:
        """Ask the router when its servers are wanted and unknown; returns when to ask again."""
        if not self._dns_wanted or self._servers:
            return None
        due = self._since + self._solicitations * RTR_SOLICITATION_INTERVAL
        if self._solicitations < MAX_RTR_SOLICITATIONS and now >= due:
            self._solicitations += 1
            due += RTR_SOLICITATION_INTERVAL
            self._solicit()
        return due if self._solicitations < MAX_RTR_SOLICITATIONS else None

    def _solicit(self) -> None:
        """Send a Router Solicitation (RFC 4861 4.1); the kernel chooses the source and computes the checksum."""
        message = struct.pack("!BBHI", ROUTER_SOLICITATION, 0, 0, 0)
        link = self._link()
        hardware = link.hardware_address if link is not None else b""
        if hardware:
            padding = -(2 + len(hardware)) % 8
            units = (2 + len(hardware) + padding) // 8
            message += struct.pack("!BB", SOURCE_LINK_LAYER_ADDRESS, units) + hardware + bytes(padding)
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sender:
            sender.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, b"\xff" * 32)  # receive nothing
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface.encode() + b"\0")
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            try:
                sender.sendto(message, (ALL_ROUTERS, 0, 0, self._index))
            except OSError as problem:
                self._counters[f"solicit-{word_of(problem)}"] += 1
