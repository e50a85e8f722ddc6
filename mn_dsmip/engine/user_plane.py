# SPDX-License-Identifier: GPL-2.0-or-later
"""User traffic inside ESP tunnels, for peers that ask for such a child SA (RFC 4301 5, RFC 4303 3.1.2, RFC 4877 6).

::

    IPv6(HA -> peer) ESP(IP(anybody -> home address))
    IPv6(HA -> peer) UDP(4500 -> port) ESP(IP(anybody -> home address))        where there is a NAT (RFC 3948 2.1)

``peer`` is the care-of address of the home address's binding, or where IKE reaches the peer if there is no binding.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address, IPv6Network
from typing import NamedTuple

from ..crypto.esp import EspError
from ..wire.ip import (
    ESP,
    IPIP,
    IPV6_HEADER,
    IPV6_IN,
    NO_NEXT_HEADER,
    UDP,
    ipv6_packet,
    udp_payload,
)
from .protection import EspDatabase, EspPair
from .selection import flow_of, selects
from .tunnel import inner_destination, inner_source, is_inner, may_travel, take_congestion

UDP_HEADER = 8


class Ends(NamedTuple):
    """The outer addresses from our side, and the ports if ESP goes in UDP."""

    own: bytes
    peer: bytes
    ports: tuple[int, int] | None

    def overhead(self, pair: EspPair) -> int:
        """Most octets that the outer headers add."""
        return IPV6_HEADER + pair.outbound.overhead() + (UDP_HEADER if self.ports else 0)

    def wrap(self, sealed: bytes, traffic_class: int) -> bytes:
        """The outer packet."""
        if self.ports is None:
            return ipv6_packet(self.own, self.peer, ESP, sealed, traffic_class=traffic_class)
        body = udp_payload(self.own, self.ports[0], self.peer, self.ports[1], sealed)
        return ipv6_packet(self.own, self.peer, UDP, body, traffic_class=traffic_class)


class UserPlane:
    """Which home addresses have user-plane child SAs, and their packets in and out of ESP."""

    def __init__(self, database: EspDatabase, counters: Counter[str]) -> None:
        self.packets_up = self.packets_down = 0
        """Opened from UEs, and sealed for them."""
        self._database = database
        self._counters = counters
        self._sessions: dict[bytes, bytes] = {}  # by the first half of a home prefix, and by IPv4 home address
        self._keys: dict[bytes, tuple[bytes, ...]] = {}

    def protect(self, session: bytes, prefix: IPv6Network | None, ipv4: IPv4Address | None) -> None:
        """From now on ``session`` has user-plane child SAs for these."""
        keys = (*([prefix.network_address.packed[:8]] if prefix else []), *([ipv4.packed] if ipv4 else []))
        self.forget(session)
        self._keys[session] = keys
        self._sessions.update(dict.fromkeys(keys, session))

    def forget(self, session: bytes) -> None:
        """The IKE SA is closed, or has none of these child SAs any more."""
        for key in self._keys.pop(session, ()):
            if self._sessions.get(key) == session:
                del self._sessions[key]

    def protected_sessions(self) -> int:
        """How many IKE SAs have user-plane child SAs."""
        return len(self._keys)

    def outbound(self, inner: bytes) -> EspPair | None:
        """The SA for a packet to a home address, ``None`` when its traffic needs no protection."""
        return self._find(inner, inner_destination(inner), inner_source(inner)) if self._sessions else None

    def protects_source(self, inner: bytes) -> bool:
        """Whether a packet from a home address has to come in ESP (RFC 4301 5.2)."""
        return bool(self._sessions) and self._find(inner, inner_source(inner), inner_destination(inner)) is not None

    def _find(self, inner: bytes, home: int, other: int) -> EspPair | None:
        size = 8 if inner[0] >> 4 == 6 else 4
        session = self._sessions.get(inner[home : home + size])
        if session is None:
            return None
        waiting, seen = None, _see(inner, home, other)
        for pair in self._database.tunnels(session):
            if _covers(pair, seen):
                if not pair.standby:
                    return pair
                waiting = waiting or pair
        return waiting

    def seal(self, pair: EspPair, inner: bytes, ends: Ends) -> bytes:
        """The outer packet; ``EspError`` when the SA is used up."""
        ipv6 = inner[0] >> 4 == 6
        traffic_class = (inner[0] << 4 | inner[1] >> 4) & 0xFF if ipv6 else inner[1]
        sealed = pair.outbound.seal(inner, IPV6_IN if ipv6 else IPIP)
        self.packets_down += 1
        return ends.wrap(sealed, traffic_class)

    def open(self, pair: EspPair, sealed: bytes, traffic_class: int) -> bytes | None:
        """The inner packet; whatever the SA may not carry is counted and dropped."""
        try:
            next_header, inner = pair.inbound.open(sealed)
        except EspError as refused:
            self._counters[refused.reason] += 1
            return None
        pair.standby = False
        if not is_inner(inner, next_header):
            if next_header != NO_NEXT_HEADER:  # RFC 4303 2.6: dummy packets are dropped without a word
                self._counters["tunnel-malformed"] += 1
        elif not may_travel(inner):
            self._counters["tunnel-not-forwarded"] += 1
        elif not _covers(pair, _see(inner, inner_source(inner), inner_destination(inner))):
            self._counters["esp-selector"] += 1
        elif (marked := take_congestion(inner, traffic_class)) is None:
            self._counters["tunnel-congestion"] += 1
        else:
            self.packets_up += 1
            return marked
        return None


class _Seen(NamedTuple):
    """What an SA is chosen by: the UE's end of an inner packet and the other one."""

    version: int
    protocol: int
    home: int
    home_port: int | None
    other: int
    other_port: int | None


def _see(inner: bytes, home: int, other: int) -> _Seen:
    """Look at a packet with the UE's address at ``home`` and the other one at ``other``."""
    version = inner[0] >> 4
    size = 16 if version == 6 else 4
    flow = flow_of(inner)
    ports = (flow.source_port, flow.destination_port)
    home_port, other_port = ports if home < other else ports[::-1]
    home_address = int.from_bytes(inner[home : home + size], "big")
    other_address = int.from_bytes(inner[other : other + size], "big")
    return _Seen(version, flow.protocol, home_address, home_port, other_address, other_port)


def _covers(pair: EspPair, seen: _Seen) -> bool:
    """Whether the SA may carry such a packet."""
    version, protocol, home, home_port, other, other_port = seen
    return selects(pair.child.remote, version, home, protocol, home_port) and selects(
        pair.child.local, version, other, protocol, other_port
    )
