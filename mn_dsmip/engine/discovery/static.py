# SPDX-License-Identifier: GPL-2.0-or-later
"""Home agents that the configuration names: nothing is looked up."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address, IPv6Address

from ..base import Event, IPAddress, UdpDatagram
from .events import HomeAgentFound


class StaticDiscovery:
    """The addresses given, and the name that their certificates must hold, if one is given."""

    method = "static"

    def __init__(self, addresses: tuple[IPAddress, ...], name: str | None) -> None:
        self.counters: Counter[str] = Counter()
        self.done = False
        self._addresses = addresses
        self._name = name
        self._events: list[Event] = []

    def start(self, now: float) -> None:
        """Found at once."""
        self.done = True
        ipv6 = tuple(each for each in self._addresses if isinstance(each, IPv6Address))
        ipv4 = tuple(each for each in self._addresses if isinstance(each, IPv4Address))
        self._events.append(HomeAgentFound(ipv6, ipv4, self._name, self.method))

    def more(self, now: float) -> bool:
        """All were told at once."""
        return False

    def next_timer(self) -> float | None:
        """Never."""
        return None

    def handle_timer(self, now: float) -> None:
        """Nothing to do."""

    def receive_datagram(self, datagram: UdpDatagram, now: float) -> None:
        """Nothing was asked."""
        self.counters["dns-unexpected"] += 1

    def datagrams_to_send(self) -> list[UdpDatagram]:
        """Nothing to send."""
        return []

    def events(self) -> list[Event]:
        """``HomeAgentFound``."""
        events, self._events = self._events, []
        return events
