# SPDX-License-Identifier: GPL-2.0-or-later
"""What a mobile node asks for and what a home agent grants."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address


@dataclass(frozen=True, slots=True)
class MobileConfig:
    """What a mobile node asks for; the defaults are what TS 24.303 A.2 prescribes."""

    lifetime: int = 3600
    """Seconds to ask for; granted may be less."""
    ipv4_home_address: IPv4Address | None = None
    """0.0.0.0 asks for any IPv4 home address, another one for exactly that; ``None`` for none."""
    overwrite_flag: bool = True
    """O in a first registration (A.2); never set in a refresh (A.3)."""
    link_local_flag: bool = False
    """L: the home address and the link-local address share the interface identifier (A.2)."""
    router_fallback: bool = True
    """After status 140 or 143 register without R here, instead of ending so that another home agent can be tried."""


@dataclass(frozen=True, slots=True)
class HomeAgentConfig:
    """What the home agent grants."""

    max_lifetime: int = 3600
    """Seconds."""
    refresh_advice: int | None = None
    """Seconds after which mobile nodes are advised to refresh; left out where it is not below the lifetime granted."""
    accept_registrations: bool = True
    """Act as a home agent; otherwise status 131."""
    serve_prefixes: bool = True
    """Take the R flag; otherwise status 140."""
    key_management: bool = True
    """K: the IKE end point of a mobile node can be moved."""
    max_bindings: int = 100_000
    """Beyond it status 130."""
