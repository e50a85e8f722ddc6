# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a peer and one of our ends meet: two namespaces and a cable, or three with a NAT in the middle.

Field       ue ns  2001:db8:1::2, 198.18.1.2 === 2001:db8:1::1, 198.18.1.1  ha ns (home network 2001:db8:100::/56 on lo)

NatField    ue ns  10.9.0.2 === 10.9.0.1  nat ns  198.18.1.2 === 198.18.1.1  ha ns    (nat: masquerade)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address

from tests.agent.datapath_network import Namespace, link, namespaces

UE, HA = IPv6Address("2001:db8:1::2"), IPv6Address("2001:db8:1::1")
UE_IPV4, HA_IPV4 = IPv4Address("198.18.1.2"), IPv4Address("198.18.1.1")
PRIVATE_UE, PRIVATE_ROUTER = IPv4Address("10.9.0.2"), IPv4Address("10.9.0.1")
INSIDE = IPv6Address("2001:db8:100::1")
"""A host of the home network, for user traffic."""


class Field:
    """A UE's namespace, a home agent's, and perhaps a NAT's."""

    def __init__(self, ue: Namespace, ha: Namespace, nat: Namespace | None = None) -> None:
        self.ue, self.ha, self.nat = ue, ha, nat


@contextmanager
def field() -> Iterator[Field]:
    """Two namespaces, one cable, both IP versions."""
    with namespaces(2) as (ue, ha):
        link(ue, "ue0", ha, "ha0")
        ue.run(f"ip addr add {UE}/64 dev ue0 nodad", f"ip addr add {UE_IPV4}/24 dev ue0")
        ha.run(
            f"ip addr add {HA}/64 dev ha0 nodad",
            f"ip addr add {HA_IPV4}/24 dev ha0",
            f"ip addr add {INSIDE}/64 dev lo nodad",
            "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
            "echo 1 >/proc/sys/net/ipv4/ip_forward",
        )
        yield Field(ue, ha)


@contextmanager
def nat_field() -> Iterator[Field]:
    """The UE's only way to the home agent is a NAT for IPv4."""
    with namespaces(3) as (ue, nat, ha):
        link(ue, "ue0", nat, "inside0")
        link(nat, "outside0", ha, "ha0")
        ue.run(f"ip addr add {PRIVATE_UE}/24 dev ue0", f"ip route add default via {PRIVATE_ROUTER}")
        nat.run(
            f"ip addr add {PRIVATE_ROUTER}/24 dev inside0",
            f"ip addr add {UE_IPV4}/24 dev outside0",
            "echo 1 >/proc/sys/net/ipv4/ip_forward",
            "nft 'add table ip nat'",
            "nft 'add chain ip nat postrouting { type nat hook postrouting priority 100; }'",
            "nft 'add rule ip nat postrouting oifname outside0 masquerade random'",
        )
        ha.run(f"ip addr add {HA_IPV4}/24 dev ha0")
        yield Field(ue, ha, nat)
