# SPDX-License-Identifier: GPL-2.0-or-later
"""An operator in memory: PDN GW, DNS server, correspondent and any number of UEs, ready to attach."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from functools import cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from mn_dsmip.crypto.aka import Subscriber, Usim
from mn_dsmip.crypto.certs import Identity, create_authority, issue
from mn_dsmip.engine.discovery import ha_apn_fqdn
from mn_dsmip.engine.gateway import Gateway, GatewayConfig
from mn_dsmip.engine.gateway_policy import ApnPools, PolicyConfig, Subscription
from mn_dsmip.engine.ike.events import ResponderConfig
from mn_dsmip.engine.ike.proposals import PROFILES
from mn_dsmip.engine.ue import UserEquipment
from mn_dsmip.engine.ue_states import Access, UeConfig
from tests.engine.hosts import DnsHost, EchoHost
from tests.engine.simulation import PERFECT, Conditions, Node, Simulation, seeded

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
HOME_AGENT = "2001:db8:aaaa::1"
DNS_SERVER = "2001:db8:53::53"
CORRESPONDENT, CORRESPONDENT_IPV4 = "2001:db8:c::80", "198.51.100.80"
ACCESS = "2001:db8:f:1::/64"
HOME_PREFIXES, HOME_IPV4 = "2001:db8:100::/48", "10.45.0.0/24"
APN, MCC, MNC = "internet", "001", "01"
FQDN = ha_apn_fqdn(APN, MCC, MNC)


@cache
def certificates() -> tuple[Identity, Identity]:
    """An authority and the gateway's certificate; Ed25519, whose signatures are the same every time."""
    authority = create_authority("Test CA", NOW, ed25519.Ed25519PrivateKey.from_private_bytes(b"a" * 32))
    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"g" * 32)
    return authority, issue(authority, [FQDN, HOME_AGENT], NOW, key)


class Operator:
    """The simulated network; change ``ue_config``, ``policy`` and so on before ``add_ue`` and ``start``."""

    def __init__(self, seed: int = 0, conditions: Conditions = PERFECT, **policy: Any) -> None:
        self.simulation = Simulation(seed, conditions)
        self.seed = seed
        self.random = seeded(f"keys {seed}")
        self.subscriptions: dict[str, Subscription] = {}
        defaults: dict[str, Any] = {
            "home_agent": IPv6Address(HOME_AGENT),
            "subscriptions": self.subscriptions,
            "apns": {APN: ApnPools(IPv6Network(HOME_PREFIXES), IPv4Network(HOME_IPV4))},
            "dns": (IPv6Address(DNS_SERVER),),
        }
        self.policy = PolicyConfig(**(defaults | policy))
        self.ike = ResponderConfig("pgw.example.net", PROFILES["modern"], certificates()[1])
        self.gateway: Gateway
        self.gateway_node: Node
        self.ues: list[UserEquipment] = []
        self.nodes: list[Node] = []
        self.dns = DnsHost({(FQDN, "AAAA"): [HOME_AGENT], (FQDN, "A"): ["192.0.2.1"]})
        self.correspondent = EchoHost()
        self.simulation.add("dns", self.dns, DNS_SERVER)
        self.simulation.add("cn", self.correspondent, CORRESPONDENT, CORRESPONDENT_IPV4)

    def start(self, **config: Any) -> Operator:
        """Put the gateway into service."""
        self.gateway = Gateway(GatewayConfig(self.policy, self.ike, **config), seeded(f"gateway {self.seed}"))
        self.gateway_node = self.simulation.add(
            "pgw", self.gateway, HOME_AGENT, HOME_PREFIXES, HOME_IPV4, forwards=True
        )
        return self

    def add_ue(self, **changes: Any) -> UserEquipment:
        """A new subscriber's UE, with access; it begins to attach at once unless ``attach=False``."""
        number = len(self.ues) + 1
        imsi = f"{MCC}{MNC}{number:010d}"
        k, opc = self.random(16), self.random(16)
        self.subscriptions.setdefault(imsi, Subscription(Subscriber(imsi, k, opc), (APN,)))
        config = UeConfig(
            imsi=imsi, mcc=MCC, mnc=MNC, apn=APN, usim=Usim(k, opc), interface_secret=self.random(16),
            anchors=certificates()[0].chain, clock=lambda: NOW, ipv4=True,
        )  # fmt: skip
        ue = UserEquipment(replace(config, **changes), seeded(f"ue {number} {self.seed}"))
        care_of = IPv6Address(int(IPv6Address("2001:db8:f:1::10")) + number)
        node = self.simulation.add(f"ue{number}", ue, str(care_of))
        self.ues.append(ue)
        self.nodes.append(node)
        access = Access(care_of, (IPv6Address(DNS_SERVER),), (IPv6Network(ACCESS),))
        self.simulation.do(node, lambda now: ue.access_ready(access, now))
        return ue
