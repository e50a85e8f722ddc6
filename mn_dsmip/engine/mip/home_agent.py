# SPDX-License-Identifier: GPL-2.0-or-later
"""The home agent's side: the binding cache of any number of mobile nodes.

It takes Binding Updates that an SA opened, together with what IKE authorized the holder of that SA to bind, and answers
them. Bindings that come, change and go are events; forwarding is its user's work.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Protocol

from ...wire.mobility import LIFETIME_UNIT, BindingAcknowledgement, BindingUpdate, IPv4Status, Status
from ...wire.mobility_options import (
    BindingRefreshAdvice,
    IPv4AddressAcknowledgement,
    IPv4HomeAddress,
    MobileNetworkPrefix,
    Option,
)
from ..base import Event
from ..deadlines import Deadlines
from .config import HomeAgentConfig
from .events import (
    Binding,
    BindingCreated,
    BindingForgotten,
    BindingRefused,
    BindingRemoved,
    BindingUpdated,
    Owner,
    Removal,
)
from .packet import ANY_IPV4, MobilityPacket, is_newer, option_of, options_of
from .request import Authorization, Request

MAX_DELETE_BCE_TIMEOUT = 10.0
"""Seconds a de-registered binding is remembered (RFC 6275 10.3.2, 12)."""


class Ipv4Assigner(Protocol):
    """Hands out IPv4 home addresses."""

    def assign(self, owner: Owner, wanted: IPv4Address | None) -> IPv4Address | IPv4Status:
        """The owner's address, the same as long as it holds one; ``wanted`` is ``None`` for any, or why not."""
        ...


class HomeAgent:
    """The binding cache of one home agent.

    ``counters`` counts what was dropped: "mh-foreign-sa" (the home address is not that of the SA), "mh-unexpected",
    "bu-home-address", "bu-care-of-address", "bu-not-home", "bu-nonce-indices".
    """

    def __init__(self, config: HomeAgentConfig, ipv4_assigner: Ipv4Assigner | None = None) -> None:
        self.config = config
        self.counters: Counter[str] = Counter()
        self._ipv4_assigner = ipv4_assigner
        self._bindings: dict[IPv6Address, Binding] = {}
        self._home_address: dict[Owner, IPv6Address] = {}  # the latest of each owner
        self._deadlines: Deadlines[IPv6Address] = Deadlines()
        self._out: list[MobilityPacket] = []
        self._events: list[Event] = []

    def receive(self, packet: MobilityPacket, authorization: Authorization, now: float) -> None:
        """Take a message that an SA with that ``authorization`` opened; the answer is in ``datagrams_to_send``."""
        self.handle_timer(now)
        update = packet.message
        if not isinstance(update, BindingUpdate):
            self.counters["mh-unexpected"] += 1
            return
        if packet.home_address not in authorization.selector:
            self.counters["mh-foreign-sa"] += 1  # B-11, RFC 6275 10.3.1
            return
        known = self._bindings.get(packet.home_address)
        if known is not None and known.owner != authorization.owner:
            known = None  # not theirs to change; _refusal looks again
        request = Request(packet, update, authorization, known, now)
        if (fault := request.fault()) is not None:
            self.counters[fault] += 1
        elif (status := self._refusal(request)) is not None:
            self._refuse(request, status)
        elif update.lifetime:
            self._register(request)
        else:
            self._deregister(request)

    def binding(self, home_address: IPv6Address) -> Binding | None:
        """The active binding of a home address."""
        binding = self._bindings.get(home_address)
        return binding if binding is not None and binding.active else None

    def bindings(self) -> list[Binding]:
        """All active bindings."""
        return [binding for binding in self._bindings.values() if binding.active]

    def withdraw(self, owner: Owner, now: float) -> None:
        """End the owner's binding without a word to it, for example because its IKE SA ended."""
        home_address = self._home_address.get(owner)
        binding = None if home_address is None else self.binding(home_address)
        if binding is not None:
            self._deactivate(binding, binding.sequence, Removal.WITHDRAWN, now)

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to be called."""
        return self._deadlines.next()

    def handle_timer(self, now: float) -> None:
        """Remove what expired."""
        for home_address in self._deadlines.due(now):
            binding = self._bindings.pop(home_address)
            if binding.active:
                self._events.append(BindingRemoved(binding, Removal.EXPIRED))
            if self._home_address.get(binding.owner) == home_address:
                del self._home_address[binding.owner]
                self._events.append(BindingForgotten(binding.owner, home_address))

    def datagrams_to_send(self) -> list[MobilityPacket]:
        """Messages that must leave now, oldest first."""
        out, self._out = self._out, []
        return out

    def events(self) -> list[Event]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    def _refusal(self, request: Request) -> Status | None:
        """Why to refuse, in the order of RFC 6275 9.5.1 and 10.3.1 and RFC 3963 6.2."""
        update, known = request.update, request.known
        if known is not None and not is_newer(update.sequence, known.sequence):
            return Status.SEQUENCE_NUMBER_OUT_OF_WINDOW
        bound = known is not None and known.active
        if not update.home:
            disallowed = Status.REGISTRATION_TYPE_CHANGE_DISALLOWED
            return disallowed if bound else Status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED
        if not update.lifetime:
            return None if known is not None else Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE
        if not self.config.accept_registrations:
            return Status.HOME_REGISTRATION_NOT_SUPPORTED
        if not request.is_home_subnet():
            return Status.NOT_HOME_SUBNET
        if known is None and request.packet.home_address in self._bindings:
            return Status.DUPLICATE_ADDRESS_DETECTION_FAILED
        if known is None and len(self._bindings) >= self.config.max_bindings:
            return Status.INSUFFICIENT_RESOURCES
        if request.care_of_address_is_home():
            return Status.INVALID_CARE_OF_ADDRESS
        if known is not None and bound and known.mobile_router != update.mobile_router:
            return Status.REGISTRATION_TYPE_CHANGE_DISALLOWED
        return self._prefix_refusal(request) if update.mobile_router else None

    def _prefix_refusal(self, request: Request) -> Status | None:
        if not self.config.serve_prefixes:
            return Status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED
        home_prefix = request.authorization.home_prefix
        for prefix in options_of(request.update, MobileNetworkPrefix):  # explicit mode
            try:
                network = IPv6Network((prefix.prefix, prefix.prefix_length))
            except ValueError:
                return Status.INVALID_PREFIX
            if not network.subnet_of(home_prefix):
                return Status.NOT_AUTHORIZED_FOR_PREFIX
        return Status.FORWARDING_SETUP_FAILED if home_prefix.prefixlen == home_prefix.max_prefixlen else None

    def _register(self, request: Request) -> None:
        packet, update, known = request.packet, request.update, request.known
        owner = request.authorization.owner
        prefix_units = request.prefix_units()
        units = int(min(update.lifetime, self.config.max_lifetime // LIFETIME_UNIT, prefix_units))
        ipv4, options = self._ipv4(request)
        seconds = units * LIFETIME_UNIT
        binding = Binding(
            owner,
            packet.home_address,
            request.authorization.home_prefix,
            packet.home_agent,
            request.care_of_address,
            ipv4,
            update.sequence,
            seconds,
            request.now + seconds,
            update.mobile_router,
            update.key_management and self.config.key_management,
        )
        self._retire_other(owner, packet.home_address)
        self._store(binding)
        if known is not None and known.active:
            self._events.append(BindingUpdated(binding, known))
        else:
            self._events.append(BindingCreated(binding))
        advice = self.config.refresh_advice
        if advice is not None and advice < seconds:
            options += (BindingRefreshAdvice(advice // LIFETIME_UNIT),)
        # RFC 6275 10.3.1: 1 when the prefix becomes invalid at the end of the lifetime
        status = Status.ACCEPTED_PREFIX_DISCOVERY_NECESSARY if units == prefix_units else Status.ACCEPTED
        self._accept(request, status, units, options)

    def _deregister(self, request: Request) -> None:
        known = request.known
        if known is not None:  # also within the grace: a repeated de-registration is answered like the first
            self._deactivate(known, request.update.sequence, Removal.DEREGISTERED, request.now)
        self._accept(request, Status.ACCEPTED, 0, ())

    def _retire_other(self, owner: Owner, home_address: IPv6Address) -> None:
        """One home address an owner: a mobile node that lost its memory registers another one."""
        other = self._home_address.get(owner)
        self._home_address[owner] = home_address
        if other is None or other == home_address or (binding := self._bindings.pop(other, None)) is None:
            return
        self._deadlines.discard(other)
        if binding.active:
            self._events.append(BindingRemoved(binding, Removal.REPLACED))

    def _deactivate(self, binding: Binding, sequence: int, reason: Removal, now: float) -> None:
        """Stop forwarding but remember the sequence number a while (RFC 6275 10.3.2)."""
        self._store(replace(binding, sequence=sequence, lifetime=0, expires=now + MAX_DELETE_BCE_TIMEOUT, active=False))
        if binding.active:
            self._events.append(BindingRemoved(binding, reason))

    def _store(self, binding: Binding) -> None:
        self._bindings[binding.home_address] = binding
        self._deadlines.set(binding.home_address, binding.expires)

    def _ipv4(self, request: Request) -> tuple[IPv4Address | None, tuple[Option, ...]]:
        """The IPv4 home address to bind, and what to say about it (RFC 5555 4.5); without the option nothing."""
        asked = option_of(request.update, IPv4HomeAddress)
        if asked is None or self._ipv4_assigner is None:
            return None, ()
        verdict: IPv4Address | IPv4Status | None = request.ipv4_fault(asked)
        if verdict is None:
            wanted = None if asked.address == ANY_IPV4 else asked.address
            verdict = self._ipv4_assigner.assign(request.authorization.owner, wanted)
        if isinstance(verdict, IPv4Address):
            return verdict, (IPv4AddressAcknowledgement(IPv4Status.SUCCESS, 32, verdict),)
        return None, (IPv4AddressAcknowledgement(verdict, 0, asked.address),)

    def _accept(self, request: Request, status: Status, units: int, options: tuple[Option, ...]) -> None:
        update = request.update
        answer = BindingAcknowledgement(
            status,
            key_management=update.key_management and self.config.key_management,
            mobile_router=update.mobile_router and self.config.serve_prefixes,
            sequence=update.sequence,
            lifetime=units,
            options=options,
        )
        self._out.append(request.packet._replace(message=answer))

    def _refuse(self, request: Request, status: Status) -> None:
        packet, known, sequence = request.packet, request.known, request.update.sequence
        if known is not None and status is Status.SEQUENCE_NUMBER_OUT_OF_WINDOW:
            sequence = known.sequence
        elif known is not None:  # valid, only not acceptable: its number is used up (RFC 6275 9.5.1)
            self._bindings[packet.home_address] = replace(known, sequence=sequence)
        self._out.append(packet._replace(message=BindingAcknowledgement(status, sequence=sequence)))
        self._events.append(BindingRefused(request.authorization.owner, packet.home_address, status))
