# SPDX-License-Identifier: GPL-2.0-or-later
"""A PDN GW, which is the home agent, in a Mininet topology."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .agent import AgentHost
from .host import Stage

if TYPE_CHECKING:
    from .network import Network


class PdnGw(AgentHost):
    """A PDN GW whose agent owns `address` (and `ipv4_address`), the home agent's, on a device of its own.

    `home` is the pool of home network prefixes, `ipv4_home` that of IPv4 home addresses, `apns` what it serves (by
    default what the network's UEs ask for). `keylog=True` writes Wireshark's key tables into the run's folder. `config`
    takes a whole configuration file instead; `address` is then still what DNS says.
    """

    role = "gateway"
    stage = Stage.GATEWAY
    forwards = True

    def __init__(
        self,
        name: str,
        *,
        address: str,
        home: str = "",
        ipv4_address: str | None = None,
        ipv4_home: str | None = None,
        apns: Sequence[str] | None = None,
        profile: str = "modern",
        lifetime: int = 3600,
        keylog: bool = False,
        **params: Any,
    ) -> None:
        self.address = address
        self.home = home
        self.ipv4_address = ipv4_address
        self.ipv4_home = ipv4_home
        self.apns = None if apns is None else set(apns)
        self.profile = profile
        self.lifetime = lifetime
        self.keylog = keylog
        super().__init__(name, **params)

    @property
    def home_agent_addresses(self) -> list[str]:
        return [self.address, *([self.ipv4_address] if self.ipv4_address else [])]

    @staticmethod
    def owned_prefixes(params: Mapping[str, Any]) -> list[str]:
        """What others need a route to: the home agent and all home addresses."""
        keys = ("address", "home", "ipv4_address", "ipv4_home")
        return [str(params[key]) for key in keys if params.get(key)]

    def serves(self, apn: str) -> bool:
        return self.apns is None or apn in self.apns

    def settings(self, net: Network) -> dict[str, Any]:
        store = [
            {**each.settings(), "amf": each.amf, "apns": apns}
            for each in net.operator.subscribers.values()
            if (apns := sorted(filter(self.serves, net.operator.apns[each.imsi])))
        ]
        served = sorted({apn for entry in store for apn in entry["apns"]})
        net.folder.write_private(f"{self.name}.subscribers.yaml", store)
        return {
            "addresses": {"ipv6": self.address, "ipv4": self.ipv4_address},
            "ike": {"profile": self.profile, "certificate": f"{self.name}.pem", "key": f"{self.name}.key"},
            "subscribers": f"{self.name}.subscribers.yaml",
            "pools": {
                "ipv6": dict.fromkeys(served, self.home),
                "ipv4": dict.fromkeys(served, self.ipv4_home) if self.ipv4_home else {},
            },
            "dns": net.operator.dns_servers,
            "binding": {"max_lifetime": self.lifetime},
            "keylog": "../wireshark" if self.keylog else None,
        }

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "home_agent": self.home_agent_addresses, "home": [self.home, self.ipv4_home]}
