# SPDX-License-Identifier: GPL-2.0-or-later
"""What every engine shares: the five verbs, datagrams, events, back-off and table-driven transitions.

An engine does no I/O. Its user calls, in this order and after every call into it: ``events()`` (effects are carried
out, the rest is journalled), ``datagrams_to_send()``, ``next_timer()``. Effects come first because some of them must be
durable before the datagrams they belong to leave, for example a used authentication sequence number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Generic, NamedTuple, Protocol, TypeVar

IPAddress = IPv4Address | IPv6Address
Random = Callable[[int], bytes]
"""Returns that many random octets; injected, so that one seed replays one run byte for byte."""


class ProtocolError(Exception):
    """Good bytes at the wrong moment, or a call that the engine's state does not allow."""


class Side(Enum):
    """The two sides of a composite engine."""

    ACCESS = "access"
    """The network where the care-of address lives: IKE, ESP, tunnels."""
    HOME = "home"
    """Inner packets: the applications of a UE, the home prefixes of a gateway."""


class Datagram(NamedTuple):
    """A whole IP packet and the side where it came in or is to leave."""

    side: Side
    packet: bytes


class UdpDatagram(NamedTuple):
    """A UDP payload with its addresses: the unit of IKE and DNS."""

    source: IPAddress
    source_port: int
    destination: IPAddress
    destination_port: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; subclasses become journal entries."""


@dataclass(frozen=True, slots=True)
class Effect(Event):
    """Something that the edge must carry out before any datagram handed over later leaves."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Retransmission times in seconds: ``first``, then times ``factor`` up to ``limit``; ``tries`` sendings in all."""

    first: float
    factor: float
    limit: float
    tries: int

    def delay(self, attempt: int) -> float:
        """Seconds to wait after sending number ``attempt`` (0 is the first)."""
        return min(self.first * self.factor ** min(attempt, 64), self.limit)


class Engine(Protocol):
    """The five verbs of a composite engine; small engines take their own natural unit instead of a ``Datagram``."""

    def receive_datagram(self, datagram: Datagram, now: float) -> None: ...

    def next_timer(self) -> float | None: ...

    def handle_timer(self, now: float) -> None: ...

    def datagrams_to_send(self) -> list[Datagram]: ...

    def events(self) -> list[Event]: ...


def earliest(*times: float | None) -> float | None:
    """The earliest of several timers, ``None`` when none is armed."""
    return min((time for time in times if time is not None), default=None)


State = TypeVar("State", bound=Enum)
Input = TypeVar("Input", bound=Enum)


class Machine(Generic[State, Input]):
    """A state and the table that moves it: ``{(state, input): next state}``.

    A pair that the table lacks is a ``ProtocolError`` and leaves the state alone.
    """

    __slots__ = ("state", "table")

    def __init__(self, table: Mapping[tuple[State, Input], State], state: State) -> None:
        self.table = table
        self.state = state

    def step(self, what: Input) -> State:
        """Move by ``what`` and return the new state."""
        try:
            self.state = self.table[self.state, what]
        except KeyError:
            raise ProtocolError(f"{what.name} is not possible in state {self.state.name}") from None
        return self.state
