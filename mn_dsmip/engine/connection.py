# SPDX-License-Identifier: GPL-2.0-or-later
"""A PDN connection with one home agent: security association, home address, binding, tunnel (TS 24.303 5.1.2).

It reports each step it takes as a ``Progressed`` event and its end as one ``Ended``; what follows is its user's
decision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from ..wire.ikev2_numbers import NotifyType
from .base import Event, IPAddress, ProtocolError, Random, UdpDatagram, earliest
from .effects import AttachSucceeded, RefreshSucceeded, SetMtu
from .ike.child import covers, mobility_selector
from .ike.events import (
    ChildSa,
    ChildSaClosed,
    ChildSaEstablished,
    ChildSaFailed,
    IkeFailed,
    IkeRedirected,
    IkeSaClosed,
    IkeSaEstablished,
    InitiatorConfig,
    Selectors,
)
from .ike.initiator import IkeInitiator
from .mip.config import MobileConfig
from .mip.events import BindingExpired, BindingUpdateUnanswered, Deregistered, Registered, RegistrationFailed
from .mip.mobile import MobileNode
from .mip.mobile import State as BindingState
from .mip.packet import ANY_IPV4, MobilityPacket
from .mip.status import Reaction
from .tunnel import Tunnel
from .ue_addresses import HomeAddresses, form_home_address
from .ue_network import UeNetwork
from .ue_security import Home, assigned_home, initiator_config
from .ue_states import Access, Ended, Progressed, Step, UeConfig

UNANSWERED_BEFORE_LIVENESS = 3
"""Binding Updates without an answer before IKE is asked whether the home agent lives (RR-7)."""
ADDRESS_TRIES = 3
"""Home addresses tried when the home agent says that somebody uses them (status 134; RFC 7217 6)."""


class PdnConnection:
    """One attempt with the home agent ``remote``, and the attachment that comes of it; sends through ``network``."""

    def __init__(
        self,
        config: UeConfig,
        access: Access,
        remote: IPv6Address,
        name: str | None,
        former: IPv6Address | None,
        network: UeNetwork,
        random: Random,
        now: float,
        redirected_from: IPAddress | None = None,
    ) -> None:
        self.home_agent = remote
        self._redirect: IPAddress | str | None = None
        self.home_prefix: IPv6Network | None = None
        self.home_address: IPv6Address | None = None
        self.mobile: MobileNode | None = None
        self.counters: Counter[str] = Counter()
        self._config = config
        self._access = access
        self._network = network
        self._random = random
        self._home: Home | None = None
        self._first_child: ChildSa | None = None
        self._tries = 0
        self._attached = self._closing = self._left = self._ended = self._confirmed = False
        self._addresses = HomeAddresses()
        self._events: list[Event] = []
        self._begin(initiator_config(config, remote, name, former, redirected_from), now)

    # --- calls of the user

    def refresh(self, now: float) -> None:
        """Extend the binding now; ``RefreshSucceeded`` follows."""
        if self.mobile is None:
            raise ProtocolError("there is no binding to refresh")
        self.mobile.refresh(now)
        self.settle(now)

    def rekey(self, now: float) -> None:
        """New keys for all SAs (RFC 7296 2.8); nothing else changes."""
        for spi in list(self._ike.children):
            self._ike.rekey_child(spi, now)
        self._ike.rekey(now)
        self.settle(now)

    def close(self, now: float) -> None:
        """End the binding, then the IKE SA (X-1, X-6); ``Ended`` follows."""
        self._left = True
        self._leave(now)

    def _leave(self, now: float) -> None:
        self._closing = True
        if self.mobile is not None and self.mobile.state in (BindingState.BOUND, BindingState.REFRESHING):
            self.mobile.deregister(now)
        else:
            self._close_ike(now)
        self.settle(now)

    def drop(self) -> list[Event]:
        """Forget everything without a word; the effects that take the home addresses away."""
        self._network.tunnel = None
        self._network.database.remove_session(self._session)
        return self._addresses.replace((), ())

    # --- the verbs, each with its own unit

    def receive_udp(self, datagram: UdpDatagram, now: float) -> None:
        """Take a datagram that came to our IKE port."""
        self._ike.receive_datagram(datagram, now)
        self.settle(now)

    def receive_mobility(self, packet: MobilityPacket, now: float) -> None:
        """Take a mobility message that an SA opened: a sign of life, and perhaps an answer."""
        self._ike.heard = now
        if self.mobile is not None and packet.home_address == self.mobile.home_address:
            self.mobile.receive(packet.message, now)
            self.settle(now)

    def next_timer(self) -> float | None:
        """When ``handle_timer`` is due."""
        return earliest(self._ike.next_timer(), self.mobile.next_timer() if self.mobile else None)

    def handle_timer(self, now: float) -> None:
        """Let IKE and binding act, whichever is due."""
        for part in (self._ike, self.mobile):
            due = part.next_timer() if part is not None else None
            if part is not None and due is not None and due <= now:
                part.handle_timer(now)
        self.settle(now)

    def events(self) -> list[Event]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    def settle(self, now: float) -> None:
        """Let what happened in the parts take effect until nothing more happens, and send what is to be sent."""
        while True:
            happened: list[Event] = []
            for part in (self._ike, self.mobile):
                if part is not None:
                    happened += part.events()
                    self.counters.update(part.counters)
                    part.counters.clear()
            self._network.send_udp(self._ike.datagrams_to_send(), now)
            if self.mobile is not None:
                self._network.send_mobility(self._session, self.mobile.datagrams_to_send(), now)
            if not happened:
                return
            for event in happened:
                self._events.append(event)
                reaction = _REACTIONS.get(type(event))
                if reaction is not None and not self._ended:
                    reaction(self, event, now)

    def _progress(self, step: Step) -> None:
        self._events.append(Progressed(step))

    # --- IKE

    def _begin(self, config: InitiatorConfig, now: float) -> None:
        self._ike = IkeInitiator(config, self._access.care_of, self.home_agent, self._random, now)
        self._session = self._ike.name
        self._ike.start(now)
        self.settle(now)

    def _ike_failed(self, event: IkeFailed, now: float) -> None:
        self._fail(event.reason, event.clause, now, may_retry=not event.authentication)

    def _redirected(self, event: IkeRedirected, now: float) -> None:
        """Leave at once while nothing is bound; else end the binding first, as in a detach (RFC 5685 5)."""
        self._redirect = event.gateway
        if event.established:
            self._leave(now)
        else:
            self._end(Ended(wanted=self._closing, confirmed=False, redirect=event.gateway))

    def _secured(self, event: IkeSaEstablished, now: float) -> None:
        if self._closing:
            return
        home = self._home = assigned_home(event.configuration, event.assigned)
        if home is None and event.child_notify == NotifyType.FAILED_CP_REQUIRED and not self._ike.config.wants_address:
            # it gives nothing without an address asked for, and only IKE_AUTH asks (RFC 7296 2.19): once more
            self._delete_ike(now)
            self._begin(replace(self._ike.config, want_home_address=True), now)
            return
        if home is None:
            why = event.child_refused or "it gave no reason"
            reason = f"the gateway assigned neither a home network prefix nor a home address ({why})"
            self._fail(reason, "TS 24.303 5.1.2.2, RFC 5026 5.3.2", now, may_retry=True)
            return
        self.home_prefix = home.prefix
        if home.link in self._access.prefixes:
            reason = "the access is the home link of this PDN connection, where nothing is registered"
            self._fail(reason, "TS 24.303 5.1.2.3", now, may_retry=False)
            return
        self._progress(Step.SECURED)
        self._ask_child(now)

    def _ask_child(self, now: float) -> None:
        """A home address and a child SA for it (S-13, S-14, S-16)."""
        assert self._home
        formed = form_home_address(self._home.prefix, self._config.interface_secret, self._tries)
        self.home_address = self._home.address or formed
        wanted = Selectors((mobility_selector(self.home_address),), (mobility_selector(self.home_agent),))
        self._ike.create_child(wanted, now)

    def _child_ready(self, event: ChildSaEstablished, now: float) -> None:
        self._network.database.add(event.session, event.child, event.standby)
        if event.replaces is not None:
            return
        if event.first:
            self._first_child = event.child
        elif self.mobile is None and not self._closing:
            self._register(now)

    def _child_failed(self, event: ChildSaFailed, now: float) -> None:
        """Without a child SA of its own the home address may be covered by the one of IKE_AUTH (S-15)."""
        if self.mobile is not None or self._closing or self.home_address is None:
            return
        first = self._first_child
        covered = first is not None and covers(first.local, (mobility_selector(self.home_address),))
        if event.notify == NotifyType.NO_ADDITIONAL_SAS and covered:
            self._register(now)
        else:
            self._fail(event.reason, event.clause, now, may_retry=True)

    def _child_closed(self, event: ChildSaClosed, now: float) -> None:
        self._network.database.remove(event.inbound_spi)

    def _ike_closed(self, event: IkeSaClosed, now: float) -> None:
        if self._closing:
            self._end(Ended(wanted=True, confirmed=self._confirmed))
        else:
            reason = "the gateway ended the PDN connection" if event.by_peer else event.reason
            self._end(Ended(wanted=False, confirmed=False, reason=reason, clause="RFC 7296 1.4.1", may_retry=True))

    # --- the binding

    def _register(self, now: float) -> None:
        assert self.home_address
        wanted = self._config.binding
        ask = (wanted.ipv4_home_address or ANY_IPV4) if self._config.ipv4 else None
        binding = MobileConfig(
            wanted.lifetime, ask, wanted.overwrite_flag, wanted.link_local_flag, wanted.router_fallback
        )
        self._progress(Step.ADDRESSED)
        self.mobile = MobileNode(
            binding, self.home_address, self.home_agent, self._access.care_of, self._random, self._network.sequence
        )
        self.mobile.register(now)

    def _registered(self, event: Registered, now: float) -> None:
        if self._closing:
            return
        again, self._attached = self._attached, True
        self._progress(Step.REGISTERED)
        self._use_tunnel(event, now)
        if again:
            self._events.append(RefreshSucceeded(event.lifetime))
            return
        assert self.home_prefix
        self._events.append(
            AttachSucceeded(
                event.home_agent, self.home_prefix, event.home_address, event.ipv4_home_address,
                event.care_of_address, event.lifetime,
            )
        )  # fmt: skip

    def _use_tunnel(self, event: Registered, now: float) -> None:
        """Tunnel, home addresses and routes as the acknowledgement allows them (B-20 to B-24)."""
        assert self.home_prefix and self._home and isinstance(event.care_of_address, IPv6Address)
        whole_prefix = event.prefix_served and self._home.address is None
        tunnel = Tunnel(
            event.care_of_address, event.home_agent, event.home_address, self.home_prefix, whole_prefix,
            event.ipv4_home_address,
        )  # fmt: skip
        if self._network.tunnel is not None:
            tunnel.take_counts(self._network.tunnel)
        self._network.tunnel = tunnel
        if not self._addresses:
            self._events.append(SetMtu(self._network.tunnel_mtu(now)))
        self._events += self._addresses.use(event, self.home_prefix.prefixlen)

    def _stop_traffic(self) -> None:
        self._network.tunnel = None
        self._events += self._addresses.replace((), ())

    def _expired(self, event: BindingExpired, now: float) -> None:
        """The gateway no longer forwards; the mobile node registers anew by itself."""
        self._stop_traffic()

    def _unanswered(self, event: BindingUpdateUnanswered, now: float) -> None:
        if event.attempts >= UNANSWERED_BEFORE_LIVENESS:
            self._ike.check_liveness(now)

    def _registration_failed(self, event: RegistrationFailed, now: float) -> None:
        self._stop_traffic()
        if self._closing:
            self._close_ike(now)
            return
        self._tries += 1
        another = self._home is not None and self._home.address is None and self._tries < ADDRESS_TRIES
        if event.reaction is Reaction.NEW_HOME_ADDRESS and another and not self._attached:
            self.mobile = None
            self._progress(Step.ANOTHER_ADDRESS)
            self._ask_child(now)
            return
        self._fail(event.reason, event.clause, now, may_retry=event.reaction is not Reaction.FAIL)

    def _deregistered(self, event: Deregistered, now: float) -> None:
        if self._closing:
            self._confirmed = event.confirmed
            self._stop_traffic()
            self._close_ike(now)

    # --- ends

    def _close_ike(self, now: float) -> None:
        if self._ike.established and not self._ike.closed:
            self._ike.delete(now)
        else:
            self._end(Ended(wanted=True, confirmed=self._confirmed))

    def _delete_ike(self, now: float) -> None:
        """Close it and do not wait for the answer."""
        self._ike.delete(now)
        self._network.send_udp(self._ike.datagrams_to_send(), now)

    def _fail(self, reason: str, clause: str, now: float, may_retry: bool) -> None:
        """Tell the gateway, if there is an IKE SA to tell it in, and end."""
        if self._closing:
            self._end(Ended(wanted=True, confirmed=False))
            return
        if self._ike.established and not self._ike.closed:
            self._delete_ike(now)
        self._end(Ended(wanted=False, confirmed=False, reason=reason, clause=clause, may_retry=may_retry))

    def _end(self, ended: Ended) -> None:
        if self._redirect is not None and ended.wanted and not self._left:
            ended = Ended(wanted=False, confirmed=ended.confirmed, redirect=self._redirect)
        if not self._ended:
            self._ended = True
            self._events += self.drop()
            self._events.append(ended)


_REACTIONS: dict[type[Event], Callable[[PdnConnection, Any, float], None]] = {
    IkeSaEstablished: PdnConnection._secured,
    IkeFailed: PdnConnection._ike_failed,
    IkeRedirected: PdnConnection._redirected,
    IkeSaClosed: PdnConnection._ike_closed,
    ChildSaEstablished: PdnConnection._child_ready,
    ChildSaFailed: PdnConnection._child_failed,
    ChildSaClosed: PdnConnection._child_closed,
    Registered: PdnConnection._registered,
    RegistrationFailed: PdnConnection._registration_failed,
    BindingExpired: PdnConnection._expired,
    BindingUpdateUnanswered: PdnConnection._unanswered,
    Deregistered: PdnConnection._deregistered,
}
