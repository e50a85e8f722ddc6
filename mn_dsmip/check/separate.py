# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is who: separate the messages of a trace into sessions, one per UE and PDN connection.

The roles come from the trace: whoever sent IKE_SA_INIT is the UE. A trace without the IKE exchange still has sessions,
one per home address.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from mn_dsmip.check.model import Message
from mn_dsmip.check.session import DAMAGED, Session, within


def separate(messages: list[Message]) -> list[Session]:
    """All sessions of a trace in the order in which they begin, with their messages assigned to them."""
    return _Separator(messages).sessions


class _Separator:
    def __init__(self, messages: list[Message]) -> None:
        self.sessions: list[Session] = []
        self.by_spis: dict[tuple[str, str], Session] = {}
        self.rekeyed: dict[str, Session] = {}
        self.start: dict[int, int] = {}
        readable = _explain(messages)
        for message in readable:
            if message.is_ike:
                self._ike(message)
        for message in readable:
            self._assign(message)
        for session in self.sessions:
            session.messages.sort(key=lambda one: one.frame)
            _forget(session)

    def _ike(self, message: Message) -> None:
        """Put a message to its IKE SA; a new one belongs to the UE's last session if that never came up."""
        ends = (message.source, message.destination)
        ue, ha = ends if message.flag("from_initiator") else ends[::-1]
        # Both SPIs name an SA. Until the responder has chosen its own, two UEs may by chance have the same one.
        first, whole = (message.text("spi_i"), ue), (message.text("spi_i"), message.text("spi_r"))
        session = self.by_spis.get(first if message.kind == "ike_sa_init" else whole)
        if session is None:
            session = self._rekeyed(message) or self._attempt(message, ue, ha)
        self.by_spis[first] = self.by_spis[whole] = session
        session.messages.append(message)
        if message.kind == "create_child_sa" and message.get("sa_protocol") == "IKE":
            self.rekeyed |= {f"{spi:016x}": session for spi in message.numbers("spis")}

    def _rekeyed(self, message: Message) -> Session | None:
        """The session whose CREATE_CHILD_SA agreed on this SA's SPIs."""
        return self.rekeyed.get(message.text("spi_i"))

    def _attempt(self, message: Message, ue: str, ha: str) -> Session:
        last = next((one for one in reversed(self.sessions) if one.care_of == ue), None)
        begin = message.frame if message.kind == "ike_sa_init" else 0  # 0: it began before the capture
        session = self._new(ue, ha, begin) if last is None or self._came_up(last) else last
        session.home_agent = ha
        return session

    def _came_up(self, session: Session) -> bool:
        """Whether the IKE SA served for anything but the initial exchanges."""
        return any(one.kind in ("create_child_sa", "informational") for one in session.messages) or any(
            one.get("cfg_type") == "reply" for one in session.messages
        )

    def _new(self, ue: str, ha: str, frame: int) -> Session:
        session = Session(len(self.sessions) + 1, ue, ha)
        self.start[session.number] = frame
        self.sessions.append(session)
        return session

    def _assign(self, message: Message) -> None:
        if message.is_ike:
            return
        if message.kind == "router_advertisement":
            for session in self.sessions:
                if any(within(session.care_of, str(one)) for one in message.items("prefixes")):
                    session.messages.append(message)
            return
        owner = self._owner(message)
        if owner is None and (message.is_mobility or (message.kind == "esp" and message.hidden)):
            owner = self._new(*self._ends(message), message.frame)
        if owner is not None:
            owner.messages.append(message)
            if message.is_mobility or message.kind == "esp":
                _forget(owner)

    @staticmethod
    def _ends(message: Message) -> tuple[str, str]:
        """Care-of address and home agent of a message without IKE before it."""
        up = message.kind == "binding_update" or message.flag("home_address_option")
        if message.kind == "esp":
            up = message.get("end_source") == message.get("home_address")
        return (message.source, message.destination) if up else (message.destination, message.source)

    def _owner(self, message: Message) -> Session | None:
        if message.kind == "dns":
            client = message.destination if message.flag("response") else message.source
            mine = [one for one in self.sessions if one.care_of == client]
            later = [one for one in mine if self.start[one.number] > message.frame]
            return next(iter(later or mine[-1:]), None)
        if message.is_mobility or message.kind == "esp":
            names = {message.text("home_address"), message.text("end_source"), message.text("end_destination")}
            return (
                self._by_address(names, message)
                or self._by_spi(message.number("spi"))
                or self._by_pair(message.source, message.destination, message.frame)
            )
        if message.kind == "icmpv6_error":
            quoted = self._by_pair(message.text("quoted_source"), message.text("quoted_destination"), message.frame)
            return quoted or next((one for one in self.sessions if one.care_of == message.source), None)
        if message.kind == "tunnelled":
            inner = {message.text("inner_source"), message.text("inner_destination")}
            mine = self._all_by_pair(message.source, message.destination, message.frame)
            return mine[0] if len(mine) == 1 else self._by_address(inner, message)
        return self._by_address({message.source, message.destination}, message)

    def _by_address(self, addresses: set[str], message: Message) -> Session | None:
        """The latest session, begun before, that one of these is a home address of."""
        for session in reversed(self.sessions):
            if self.start[session.number] > message.frame:
                continue
            own = session.home_addresses | session.ipv4_home_addresses
            if any(one in own or any(within(one, prefix) for prefix in session.home_prefixes) for one in addresses):
                return session
        return None

    def _by_spi(self, spi: int) -> Session | None:
        for session in self.sessions:
            if spi and any(spi in (child.spi_to_ue, child.spi_to_ha) for child in session.children):
                return session
        return None

    def _by_pair(self, source: str, destination: str, frame: int) -> Session | None:
        return next(iter(self._all_by_pair(source, destination, frame)), None)

    def _all_by_pair(self, source: str, destination: str, frame: int) -> list[Session]:
        """Sessions, begun before, between these two addresses; of those that follow each other the latest."""
        found: dict[str, Session] = {}
        for session in reversed(self.sessions):
            pairs = ((source, destination), (destination, source))
            own = any(ue in session.care_of_addresses and ha == session.home_agent for ue, ha in pairs)
            if own and self.start[session.number] <= frame:
                found.setdefault(session.apn, session)
        return list(found.values())


def _forget(session: Session) -> None:
    """Let a session find out anew what follows from its messages: there are more of them now."""
    for name, value in vars(Session).items():
        if isinstance(value, cached_property):
            session.__dict__.pop(name, None)


def _explain(messages: list[Message]) -> list[Message]:
    """Say why content is hidden: no key, wrong key (nothing opens), or damaged (this one only does not)."""
    readable: set[tuple[str, object]] = set()
    for message in messages:
        if not message.hidden and (message.flag("encrypted") or message.flag("protected")):
            readable.add(_association(message))
    return [
        replace(message, hidden=_reason(message, _association(message) in readable)) if message.hidden else message
        for message in messages
    ]


def _association(message: Message) -> tuple[str, object]:
    """One direction of one security association."""
    if message.is_ike:
        return message.text("spi_i") + message.text("spi_r"), message.flag("from_initiator")
    return "esp", message.number("spi")


def _reason(message: Message, others_open: bool) -> str:
    whose = f"IKE SA {message.text('spi_i')}" if message.is_ike else f"ESP SPI 0x{message.number('spi'):08x}"
    if message.hidden == "no key":
        return f"no key for {whose}"
    if others_open:
        return DAMAGED
    return f"wrong key for {whose}: nothing under it opens"
