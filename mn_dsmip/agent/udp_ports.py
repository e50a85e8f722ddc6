# SPDX-License-Identifier: GPL-2.0-or-later
"""Plain UDP sockets as a data path, for an engine whose unit is the ``UdpDatagram``."""

from __future__ import annotations

import socket
from asyncio import AbstractEventLoop
from collections import Counter
from collections.abc import Callable, Sequence

from ..engine.base import Effect, IPAddress, UdpDatagram
from .datapath.base import BATCH, word_of
from .errors import EnvironmentProblem

LONGEST = 65535


class UdpPorts:
    """Listens at each (address, port); answers leave from where the request came in."""

    def __init__(self, listen: Sequence[tuple[IPAddress, int]]) -> None:
        self.counters: Counter[str] = Counter()
        self._listen = listen
        self._sockets: dict[tuple[IPAddress, int], socket.socket] = {}
        self._loop: AbstractEventLoop | None = None

    def open(self, loop: AbstractEventLoop, deliver: Callable[[list[UdpDatagram]], None]) -> None:
        """Bind everything; ``EnvironmentProblem`` names the address that cannot be had."""
        self._loop = loop
        try:
            for address, port in self._listen:
                family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
                made = self._sockets[address, port] = socket.socket(family, socket.SOCK_DGRAM)
                made.setblocking(False)
                try:
                    made.bind((str(address), port))
                except OSError as problem:
                    raise EnvironmentProblem(f"cannot listen at {address} port {port}: {problem.strerror}") from None
                loop.add_reader(made, self._read, address, port, made, deliver)
        except EnvironmentProblem:
            self.close()
            raise

    def send(self, datagrams: list[UdpDatagram]) -> None:
        """Let answers leave."""
        for each in datagrams:
            try:
                way = self._sockets[each.source, each.source_port]
                way.sendto(each.payload, (str(each.destination), each.destination_port))
            except OSError as problem:  # whoever asked will ask again
                self.counters[f"udp-send-{word_of(problem)}"] += 1

    def carry_out(self, effect: Effect) -> None:
        """No effect concerns sockets."""

    def close(self) -> None:
        """Close all sockets."""
        for each in self._sockets.values():
            if self._loop is not None:
                self._loop.remove_reader(each)
            each.close()
        self._sockets.clear()

    def _read(
        self, address: IPAddress, port: int, found: socket.socket, deliver: Callable[[list[UdpDatagram]], None]
    ) -> None:
        arrived = []
        for _ in range(BATCH):
            try:
                payload, source = found.recvfrom(LONGEST)
            except BlockingIOError:
                break
            except OSError as problem:
                self.counters[f"udp-{word_of(problem)}"] += 1
                break
            arrived.append(UdpDatagram(type(address)(source[0].partition("%")[0]), source[1], address, port, payload))
        if arrived:
            deliver(arrived)
