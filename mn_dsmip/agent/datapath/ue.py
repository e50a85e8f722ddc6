# SPDX-License-Identifier: GPL-2.0-or-later
"""A UE's data path: its care-of address is the kernel's, its home addresses live on a TUN device."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections import Counter
from collections.abc import Callable

from ...engine.base import Datagram, Effect
from ...engine.ue import Access
from .base import Deliver


class UeDatapath:
    """Packets of the care-of address and of the home addresses; ``on_access`` hears of the access as it comes and goes.

    ``dns_wanted``: wait for the router's DNS servers, and ask for them when its advertisement came too early.
    """

    def __init__(
        self,
        interface: str,
        device: str,
        node_name: str,
        on_access: Callable[[Access | None], None],
        dns_wanted: bool = True,
    ) -> None:
        self.counters: Counter[str] = Counter()
        raise NotImplementedError

    def open(self, loop: AbstractEventLoop, deliver: Deliver) -> None: ...

    def send(self, datagrams: list[Datagram]) -> None: ...

    def carry_out(self, effect: Effect) -> None: ...

    def close(self) -> None: ...
