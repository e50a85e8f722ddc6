# SPDX-License-Identifier: GPL-2.0-or-later
"""An in-memory internet with a virtual clock: engines exchange the very bytes of the wire, one seed replays one run.

Packets are routed by destination address. Each may be lost, repeated, or delayed so that it overtakes others. Time
jumps from one event to the next, so an hour of retransmissions takes milliseconds.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from mn_dsmip.engine.base import Datagram, Event, Random, Side


@dataclass(frozen=True)
class Conditions:
    """What the network does to packets: probabilities of loss and repetition, delays in seconds."""

    loss: float = 0.0
    duplication: float = 0.0
    delay: float = 0.01
    jitter: float = 0.0
    """Extra random delay; more than the gap between two packets reorders them."""


PERFECT = Conditions()


class Host(Protocol):
    """Anything that takes packets: a composite engine, a DNS server, a correspondent."""

    def receive_datagram(self, datagram: Datagram, now: float) -> None: ...

    def next_timer(self) -> float | None: ...

    def handle_timer(self, now: float) -> None: ...

    def datagrams_to_send(self) -> list[Datagram]: ...

    def events(self) -> list[Event]: ...


@dataclass
class Node:
    """A host in the simulation with what it did so far."""

    name: str
    host: Host
    events: list[tuple[float, Event]] = field(default_factory=list)
    home: list[bytes] = field(default_factory=list)
    """Inner packets that a UE handed to its applications."""
    forwards: bool = False
    """A gateway: its inner packets go on to their destination instead of to applications."""
    armed: float | None = None

    def seen(self, kind: type[Event]) -> list[Event]:
        """All events of that kind, oldest first."""
        return [event for _, event in self.events if isinstance(event, kind)]


def seeded(seed: int | str) -> Random:
    """A random source for an engine: the same seed gives the same octets."""
    return random.Random(seed).randbytes


class Simulation:
    """Nodes, the network between them and the clock."""

    def __init__(self, seed: int = 0, conditions: Conditions = PERFECT) -> None:
        self.now = 0.0
        self.conditions = conditions
        self.nodes: dict[str, Node] = {}
        self.wire: list[tuple[float, bytes]] = []
        """Every packet as it was sent, lost ones too: equal lists mean equal runs."""
        self.tamper: Callable[[bytes], Iterable[bytes]] | None = None
        """An attacker on the path: what it returns is delivered instead of the packet."""
        self._random = random.Random(seed)
        self._exact: dict[bytes, Node] = {}
        self._networks: list[tuple[IPv6Network | IPv4Network, Node]] = []
        self._queue: list[tuple[float, int, Node, bytes]] = []
        self._order = 0

    def add(self, name: str, host: Host, *prefixes: str, forwards: bool = False) -> Node:
        """Attach ``host`` where packets to ``prefixes`` arrive; a prefix without length is one address."""
        node = self.nodes[name] = Node(name, host, forwards=forwards)
        for prefix in prefixes:
            network = (IPv6Network if ":" in prefix else IPv4Network)(prefix)
            if network.prefixlen == network.max_prefixlen:
                self._exact[network.network_address.packed] = node
            else:
                self._networks.append((network, node))
        self.settle(node)
        return node

    def do(self, node: Node, action: Callable[[float], object]) -> None:
        """Let the user of ``node``'s engine call something like ``attach`` now."""
        action(self.now)
        self.settle(node)

    def apply(self, node: Node, packet: bytes) -> None:
        """Let an application on ``node`` send an inner packet."""
        node.host.receive_datagram(Datagram(Side.HOME, packet), self.now)
        self.settle(node)

    def send(self, packet: bytes) -> None:
        """Put ``packet`` on the wire, subject to the network's conditions."""
        self.wire.append((self.now, packet))
        for copy in [packet] if self.tamper is None else self.tamper(packet):
            chance = self._random.random
            if chance() < self.conditions.loss:
                continue
            for _ in range(2 if chance() < self.conditions.duplication else 1):
                self.deliver(copy, self.conditions.delay + chance() * self.conditions.jitter)

    def deliver(self, packet: bytes, delay: float = 0.0) -> None:
        """Have ``packet`` arrive ``delay`` seconds from now, whatever the conditions; nobody there means it is gone."""
        node = self._route(packet)
        if node is not None:
            self._push(self.now + delay, node, packet)

    def run(self, until: Callable[[], bool], limit: float = 600.0) -> bool:
        """Let time pass until the condition holds; ``False`` when ``limit`` seconds passed or nothing can happen."""
        end = self.now + limit
        while not until():
            if not self._queue or self._queue[0][0] > end:
                self.now = end
                return False
            self._next()
        return True

    def settle(self, node: Node) -> None:
        """What a driver does after each call into an engine."""
        host = node.host
        node.events += [(self.now, event) for event in host.events()]
        for side, packet in host.datagrams_to_send():
            if side is Side.ACCESS or node.forwards:
                self.send(packet)
            else:
                node.home.append(packet)
        timer = host.next_timer()
        if timer is not None and timer != node.armed:
            self._push(max(timer, self.now), node, b"")
        node.armed = timer

    def _route(self, packet: bytes) -> Node | None:
        if len(packet) < 20:
            return None
        address = packet[24:40] if packet[0] >> 4 == 6 else packet[16:20]
        if (node := self._exact.get(address)) is not None:
            return node
        number = int.from_bytes(address, "big")
        for network, candidate in self._networks:
            if network.max_prefixlen == len(address) * 8 and not (
                (number ^ int(network.network_address)) >> (network.max_prefixlen - network.prefixlen)
            ):
                return candidate
        return None

    def _push(self, time: float, node: Node, packet: bytes) -> None:
        self._order += 1
        heapq.heappush(self._queue, (time, self._order, node, packet))

    def _next(self) -> None:
        time, _, node, packet = heapq.heappop(self._queue)
        self.now = max(self.now, time)
        if packet:
            node.host.receive_datagram(Datagram(Side.ACCESS, packet), self.now)
        elif node.armed is None or node.armed > self.now:
            return  # the timer was moved or disarmed meanwhile
        else:
            node.armed = None
            node.host.handle_timer(self.now)
        self.settle(node)
