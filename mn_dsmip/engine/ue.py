# SPDX-License-Identifier: GPL-2.0-or-later
"""A UE with one PDN connection: TS 24.303's initial attach, refresh and detach in a trusted IPv6 access."""

from __future__ import annotations

from collections import Counter, deque
from ipaddress import IPv6Address
from typing import Any

from .base import Backoff, Datagram, Event, IPAddress, Machine, ProtocolError, Random, Side, UdpDatagram, earliest
from .connection import PdnConnection
from .discovery import Discovery, DiscoveryFailed, DnsDiscovery, HomeAgentFound, StaticDiscovery, ha_apn_fqdn
from .effects import AttachFailed, DetachFinished, Redirected, StateChanged
from .ike.path import IKE_PORT, NAT_T_PORT
from .mip.packet import is_unicast_routable
from .ue_network import UeNetwork
from .ue_states import TABLE, WORKING, Access, Ended, Progressed, Step, UeConfig, UeState

RETRY = Backoff(first=30.0, factor=2.0, limit=600.0, tries=1_000_000)
"""Between attempts of a UE that attaches by itself (TS 24.303 gives no value)."""


MAX_REDIRECTS, REDIRECT_LOOP_DETECT_PERIOD = 5, 300.0
"""More redirections than that in so many seconds are a loop (RFC 5685 7)."""


class UserEquipment:
    """The composite of discovery and connection; ``counters`` counts what was refused, by reason word."""

    def __init__(self, config: UeConfig, random: Random) -> None:
        self.config = config
        self.counters: Counter[str] = Counter()
        self.network = UeNetwork(random, self.counters)
        self.connection: PdnConnection | None = None
        self._random = random
        self._machine = Machine(TABLE, UeState.IDLE)
        self._access: Access | None = None
        self._wanted = config.attach
        self._discovery: Discovery | None = None
        self._candidates: list[IPv6Address] = []
        self._name: str | None = None
        self._redirects: deque[float] = deque(maxlen=MAX_REDIRECTS)
        self._former: IPv6Address | None = None
        """Home address of an attachment that was lost: its prefix is asked for again (S-17)."""
        self._failures = 0
        self._problem = ""
        self._retry_at: float | None = None
        self._events: list[Event] = []

    @property
    def state(self) -> UeState:
        """Where the PDN connection stands."""
        return self._machine.state

    # --- calls of the user

    def access_ready(self, access: Access, now: float) -> None:
        """There is a care-of address; a changed one means a new attach (handover is another matter)."""
        if self._access is not None and self._access.care_of != access.care_of:
            self.access_lost(now)
        self._access = access
        self.network.use_care_of(access.care_of, access.mtu)
        if self._wanted and self.state is UeState.IDLE:
            self.attach(now)

    def access_lost(self, now: float) -> None:
        """The care-of address is gone: nothing can be said to the gateway any more."""
        self._drop()
        self._access = None
        self.network.use_care_of(None, self.network.stack.link_mtu)
        self._step(Step.LOST)

    def attach(self, now: float) -> None:
        """Begin, as soon as there is an access; ``AttachSucceeded`` or ``AttachFailed`` follows.

        Nothing more happens when an attach is under way; ``ProtocolError`` when attached or detaching.
        """
        self._wanted = True
        if self._access is None or self.state in WORKING:
            return
        self._step(Step.ATTACH)
        self._retry_at = None
        self._discovery = self._make_discovery(self._access)
        self._discovery.start(now)
        self._settle(now)

    def refresh(self, now: float) -> None:
        """Extend the binding now; ``RefreshSucceeded`` follows. ``ProtocolError`` unless attached."""
        if self.state is not UeState.ATTACHED or self.connection is None:
            raise ProtocolError(f"there is no binding to refresh in state {self.state.name}")
        self.connection.refresh(now)
        self._settle(now)

    def rekey(self, now: float) -> None:
        """New keys for all SAs; ``IkeSaRekeyed`` or ``RekeyFailed`` follows. ``ProtocolError`` unless attached."""
        if self.state is not UeState.ATTACHED or self.connection is None:
            raise ProtocolError(f"there is nothing to rekey in state {self.state.name}")
        self.connection.rekey(now)
        self._settle(now)

    def detach(self, now: float) -> None:
        """End the PDN connection (TS 24.303 5.4, A.5); ``DetachFinished`` follows."""
        self._wanted = False
        self._retry_at = None
        if self.state is UeState.DETACHING:
            return
        self._step(Step.DETACH)
        self._discovery = None
        if self.connection is not None:
            self.connection.close(now)
            self._settle(now)
        else:
            self._detached(confirmed=True)

    def shutdown(self, now: float) -> None:
        """Detach because the agent ends; ``finished`` tells when it may."""
        self.detach(now)

    @property
    def finished(self) -> bool:
        """Whether nothing is under way any more."""
        return self.state in (UeState.IDLE, UeState.FAILED)

    def status(self, now: float) -> dict[str, Any]:
        """What a person wants to know; values are text and numbers."""
        connection, tunnel = self.connection, self.network.tunnel
        mobile = connection.mobile if connection else None
        return {
            "state": self.state.name.lower(),
            "apn": self.config.apn,
            "home_prefix": _text(connection and connection.home_prefix),
            "home_address": _text(connection and connection.home_address),
            "ipv4_home_address": _text(mobile and mobile.ipv4_home_address),
            "care_of_address": _text(self._access and self._access.care_of),
            "home_agent": _text(connection and connection.home_agent),
            "lifetime_left": round(mobile.lifetime_left(now), 1) if mobile else 0,
            "packets": {"up": tunnel.packets_up if tunnel else 0, "down": tunnel.packets_down if tunnel else 0},
            "problem": self._problem or None,
            "counters": dict(sorted(self.counters.items())),
        }

    # --- the verbs

    def receive_datagram(self, datagram: Datagram, now: float) -> None:
        """Take a packet of either side; whatever it holds, nothing is raised."""
        if datagram.side is Side.HOME:
            self.network.receive_home(datagram.packet, now)
            return
        received = self.network.receive_access(datagram.packet, now)
        if isinstance(received, UdpDatagram):
            self._receive_udp(received, now)
        elif received is not None and self.connection is not None:
            self.connection.receive_mobility(received, now)
        else:
            return
        self._settle(now)

    def _receive_udp(self, datagram: UdpDatagram, now: float) -> None:
        if self.connection is not None and datagram.destination_port in (IKE_PORT, NAT_T_PORT):
            self.connection.receive_udp(datagram, now)
        elif self._discovery is not None:
            self._discovery.receive_datagram(datagram, now)
        else:
            self.counters["udp-unexpected"] += 1

    def next_timer(self) -> float | None:
        """When ``handle_timer`` is due."""
        parts = (self._discovery, self.connection, self.network.stack)
        return earliest(self._retry_at, *(part.next_timer() for part in parts if part is not None))

    def handle_timer(self, now: float) -> None:
        """Let every part whose time has come act."""
        for part in (self._discovery, self.connection, self.network.stack):
            due = part.next_timer() if part is not None else None
            if part is not None and due is not None and due <= now:
                part.handle_timer(now)
        if self._retry_at is not None and self._retry_at <= now:
            self._retry_at = None
            if self._access is not None and self._wanted:
                self.attach(now)
        self._settle(now)

    def datagrams_to_send(self) -> list[Datagram]:
        """Packets that are to leave now."""
        out, self.network.out = self.network.out, []
        return out

    def events(self) -> list[Event]:
        """What happened since the last call; effects among it come first to be carried out."""
        events, self._events = self._events, []
        return events

    # --- from part to part

    def _settle(self, now: float) -> None:
        """Let what happened in the parts lead to the next step until nothing more happens."""
        while True:
            happened: list[Event] = []
            if self._discovery is not None:
                self.network.send_udp(self._discovery.datagrams_to_send(), now)
            for part in (self._discovery, self.connection):
                if part is not None:
                    happened += part.events()
                    self.counters.update(part.counters)
                    part.counters.clear()
            if not happened:
                return
            for event in happened:
                self._react(event, now)

    def _react(self, event: Event, now: float) -> None:
        if isinstance(event, Progressed):
            if event.step is Step.REGISTERED and self.connection is not None:
                self._discovery = None
                self._failures, self._problem = 0, ""
                self._former = self.connection.home_address
            self._step(event.step)
            return
        if not isinstance(event, Ended):
            self._events.append(event)
        if isinstance(event, HomeAgentFound):
            self._found(event, now)
        elif isinstance(event, DiscoveryFailed):
            self._fail(event.reason, event.clause, now, may_retry=True)
        elif isinstance(event, Ended):
            self._ended(event, now)

    def _step(self, step: Step) -> None:
        old = self.state
        new = self._machine.step(step)
        if new is not old:
            self._events.append(StateChanged(old.name, new.name))

    # --- discovery, and one home agent after the other

    def _make_discovery(self, access: Access) -> Discovery:
        config = self.config
        if config.home_agents:
            return StaticDiscovery(config.home_agents, None)
        name = ha_apn_fqdn(config.apn, config.mcc, config.mnc)
        servers = config.dns_servers or access.dns_servers
        domain = name.partition(".ha-apn.")[2] if config.srv_fallback else None
        return DnsDiscovery(name, servers, access.care_of, self._random, domain)

    def _found(self, event: HomeAgentFound, now: float) -> None:
        self._name = event.name
        self._candidates = list(event.addresses)
        if self._candidates:
            self._try_next(now)
            return
        why = event.missing or f"{event.name or 'the configured home agent'} has IPv4 addresses only"
        self._fail(f"this access is IPv6, and {why}", "TS 24.303 5.1.2.1.2", now, may_retry=True)

    def _try_next(self, now: float) -> None:
        """The next home agent of the list (RFC 5026 5.1.2)."""
        self._try(self._candidates.pop(0), None, now)

    def _try(self, remote: IPv6Address, redirected_from: IPv6Address | None, now: float) -> None:
        assert self._access
        self._step(Step.FOUND)
        self.connection = PdnConnection(
            self.config, self._access, remote, self._name, self._former, self.network, self._random, now,
            redirected_from,
        )  # fmt: skip

    def _follow(self, target: IPAddress | str, old: IPv6Address, now: float) -> None:
        """Turn to the home agent that another one names (TS 23.402 6.10), unless that goes round in circles."""
        looping = len(self._redirects) == MAX_REDIRECTS and now - self._redirects[0] < REDIRECT_LOOP_DETECT_PERIOD
        self._redirects.append(now)
        problem = ""
        if looping:
            problem = (
                f"home agents redirected us more than {MAX_REDIRECTS} times in {REDIRECT_LOOP_DETECT_PERIOD:.0f} s"
            )
        elif not isinstance(target, IPv6Address):
            problem = f"{old} redirects us to {target}, which is no IPv6 address, and this access is IPv6"
        elif not is_unicast_routable(target):
            problem = f"{old} redirects us to {target}, which no home agent can have"
        if problem:
            self._fail(problem, "RFC 5685 7" if looping else "RFC 5685 3", now, may_retry=True)
            return
        assert isinstance(target, IPv6Address)
        self._former = None  # another home agent, another prefix
        self._events.append(Redirected(old, target))
        self._try(target, old, now)

    def _ended(self, event: Ended, now: float) -> None:
        """The connection is over: as wanted, or the next home agent, or the end of the attempt (D-15)."""
        connection, self.connection = self.connection, None
        attached = self.state is UeState.ATTACHED
        if event.redirect is not None and connection is not None:
            self._follow(event.redirect, connection.home_agent, now)
        elif event.wanted:
            self._former = None
            self._detached(event.confirmed)
        elif self._candidates and not attached:
            self._try_next(now)
        elif self._discovery is not None and self._discovery.more(now):
            self._step(Step.NEXT)
        else:
            self._fail(event.reason, event.clause, now, event.may_retry)

    # --- ends

    def _detached(self, confirmed: bool) -> None:
        if self.state is UeState.DETACHING:
            self._step(Step.DETACHED)
        self._events.append(DetachFinished(confirmed))

    def _fail(self, reason: str, clause: str, now: float, may_retry: bool) -> None:
        state = self.state.name
        self._drop()
        self._step(Step.FAILED)
        self._problem = reason
        retry = RETRY.delay(self._failures) if may_retry and self._wanted and self.config.attach else None
        self._failures += 1
        self._retry_at = None if retry is None else now + retry
        self._events.append(AttachFailed(state, reason, clause, retry))

    def _drop(self) -> None:
        """Forget everything about the home agent in use, and take the home addresses away."""
        if self.connection is not None:
            self._events += self.connection.drop()
        self._discovery = self.connection = None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
