# SPDX-License-Identifier: GPL-2.0-or-later
"""A gateway's data path: one TUN device into which the kernel forwards all that is for the home agent."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from ...engine.base import Datagram, Effect
from .base import Deliver


class GatewayDatapath:
    """Packets for the home agent's addresses and for ``prefixes``, the pools of home prefixes and IPv4 addresses."""

    def __init__(
        self,
        device: str,
        home_agent: IPv6Address,
        ipv4_home_agent: IPv4Address | None,
        prefixes: Iterable[IPv6Network | IPv4Network],
        node_name: str,
    ) -> None:
        self.counters: Counter[str] = Counter()
        raise NotImplementedError

    def open(self, loop: AbstractEventLoop, deliver: Deliver) -> None: ...

    def send(self, datagrams: list[Datagram]) -> None: ...

    def carry_out(self, effect: Effect) -> None: ...

    def close(self) -> None: ...
