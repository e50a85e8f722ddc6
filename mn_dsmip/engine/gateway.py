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
from typing import Any, Protocol

from ..crypto.aka import AuthenticationCentre
from ..crypto.esp import EspError
from ..wire.ip import Ipv6Packet
from .aaa.client import AaaDatagram, RadiusClient, RadiusConfig
from .base import Datagram, Event, ProtocolError, Random, UdpDatagram, earliest
from .effects import LeaseChanged
from .gateway_network import GatewayNetwork
from .gateway_policy import GatewayPolicy, PolicyConfig, holder_of
from .ike.events import ChildSaClosed, ChildSaEstablished, IkeSaClosed, IkeSaEstablished, ResponderConfig
from .ike.path import holds_esp
from .ike.redirect import gateway_of
from .ike.responder import IkeResponder
from .leases import Holder
from .mip.config import HomeAgentConfig
from .mip.events import Binding, BindingCreated, BindingForgotten, BindingRemoved, BindingUpdated
from .mip.home_agent import MAX_DELETE_BCE_TIMEOUT, HomeAgent
from .mip.packet import MobilityPacket
from .mip.request import Authorization
from .protection import EspPair, open_mobility, seal_mobility
from .tunnel_errors import IPV4_REPORTER


@dataclass(frozen=True)
class GatewayConfig:
    """One home agent address and everything behind it."""

    policy: PolicyConfig
    ike: ResponderConfig
    home_agent: HomeAgentConfig = HomeAgentConfig()  # noqa: RUF009 - frozen
    ipv4_address: IPv4Address | None = None
    link_mtu: int = 1500
    radius: RadiusConfig | None = None
    """Servers that authenticate instead of the subscriptions."""


class _Part(Protocol):
    """An engine inside this one."""

    counters: Counter[str]

    def next_timer(self) -> float | None: ...

    def handle_timer(self, now: float) -> None: ...


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
        self.radius = RadiusClient(config.radius, random) if config.radius else None
        centre = AuthenticationCentre(random, {} if sequence_numbers is None else sequence_numbers)
        self.policy = GatewayPolicy(config.policy, centre, random, self.radius)
        self.ike = IkeResponder(config.ike, self.policy, random)
        lifetime = min(config.home_agent.max_lifetime, config.policy.prefix_lifetime)
        self.home_agent = HomeAgent(replace(config.home_agent, max_lifetime=lifetime), self.policy.leases)
        self._own = config.policy.home_agent.packed
        ipv4_reporter = config.ipv4_address.packed if config.ipv4_address else IPV4_REPORTER
        self.network = GatewayNetwork(
            self._own, ipv4_reporter, random, self.counters, config.link_mtu, lambda name: self.ike.sessions[name]
        )
        distant = (self.radius,) if self.radius else ()
        self._counting: tuple[_Part, ...] = (self.ike, self.home_agent, *distant)
        self._timed: tuple[_Part, ...] = (*self._counting, self.network.stack)
        self._sessions: dict[Holder, bytes] = {}
        self._holders: dict[bytes, Holder] = {}
        self._authorizations: dict[bytes, Authorization] = {}  # by inbound SPI
        self._releases: list[tuple[float, Holder]] = []
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

    def rekey(self, now: float, subscriber: str | None = None) -> dict[str, Any]:
        """New keys for a subscriber's sessions, or for all (RFC 7296 2.8); ``ProtocolError`` when there are none."""
        sessions = self._sessions_of(subscriber)
        for spi in sessions:
            self.ike.rekey(spi, now)
        self._settle(now)
        return {"sessions": [spi.hex() for spi in sessions]}

    def redirect(self, now: float, gateway: str, subscriber: str | None = None) -> dict[str, Any]:
        """Send a subscriber's UE, or all, to another gateway; ``UeRedirected`` follows for each (RFC 5685 5)."""
        target, sessions = gateway_of(gateway), self._sessions_of(subscriber)
        sent = [spi for spi in sessions if self.ike.redirect(spi, target, now)]
        self._settle(now)
        if not sent:
            raise ProtocolError("no UE concerned has said that it understands REDIRECT (RFC 5685 3)")
        return {"sessions": [spi.hex() for spi in sent]}

    def _sessions_of(self, subscriber: str | None) -> list[bytes]:
        found = [spi for spi, holder in self._holders.items() if subscriber in (None, holder[0])]
        if not found:
            raise ProtocolError(f"{subscriber} has no session here" if subscriber else "there are no sessions")
        return found

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
            "protected_user_planes": self.network.user_plane.protected_sessions(),
            "packets": {
                "up": sum(each["packets"]["up"] for each in bindings) + self.network.user_plane.packets_up,
                "down": sum(each["packets"]["down"] for each in bindings) + self.network.user_plane.packets_down,
            },
            "counters": dict(sorted(self.counters.items())),
        }

    def _describe(self, binding: Binding, now: float) -> dict[str, Any]:
        assert isinstance(binding.owner, tuple)
        tunnel = self.network.tunnel_of(binding.home_address)
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
        received = self.network.receive(datagram.packet, now)
        if received is None:
            return
        if isinstance(received, UdpDatagram):
            if holds_esp(received):
                self._receive_in_udp(received, now)
            else:
                self.ike.receive_datagram(received, now)
        else:
            self._receive_esp(received, now)
        self._settle(now)

    def receive_radius(self, datagram: AaaDatagram, now: float) -> None:
        """Take an answer of a RADIUS server."""
        if self.radius is not None:
            self.radius.receive_datagram(datagram, now)
            self._settle(now)

    def next_timer(self) -> float | None:
        """When ``handle_timer`` is due."""
        release = self._releases[0][0] if self._releases else None
        radius = self.radius.next_timer() if self.radius else None
        return earliest(
            release, radius, self.ike.next_timer(), self.home_agent.next_timer(), self.network.stack.next_timer()
        )

    def handle_timer(self, now: float) -> None:
        """Let every part whose time has come act."""
        for part in self._timed:
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
        out, self.network.out = self.network.out, []
        return out

    def events(self) -> list[Event]:
        """What happened since the last call; effects among it come first to be carried out."""
        events, self._events = self._events, []
        return events

    # --- signalling

    def _receive_esp(self, packet: Ipv6Packet, now: float) -> None:
        """User traffic or mobility signalling, as the SA says."""
        pair = self.network.database.inbound(packet.payload[:4])
        if pair is not None and not pair.child.transport:
            self.network.open(pair, packet.payload, packet.traffic_class)
        elif (opened := open_mobility(self.network.database, packet, False, self.counters)) is not None:
            self._receive_mobility(*opened, now)

    def _receive_in_udp(self, datagram: UdpDatagram, now: float) -> None:
        """User traffic only: RFC 4877 has no UDP around its transport mode."""
        pair = self.network.database.inbound(datagram.payload[:4])
        if pair is None:
            self.counters["esp-unknown-spi"] += 1
        elif pair.child.transport:
            self.counters["esp-transport-in-udp"] += 1
        else:
            self.network.open(pair, datagram.payload, 0)

    def _receive_mobility(self, pair: EspPair, packet: MobilityPacket, now: float) -> None:
        authorization = self._authorizations.get(pair.inbound.spi)
        if authorization is None or packet.home_agent.packed != self._own:
            self.counters["mh-without-session"] += 1
            return
        self.ike.alive(pair.session, now)
        self.home_agent.receive(packet, authorization, now)

    def _settle(self, now: float) -> None:
        """Let events of the parts take effect until nothing more happens, then collect what is to be sent."""
        for session in self.radius.answered() if self.radius else ():
            self.ike.resume(session, now)
        while happened := self.ike.events() + self.home_agent.events():
            for event in happened:
                self._events.append(event)
                reaction = _REACTIONS.get(type(event))
                if reaction is not None:
                    reaction(self, event, now)
        if self.radius is not None:
            self.radius.begin(now)
        for part in self._counting:
            self.counters.update(part.counters)
            part.counters.clear()
        for datagram in self.ike.datagrams_to_send():
            self.network.leave(self.network.stack.send_udp(datagram, now))
        for packet in self.home_agent.datagrams_to_send():
            self._send_mobility(packet, now)

    def _send_mobility(self, packet: MobilityPacket, now: float) -> None:
        """Through the newest SA of the holder whose prefix the home address is in."""
        prefix = IPv6Network((packet.home_address, 64), strict=False)
        holder = self._holder_of_prefix(prefix)
        session = self._sessions.get(holder) if holder else None
        pair = session and self.network.database.outbound(
            session, packet.home_agent, packet.home_address, packet.message.number
        )
        if not pair:
            self.counters["mh-without-sa"] += 1
            return
        try:
            self.network.leave(self.network.stack.send(seal_mobility(pair, packet, from_mobile_node=False), now))
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
            self._remove_children(old)
            if session.initial_contact:  # heeded for the same APN only: a UE may have several (RFC 7296 2.4, TS 24.303)
                self.ike.forget(old, "the peer has begun anew and knows nothing of it (INITIAL_CONTACT)")
            else:
                self.ike.delete(old, now, "a newer IKE SA of the same subscriber and APN replaces it")
        prefix = self.policy.leases.prefixes[holder[1]].held_by(holder)
        if prefix is not None:
            self._events.append(LeaseChanged(*holder, prefix, self.policy.leases.ipv4_of(holder)))

    def _child_established(self, event: ChildSaEstablished, now: float) -> None:
        holder = self._holders.get(event.session)
        prefix = self.policy.leases.prefixes[holder[1]].held_by(holder) if holder else None
        if holder is None or (prefix is None and event.child.transport):
            return
        self.network.database.add(event.session, event.child, event.standby)
        if not event.child.transport:
            self.network.user_plane.protect(event.session, prefix, self.policy.leases.ipv4_of(holder))
            return
        assert prefix is not None
        selected = event.child.remote[0]
        assert isinstance(selected.start, IPv6Address) and isinstance(selected.end, IPv6Address)
        selector = next(iter(summarize_address_range(selected.start, selected.end)))
        # The prefix stays valid as long as its IKE SA (RFC 4877 9); one registration lasts no longer than the lifetime
        # told.
        self._authorizations[event.child.inbound_spi] = Authorization(holder, prefix, selector)

    def _child_closed(self, event: ChildSaClosed, now: float) -> None:
        self.network.database.remove(event.inbound_spi)
        self._authorizations.pop(event.inbound_spi, None)
        if not self.network.database.tunnels(event.session):
            self.network.user_plane.forget(event.session)

    def _remove_children(self, session: bytes) -> None:
        for spi in self.network.database.remove_session(session):
            self._authorizations.pop(spi, None)
        self.network.user_plane.forget(session)

    def _session_closed(self, event: IkeSaClosed, now: float) -> None:
        """The PDN connection is over: binding, SAs and, after the grace, the leases (RR-7, X-6)."""
        holder = self._holders.pop(event.session, None)
        self._remove_children(event.session)
        if holder is None or self._sessions.get(holder) != event.session:
            return
        del self._sessions[holder]
        self.home_agent.withdraw(holder, now)
        heappush(self._releases, (now + MAX_DELETE_BCE_TIMEOUT, holder))

    # --- bindings

    def _binding_created(self, event: BindingCreated | BindingUpdated, now: float) -> None:
        binding = event.binding
        self.network.bind(binding)
        if binding.ipv4_home_address is not None:
            assert isinstance(binding.owner, tuple)
            subscriber, apn = binding.owner
            self._events.append(LeaseChanged(subscriber, apn, binding.home_prefix, binding.ipv4_home_address))

    def _binding_removed(self, event: BindingRemoved, now: float) -> None:
        self.network.unbind(event.binding)

    def _binding_forgotten(self, event: BindingForgotten, now: float) -> None:
        """The IPv4 home address goes back; the prefix belongs to the IKE SA as long as that lives."""
        assert isinstance(event.owner, tuple)
        if event.owner not in self._sessions:
            self.policy.leases.release(event.owner)
        elif event.owner[1] in self.policy.leases.ipv4 and event.owner not in self.policy.leases.configured:
            self.policy.leases.ipv4[event.owner[1]].release(event.owner)


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
