# SPDX-License-Identifier: GPL-2.0-or-later
"""Mininet nodes; only the standard library and mininet are imported here."""

from .access import AccessRouter
from .bootstrap import bootstrap
from .cli import DsmipCLI
from .command import cleanup, topology, validate
from .errors import NodeError, SetupError
from .gateways import PdnGw
from .home_operator import Subscriber
from .host import Ipv6Host, Router
from .network import Network
from .services import DnsServer
from .topo import Ipv6Topo
from .ue import UE

__all__ = [
    "UE",
    "AccessRouter",
    "DnsServer",
    "DsmipCLI",
    "Ipv6Host",
    "Ipv6Topo",
    "Network",
    "NodeError",
    "PdnGw",
    "Router",
    "SetupError",
    "Subscriber",
    "bootstrap",
    "cleanup",
    "topology",
    "validate",
]
