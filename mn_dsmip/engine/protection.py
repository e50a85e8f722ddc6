# SPDX-License-Identifier: GPL-2.0-or-later
"""Mobility signalling inside ESP (RFC 4877): which SA, which addresses, and what is refused.

::

    IPv6(care-of -> HA) Destination Options[home address] ESP(Mobility Header)      from the mobile node
    IPv6(HA -> care-of) type 2 Routing[home address]      ESP(Mobility Header)      to the mobile node

SAs belong to the home address, never to the care-of address (RFC 4877 4.2): they outlive every handover.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv6Address

from ..crypto.esp import EspError, InboundSa, OutboundSa
from ..wire.codec import WireError
from ..wire.ikev2_payloads import TrafficSelector
from ..wire.ip import (
    DESTINATION_OPTIONS,
    ESP,
    MOBILITY_HEADER,
    ROUTING,
    Ipv6Packet,
    home_address_header,
    ipv6_packet,
    type2_routing_header,
)
from ..wire.mobility import BadChecksum, UnknownType, build_mobility, parse_mobility
from .base import Random
from .ike.events import ChildSa
from .mip.packet import MobilityPacket
from .selection import of_type, selects


class EspPair:
    """Both directions of a child SA, and the IKE session that made it."""

    __slots__ = ("child", "inbound", "outbound", "session", "standby")

    def __init__(self, session: bytes, child: ChildSa, random: Random, standby: bool = False) -> None:
        self.session = session
        self.child = child
        self.standby = standby
        """Not to be sent with yet: the peer, who asked for it, may not have our answer (RFC 7296 2.8)."""
        self.inbound = InboundSa(child.inbound_spi, child.protection, child.inbound_keys)
        self.outbound = OutboundSa(child.outbound_spi, child.protection, child.outbound_keys, random)


class EspDatabase:
    """The SAs of one agent: inbound by SPI, outbound by session and selectors."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._inbound: dict[bytes, EspPair] = {}
        self._sessions: dict[bytes, list[EspPair]] = {}

    def __len__(self) -> int:
        return len(self._inbound)

    def add(self, session: bytes, child: ChildSa, standby: bool = False) -> EspPair:
        """Use ``child`` from now on; with ``standby`` to receive only, until the peer uses it."""
        pair = self._inbound[child.inbound_spi] = EspPair(session, child, self._random, standby)
        self._sessions.setdefault(session, []).append(pair)
        return pair

    def remove(self, inbound_spi: bytes) -> None:
        """Forget one child SA."""
        pair = self._inbound.pop(inbound_spi, None)
        if pair is not None:
            self._sessions[pair.session].remove(pair)

    def remove_session(self, session: bytes) -> list[bytes]:
        """Forget every child SA of an IKE SA; the SPIs that they had."""
        spis = [pair.inbound.spi for pair in self._sessions.pop(session, ())]
        for spi in spis:
            del self._inbound[spi]
        return spis

    def inbound(self, spi: bytes) -> EspPair | None:
        """The SA that an incoming packet names."""
        return self._inbound.get(spi)

    def outbound(self, session: bytes, local: IPv6Address, remote: IPv6Address, mh_type: int) -> EspPair | None:
        """The newest SA of ``session`` that may carry a message of that type between those addresses."""
        waiting = None
        for pair in reversed(self._sessions.get(session, ())):
            child = pair.child
            if child.transport and _may_carry(child.local, child.remote, local, remote, mh_type):
                if not pair.standby:
                    return pair
                waiting = waiting or pair
        return waiting

    def tunnels(self, session: bytes) -> list[EspPair]:
        """The session's child SAs in tunnel mode, newest first: those of the user plane."""
        return [pair for pair in reversed(self._sessions.get(session, ())) if not pair.child.transport]


def _may_carry(
    source_selectors: Iterable[TrafficSelector],
    destination_selectors: Iterable[TrafficSelector],
    source: IPv6Address,
    destination: IPv6Address,
    mh_type: int,
) -> bool:
    protocol, source_port, destination_port = of_type(MOBILITY_HEADER, mh_type << 8)
    return selects(source_selectors, 6, int(source), protocol, source_port) and selects(
        destination_selectors, 6, int(destination), protocol, destination_port
    )


def seal_mobility(pair: EspPair, packet: MobilityPacket, from_mobile_node: bool) -> bytes:
    """The outer packet of a mobility message; ``EspError`` when the SA is used up."""
    home, agent = packet.home_address, packet.home_agent
    source, destination = (home, agent) if from_mobile_node else (agent, home)
    sealed = pair.outbound.seal(build_mobility(packet.message, source, destination), MOBILITY_HEADER)
    care_of = packet.care_of_address.packed
    if care_of == home.packed:  # at home the addresses need no substitution (RFC 6275 11.7.1, 10.3.2)
        return ipv6_packet(source.packed, destination.packed, ESP, sealed)
    if from_mobile_node:
        return ipv6_packet(care_of, agent.packed, DESTINATION_OPTIONS, home_address_header(ESP, home.packed) + sealed)
    return ipv6_packet(agent.packed, care_of, ROUTING, type2_routing_header(ESP, home.packed) + sealed)


def open_mobility(
    database: EspDatabase, outer: Ipv6Packet, at_mobile_node: bool, counters: Counter[str]
) -> tuple[EspPair, MobilityPacket] | None:
    """The mobility message in an ESP packet and the SA it came through; everything else is counted and dropped."""
    if outer.home_address_option if at_mobile_node else outer.routing_home_address:
        counters["home-address-direction"] += 1  # each way has its own header (RFC 6275 6.3, 6.4)
        return None
    pair = database.inbound(outer.payload[:4])
    if pair is None:
        counters["esp-unknown-spi"] += 1
        return None
    try:
        next_header, content = pair.inbound.open(outer.payload)
    except EspError as refused:
        counters[refused.reason] += 1
        return None
    pair.standby = False
    if at_mobile_node:
        source, destination = outer.source, outer.routing_home_address or outer.destination
        home, care_of, agent = destination, outer.destination, source
    else:
        source, destination = outer.home_address_option or outer.source, outer.destination
        home, care_of, agent = source, outer.source, destination
    remote, local = IPv6Address(source), IPv6Address(destination)
    mh_type = content[2] if len(content) > 2 else 0
    child = pair.child
    selected = _may_carry(child.remote, child.local, remote, local, mh_type)
    if next_header != MOBILITY_HEADER or not child.transport or not selected:
        counters["esp-selector"] += 1
        return None
    try:
        message = parse_mobility(content, remote, local)
    except BadChecksum:
        counters["mh-checksum"] += 1
    except UnknownType:
        counters["mh-unknown-type"] += 1
    except WireError:
        counters["mh-malformed"] += 1
    else:
        return pair, MobilityPacket(message, IPv6Address(home), IPv6Address(agent), IPv6Address(care_of))
    return None
