# SPDX-License-Identifier: GPL-2.0-or-later
"""The gateway's sockets towards its RADIUS servers: connected, so that the kernel drops what comes from elsewhere."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable

from ..engine.aaa.client import AaaDatagram, RadiusClient
from ..engine.aaa.packets import LONGEST_PACKET
from .datapath.base import BATCH, word_of


class RadiusPort:
    """Opens a socket for each channel of a server when it is first used; ``counters`` says what the kernel refused."""

    def __init__(self, client: RadiusClient, deliver: Callable[[AaaDatagram], None]) -> None:
        self.counters: Counter[str] = Counter()
        self._client = client
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[tuple[int, int], socket.socket] = {}

    def flush(self) -> None:
        """Send what the client has to say."""
        for datagram in self._client.datagrams_to_send():
            try:
                self._socket(datagram.server, datagram.channel).send(datagram.octets)
            except OSError as problem:  # a lost request is repeated
                self.counters[f"radius-send-{word_of(problem)}"] += 1

    def close(self) -> None:
        """Close all sockets."""
        for each in self._sockets.values():
            self._loop.remove_reader(each)
            each.close()
        self._sockets.clear()

    def _socket(self, server: int, channel: int) -> socket.socket:
        found = self._sockets.get((server, channel))
        if found is not None:
            return found
        to = self._client.config.servers[server]
        made = socket.socket(socket.AF_INET6 if to.address.version == 6 else socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        try:
            made.connect((str(to.address), to.port))
        except OSError:
            made.close()
            raise
        self._loop.add_reader(made, self._read, server, channel, made)
        self._sockets[server, channel] = made
        return made

    def _read(self, server: int, channel: int, found: socket.socket) -> None:
        for _ in range(BATCH):
            try:
                octets = found.recv(LONGEST_PACKET + 1)
            except BlockingIOError:
                return
            except OSError as problem:  # an ICMP error: nobody listens there
                self.counters[f"radius-{word_of(problem)}"] += 1
                return
            self._deliver(AaaDatagram(server, channel, octets))
