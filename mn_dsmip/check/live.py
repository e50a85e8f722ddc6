# SPDX-License-Identifier: GPL-2.0-or-later
"""A session while its messages still come: what is known of it so far, and until when more can be expected."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

from mn_dsmip.check.model import IKE_KINDS, Message
from mn_dsmip.check.numbers import FIRST_REJECTING_STATUS, LIFETIME_UNIT
from mn_dsmip.check.session import DAMAGED, Session
from mn_dsmip.check.thinning import ALIKE, Thinner

QUIET = 60.0  # seconds without a message after which a session that has ended is judged
ATTEMPT = 300.0  # the same for an IKE SA that never served for anything: another attempt may follow
AT_HOME = 3600.0  # the same without a binding while the IKE SA stays up: the UE may be at home
LONGEST = 65535.0 * LIFETIME_UNIT  # no binding lasts longer (RFC 6275 6.1.7)
MAX_UPDATES = 64  # Binding Updates whose answer may still come

IKE = frozenset(IKE_KINDS.values())
Association = tuple[str, object]


class Live:
    """A session with what the separator needs of it; `messages` of the session are in the order of their arrival."""

    def __init__(self, session: Session, first: Message) -> None:
        self.session = session
        self.first = first.frame
        self.last = first.time  # of the latest message
        self.due = 0.0  # when the separator looks at it again
        self.home: set[str] = set()  # home addresses
        self.home_agents: set[str] = set()
        self.names: set[str] = set()  # network access identifiers
        self.advertisements: set[int] = set()  # frames
        self.came_up = False  # the IKE SA served for more than the initial exchanges
        self.has_ike = False
        self.deleted = False
        self.bound_until: float | None = None
        self.unbound = False  # there was a binding, and it is gone
        self.tunnels = False  # its first IKE SA is with an ePDG, its second goes through that
        self.redirected: set[str] = set()
        self.identity: tuple[object, ...] = ()
        self.finished = False
        self.newest: frozenset[str] = frozenset()  # SPIs of the IKE SA that is in use
        self.keys: list[tuple[dict[Any, Any], Any]] = []  # Any: the separator's tables have keys of many kinds
        self._opened: set[Association] = set()
        self._hidden = False
        self._asked: OrderedDict[tuple[str, int], int] = OrderedDict()  # lifetimes of updates not yet answered
        self._thinner = Thinner(session.messages, session.left_out)

    def take(self, message: Message) -> None:
        """Let a message belong to this session."""
        self.last = max(self.last, message.time)
        if message.hidden:
            self._hidden = True
        elif message.flag("encrypted") or message.flag("protected"):
            self._opened.add(association(message))
        if message.kind in ALIKE:
            up = message.source not in self.home_agents
            self._thinner.add(message, message.text("inner_source" if up else "inner_destination"))
            return
        self._thinner.flush()
        self.session.messages.append(message)
        if message.kind in IKE:
            self._ike(message)
        elif message.is_mobility:
            self._mobility(message)

    def _ike(self, message: Message) -> None:
        kind = message.kind
        self.has_ike = True
        if kind == "ike_sa_init" or not self.newest:
            self.newest = frozenset({message.text("spi_i")})
            self.came_up = self.deleted = False
        if kind in ("create_child_sa", "informational") or message.get("cfg_type") == "reply":
            self.came_up = True
        if kind == "create_child_sa" and message.get("sa_protocol") == "IKE":
            new = frozenset(f"{spi:016x}" for spi in message.numbers("spis"))
            self.newest = new | self.newest if message.flag("response") else new
        if message.get("delete") == "IKE" and message.text("spi_i") in self.newest:
            self.deleted = True
        if message.get("redirect_to"):
            self.redirected.add(message.text("redirect_to"))

    def _mobility(self, message: Message) -> None:
        key = (message.text("home_address"), message.number("sequence"))
        if message.kind == "binding_update":
            self._asked[key] = message.number("lifetime")
            if len(self._asked) > MAX_UPDATES:
                self._asked.popitem(last=False)
        elif message.kind == "binding_acknowledgement" and message.number("status") < FIRST_REJECTING_STATUS:
            lifetime, self.came_up = message.number("lifetime"), True
            if lifetime and self._asked.pop(key, 1):
                self.bound_until, self.unbound = message.time + lifetime * LIFETIME_UNIT, False
            else:
                self.bound_until, self.unbound = None, True
        elif message.kind == "binding_revocation" and not message.flag("indication"):
            self.bound_until, self.unbound = None, True

    @property
    def ended(self) -> bool:
        """Nothing that belongs to it is expected any more, except what is late."""
        return self.deleted or (self.unbound and not self.has_ike)

    @property
    def deadline(self) -> float:
        """When it can be judged, if nothing more of it comes."""
        if self.ended:
            return self.last + QUIET
        if self.bound_until is not None:
            return max(self.last, self.bound_until) + QUIET
        if self.has_ike and not self.came_up:
            return self.last + ATTEMPT
        return self.last + (AT_HOME if self.unbound else LONGEST)

    def finish(self) -> Session:
        """The session, complete, in the order of the frames, with the reasons for what is hidden."""
        self.finished = True
        self._thinner.flush()
        messages = self.session.messages
        if self._hidden:
            messages[:] = [self._explained(one) if one.hidden else one for one in messages]
        messages.sort(key=frame_of)
        return self.session

    def so_far(self) -> Session:
        """A copy of the session as it stands, to look at while it goes on."""
        messages = sorted([*self.session.messages, *self._thinner.pending()], key=frame_of)
        return replace(self.session, messages=[self._explained(one) if one.hidden else one for one in messages])

    def _explained(self, message: Message) -> Message:
        """Say why content is hidden: no key, wrong key (nothing opens), or damaged (this one only does not)."""
        whose = f"IKE SA {message.text('spi_i')}" if message.is_ike else f"ESP SPI 0x{message.number('spi'):08x}"
        if message.hidden == "no key":
            reason = f"no key for {whose}"
        elif association(message) in self._opened:
            reason = DAMAGED
        else:
            reason = f"wrong key for {whose}: nothing under it opens"
        return replace(message, hidden=reason)


def frame_of(message: Message) -> int:
    return message.frame


def association(message: Message) -> Association:
    """One direction of one security association."""
    if message.is_ike:
        return message.text("spi_i") + message.text("spi_r"), message.flag("from_initiator")
    return "esp", message.number("spi")
