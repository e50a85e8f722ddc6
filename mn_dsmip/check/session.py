# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is who: separate the messages of a trace into sessions, one per UE and PDN connection.

A session is one IKE SA that came up between a UE and a home agent, with everything that belongs to it: the discovery
before it, attempts that led to nothing, the SAs made under it, mobility signalling, tunnelled and stray data. The roles
come from the trace: whoever sent IKE_SA_INIT is the UE. A trace without the IKE exchange still has sessions, one per
home address.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import ip_address, ip_network

from mn_dsmip.check.model import Message
from mn_dsmip.check.numbers import FIRST_REJECTING_STATUS

DAMAGED = "it does not pass its integrity check"


@dataclass(frozen=True)
class ChildSa:
    """A pair of ESP SAs as negotiated: the SPIs by who receives, and the selectors of the UE's side."""

    frame: int
    spi_to_ue: int
    spi_to_ha: int
    ue_selectors: tuple[str, ...]
    protocols: tuple[int, ...]
    transport: bool

    def covers(self, address: str) -> bool:
        return any(within(address, selector) for selector in self.ue_selectors)


@dataclass
class Session:
    """One UE's PDN connection in the trace, its messages in the order of the frames."""

    number: int
    care_of: str
    home_agent: str
    messages: list[Message] = field(default_factory=list)

    def of(self, *kinds: str) -> Iterator[Message]:
        return (message for message in self.messages if message.kind in kinds)

    @cached_property
    def title(self) -> str:
        """How the report names the session: by what is known of the UE."""
        identity = next((one.text("id_i") for one in self.of("ike_auth") if one.get("id_i")), "")
        apn = f"APN {self.apn}" if self.apn else ""
        return ", ".join(text for text in (identity, apn, f"care-of address {self.care_of}") if text)

    @cached_property
    def apn(self) -> str:
        """The APN that the UE named in IDr; nothing when it named none, or it could not be seen."""
        return next((one.text("id_r") for one in self.of("ike_auth") if one.get("id_r")), "")

    def is_ue(self, address: str) -> bool:
        return address in self.care_of_addresses or address in self.home_addresses

    @cached_property
    def care_of_addresses(self) -> set[str]:
        """The address that IKE came from, and every one that a Binding Update came from."""
        return {self.care_of} | {one.source for one in self.of("binding_update") if one.flag("home_address_option")}

    # -- IKE

    @cached_property
    def established(self) -> Message | None:
        """The answer that completes IKE_AUTH: it carries AUTH and ends the initial exchanges (RFC 7296 2.16)."""
        answers = [one for one in self.of("ike_auth") if one.flag("response")]
        final = [one for one in answers if one.hidden or one.get("auth_method") == "SHARED_KEY"]
        return final[-1] if final else None

    @cached_property
    def home_prefixes(self) -> list[str]:
        """Every home prefix that IKE handed out, in order."""
        answers = (one for one in self.of("ike_auth") if one.get("cfg_type") == "reply")
        return [str(prefix) for one in answers for prefix in one.items("home_prefixes")]

    @cached_property
    def home_prefix_lifetime(self) -> int | None:
        answers = (one for one in self.of("ike_auth") if one.get("cfg_type") == "reply")
        return next((number for one in answers for number in one.numbers("home_prefix_lifetimes")), None)

    @cached_property
    def children(self) -> list[ChildSa]:
        """The ESP SAs agreed on in exchanges of which both halves can be read."""
        asked: dict[tuple[str, int, bool], Message] = {}
        found = []
        for message in self.of("ike_auth", "create_child_sa"):
            key = (message.text("spi_i"), message.number("message_id"), message.flag("from_initiator"))
            if message.get("sa_protocol") == "ESP" and not message.flag("response"):
                asked[key] = message
            elif message.get("sa_protocol") == "ESP":
                key = self._request_of(message, asked)
                if key in asked:
                    found.append(_child(asked[key], message))
        return found

    @staticmethod
    def _request_of(answer: Message, asked: dict[tuple[str, int, bool], Message]) -> tuple[str, int, bool]:
        """An IKE_AUTH with EAP asks for its child SA in the first request and gets it in the last answer."""
        sender = not answer.flag("from_initiator")
        if answer.kind == "ike_auth":
            mine = [key for key, one in asked.items() if one.kind == "ike_auth" and key[0] == answer.text("spi_i")]
            return mine[0] if mine else ("", 0, False)
        return (answer.text("spi_i"), answer.number("message_id"), sender)

    # -- mobility

    @cached_property
    def home_addresses(self) -> set[str]:
        """Home addresses that the UE used: in its signalling and in selectors of its SAs."""
        signalling = {one.text("home_address") for one in self.messages if one.is_mobility or one.kind == "esp"}
        hosts = {one for child in self.children for one in child.ue_selectors if "/" not in one and "-" not in one}
        return (signalling | hosts) - {"", self.care_of, self.home_agent}

    @cached_property
    def ipv4_home_addresses(self) -> set[str]:
        """IPv4 home addresses that the home agent gave."""
        answers = self.of("binding_acknowledgement")
        given = (one for one in answers if one.number("ipv4_status") < FIRST_REJECTING_STATUS)
        return {one.text("ipv4_home_address") for one in given} - {"", "0.0.0.0"}

    @cached_property
    def exchanges(self) -> list[tuple[Message, Message | None]]:
        """Each Binding Update and the acknowledgement of its sequence number, if any."""
        answers: dict[tuple[str, int], list[Message]] = defaultdict(list)
        for message in self.of("binding_acknowledgement"):
            answers[message.text("home_address"), message.number("sequence")].append(message)
        found = []
        for update in self.of("binding_update"):
            later = answers[update.text("home_address"), update.number("sequence")]
            found.append((update, next((one for one in later if one.frame > update.frame), None)))
        return found

    def update_of(self, answer: Message) -> Message | None:
        """The Binding Update that an acknowledgement answers: the latest before it with its sequence number."""
        earlier = [
            update
            for update in self.of("binding_update")
            if update.frame < answer.frame
            and update.get("home_address") == answer.get("home_address")
            and update.get("sequence") == answer.get("sequence")
        ]
        return earlier[-1] if earlier else None

    @cached_property
    def bound(self) -> list[tuple[Message, Message | None]]:
        """Intervals with a binding: from the acknowledgement that made it to the one that ended it, if any."""
        found: list[tuple[Message, Message | None]] = []
        for update, answer in self.exchanges:
            if answer is None or answer.number("status") >= FIRST_REJECTING_STATUS:
                continue
            is_bound = bool(found) and found[-1][1] is None
            if update.number("lifetime") and not is_bound:
                found.append((answer, None))
            elif not update.number("lifetime") and is_bound:
                found[-1] = (found[-1][0], answer)
        return found

    # -- what could not be seen

    @cached_property
    def hidden_ike(self) -> str:
        return _reasons(one for one in self.messages if one.is_ike)

    @cached_property
    def hidden_mobility(self) -> str:
        return _reasons(self.of("esp"))


def _reasons(messages: Iterable[Message]) -> str:
    """Why messages could not be seen: each reason once."""
    return "; ".join(dict.fromkeys(one.hidden for one in messages if one.hidden))


def _child(request: Message, answer: Message) -> ChildSa:
    """Each side proposes the SPI on which it wants to receive (RFC 7296 3.3.1)."""
    by_ue = request.flag("from_initiator")
    asked, given = (next(iter(one.numbers("spis")), 0) for one in (request, answer))
    to_ue, to_ha = (asked, given) if by_ue else (given, asked)
    selectors = answer.items("ts_i" if by_ue else "ts_r")
    protocols = answer.numbers("ts_i_protocols" if by_ue else "ts_r_protocols")
    transport = "USE_TRANSPORT_MODE" in answer.items("notify")
    return ChildSa(answer.frame, to_ue, to_ha, tuple(map(str, selectors)), tuple(protocols), transport)


def within(address: str, selector: str) -> bool:
    """Whether an address is that of a selector: one address, a prefix, or a range with a hyphen."""
    try:
        own = ip_address(address)
        if "-" in selector:
            first, last = (ip_address(one) for one in selector.split("-"))
            return own.version == first.version == last.version and int(first) <= int(own) <= int(last)
        return own in ip_network(selector, strict=False)  # never of another version
    except ValueError:
        return False


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

