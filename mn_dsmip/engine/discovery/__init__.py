# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways to find the home agent, one a module (TS 24.303 5.1.2.1, TS 23.402 4.5.2)."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from ..base import Event, UdpDatagram
from .dns import DnsDiscovery
from .events import DiscoveryFailed, HomeAgentFound
from .names import ha_apn_fqdn
from .static import StaticDiscovery

METHODS = ("static", "dns")
"""In order of preference; what the configuration names wins over what the network says."""


class Discovery(Protocol):
    """One search for home agents, each part of which ends in ``HomeAgentFound`` or ``DiscoveryFailed``."""

    counters: Counter[str]

    def start(self, now: float) -> None:
        """Begin."""

    def more(self, now: float) -> bool:
        """Look for another home agent, those found being of no use; ``False`` when there is none to look for."""

    def receive_datagram(self, datagram: UdpDatagram, now: float) -> None:
        """Take an answer."""

    def next_timer(self) -> float | None:
        """When ``handle_timer`` is due."""

    def handle_timer(self, now: float) -> None:
        """Repeat or give up."""

    def datagrams_to_send(self) -> list[UdpDatagram]:
        """What is to leave now."""

    def events(self) -> list[Event]:
        """What happened."""


__all__ = [
    "METHODS", "Discovery", "DiscoveryFailed", "DnsDiscovery", "HomeAgentFound", "StaticDiscovery", "ha_apn_fqdn",
]  # fmt: skip
