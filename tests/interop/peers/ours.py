# SPDX-License-Identifier: GPL-2.0-or-later
"""Our own ends in a namespace: the IKE engines on real sockets, run by the test's thread; or agents as processes."""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from mn_dsmip.agent.control import ask
from mn_dsmip.engine.base import Event, IPAddress, UdpDatagram
from mn_dsmip.engine.ike.events import InitiatorConfig, ResponderConfig
from mn_dsmip.engine.ike.initiator import IkeInitiator
from mn_dsmip.engine.ike.path import IKE_PORT, NAT_T_PORT, NON_ESP_MARKER
from mn_dsmip.engine.ike.policy import ResponderPolicy
from mn_dsmip.engine.ike.responder import IkeResponder
from tests.agent.datapath_network import Namespace
from tests.agent.two_namespaces import Process

from .keys import EspKeys, SaKeys, our_child_keys, our_ike_keys

PATIENCE = 20.0
_POLL = 0.02
"""Seconds between two looks at a condition that no datagram of ours brings about."""
Wanted = TypeVar("Wanted", bound=Event)
Engine = IkeInitiator | IkeResponder


class End:
    """An IKE engine and its UDP ports 500 and 4500 at each of its addresses."""

    def __init__(self, namespace: Namespace, engine: Engine, addresses: Sequence[IPAddress]) -> None:
        self.engine = engine
        self.events: list[Event] = []
        self.sent: list[UdpDatagram] = []
        self.received: list[UdpDatagram] = []
        """All datagrams; IKE and whatever else comes to the ports."""
        self.encapsulated: list[UdpDatagram] = []
        """ESP in UDP (RFC 3948): not for the engine."""
        self.drop: Callable[[UdpDatagram], bool] = lambda datagram: False
        """What of the arriving datagrams gets lost."""
        self._sockets: dict[tuple[IPAddress, int], socket.socket] = {}
        with namespace:
            for address in addresses:
                for port in (IKE_PORT, NAT_T_PORT):
                    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
                    each = socket.socket(family, socket.SOCK_DGRAM)
                    self._sockets[address, port] = each
                    each.bind((str(address), port))
                    each.setblocking(False)

    @property
    def sockets(self) -> list[socket.socket]:
        """To wait on."""
        return list(self._sockets.values())

    def of(self, kind: type[Wanted]) -> list[Wanted]:
        """The events of that kind so far."""
        return [each for each in self.events if isinstance(each, kind)]

    def ike_keys(self) -> list[SaKeys]:
        """Of all IKE SAs, in the order of their making."""
        return our_ike_keys(self.events)

    def child_keys(self) -> list[EspKeys]:
        """Of all child SAs, in the order of their making."""
        return our_child_keys(self.events)

    def settle(self) -> None:
        """What a driver does after each call."""
        self.events += self.engine.events()
        for datagram in self.engine.datagrams_to_send():
            self.send(datagram)

    def send(self, datagram: UdpDatagram) -> None:
        """Put a datagram on the wire, the engine's or a forged one."""
        self.sent.append(datagram)
        way = self._sockets[datagram.source, datagram.source_port]
        way.sendto(datagram.payload, (str(datagram.destination), datagram.destination_port))

    def take(self) -> None:
        """All that has arrived, and timers that are due."""
        for (address, port), each in self._sockets.items():
            while True:
                try:
                    payload, source = each.recvfrom(65535)
                except BlockingIOError:
                    break
                datagram = UdpDatagram(type(address)(source[0]), source[1], address, port, payload)
                self.received.append(datagram)
                if port == NAT_T_PORT and len(payload) > 1 and not payload.startswith(NON_ESP_MARKER):
                    self.encapsulated.append(datagram)
                elif not self.drop(datagram):
                    self.engine.receive_datagram(datagram, time.monotonic())
                    self.settle()
        due = self.engine.next_timer()
        if due is not None and due <= time.monotonic():
            self.engine.handle_timer(time.monotonic())
        self.settle()

    def run(self, until: Callable[[], object] | Future[Any], seconds: float = PATIENCE) -> None:
        """Let time pass until the condition holds or the future is done; failing to is the test's failure."""
        together(self, until=until, seconds=seconds)

    def finish(self, future: Future[list[str]], seconds: float = PATIENCE) -> list[str]:
        """Run until a peer's command is done; what it said, or its exception."""
        self.run(future, seconds)
        return future.result()

    def close(self) -> None:
        """Nothing is said to the peer."""
        for each in self.sockets:
            each.close()


class Initiator(End):
    """Our UE's IKE, begun at once."""

    engine: IkeInitiator

    def __init__(self, namespace: Namespace, config: InitiatorConfig, local: IPAddress, remote: IPAddress) -> None:
        super().__init__(namespace, IkeInitiator(config, local, remote, os.urandom, time.monotonic()), [local])
        self.engine.start(time.monotonic())
        self.settle()


class Responder(End):
    """Our gateway's IKE."""

    engine: IkeResponder

    def __init__(
        self, namespace: Namespace, config: ResponderConfig, policy: ResponderPolicy, addresses: Sequence[IPAddress]
    ) -> None:
        super().__init__(namespace, IkeResponder(config, policy, os.urandom), addresses)


def together(*ends: End, until: Callable[[], object] | Future[Any], seconds: float = PATIENCE) -> None:
    """Run several of our ends in one loop until the condition holds or the future is done."""
    holds = until.done if isinstance(until, Future) else until
    deadline = time.monotonic() + seconds
    for end in ends:
        end.settle()
    while not holds():
        now = time.monotonic()
        if now > deadline:
            seen = "\n".join(f"{each}" for end in ends for each in end.events[-12:])
            counted = [dict(end.engine.counters) for end in ends]
            raise AssertionError(f"not within {seconds} s; our ends' last events, counters {counted}:\n{seen}")
        timers = [due for end in ends if (due := end.engine.next_timer()) is not None]
        wait = min([now + _POLL, *timers]) - now
        select.select([each for end in ends for each in end.sockets], [], [], max(wait, 0))
        for end in ends:
            end.take()


class Agent:
    """`mn-dsmip ue`, `gateway` or another role as a process; ``config`` names its journal as ``NAME.jsonl``."""

    def __init__(self, namespace: Namespace, role: str, config: Path) -> None:
        self.config = config
        self._folder, self._name = config.parent, config.stem
        self.process = Process(namespace, [sys.executable, "-m", "mn_dsmip", role, str(config)], ready=True)
        try:
            self.ready = self.process.await_ready()
        except BaseException:
            self.process.close()
            raise

    def ask(self, command: str, **arguments: str) -> dict[str, Any]:
        """Have it carry out a control command."""
        return ask(Path(self.ready["control"]), command, PATIENCE, lambda line: None, **arguments)

    def journal(self) -> list[dict[str, Any]]:
        """What it has journalled."""
        path = self._folder / f"{self._name}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def await_entry(self, event: str, count: int = 1, seconds: float = PATIENCE, **fields: object) -> dict[str, Any]:
        """The journal's entry number ``count`` of that name with those fields, as soon as it is there."""
        deadline = time.monotonic() + seconds
        while True:
            entries = self.journal()
            found = [
                each for each in entries
                if each["event"] == event and all(each.get(key) == value for key, value in fields.items())
            ]  # fmt: skip
            if len(found) >= count:
                return found[count - 1]
            assert time.monotonic() < deadline, f"no {event} {fields}: {entries[-20:]}"
            time.sleep(0.02)  # a poll of a condition that has its limit

    def end(self) -> tuple[int, str]:
        """An orderly end: exit status and all that was said."""
        return self.process.end()

    def close(self) -> None:
        """End it, if need be by force."""
        self.process.close()
