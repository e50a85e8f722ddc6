# SPDX-License-Identifier: GPL-2.0-or-later
"""A UE with one PDN connection: TS 24.303's initial attach, refresh and detach in a trusted IPv6 access."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Any

from ..wire.codec import WireError
from ..wire.ikev2_numbers import CfgAttribute, NotifyType
from ..wire.ikev2_payloads import Configuration, HomePrefix
from .base import Backoff, Datagram, Event, IPAddress, Machine, ProtocolError, Random, Side, UdpDatagram, earliest
from .discovery import Discovery, DiscoveryFailed, DnsDiscovery, HomeAgentFound, StaticDiscovery, ha_apn_fqdn
from .effects import (
    AttachFailed,
    AttachSucceeded,
    DetachFinished,
    RefreshSucceeded,
    SetMtu,
    StateChanged,
)
from .ike.aka_peer import AkaPeer
from .ike.child import covers, mobility_selector
from .ike.eap_method import network_access_identifier
from .ike.events import (
    ChildSa,
    ChildSaClosed,
    ChildSaEstablished,
    ChildSaFailed,
    IkeFailed,
    IkeSaClosed,
    IkeSaEstablished,
    InitiatorConfig,
    Selectors,
)
from .ike.initiator import IkeInitiator
from .ike.session import IKE_PORT, NAT_T_PORT
from .mip.config import MobileConfig
from .mip.events import BindingExpired, BindingUpdateUnanswered, Deregistered, Registered, RegistrationFailed
from .mip.mobile import MobileNode
from .mip.mobile import State as BindingState
from .mip.packet import ANY_IPV4
from .mip.status import Reaction
from .tunnel import Tunnel
from .ue_addresses import HomeAddresses
from .ue_network import UeNetwork
from .ue_states import TABLE, WORKING, Access, Step, UeConfig, UeState

UNANSWERED_BEFORE_LIVENESS = 3
"""Binding Updates without an answer before IKE is asked whether the home agent lives (RR-7)."""
ADDRESS_TRIES = 3
"""Home addresses tried when the home agent says that somebody uses them (status 134; RFC 7217 6)."""
RETRY = Backoff(first=30.0, factor=2.0, limit=600.0, tries=1_000_000)
"""Between attempts of a UE that attaches by itself (ts24303 17: project decision)."""


class UserEquipment:
    """The composite of discovery, IKE, binding and tunnel; ``counters`` counts what was refused, by reason word."""

    def __init__(self, config: UeConfig, random: Random) -> None:
        self.config = config
        self.counters: Counter[str] = Counter()
        self._random = random
        self._machine = Machine(TABLE, UeState.IDLE)
        self._network = UeNetwork(random, self.counters)
        self._access: Access | None = None
        self._wanted = config.attach
        self._discovery: Discovery | None = None
        self._candidates: list[IPv6Address] = []
        self._name: str | None = None
        self._ike: IkeInitiator | None = None
        self._session = b""
        self._home_prefix: IPv6Network | None = None
        self._home_address: IPv6Address | None = None
        self._first_child: ChildSa | None = None
        self._address_tries = 0
        self._mobile: MobileNode | None = None
        self._failures = 0
        self._problem: tuple[str, str] = ("", "")
        self._retry_at: float | None = None
        self._dns_from_gateway: tuple[IPv6Address, ...] = ()
        self._confirmed = False
        self._addresses = HomeAddresses()
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
        self._network.use_care_of(access.care_of, access.mtu)
        if self._wanted and self.state is UeState.IDLE:
            self.attach(now)
        self._settle(now)

    def access_lost(self, now: float) -> None:
        """The care-of address is gone: nothing can be said to the gateway any more."""
        self._drop()
        self._access = None
        self._network.use_care_of(None, self._network.stack.link_mtu)
        self._step(Step.LOST)

    def attach(self, now: float) -> None:
        """Begin; ``AttachSucceeded`` or ``AttachFailed`` follows; ``ProtocolError`` without access or when begun."""
        if self._access is None:
            raise ProtocolError("there is no access with a care-of address yet")
        self._wanted = True
        self._step(Step.ATTACH)
        self._retry_at = None
        self._discovery = self._make_discovery(self._access)
        self._discovery.start(now)
        self._settle(now)

    def refresh(self, now: float) -> None:
        """Extend the binding now; ``RefreshSucceeded`` follows. ``ProtocolError`` unless attached."""
        if self.state is not UeState.ATTACHED or self._mobile is None:
            raise ProtocolError(f"there is no binding to refresh in state {self.state.name}")
        self._mobile.refresh(now)
        self._settle(now)

    def detach(self, now: float) -> None:
        """End the PDN connection (TS 24.303 5.4, A.5); ``DetachFinished`` follows."""
        self._wanted = False
        self._retry_at = None
        if self.state in (UeState.IDLE, UeState.FAILED):
            self._step(Step.DETACH)
            self._events.append(DetachFinished(confirmed=True))
            return
        if self.state is UeState.DETACHING:
            return
        self._step(Step.DETACH)
        self._discovery = None
        self._confirmed = False
        if self._mobile is not None and self._mobile.state in (BindingState.BOUND, BindingState.REFRESHING):
            self._mobile.deregister(now)
        else:
            self._end_ike(now)
        self._settle(now)

    def shutdown(self, now: float) -> None:
        """Detach because the agent ends; ``finished`` tells when it may."""
        self.detach(now)

    @property
    def finished(self) -> bool:
        """Whether nothing is under way any more."""
        return self.state in (UeState.IDLE, UeState.FAILED)

    def status(self, now: float) -> dict[str, Any]:
        """What a person wants to know; values are text and numbers."""
        mobile, tunnel = self._mobile, self._network.tunnel
        ipv4 = mobile.ipv4_home_address if mobile else None
        return {
            "state": self.state.name.lower(),
            "apn": self.config.apn,
            "home_prefix": _text(self._home_prefix),
            "home_address": _text(self._home_address),
            "ipv4_home_address": _text(ipv4),
            "care_of_address": _text(self._access.care_of if self._access else None),
            "home_agent": _text(self._ike.path.remote if self._ike else None),
            "lifetime_left": round(mobile.lifetime_left(now), 1) if mobile else 0,
            "packets": {"up": tunnel.packets_up if tunnel else 0, "down": tunnel.packets_down if tunnel else 0},
            "problem": self._problem[0] or None,
            "counters": dict(sorted(self.counters.items())),
        }

    # --- the verbs

    def receive_datagram(self, datagram: Datagram, now: float) -> None:
        """Take a packet of either side; whatever it holds, nothing is raised."""
        if datagram.side is Side.HOME:
            self._network.receive_home(datagram.packet, now)
            return
        received = self._network.receive_access(datagram.packet, now)
        if isinstance(received, UdpDatagram):
            self._receive_udp(received, now)
            self._settle(now)
        elif isinstance(received, tuple) and len(received) == 2:
            _, packet = received
            if self._ike is not None:
                self._ike.heard = now
            if self._mobile is not None and packet.home_address == self._mobile.home_address:
                self._mobile.receive(packet.message, now)
                self._settle(now)

    def _receive_udp(self, datagram: UdpDatagram, now: float) -> None:
        if self._ike is not None and datagram.destination_port in (IKE_PORT, NAT_T_PORT):
            self._ike.receive_datagram(datagram, now)
        elif self._discovery is not None:
            self._discovery.receive_datagram(datagram, now)
        else:
            self.counters["udp-unexpected"] += 1

    def next_timer(self) -> float | None:
        """When ``handle_timer`` is due."""
        parts = (self._discovery, self._ike, self._mobile, self._network.stack)
        return earliest(self._retry_at, *(part.next_timer() for part in parts if part is not None))

    def handle_timer(self, now: float) -> None:
        """Let every part whose time has come act."""
        for part in (self._discovery, self._ike, self._mobile, self._network.stack):
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
        out, self._network.out = self._network.out, []
        return out

    def events(self) -> list[Event]:
        """What happened since the last call; effects among it come first to be carried out."""
        events, self._events = self._events, []
        return events

    # --- from part to part

    def _settle(self, now: float) -> None:
        """Let events of the parts lead to the next step until nothing more happens, then collect what is to be sent."""
        while True:
            happened: list[Event] = []
            for part in (self._discovery, self._ike, self._mobile):
                if part is not None:
                    happened += part.events()
                    self.counters.update(part.counters)
                    part.counters.clear()
            self._send(now)
            if not happened:
                return
            for event in happened:
                self._events.append(event)
                self._react(event, now)

    def _send(self, now: float) -> None:
        if self._discovery is not None:
            self._network.send_udp(self._discovery.datagrams_to_send(), now)
        if self._ike is not None:
            self._network.send_udp(self._ike.datagrams_to_send(), now)
        if self._mobile is not None:
            self._network.send_mobility(self._session, self._mobile.datagrams_to_send(), now)

    def _react(self, event: Event, now: float) -> None:
        for kind, reaction in _REACTIONS.items():
            if isinstance(event, kind):
                reaction(self, event, now)
                return

    def _step(self, step: Step) -> None:
        old = self.state
        new = self._machine.step(step)
        if new is not old:
            self._events.append(StateChanged(old.name, new.name))

    # --- discovery

    def _make_discovery(self, access: Access) -> Discovery:
        config = self.config
        name = ha_apn_fqdn(config.apn, config.mcc, config.mnc)
        if config.home_agents:
            return StaticDiscovery(config.home_agents, None)
        servers = config.dns_servers or access.dns_servers
        domain = name.partition(".ha-apn.")[2] if config.srv_fallback else None
        return DnsDiscovery(name, servers, access.care_of, self._random, domain)

    def _found(self, event: HomeAgentFound, now: float) -> None:
        self._discovery = None
        self._name = event.name
        self._candidates = list(event.addresses)
        if not self._candidates:
            why = event.missing or f"{event.name or 'the configured home agent'} has IPv4 addresses only"
            self._fail(f"this access is IPv6, and {why}", "TS 24.303 5.1.2.1.2", now, may_retry=True)
            return
        self._try_next(now)

    def _discovery_failed(self, event: DiscoveryFailed, now: float) -> None:
        self._discovery = None
        self._fail(event.reason, event.clause, now, may_retry=True)

    # --- IKE

    def _try_next(self, now: float) -> None:
        """The next home agent of the list (RFC 5026 5.1.2)."""
        assert self._access
        remote = self._candidates.pop(0)
        self._step(Step.FOUND)
        everywhere = mobility_selector(IPv6Address(0), IPv6Address(2**128 - 1))
        config = self.config
        initiator = InitiatorConfig(
            identity=self._identity(),
            apn=config.apn,
            expected_name=self._name or str(remote),
            profile=config.profile,
            first_child=Selectors((everywhere,), (mobility_selector(remote),)),
            anchors=config.anchors,
            clock=config.clock,
            eap=self._eap if config.psk is None else None,
            psk=config.psk,
            timers=config.timers,
        )
        self._ike = IkeInitiator(initiator, self._access.care_of, remote, self._random, now)
        self._session = self._ike.local_spi
        self._ike.start(now)

    def _identity(self) -> str:
        config = self.config
        return network_access_identifier(config.imsi, config.mcc, config.mnc, config.flavour.leading)

    def _eap(self) -> AkaPeer:
        config = self.config
        if config.usim is None:
            raise ProtocolError("EAP-AKA needs a USIM")
        return AkaPeer(config.flavour, self._identity(), config.imsi, config.usim, config.network_name)

    def _ike_failed(self, event: IkeFailed, now: float) -> None:
        self._give_up_home_agent(event.reason, event.clause, now, may_retry=not event.authentication)

    def _give_up_home_agent(self, reason: str, clause: str, now: float, may_retry: bool) -> None:
        """This home agent does not work out: the next one, or the end of the attempt (D-15)."""
        if self.state is UeState.DETACHING:
            self._detached(now)
            return
        if self._candidates:
            self._end_ike(now)
            self._drop()
            self._try_next(now)
        else:
            self._fail(reason, clause, now, may_retry)

    def _secured(self, event: IkeSaEstablished, now: float) -> None:
        if self.state is not UeState.SECURING:
            return
        prefix = _home_prefix(event.configuration)
        if prefix is None:
            self._give_up_home_agent(
                f"the gateway assigned no home network prefix ({event.child_refused or 'it gave no reason'})",
                "TS 24.303 5.1.2.2", now, may_retry=True,
            )  # fmt: skip
            return
        self._home_prefix = IPv6Network((prefix.prefix, prefix.prefix_length))
        assert self._access
        if self._home_prefix in self._access.prefixes:
            self._give_up_home_agent(
                "the access is the home link of this PDN connection, where nothing is registered",
                "TS 24.303 5.1.2.3", now, may_retry=False,
            )  # fmt: skip
            return
        self._address_tries = 0
        self._step(Step.SECURED)
        self._ask_child(now)

    def _ask_child(self, now: float) -> None:
        """A home address and a child SA for it (S-13, S-14)."""
        assert self._ike and self._home_prefix
        self._home_address = self._form_home_address(self._home_prefix)
        agent = self._ike.path.remote
        assert isinstance(agent, IPv6Address)
        wanted = Selectors((mobility_selector(self._home_address),), (mobility_selector(agent),))
        self._ike.create_child(wanted, now)

    def _form_home_address(self, prefix: IPv6Network) -> IPv6Address:
        """A stable interface identifier that tells nothing of its owner (RFC 7217 5)."""
        content = prefix.network_address.packed + bytes((self._address_tries,))
        identifier = hmac.digest(self.config.interface_secret, content, hashlib.sha256)[:8]
        if identifier[:1] == b"\0" or identifier[:6] == b"\xfd\xff\xff\xff\xff\xff":  # RFC 5453: reserved ones
            identifier = b"\x02" + identifier[1:]
        return IPv6Address(prefix.network_address.packed[:8] + identifier)

    def _child_ready(self, event: ChildSaEstablished, now: float) -> None:
        self._network.database.add(event.session, event.child)
        if event.first:
            self._first_child = event.child
        elif self.state is UeState.ADDRESSING:
            self._register(now)

    def _child_failed(self, event: ChildSaFailed, now: float) -> None:
        """Without a child SA of its own the home address may be covered by the one of IKE_AUTH (S-15)."""
        if self.state is not UeState.ADDRESSING or self._home_address is None:
            return
        first = self._first_child
        covered = first is not None and covers(first.local, (mobility_selector(self._home_address),))
        if event.notify == NotifyType.NO_ADDITIONAL_SAS and covered:
            self._register(now)
        else:
            self._give_up_home_agent(event.reason, event.clause, now, may_retry=True)

    def _child_closed(self, event: ChildSaClosed, now: float) -> None:
        self._network.database.remove(event.inbound_spi)

    def _ike_closed(self, event: IkeSaClosed, now: float) -> None:
        if self.state is UeState.DETACHING:
            self._detached(now)
        elif self.state in (*WORKING, UeState.ATTACHED):
            who = "the gateway ended the PDN connection" if event.by_peer else event.reason
            self._fail(who, "RFC 7296 1.4.1", now, may_retry=True)

    # --- the binding

    def _register(self, now: float) -> None:
        assert self._home_address and self._ike and self._access
        agent = self._ike.path.remote
        assert isinstance(agent, IPv6Address)
        wanted = self.config.binding
        ask = (wanted.ipv4_home_address or ANY_IPV4) if self.config.ipv4 else None
        binding = MobileConfig(
            wanted.lifetime, ask, wanted.overwrite_flag, wanted.link_local_flag, wanted.router_fallback
        )
        self._step(Step.ADDRESSED)
        self._mobile = MobileNode(binding, self._home_address, agent, self._access.care_of, self._random)
        self._mobile.register(now)

    def _registered(self, event: Registered, now: float) -> None:
        if self.state is UeState.DETACHING:
            return
        was_attached = self.state is UeState.ATTACHED
        self._step(Step.REGISTERED)
        self._use_addresses(event, now)
        self._failures, self._problem = 0, ("", "")
        if was_attached:
            self._events.append(RefreshSucceeded(event.lifetime))
            return
        assert self._home_prefix and self._home_address
        self._events.append(
            AttachSucceeded(
                event.home_agent, self._home_prefix, self._home_address, event.ipv4_home_address,
                event.care_of_address, event.lifetime,
            )
        )  # fmt: skip

    def _use_addresses(self, event: Registered, now: float) -> None:
        """Tunnel, home addresses and routes as the acknowledgement allows them (B-20 to B-24)."""
        assert self._home_prefix and isinstance(event.care_of_address, IPv6Address)
        old = self._network.tunnel
        tunnel = Tunnel(
            event.care_of_address, event.home_agent, event.home_address, self._home_prefix, event.prefix_served,
            event.ipv4_home_address,
        )  # fmt: skip
        if old is not None:
            tunnel.packets_up, tunnel.packets_down = old.packets_up, old.packets_down
        self._network.tunnel = tunnel
        if not self._addresses:
            self._events.append(SetMtu(self._network.tunnel_mtu(now)))
        self._events += self._addresses.use(event, self._home_prefix.prefixlen)

    def _expired(self, event: BindingExpired, now: float) -> None:
        """The gateway no longer forwards; the mobile node registers anew by itself."""
        self._network.tunnel = None
        self._events += self._addresses.replace((), ())

    def _unanswered(self, event: BindingUpdateUnanswered, now: float) -> None:
        if event.attempts >= UNANSWERED_BEFORE_LIVENESS and self._ike is not None:
            self._ike.check_liveness(now)

    def _registration_failed(self, event: RegistrationFailed, now: float) -> None:
        if self.state is UeState.DETACHING:
            self._end_ike(now)
            return
        self._network.tunnel = None
        self._events += self._addresses.replace((), ())
        self._mobile = None
        self._address_tries += 1
        again = event.reaction is Reaction.NEW_HOME_ADDRESS and self._address_tries < ADDRESS_TRIES
        if again and self.state is UeState.REGISTERING:
            self._step(Step.ANOTHER_ADDRESS)
            self._ask_child(now)
            return
        self._give_up_home_agent(event.reason, event.clause, now, may_retry=event.reaction is not Reaction.FAIL)

    def _deregistered(self, event: Deregistered, now: float) -> None:
        if self.state is UeState.DETACHING:
            self._confirmed = event.confirmed
            self._network.tunnel = None
            self._events += self._addresses.replace((), ())
            self._end_ike(now)

    # --- ends

    def _end_ike(self, now: float) -> None:
        """Close the IKE SA if there is one; while detaching, its end is the end."""
        if self._ike is not None and self._ike.established and not self._ike.closed:
            self._ike.delete(now)
            self._send(now)
        elif self.state is UeState.DETACHING:
            self._detached(now)

    def _detached(self, now: float) -> None:
        self._drop()
        self._step(Step.DETACHED)
        self._events.append(DetachFinished(self._confirmed))

    def _fail(self, reason: str, clause: str, now: float, may_retry: bool) -> None:
        state = self.state.name
        self._end_ike(now)
        self._drop()
        self._step(Step.FAILED)
        self._problem = (reason, clause)
        retry = RETRY.delay(self._failures) if may_retry and self._wanted and self.config.attach else None
        self._failures += 1
        self._retry_at = None if retry is None else now + retry
        self._events.append(AttachFailed(state, reason, clause, retry))

    def _drop(self) -> None:
        """Forget everything about the home agent in use, and take the home addresses away."""
        self._network.tunnel = None
        self._events += self._addresses.replace((), ())
        self._network.database.remove_session(self._session)
        self._discovery = self._ike = self._mobile = None
        self._home_prefix = self._home_address = self._first_child = None


def _home_prefix(configuration: Configuration | None) -> HomePrefix | None:
    """The one home network prefix of a CFG_REPLY (RFC 5026 8.2)."""
    values = configuration.all(CfgAttribute.MIP6_HOME_PREFIX) if configuration else []
    if not values:
        return None
    try:
        found = HomePrefix.parse(values[0])
    except WireError:
        return None
    return found if found.prefix_length == 64 else None


def _text(value: IPAddress | IPv6Network | IPv4Address | None) -> str | None:
    return None if value is None else str(value)


_REACTIONS: dict[type[Event], Callable[[UserEquipment, Any, float], None]] = {
    HomeAgentFound: UserEquipment._found,
    DiscoveryFailed: UserEquipment._discovery_failed,
    IkeSaEstablished: UserEquipment._secured,
    IkeFailed: UserEquipment._ike_failed,
    IkeSaClosed: UserEquipment._ike_closed,
    ChildSaEstablished: UserEquipment._child_ready,
    ChildSaFailed: UserEquipment._child_failed,
    ChildSaClosed: UserEquipment._child_closed,
    Registered: UserEquipment._registered,
    RegistrationFailed: UserEquipment._registration_failed,
    BindingExpired: UserEquipment._expired,
    BindingUpdateUnanswered: UserEquipment._unanswered,
    Deregistered: UserEquipment._deregistered,
}
