# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers of the operator: the authoritative DNS that knows the home agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import dnsmasq
from .child import Child
from .host import ActiveHost

if TYPE_CHECKING:
    from .network import Network

SRV_PORT = 500  # RFC 5026 5.1.2 leaves it without use; our choice is IKE's


class DnsServer(ActiveHost):
    """Authoritative for the operator's zones under 3gppnetwork.org: AAAA and A of each HA-APN name (TS 23.003
    clause 21) and the SRV service lookup `_mip6._ipv6` (RFC 5026 5.1.2).

    `records` adds names, each with its addresses; `zones` adds zones for them.
    """

    def __init__(
        self, name: str, *, records: Mapping[str, Sequence[str]] | None = None, zones: Sequence[str] = (), **params: Any
    ) -> None:
        self.records = dict(records or {})
        self.zones = list(zones)
        super().__init__(name, **params)

    def launch(self, net: Network) -> Child:
        zones = sorted({*self.zones, *net.operator.zones})
        names = {**net.operator.home_agents, **self.records}
        settings = ["log-queries", *(f"interface={name}" for name in self.intfNames())]
        settings += [f"auth-server=ns.{zones[0]},{name}" for name in self.intfNames() if zones]
        settings += [f"auth-zone={zone}" for zone in zones]
        settings += [f"host-record={name},{address}" for name, addresses in names.items() for address in addresses]
        settings += [
            f"srv-host=_mip6._ipv6.{domain},{name},{SRV_PORT}"
            for name in net.operator.home_agents
            for domain in (name, *(zone for zone in zones if name.endswith(zone)))
        ]
        return dnsmasq.launch(self, net, settings)
