# SPDX-License-Identifier: GPL-2.0-or-later
"""A PDN GW as home agent of any number of UEs (TS 24.303 5.1.3, 5.3, 5.4).

Whom IKE authenticated, the prefix it was given, its ESP SAs and its binding belong together: all hang on the IKE
session and on the holder, a subscriber and an APN. Every lookup is by SPI, by prefix or by address; nothing walks over
all UEs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from ipaddress import IPv4Address, IPv6Address, IPv6Network, summarize_address_range
from typing import Any

from ..crypto.aka import AuthenticationCentre
from ..crypto.esp import EspError
from ..wire.icmpv6 import IcmpV6
from ..wire.ip import ESP, IPIP, IPV6_HEADER, IPV6_IN
from .base import Datagram, Event, Random, Side, UdpDatagram, earliest
from .effects import LeaseChanged
from .gateway_policy import GatewayPolicy, PolicyConfig, holder_of
from .ike.events import ChildSaClosed, ChildSaEstablished, IkeSaClosed, IkeSaEstablished, ResponderConfig
from .ike.responder import IkeResponder
from .leases import Holder
from .mip.config import HomeAgentConfig
from .mip.events import Binding, BindingCreated, BindingForgotten, BindingRemoved, BindingUpdated
from .mip.home_agent import MAX_DELETE_BCE_TIMEOUT, HomeAgent
from .mip.packet import MobilityPacket
from .mip.request import Authorization
from .protection import EspDatabase, EspPair, open_mobility, seal_mobility
from .stack import PathError, Stack
from .tunnel import (
    Tunnel,
    inner_destination,
    inner_source,
    is_inner,
    may_travel,
    report_unreachable,
    take_congestion,
    too_big,
)
from .ue_network import IPV4_REPORTER


@dataclass(frozen=True)
class GatewayConfig:
    """One home agent address and everything behind it."""

    policy: PolicyConfig
    ike: ResponderConfig
    home_agent: HomeAgentConfig = HomeAgentConfig()  # noqa: RUF009 - frozen
    ipv4_address: IPv4Address | None = None
    link_mtu: int = 1500


class Gateway:
    """The composite of IKE, binding cache and tunnels; ``counters`` counts what was refused, by reason word."""

    def __init__(
        self,
        config: GatewayConfig,
        random: Random,
        sequence_numbers: dict[str, int] | None = None,
        leases: Iterable[LeaseChanged] = (),
    ) -> None:
        self.config = config
        self.counters: Counter[str] = Counter()
        self.policy = GatewayPolicy(
            config.policy, AuthenticationCentre(random, {} if sequence_numbers is None else sequence_numbers), random
        )
        self.ike = IkeResponder(config.ike, self.policy, random)
        lifetime = min(config.home_agent.max_lifetime, config.policy.prefix_lifetime)
        self.home_agent = HomeAgent(replace(config.home_agent, max_lifetime=lifetime), self.policy.leases)
        self.stack = Stack(random, self.counters, config.link_mtu)
        self.database = EspDatabase(random)
        self._own = config.policy.home_agent.packed
        self._ipv4_own = config.ipv4_address.packed if config.ipv4_address else IPV4_REPORTER
        self._sessions: dict[Holder, bytes] = {}
        self._holders: dict[bytes, Holder] = {}
        self._authorizations: dict[bytes, Authorization] = {}  # by inbound SPI
        self._by_prefix: dict[bytes, Tunnel] = {}
        self._by_ipv4: dict[bytes, Tunnel] = {}
        self._releases: list[tuple[float, Holder]] = []
        self._out: list[Datagram] = []
        self._events: list[Event] = []
        self._ending = False
        self._restore(leases)

    def _restore(self, leases: Iterable[LeaseChanged]) -> None:
        for lease in leases:
            if lease.apn in self.policy.leases.prefixes:
                holder = (lease.subscriber, lease.apn)
                self.policy.leases.prefixes[lease.apn].remember(holder, lease.prefix)
                if lease.ipv4_home_address is not None and lease.apn in self.policy.leases.ipv4:
                    self.policy.leases.ipv4[lease.apn].remember(holder, lease.ipv4_home_address)

    # --- calls of the user

    def shutdown(self, now: float) -> None:
        """Tell every UE that its IKE SA ends."""
        self._ending = True
        for spi in list(self._holders):
            self.ike.delete(spi, now, "the gateway shuts down")
        self._settle(now)

    @property
    def finished(self) -> bool:
        """Whether nobody is connected any more."""
        return not self._holders

    def status(self, now: float) -> dict[str, Any]:
        """What a person wants to know; values are text and numbers."""
        bindings = [self._describe(binding, now) for binding in self.home_agent.bindings()]
        return {
            "state": "ending" if self._ending else "serving",
            "home_agent": str(self.config.policy.home_agent),
            "sessions": len(self._holders),
            "bindings": bindings,
            "packets": {
                "up": sum(each["packets"]["up"] for each in bindings),
                "down": sum(each["packets"]["down"] for each in bindings),
            },
            "counters": dict(sorted(self.counters.items())),
        }

    def _describe(self, binding: Binding, now: float) -> dict[str, Any]:
        assert isinstance(binding.owner, tuple)
        tunnel = self._by_prefix.get(binding.home_address.packed[:8])
        ipv4 = binding.ipv4_home_address
        return {
            "subscriber": binding.owner[0],
            "apn": binding.owner[1],
            "home_prefix": str(binding.home_prefix),
            "home_address": str(binding.home_address),
            "ipv4_home_address": str(ipv4) if ipv4 else None,
            "care_of_address": str(binding.care_of_address),
            "lifetime_left": round(max(0.0, binding.expires - now), 1),
            "packets": {"up": tunnel.packets_up if tunnel else 0, "down": tunnel.packets_down if tunnel else 0},
        }

    # --- the verbs

    def receive_datagram(self, datagram: Datagram, now: float) -> None:
        """Take a packet for the home agent's address or for a home address; whatever it holds, nothing is raised."""
        packet = datagram.packet
        if len(packet) > IPV6_HEADER and packet[24:40] == self._own and packet[0] >> 4 == 6:
            if packet[6] in (IPV6_IN, IPIP):
                traffic_class = (packet[0] << 4 | packet[1] >> 4) & 0xFF
                self._decapsulate(packet[8:24], packet[6], packet[IPV6_HEADER:], traffic_class)
            else:
                self._receive_own(packet, now)
        else:
            self._encapsulate(packet, now)

    def _receive_own(self, packet: bytes, now: float) -> None:
        received = self.stack.receive(packet, self._own, now)
        if isinstance(received, UdpDatagram):
            self.ike.receive_datagram(received, now)
        elif isinstance(received, PathError):
            self._relay(received, now)
        elif received is not None and received.protocol == ESP:
            opened = open_mobility(self.database, received, False, self.counters)
            if opened is not None:
                self._receive_mobility(*opened, now)
        elif received is not None:
            self._decapsulate(received.source, received.protocol, received.payload, received.traffic_class)
        self._settle(now)

    def next_timer(self) -> float | None:
        """When ``handle_timer`` is due."""
        release = self._releases[0][0] if self._releases else None
        return earliest(release, self.ike.next_timer(), self.home_agent.next_timer(), self.stack.next_timer())

    def handle_timer(self, now: float) -> None:
        """Let every part whose time has come act."""
        for part in (self.ike, self.home_agent, self.stack):
            due = part.next_timer()
            if due is not None and due <= now:
                part.handle_timer(now)
        while self._releases and self._releases[0][0] <= now:
            _, holder = heappop(self._releases)
            if holder not in self._sessions:
                self.policy.leases.release(holder)
        self._settle(now)

    def datagrams_to_send(self) -> list[Datagram]:
        """Packets that are to leave now."""
        out, self._out = self._out, []
        return out

    def events(self) -> list[Event]:
        """What happened since the last call; effects among it come first to be carried out."""
        events, self._events = self._events, []
        return events

    # --- signalling

    def _receive_mobility(self, pair: EspPair, packet: MobilityPacket, now: float) -> None:
        authorization = self._authorizations.get(pair.inbound.spi)
        if authorization is None or packet.home_agent.packed != self._own:
            self.counters["mh-without-session"] += 1
            return
        self.ike.alive(pair.session, now)
        self.home_agent.receive(packet, authorization, now)

    def _settle(self, now: float) -> None:
        """Let events of the parts take effect until nothing more happens, then collect what is to be sent."""
        while happened := self.ike.events() + self.home_agent.events():
            for event in happened:
                self._events.append(event)
                reaction = _REACTIONS.get(type(event))
                if reaction is not None:
                    reaction(self, event, now)
        for part in (self.ike, self.home_agent):
            self.counters.update(part.counters)
            part.counters.clear()
        for datagram in self.ike.datagrams_to_send():
            self._leave(self.stack.send_udp(datagram, now))
        for packet in self.home_agent.datagrams_to_send():
            self._send_mobility(packet, now)
        self._leave(self.stack.answers())

    def _leave(self, packets: Iterable[bytes]) -> None:
        self._out += [Datagram(Side.ACCESS, packet) for packet in packets]

    def _send_mobility(self, packet: MobilityPacket, now: float) -> None:
        """Through the newest SA of the holder whose prefix the home address is in."""
        prefix = IPv6Network((packet.home_address, 64), strict=False)
        holder = self._holder_of_prefix(prefix)
        session = self._sessions.get(holder) if holder else None
        pair = session and self.database.outbound(
            session, packet.home_agent, packet.home_address, packet.message.number
        )
        if not pair:
            self.counters["mh-without-sa"] += 1
            return
        try:
            self._leave(self.stack.send(seal_mobility(pair, packet, from_mobile_node=False), now))
        except EspError as refused:
            self.counters[refused.reason] += 1

    def _holder_of_prefix(self, prefix: IPv6Network) -> Holder | None:
        for pool in self.policy.leases.prefixes.values():
            holder = pool.holder_of(prefix)
            if holder is not None:
                return holder
        return None

    def _established(self, event: IkeSaEstablished, now: float) -> None:
        """A new IKE SA of the same subscriber and APN replaces the older one (S-21)."""
        session = self.ike.sessions[event.session]
        assert session.peer
        holder = holder_of(session.peer)
        old = self._sessions.get(holder)
        self._sessions[holder], self._holders[event.session] = event.session, holder
        if old is not None:
            self._holders.pop(old, None)
            self.home_agent.withdraw(holder, now)
            self.database.remove_session(old)
            self.ike.delete(old, now, "a newer IKE SA of the same subscriber and APN replaces it")
        prefix = self.policy.leases.prefixes[holder[1]].held_by(holder)
        if prefix is not None:
            self._events.append(LeaseChanged(*holder, prefix, None))

    def _child_established(self, event: ChildSaEstablished, now: float) -> None:
        holder = self._holders.get(event.session)
        prefix = self.policy.leases.prefixes[holder[1]].held_by(holder) if holder else None
        if holder is None or prefix is None:
            return
        self.database.add(event.session, event.child)
        selected = event.child.remote[0]
        assert isinstance(selected.start, IPv6Address) and isinstance(selected.end, IPv6Address)
        selector = next(iter(summarize_address_range(selected.start, selected.end)))
        # The prefix stays valid as long as its IKE SA (RFC 4877 9); one registration lasts no longer than the lifetime
        # told.
        self._authorizations[event.child.inbound_spi] = Authorization(holder, prefix, selector)

    def _child_closed(self, event: ChildSaClosed, now: float) -> None:
        self.database.remove(event.inbound_spi)
        self._authorizations.pop(event.inbound_spi, None)

    def _session_closed(self, event: IkeSaClosed, now: float) -> None:
        """The PDN connection is over: binding, SAs and, after the grace, the leases (RR-7, X-6)."""
        holder = self._holders.pop(event.session, None)
        self.database.remove_session(event.session)
        if holder is None or self._sessions.get(holder) != event.session:
            return
        del self._sessions[holder]
        self.home_agent.withdraw(holder, now)
        heappush(self._releases, (now + MAX_DELETE_BCE_TIMEOUT, holder))

    # --- bindings

    def _binding_created(self, event: BindingCreated | BindingUpdated, now: float) -> None:
        binding = event.binding
        if isinstance(event, BindingUpdated):
            self._unbind(event.previous)
        assert isinstance(binding.care_of_address, IPv6Address)
        old = self._by_prefix.get(binding.home_address.packed[:8])
        tunnel = Tunnel(
            binding.care_of_address, binding.home_agent, binding.home_address, binding.home_prefix,
            binding.mobile_router, binding.ipv4_home_address,
        )  # fmt: skip
        if old is not None:
            tunnel.take_counts(old)
        self._by_prefix[binding.home_address.packed[:8]] = tunnel
        if binding.ipv4_home_address is not None:
            self._by_ipv4[binding.ipv4_home_address.packed] = tunnel
            assert isinstance(binding.owner, tuple)
            subscriber, apn = binding.owner
            self._events.append(LeaseChanged(subscriber, apn, binding.home_prefix, binding.ipv4_home_address))

    def _binding_removed(self, event: BindingRemoved, now: float) -> None:
        self._unbind(event.binding)
        self._by_prefix.pop(event.binding.home_address.packed[:8], None)

    def _unbind(self, binding: Binding) -> None:
        if binding.ipv4_home_address is not None:
            self._by_ipv4.pop(binding.ipv4_home_address.packed, None)

    def _binding_forgotten(self, event: BindingForgotten, now: float) -> None:
        """The IPv4 home address goes back; the prefix belongs to the IKE SA as long as that lives."""
        assert isinstance(event.owner, tuple)
        if event.owner not in self._sessions:
            self.policy.leases.release(event.owner)
        elif event.owner[1] in self.policy.leases.ipv4:
            self.policy.leases.ipv4[event.owner[1]].release(event.owner)

    # --- traffic

    def _encapsulate(self, packet: bytes, now: float) -> None:
        """A packet that the kernel routed to us because it is for a home address."""
        version = packet[0] >> 4 if packet else 0
        if not is_inner(packet, IPV6_IN if version == 6 else IPIP) or not may_travel(packet):
            self.counters["home-not-tunnelled"] += 1  # the kernel's own listener reports and solicitations
            return
        tunnel = self._by_prefix.get(packet[24:32]) if version == 6 else self._by_ipv4.get(packet[16:20])
        if tunnel is None or not tunnel.holds(packet, inner_destination(packet)):
            self.counters["home-not-bound"] += 1
            self._give_back(report_unreachable(packet, self._own, self._ipv4_own))
            return
        mtu = self.stack.path_mtu(tunnel.care_of, now) - IPV6_HEADER
        refused, error = too_big(packet, mtu, self._own, self._ipv4_own)
        if refused:
            self.counters["inner-too-big"] += 1
            self._give_back(error)
            return
        self._leave(self.stack.send(tunnel.wrap_down(packet), now))

    def _give_back(self, error: bytes | None) -> None:
        if error is not None:
            self._out.append(Datagram(Side.HOME, error))

    def _decapsulate(self, outer_source: bytes, protocol: int, inner: bytes, traffic_class: int) -> None:
        """Only inner sources of the UE whose care-of address sent the packet get through (RFC 6275 10.4.5)."""
        if not is_inner(inner, protocol) or not may_travel(inner):
            self.counters["tunnel-malformed"] += 1
            return
        tunnel = self._by_prefix.get(inner[8:16]) if inner[0] >> 4 == 6 else self._by_ipv4.get(inner[12:16])
        if tunnel is None or not tunnel.holds(inner, inner_source(inner)):
            self.counters["tunnel-inner-source"] += 1
        elif tunnel.care_of != outer_source:
            self.counters["tunnel-source"] += 1
        else:
            marked = take_congestion(inner, traffic_class)
            if marked is None:
                self.counters["tunnel-congestion"] += 1
                return
            tunnel.packets_up += 1
            self._out.append(Datagram(Side.HOME, marked))

    def _relay(self, error: PathError, now: float) -> None:
        """An error about a tunnelled packet is the business of the inner source (RFC 2473 8)."""
        inner = error.quoted[IPV6_HEADER:]
        if error.quoted[6] not in (IPV6_IN, IPIP) or len(inner) < 20:
            return
        if error.kind == IcmpV6.PACKET_TOO_BIG:
            mtu = self.stack.path_mtu(error.quoted[24:40], now) - IPV6_HEADER
            self._give_back(too_big(inner, mtu, self._own, self._ipv4_own)[1])
        else:
            self._give_back(report_unreachable(inner, self._own, self._ipv4_own))


_REACTIONS: dict[type[Event], Callable[[Gateway, Any, float], None]] = {
    IkeSaEstablished: Gateway._established,
    IkeSaClosed: Gateway._session_closed,
    ChildSaEstablished: Gateway._child_established,
    ChildSaClosed: Gateway._child_closed,
    BindingCreated: Gateway._binding_created,
    BindingUpdated: Gateway._binding_created,
    BindingRemoved: Gateway._binding_removed,
    BindingForgotten: Gateway._binding_forgotten,
}
