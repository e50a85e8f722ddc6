# SPDX-License-Identifier: GPL-2.0-or-later
"""A Mininet topology whose links have prefixes: it numbers the nodes and gives them their routes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from mininet.topo import Topo

from .host import Ipv6Host

Prefix = IPv4Network | IPv6Network


@dataclass(eq=False)
class Segment:
    """A link, or a switch with all its links: what shares prefixes."""

    prefixes: list[Prefix]
    members: list[tuple[str, str]] = field(default_factory=list)  # node, interface
    addresses: dict[tuple[str, int], str] = field(default_factory=dict)  # node, IP version -> address


class Ipv6Topo(Topo):  # type: ignore[misc]  # Mininet has no types
    """A topology to build as Mininet's own, with `prefix` and `ipv4` on links and switches.

    Members of a segment are numbered in the order of their links. Routers learn a route to every prefix, other hosts
    a default route; a UE gets neither address nor route, because it listens to Router Advertisements.
    """

    title = ""

    def __init__(self, *args: Any, **params: Any) -> None:  # Any: Mininet's signature; `build` has the types
        self.parameters = dict(params)
        self.segments: list[Segment] = []
        self._switch_segments: dict[str, Segment] = {}
        super().__init__(*args, **params)
        self._number()
        self._route()

    def addHost(self, name: str, cls: type[Any] = Ipv6Host, **opts: Any) -> str:
        return str(super().addHost(name, cls=cls, **opts))

    def addSwitch(self, name: str, prefix: str | None = None, ipv4: str | None = None, **opts: Any) -> str:
        segment = Segment(_prefixes(prefix, ipv4))
        self.segments.append(segment)
        self._switch_segments[name] = segment
        return str(super().addSwitch(name, **opts))

    def addLink(self, node1: str, node2: str, prefix: str | None = None, ipv4: str | None = None, **opts: Any) -> Any:
        key = super().addLink(node1, node2, **opts)
        info = self.linkInfo(node1, node2, key)
        segment = Segment(_prefixes(prefix, ipv4))
        for switch in (node for node in (node1, node2) if self.isSwitch(node)):
            segment = self._merge(switch, segment)
        for node, port in ((node1, info["port1"]), (node2, info["port2"])):
            if not self.isSwitch(node):
                segment.members.append((node, f"{node}-eth{port}"))
        if segment not in self.segments:
            self.segments.append(segment)
        return key

    def _merge(self, switch: str, segment: Segment) -> Segment:
        """Make the switch's segment and this one the same; what joins comes last."""
        known = self._switch_segments[switch]
        if known is segment:
            return known
        joined, joining = (segment, known) if segment in self.segments else (known, segment)
        joined.prefixes += joining.prefixes
        joined.members += joining.members
        if joining in self.segments:
            self.segments.remove(joining)
        for name, each in self._switch_segments.items():
            if each is joining:
                self._switch_segments[name] = joined
        return joined

    def _number(self) -> None:
        for segment in self.segments:
            numbered = [each for each in segment.members if self._attribute(each[0], "static")]
            for prefix in segment.prefixes:
                for number, (node, interface) in enumerate(numbered, 1):
                    address = str(prefix[number])
                    segment.addresses[node, prefix.version] = address
                    addresses = self.nodeInfo(node).setdefault("addresses", {})
                    addresses.setdefault(interface, []).append(f"{address}/{prefix.prefixlen}")

    def _route(self) -> None:
        targets = list(self._targets())
        for node in self.hosts():
            if not self._attribute(node, "static"):
                continue
            routes = [
                (str(prefix), hop)
                for owners, prefix in targets
                if node not in owners and (hop := self._next_hop(node, owners, prefix.version)) is not None
            ]
            if not self._attribute(node, "forwards"):
                routes = list(dict.fromkeys((_default(prefix), hop) for prefix, hop in routes))
            self.nodeInfo(node).setdefault("routes", []).extend(routes)

    def _targets(self) -> Iterator[tuple[set[str], Prefix]]:
        """Every prefix with the nodes that need no route to it."""
        for segment in self.segments:
            for prefix in segment.prefixes:
                yield {node for node, _ in segment.members}, prefix
        for node in self.hosts():
            for text in getattr(self.nodeInfo(node).get("cls"), "owned_prefixes", lambda _: [])(self.nodeInfo(node)):
                yield {node}, ip_network(text)

    def _next_hop(self, start: str, owners: set[str], version: int) -> str | None:
        """The first step of a shortest way through routers; None when there is no way."""
        seen = {start}
        ways: deque[tuple[str, str | None]] = deque([(start, None)])
        while ways:
            node, first = ways.popleft()
            for neighbour, address in self._neighbours(node, version):
                if neighbour in seen or not self._attribute(neighbour, "forwards"):
                    continue
                seen.add(neighbour)
                if neighbour in owners:
                    return first or address
                ways.append((neighbour, first or address))
        return None

    def _neighbours(self, node: str, version: int) -> Iterator[tuple[str, str]]:
        for segment in self.segments:
            if (node, version) in segment.addresses:
                for (other, family), address in segment.addresses.items():
                    if other != node and family == version:
                        yield other, address

    def _attribute(self, node: str, name: str) -> bool:
        return bool(getattr(self.nodeInfo(node).get("cls"), name, False))


def _prefixes(*texts: str | None) -> list[Prefix]:
    return [ip_network(text) for text in texts if text]


def _default(prefix: str) -> str:
    return "::/0" if ":" in prefix else "0.0.0.0/0"
