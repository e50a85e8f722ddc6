# SPDX-License-Identifier: GPL-2.0-or-later
"""The mobile node's side of one binding: registers a home address, keeps it registered, de-registers it.

One ``MobileNode`` is one entry of a binding update list (RFC 6275 11.1). It takes messages that the SA of its home
address has opened, and yields messages for that SA. What it learns goes up as events; what to do about a lost or
refused binding beyond repeating Binding Updates is its user's decision.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from enum import Enum, auto
from ipaddress import IPv4Address, IPv6Address

from ...wire.mobility import (
    LIFETIME_UNIT,
    BindingAcknowledgement,
    BindingRefreshRequest,
    BindingUpdate,
    MobilityMessage,
    Status,
)
from ...wire.mobility_options import AlternateCareOfAddress, BindingRefreshAdvice, IPv4CareOfAddress, Option
from ..base import Event, IPAddress, Machine, Random, earliest
from .config import MobileConfig
from .events import (
    BindingExpired,
    BindingUpdateRefused,
    BindingUpdateSent,
    BindingUpdateUnanswered,
    Deregistered,
    Registered,
    RegistrationFailed,
)
from .ipv4 import Ipv4Registration
from .packet import MobilityPacket, option_of
from .retransmission import DEREGISTRATION, FIRST_REGISTRATION, LATER_REGISTRATION, Retransmission, Sent, refresh_after
from .status import Meaning, Reaction, meaning_of

MAX_LIFETIME_UNITS = 0xFFFF
"""What the Lifetime field can say (RFC 6275 6.1.7)."""

# Ours; the standards leave these open.
MAX_REFUSALS = 3
"""Tries at a home agent that answers with status 128 or 130 or repairable ones."""
WAIT_FOR_RESOURCES = 32.0
"""Seconds after status 130."""
PREFIX_EXPIRED = Meaning(Reaction.REBOOTSTRAP, "the home prefix is no longer valid", "RFC 6275 11.7.1")


class State(Enum):
    """Where the binding stands, as the mobile node knows it."""

    UNBOUND = auto()
    REGISTERING = auto()
    BOUND = auto()
    REFRESHING = auto()
    DEREGISTERING = auto()


class Input(Enum):
    """What moves the binding."""

    REGISTER = auto()
    REFRESH = auto()
    DEREGISTER = auto()
    ACCEPTED = auto()
    """A Binding Acknowledgement below 128; while de-registering also 133, nothing was bound."""
    REFUSED = auto()
    """A status that ends the attempt, or the last of the allowed tries."""
    EXPIRED = auto()
    """The lifetime ended without a refresh."""
    ABANDONED = auto()
    """The user ends it without a word to the home agent, because its SA is gone."""


# An attempt that goes on (retransmission, statuses 128, 130, 135, 139, 140, 143) stays in its state.
# A refresh or a de-registration already under way absorbs another one.
TABLE = {
    (State.UNBOUND, Input.REGISTER): State.REGISTERING,
    (State.UNBOUND, Input.ABANDONED): State.UNBOUND,
    (State.REGISTERING, Input.ACCEPTED): State.BOUND,
    (State.REGISTERING, Input.REFUSED): State.UNBOUND,
    (State.REGISTERING, Input.DEREGISTER): State.DEREGISTERING,  # the home agent may have answered already
    (State.REGISTERING, Input.ABANDONED): State.UNBOUND,
    (State.BOUND, Input.REFRESH): State.REFRESHING,
    (State.BOUND, Input.DEREGISTER): State.DEREGISTERING,
    (State.BOUND, Input.EXPIRED): State.REGISTERING,
    (State.BOUND, Input.ABANDONED): State.UNBOUND,
    (State.REFRESHING, Input.REFRESH): State.REFRESHING,
    (State.REFRESHING, Input.ACCEPTED): State.BOUND,
    (State.REFRESHING, Input.REFUSED): State.UNBOUND,
    (State.REFRESHING, Input.DEREGISTER): State.DEREGISTERING,
    (State.REFRESHING, Input.EXPIRED): State.REGISTERING,
    (State.REFRESHING, Input.ABANDONED): State.UNBOUND,
    (State.DEREGISTERING, Input.DEREGISTER): State.DEREGISTERING,
    (State.DEREGISTERING, Input.ACCEPTED): State.UNBOUND,
    (State.DEREGISTERING, Input.REFUSED): State.UNBOUND,
    (State.DEREGISTERING, Input.ABANDONED): State.UNBOUND,
}

BACKOFFS = {
    State.REGISTERING: FIRST_REGISTRATION,
    State.REFRESHING: LATER_REGISTRATION,
    State.DEREGISTERING: DEREGISTRATION,
}


class MobileNode:
    """One home address's entry of the binding update list; sequence numbers go on from ``sequence``, the last one that
    the home agent was sent. When that is not known they start where ``random`` says (RFC 6275 11.7.1).

    ``counters`` counts what was ignored: "ba-unmatched" (answers no outstanding Binding Update), "ba-late" (its binding
    has expired already), "ba-nonce-status", "ba-stale-135" (a newer Binding Update is on its way), "mh-unexpected".
    """

    def __init__(
        self,
        config: MobileConfig,
        home_address: IPv6Address,
        home_agent: IPv6Address,
        care_of_address: IPAddress,
        random: Random,
        sequence: int | None = None,
    ) -> None:
        self.config = config
        self.home_address = home_address
        self.home_agent = home_agent
        self.care_of_address = care_of_address
        self.prefix_expires = math.inf
        """When the home prefix stops being valid: no longer lifetime is asked for (RFC 6275 11.7.1)."""
        self.counters: Counter[str] = Counter()
        self._machine = Machine(TABLE, State.UNBOUND)
        self._ipv4 = Ipv4Registration(config.ipv4_home_address)
        self._retransmission = Retransmission(int.from_bytes(random(2), "big") if sequence is None else sequence)
        self._router_flag = True
        self._expires: float | None = None
        self._refresh_at: float | None = None
        self._refusals = 0
        self._out: list[MobilityPacket] = []
        self._events: list[Event] = []

    @property
    def state(self) -> State:
        """Where the binding stands."""
        return self._machine.state

    @property
    def ipv4_home_address(self) -> IPv4Address | None:
        """The registered IPv4 home address."""
        return self._ipv4.registered

    def lifetime_left(self, now: float) -> float:
        """Seconds until the binding expires; 0 without one."""
        return 0.0 if self._expires is None else max(0.0, self._expires - now)

    def register(self, now: float) -> None:
        """Begin a first registration; ``ProtocolError`` unless unbound."""
        self._machine.step(Input.REGISTER)
        self._begin(now)

    def refresh(self, now: float) -> None:
        """Extend the binding now, unless that is under way; ``ProtocolError`` without a binding."""
        under_way = self.state is State.REFRESHING
        self._machine.step(Input.REFRESH)
        if not under_way:
            self._begin(now)

    def release_ipv4(self, now: float) -> None:
        """Give the IPv4 home address back and keep the IPv6 binding (RR-3); ``ProtocolError`` without a binding."""
        self._machine.step(Input.REFRESH)
        self._ipv4.release()
        self._begin(now)

    def deregister(self, now: float) -> None:
        """End the binding, unless that is under way; ``Deregistered`` follows. ``ProtocolError`` when unbound."""
        under_way = self.state is State.DEREGISTERING
        self._machine.step(Input.DEREGISTER)
        if not under_way:
            self._expires = None
            self._begin(now)

    def abandon(self) -> None:
        """Forget the binding at once and silently, because the SA that would carry messages is gone."""
        self._machine.step(Input.ABANDONED)
        self._clear()

    def receive(self, message: MobilityMessage, now: float) -> None:
        """Take a message that the home agent sent inside the SA of this home address."""
        if isinstance(message, BindingAcknowledgement):
            self._receive_acknowledgement(message, now)
        elif isinstance(message, BindingRefreshRequest) and self.state in (State.BOUND, State.REFRESHING):
            self.refresh(now)  # RFC 5648 6.4 lets a home agent ask, RR-6
        else:
            self.counters["mh-unexpected"] += 1

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to be called."""
        return earliest(self._expires, self._refresh_at, self._retransmission.send_at)

    def handle_timer(self, now: float) -> None:
        """Retransmit, refresh or expire, whatever is due."""
        if _due(self._expires, now):
            self._machine.step(Input.EXPIRED)
            self._events.append(BindingExpired(self.home_address))
            self._clear()
            self._begin(now)  # like a new home address: first registration timers (RFC 6275 11.7.1)
        elif _due(self._refresh_at, now):
            self.refresh(now)
        elif _due(self._retransmission.send_at, now):
            self._try_again(now)

    def datagrams_to_send(self) -> list[MobilityPacket]:
        """Messages that must leave now, oldest first."""
        out, self._out = self._out, []
        return out

    def events(self) -> list[Event]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    # Sending

    def _begin(self, now: float) -> None:
        self._refusals = 0
        self._refresh_at = None
        self._retransmission.begin()
        self._send(now)

    def _try_again(self, now: float) -> None:
        attempts = self._retransmission.attempt
        if self._retransmission.awaiting_answer:
            self._events.append(BindingUpdateUnanswered(self.home_address, attempts))
        if self.state is State.DEREGISTERING and attempts >= DEREGISTRATION.tries:
            self._finish_deregistration(Input.REFUSED)
        else:
            self._send(now)

    def _send(self, now: float) -> None:
        """Send the Binding Update that the state calls for, at once or when the rate limit allows."""
        if not self._retransmission.allowed(now):
            return
        units = self._lifetime_units(now)
        if not units and self.state is not State.DEREGISTERING:
            self._fail(PREFIX_EXPIRED, None)
            return
        update = self._binding_update(units)
        self._retransmission.sent(update, BACKOFFS[self.state], now)
        self._out.append(MobilityPacket(update, self.home_address, self.home_agent, self.care_of_address))
        seconds, attempt = units * LIFETIME_UNIT, self._retransmission.attempt
        self._events.append(BindingUpdateSent(self.home_address, update.sequence, seconds, attempt))

    def _lifetime_units(self, now: float) -> int:
        if self.state is State.DEREGISTERING:
            return 0
        seconds = min(self.config.lifetime, MAX_LIFETIME_UNITS * LIFETIME_UNIT, self.prefix_expires - now)
        return max(0, int(seconds // LIFETIME_UNIT))

    def _binding_update(self, units: int) -> BindingUpdate:
        ending = self.state is State.DEREGISTERING
        return BindingUpdate(
            self._retransmission.next_sequence(),
            acknowledge=True,
            home=True,
            link_local=self.config.link_local_flag,
            key_management=True,
            # A.5 does not list R; only the return home names the whole prefix (TS 23.402 8.4.1)
            mobile_router=self._at_home if ending else self._router_flag,
            overwrite=self.config.overwrite_flag and self.state is State.REGISTERING,
            lifetime=units,
            options=tuple(self._options(ending)),
        )

    @property
    def _at_home(self) -> bool:
        return self.care_of_address == self.home_address

    def _options(self, ending: bool) -> Iterator[Option]:
        if (ipv4 := self._ipv4.option(ending)) is not None:
            yield ipv4
        if isinstance(self.care_of_address, IPv4Address):
            yield IPv4CareOfAddress(self.care_of_address)
        elif not self._at_home:
            yield AlternateCareOfAddress(self.care_of_address)

    # Receiving

    def _receive_acknowledgement(self, answer: BindingAcknowledgement, now: float) -> None:
        meaning = meaning_of(answer.status)
        if meaning.reaction is Reaction.IGNORE:
            self.counters["ba-nonce-status"] += 1
        elif meaning.reaction is Reaction.RESYNCHRONIZE:
            self._resynchronize(answer, now)
        elif (sent := self._retransmission.answered(answer.sequence)) is None:
            self.counters["ba-unmatched"] += 1
        elif meaning.reaction is not Reaction.USE:
            self._events.append(BindingUpdateRefused(self.home_address, answer.status, meaning.reaction))
            self._refused(answer.status, meaning, now)
        elif self.state is State.DEREGISTERING:
            self._finish_deregistration(Input.ACCEPTED)
        else:
            self._accepted(answer, sent, now)

    def _accepted(self, answer: BindingAcknowledgement, sent: Sent, now: float) -> None:
        # counted from the sending, never more than asked for (RFC 6275 11.7.3)
        lifetime = min(answer.lifetime, sent.update.lifetime) * LIFETIME_UNIT
        if sent.time + lifetime <= now:
            self.counters["ba-late"] += 1  # the retransmission under way brings a better one
            return
        refreshed = self.state is State.REFRESHING
        self._machine.step(Input.ACCEPTED)
        ipv4_status = self._ipv4.accept(answer, sent.update)
        self._retransmission.stop()
        self._expires = sent.time + lifetime
        advice = option_of(answer, BindingRefreshAdvice)
        self._refresh_at = max(
            now, sent.time + refresh_after(lifetime, advice.interval * LIFETIME_UNIT if advice else 0)
        )
        self._events.append(
            Registered(
                self.home_address,
                self.care_of_address,
                self.home_agent,
                lifetime,
                refreshed=refreshed,
                prefix_served=answer.mobile_router,
                key_management=answer.key_management,
                ipv4_home_address=self.ipv4_home_address,
                ipv4_status=ipv4_status,
            )
        )

    def _resynchronize(self, answer: BindingAcknowledgement, now: float) -> None:
        """Continue from the home agent's sequence number; it need not be that of a Binding Update of ours."""
        if not self._retransmission.outstanding:
            self.counters["ba-unmatched"] += 1
        elif self._retransmission.is_ahead_of(answer.sequence):
            self.counters["ba-stale-135"] += 1
        else:
            self._events.append(BindingUpdateRefused(self.home_address, answer.status, Reaction.RESYNCHRONIZE))
            self._retransmission.sequence = answer.sequence
            self._retransmission.awaiting_answer = False
            self._refusals += 1
            if self._refusals < MAX_REFUSALS:  # a home agent that says nothing else is asked at the back-off's rate
                self._send(now)

    def _refused(self, status: int, meaning: Meaning, now: float) -> None:
        self._refusals += 1
        if self.state is State.DEREGISTERING:
            if status == Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE:
                self._finish_deregistration(Input.ACCEPTED)  # nothing is bound, which is what we want
            elif meaning.reaction in (Reaction.RETRY, Reaction.WAIT):
                self._retransmission.awaiting_answer = False
            else:
                self._finish_deregistration(Input.REFUSED)
        elif self._refusals >= MAX_REFUSALS or not self._repair(meaning.reaction, now):
            self._fail(meaning, status)

    def _repair(self, reaction: Reaction, now: float) -> bool:
        """Do something about a refusal; ``False`` when only the user can."""
        if reaction is Reaction.RETRY:
            self._retransmission.awaiting_answer = False  # the back-off that runs already is the rate limit
            return True
        if reaction is Reaction.WAIT:
            self._retransmission.wait_until(now + WAIT_FOR_RESOURCES)
            return True
        fallback = reaction is Reaction.WITHOUT_ROUTER_FLAG and self._router_flag and self.config.router_fallback
        if not fallback and reaction is not Reaction.OTHER_ROUTER_FLAG:
            return False
        self._router_flag = not self._router_flag
        self._retransmission.forget_outstanding()  # their answers are about the other flag
        self._send(now)
        return True

    # Ending

    def _fail(self, meaning: Meaning, status: int | None) -> None:
        self._machine.step(Input.REFUSED)
        self._clear()
        self._events.append(
            RegistrationFailed(self.home_address, status, meaning.reaction, meaning.sentence, meaning.clause)
        )

    def _finish_deregistration(self, how: Input) -> None:
        self._machine.step(how)
        self._clear()
        self._events.append(Deregistered(self.home_address, confirmed=how is Input.ACCEPTED))

    def _clear(self) -> None:
        self._expires = self._refresh_at = None
        self._retransmission.stop()
        self._ipv4.forget()


def _due(time: float | None, now: float) -> bool:
    return time is not None and now >= time
