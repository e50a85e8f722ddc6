# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of one UE's PDN connection in a trace: its IKE SA and ESP SAs, addresses, and binding.

A session is one IKE SA that came up between a UE and a home agent, with everything that belongs to it: the discovery
before it, attempts that led to nothing, the SAs made under it, mobility signalling, tunnelled and stray data.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from ipaddress import ip_address, ip_network

from mn_dsmip.check.context import Context
from mn_dsmip.check.model import Message
from mn_dsmip.check.numbers import BU_ACKNOWLEDGEMENT_STATUS_SEQUENCE, FIRST_REJECTING_STATUS

NUMBERS = ("sequence", "spi", "esp_sequence", "octets")  # what differs in an update that is sent again
MOST_UNSEEN = 4
"""Updates between two that are believed to have been lost before the capture."""
FIRST_REGISTRATION, MAX_BINDACK_TIMEOUT = 1.5, 32.0  # seconds until an update is sent again (RFC 6275 12, 11.8)
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
    left_out: dict[int, int] = field(default_factory=dict)
    """Frame of a message -> how many like it came directly before it and were not kept, see `thinning.py`; under 0
    those that are only counted."""
    context: Context = field(default_factory=Context, repr=False)
    """Keys for what is not encrypted but authenticated, and what other sessions of the capture hold."""

    def of(self, *kinds: str) -> Iterator[Message]:
        """The messages of these kinds, in the order of the frames."""
        if len(kinds) == 1:
            return iter(self.by_kind.get(kinds[0], ()))
        return (message for message in self.messages if message.kind in kinds)

    @cached_property
    def by_kind(self) -> dict[str, list[Message]]:
        found: dict[str, list[Message]] = {}
        for message in self.messages:
            found.setdefault(message.kind, []).append(message)
        return found

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

    def is_ha(self, address: str) -> bool:
        return address in self.home_agents

    @cached_property
    def home_agents(self) -> set[str]:
        """Addresses of the home agent: that of IKE, and each that a Binding Update went to, IPv4 or IPv6."""
        return {self.home_agent} | {one.destination for one in self.of("binding_update")}

    def is_ue(self, address: str) -> bool:
        return address in self.care_of_addresses or address in self.home_addresses

    @cached_property
    def care_of_addresses(self) -> set[str]:
        """The address that IKE came from, and every one that a Binding Update came from away from home."""
        moved = (one for one in self.of("binding_update") if one.flag("home_address_option") or one.flag("udp"))
        return {self.care_of} | {one.source for one in moved}

    # -- IKE

    @cached_property
    def established(self) -> Message | None:
        """The answer that completes IKE_AUTH: it carries AUTH and ends the initial exchanges (RFC 7296 2.16)."""
        answers = [one for one in self.of("ike_auth") if one.flag("response")]
        final = [one for one in answers if one.hidden or one.get("auth_method") == "SHARED_KEY"]
        return final[-1] if final else None

    @cached_property
    def abandoned(self) -> list[Message]:
        """IKE messages of attempts that led to nothing: another one followed, with another SPI. One that gave an
        address led to something: it is that with an ePDG, through which the other one goes."""
        attempts = list(dict.fromkeys(one.text("spi_i") for one in self.of("ike_sa_init")))
        useful = {one.text("spi_i") for one in self.of("ike_auth") if one.get("cfg_type") == "reply"}
        lost = set(attempts[:-1]) - useful
        return [one for one in self.messages if one.is_ike and one.text("spi_i") in lost] if lost else []

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
        """The ESP SAs agreed on with the home agent, in exchanges of which both halves can be read."""
        asked: dict[tuple[str, int, bool], Message] = {}
        found = []
        for message in self.of("ike_auth", "create_child_sa"):
            if self.home_agents.isdisjoint((message.source, message.destination)):
                continue  # with an ePDG
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
            later = answers.get((update.text("home_address"), update.number("sequence")), ())
            found.append((update, next((one for one in later if one.frame > update.frame), None)))
        return found

    @cached_property
    def answers(self) -> dict[int, Message | None]:
        """Frame of a Binding Update -> its acknowledgement, if any."""
        return {update.frame: answer for update, answer in self.exchanges}

    @cached_property
    def sendings(self) -> list[list[Message]]:
        """Binding Updates in groups: those that say the same, with nothing sent through the tunnel in between."""
        groups: list[list[Message]] = []
        for message in self.messages:
            if message.kind == "tunnelled" and message.source in self.care_of_addresses:
                groups.append([])  # the UE uses the binding: the next update is a new one
            elif message.kind == "binding_update":
                if not groups or not groups[-1] or not self._says_the_same(groups[-1], message):
                    groups.append([])
                groups[-1].append(message)
        return [group for group in groups if group]

    @cached_property
    def repeated(self) -> dict[int, Message]:
        """Frames of updates that were sent again, and of their answers, each with the message that counts instead.

        Of one update sent several times that is the last one accepted, or answered at all, or just the last. Answers
        with status 135 in between only told the number to go on from (RFC 6275 9.5.1, 11.7.1).
        """
        found: dict[int, Message] = {}
        answers = self.answers
        for sending in self.sendings:
            accepted = [one for one in sending if (answer := answers[one.frame]) and _is_accepted(answer)]
            answered = [one for one in sending if answers[one.frame]]
            counts = (accepted or answered or sending)[-1]
            other = answers[counts.frame]
            for update in sending:
                answer = answers[update.frame]
                if update is not counts:
                    found[update.frame] = counts
                    if answer is not None and other is not None:
                        found[answer.frame] = other
            if len(sending) > 1 and other is not None and _is_accepted(other):
                between = [one for one in self.renumberings if sending[0].frame < one.frame < counts.frame]
                home_address = counts.get("home_address")
                found |= {one.frame: other for one in between if one.get("home_address") == home_address}
        return found

    @cached_property
    def renumberings(self) -> list[Message]:
        """Answers with status 135: the UE sends the same once more, from their sequence number on."""
        return [
            one
            for one in self.of("binding_acknowledgement")
            if one.number("status") == BU_ACKNOWLEDGEMENT_STATUS_SEQUENCE
        ]

    @cached_property
    def new_updates(self) -> list[Message]:
        """The Binding Updates that are not sent because another one seemed lost."""
        return [sending[0] for sending in self.sendings]

    def _says_the_same(self, group: list[Message], after: Message) -> bool:
        """The UE may not have seen an answer that the capture shows: then all but the numbers stays as it was, and it
        did not wait longer than it does for an answer. What comes later is a refresh, also when no data shows between.
        """
        before = group[-1]
        if before.get("home_address") != after.get("home_address") or before.get("sequence") == after.get("sequence"):
            return False
        answer = self.answers[before.frame]
        if answer is None or answer.frame > after.frame:
            return bool(before.number("lifetime")) == bool(after.number("lifetime"))
        unseen = (after.number("sequence") - before.number("sequence") - 1) % 0x10000  # each has a number of its own
        waits = [self._wait(group) * 2**times for times in range(1 + min(unseen, MOST_UNSEEN))]
        soon = after.time - before.time <= 2 * sum(min(wait, MAX_BINDACK_TIMEOUT) for wait in waits)
        return soon and all(before.get(name) == after.get(name) for name in before.fields if name not in NUMBERS)

    def _wait(self, group: list[Message]) -> float:
        """Seconds until the UE sends once more what it sent that often, at least (RFC 6275 11.8).

        Before its first registration is answered, updates that no capture shows count by the time that they took: each
        wait is as long as all before it, and the first one more. And nothing extends a binding that has ended.
        """
        last = group[-1]
        if not last.number("lifetime"):
            return MAX_BINDACK_TIMEOUT
        wait = FIRST_REGISTRATION * 2 ** (len(group) - 1)
        if group[0].frame <= self._first_accepted.get(last.get("home_address"), 0):
            wait = max(wait, FIRST_REGISTRATION + last.time - self._secured.get(group[0].frame, last.time))
        return float(wait)

    @cached_property
    def _first_accepted(self) -> dict[object, int]:
        """Home address -> frame of the first update that made its binding."""
        found: dict[object, int] = {}
        for update, answer in self.exchanges:
            if answer is not None and _is_accepted(answer):
                found.setdefault(update.get("home_address"), update.frame)
        return found

    @cached_property
    def _secured(self) -> dict[int, float]:
        """Frame of an update -> when IKE said something for the last time before it."""
        found: dict[int, float] = {}
        latest: float | None = None
        for message in self.messages:
            if message.is_ike:
                latest = message.time
            elif message.kind == "binding_update" and latest is not None:
                found[message.frame] = latest
        return found

    def update_of(self, answer: Message) -> Message | None:
        """The Binding Update that an acknowledgement answers: the latest before it with its sequence number."""
        known = self._updates.get((answer.get("home_address"), answer.get("sequence")), ())
        return next((update for update in reversed(known) if update.frame < answer.frame), None)

    @cached_property
    def _updates(self) -> dict[tuple[object, object], list[Message]]:
        found: dict[tuple[object, object], list[Message]] = defaultdict(list)
        for update in self.of("binding_update"):
            found[update.get("home_address"), update.get("sequence")].append(update)
        return found

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


def _is_accepted(answer: Message) -> bool:
    return answer.number("status") < FIRST_REJECTING_STATUS


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


@lru_cache(maxsize=4096)
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
