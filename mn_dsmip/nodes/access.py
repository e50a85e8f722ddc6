# SPDX-License-Identifier: GPL-2.0-or-later
"""The router of a trusted IPv6 access network: Router Advertisements with the DNS servers' addresses (RFC 8106)."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Interface
from typing import TYPE_CHECKING, Any

from . import dnsmasq
from .child import Child
from .errors import NodeError
from .host import ActiveHost

if TYPE_CHECKING:
    from .network import Network

RA_INTERVAL = 30  # seconds between unsolicited advertisements (RFC 4861 6.2.1: 4 to 1800)
ROUTER_LIFETIME = 1800  # seconds: RFC 4861 6.2.1, AdvDefaultLifetime
PREFIX_LIFETIME = 86400  # seconds


class AccessRouter(ActiveHost):
    """Advertises the prefix of its access interface (`access`, the first one by default) and the DNS servers `dns`
    (by default those of the network); the access link is IPv6-only.
    """

    forwards = True

    def __init__(self, name: str, *, access: str = "", dns: Sequence[str] = (), **params: Any) -> None:
        self.access_interface = access or f"{name}-eth0"
        self.dns = list(dns)
        super().__init__(name, **params)

    def launch(self, net: Network) -> Child:
        servers = ",".join(f"[{address}]" for address in self.dns or net.operator.dns_servers)
        settings = [
            "port=0",  # no DNS here
            f"interface={self.access_interface}",
            "enable-ra",
            "quiet-ra",
            f"ra-param={self.access_interface},{RA_INTERVAL},{ROUTER_LIFETIME}",
            f"dhcp-range={self._prefix()},ra-only,64,{PREFIX_LIFETIME}",
            f"dhcp-leasefile={net.folder.state(self.name) / 'leases'}",
            *([f"dhcp-option=option6:dns-server,{servers}"] if servers else []),
        ]
        return dnsmasq.launch(self, net, settings)

    def _prefix(self) -> str:
        for text in self.addresses.get(self.access_interface, []):
            if ":" in text:
                return str(IPv6Interface(text).network.network_address)
        raise NodeError(
            f"{self.name} has no IPv6 prefix to advertise on {self.access_interface}: give its link a prefix"
        )
