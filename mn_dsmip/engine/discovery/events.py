# SPDX-License-Identifier: GPL-2.0-or-later
"""How every method of discovery ends."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from ..base import Event


@dataclass(frozen=True, slots=True)
class HomeAgentFound(Event):
    """Home agents to try in turn; ``name`` is what was looked up and what their certificates must hold, if any."""

    addresses: tuple[IPv6Address, ...]
    ipv4_addresses: tuple[IPv4Address, ...]
    name: str | None
    method: str
    missing: str = ""
    """Why one of the families has no address, if that is known."""


@dataclass(frozen=True, slots=True)
class DiscoveryFailed(Event):
    """No home agent was found; ``reason`` is a sentence for a person."""

    reason: str
    clause: str
