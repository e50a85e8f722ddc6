# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is who: separate the messages of a trace into sessions, one per UE and PDN connection.

The roles come from the trace: whoever sent IKE_SA_INIT is the UE. A trace without the IKE exchange still has sessions,
one per home address. Messages are looked at once, in their order, and each costs the same however many sessions there
are: SAs, addresses and prefixes lead to their session through tables. A session is handed on when it has ended and
nothing more of it came for a while (see `live.py`), at the latest at the capture's end, and is forgotten then.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import Any

from mn_dsmip.check.held import HELD, Held, number_of, prefix_key, prefix_of
from mn_dsmip.check.live import IKE, Live
from mn_dsmip.check.model import Message
from mn_dsmip.check.numbers import FIRST_REJECTING_STATUS
from mn_dsmip.check.session import Session

Pair = tuple[str, str]
NO_ADDRESSES = frozenset({"", "::", "0.0.0.0"})


def sessions(messages: Iterable[Message]) -> Iterator[Session]:
    """The sessions of a trace as they end; `number` tells in which order they began."""
    separator = Separator()
    for message in messages:
        yield from separator.add(message)
    yield from separator.end()


def separate(messages: Iterable[Message]) -> list[Session]:
    """All sessions of a trace in the order in which they begin."""
    return sorted(sessions(messages), key=lambda one: one.number)


class Separator:
    """Takes messages one by one; hands on sessions that have ended."""

    def __init__(self) -> None:
        self.live: dict[int, Live] = {}
        self._begun = 0
        self._now = 0.0
        self._held = Held()
        self._deadlines: list[tuple[float, int]] = []  # the time `due` of each session, and earlier ones that moved
        # Ways to a session; the latest one wins.
        self._by_initiator: dict[tuple[str, str], Live] = {}  # SPI and address, until there is a second SPI
        self._by_sa: dict[tuple[str, str], Live] = {}
        self._rekeyed: dict[str, Live] = {}
        self._by_client: dict[tuple[str, int], Live] = {}  # care-of address; behind a NAT also the port
        self._by_flow: dict[tuple[str, int, str], Live] = {}  # address and port of a UE, and its home agent
        self._by_pair: dict[Pair, dict[int, Live]] = {}  # care-of address and home agent
        self._by_identity: dict[tuple[object, ...], Live] = {}
        self._by_spi: dict[tuple[int, str], Live] = {}  # of ESP, with the home agent
        self._by_home: dict[str, Live] = {}
        self._by_prefix: dict[tuple[int, int], Live] = {}
        self._by_name: dict[str, Live] = {}  # network access identifiers (RFC 4283)
        self._lengths: set[int] = set()  # of all home prefixes seen
        self._shared: set[tuple[int, int]] = set()  # home prefixes of several UEs

    def add(self, message: Message) -> list[Session]:
        """Put one message where it belongs; sessions that have ended meanwhile."""
        self._now = max(self._now, message.time)
        ended = self._ended() if self._deadlines and self._deadlines[0][0] <= self._now else []
        kind = message.kind
        if kind in IKE:
            self._give(self._ike_session(message), message)
        elif kind in HELD:
            self._held.hold(message)
        elif kind == "router_advertisement":
            self._held.advertise(message)
        else:
            live = self._owner(message)
            if live is None and (message.is_mobility or (kind == "esp" and message.hidden)):
                live = self._new(*_ends(message), message)
            if live is not None:
                self._give(live, message)
        return ended

    def end(self) -> Iterator[Session]:
        """The capture is over: all that are left, in the order in which they began."""
        for number in sorted(self.live):
            yield self._finish(self.live[number])

    def so_far(self) -> Iterator[tuple[Session, bool]]:
        """Copies of the sessions that were not handed on yet, and whether they have ended but for what is late."""
        return ((live.so_far(), live.ended) for live in self.live.values())

    # -- the life of a session

    def _new(self, care_of: str, home_agent: str, first: Message) -> Live:
        self._begun += 1
        live = self.live[self._begun] = Live(Session(self._begun, care_of, home_agent), first)
        live.session.messages += self._held.take(care_of, home_agent, first.time)
        self._at(live, care_of, home_agent)
        self._wait(live)
        return live

    def _wait(self, live: Live) -> None:
        live.due = live.deadline
        heapq.heappush(self._deadlines, (live.due, live.session.number))

    def _at(self, live: Live, care_of: str, home_agent: str) -> None:
        """A UE has, from now on also, this care-of address or home agent."""
        known = self._by_pair.setdefault((care_of, home_agent), {})
        if live.session.number in known:
            return
        if len(known) == 1:
            for number in [number for number, other in known.items() if other.ended]:
                del known[number]
        known[live.session.number] = live
        live.home_agents.add(home_agent)
        live.keys.append((known, live.session.number))
        live.keys.append((self._by_pair, (care_of, home_agent)))
        advertisement = self._held.advertisement(care_of)
        if advertisement is not None and advertisement.frame not in live.advertisements:
            live.advertisements.add(advertisement.frame)
            live.session.messages.append(advertisement)

    def _ended(self) -> list[Session]:
        found = []
        while self._deadlines and self._deadlines[0][0] <= self._now:
            time, number = heapq.heappop(self._deadlines)
            live = self.live.get(number)
            if live is None or time != live.due:
                continue
            if live.deadline > self._now:
                self._wait(live)
            else:
                found.append(self._finish(live))
        return found

    def _finish(self, live: Live) -> Session:
        session = live.session
        until = live.last if live.ended else self._now
        session.messages += self._held.take_earlier(session.care_of, live.first, until)
        del self.live[session.number]
        for table, key in live.keys:
            if table.get(key) is live or (table is self._by_pair and not table.get(key, True)):
                del table[key]
        return live.finish()

    def _give(self, live: Live, message: Message) -> None:
        live.take(message)
        if message.kind in IKE:
            self._learn_from_ike(live, message)
        elif message.is_mobility or message.kind == "esp":
            self._learn_from_mobility(live, message)
        if live.deadline < live.due:
            self._wait(live)

    def _know(self, table: dict[Any, Live], key: Any, live: Live) -> None:  # Any: tables have keys of many kinds
        """From now on this key leads to this session."""
        if table.get(key) is not live:
            table[key] = live
            live.keys.append((table, key))

    # -- IKE

    def _ike_session(self, message: Message) -> Live:
        """The session of an IKE SA. Both SPIs name one: until the responder has chosen its own, two UEs may by chance
        have the same."""
        ends = (message.source, message.destination)
        ue, ha = ends if message.flag("from_initiator") else ends[::-1]
        spi_i, spi_r = message.text("spi_i"), message.text("spi_r")
        initial = message.kind == "ike_sa_init"
        live = self._by_initiator.get((spi_i, ue)) if initial else self._by_sa.get((spi_i, spi_r))
        if live is None:
            live = self._rekeyed.get(spi_i) or self._attempt(message, ue, ha)
        self._know(self._by_initiator, (spi_i, ue), live)
        self._know(self._by_sa, (spi_i, spi_r), live)
        if message.flag("from_initiator") and message.number("source_port"):
            self._know(self._by_flow, (ue, message.number("source_port"), ha), live)
        return live

    def _attempt(self, message: Message, ue: str, ha: str) -> Live:
        """An IKE SA not seen before: another attempt of the UE's last session if that never came up, or was sent to
        another home agent, else a new one. What a late capture shows of an SA belongs to the mobility seen before."""
        client = _client(message, ue)
        last = self._by_client.get(client)
        if last is not None and not self._goes_on(last, message, ha):
            last = None
        if last is None and message.kind != "ike_sa_init":
            known = self._by_pair.get((ue, ha), {})
            last = next((one for one in reversed(known.values()) if not one.has_ike), None)
        if last is None and message.get("outer_source"):
            last = self._through(message)
        live = last or self._new(ue, ha, message)
        if last is not None and not last.home:
            last.session.care_of = ue
        live.session.home_agent = ha
        self._at(live, ue, ha)
        self._know(self._by_client, client, live)
        return live

    def _through(self, message: Message) -> Live | None:
        """The IKE SA with the ePDG, through which an IKE SA with the home agent goes, begins its session."""
        live = self._latest(message.text("outer_source"), message.text("outer_destination"))
        if live is None or live.home or live.tunnels:
            return None
        live.tunnels, live.identity = True, ()
        return live

    @staticmethod
    def _goes_on(last: Live, message: Message, ha: str) -> bool:
        if last.redirected and (message.get("redirected_from") or ha in last.redirected):
            return True
        return not last.came_up

    def _learn_from_ike(self, live: Live, message: Message) -> None:
        if message.kind == "ike_auth" and not message.flag("response") and not live.identity:
            self._identify(live, message)
        if message.get("sa_protocol") == "ESP":
            for spi in message.numbers("spis"):
                self._know(self._by_spi, (spi, live.session.home_agent), live)
        elif message.kind == "create_child_sa" and message.get("sa_protocol") == "IKE":
            for spi in message.numbers("spis"):
                self._know(self._rekeyed, f"{spi:016x}", live)
        if message.get("cfg_type") == "reply":
            for prefix in message.items("home_prefixes"):
                self._learn_prefix(live, str(prefix))

    def _learn_prefix(self, live: Live, prefix: str) -> None:
        key = prefix_key(prefix)
        if key is None:
            return
        other = self._by_prefix.get(key)
        if other is not None and other is not live and not other.ended and other.identity != live.identity:
            self._shared.add(key)
        self._lengths.add(key[0])
        self._know(self._by_prefix, key, live)

    def _identify(self, live: Live, message: Message) -> None:
        """The UE says who it is and which APN it wants: an earlier session of the same between the same addresses is
        over, and does not share them any more."""
        session = live.session
        pair = (session.care_of, session.home_agent)
        name, apn = message.text("id_i"), message.text("id_r")
        nobody = "" if name or ":" in session.care_of else str(message.number("source_port"))
        live.identity = (*pair, name, apn, nobody)
        before = self._by_identity.get(live.identity)
        if before is not None and before is not live:
            self._by_pair.get(pair, {}).pop(before.session.number, None)
        self._know(self._by_identity, live.identity, live)
        self._learn_name(live, name)

    def _learn_name(self, live: Live, name: str) -> None:
        if name:
            live.names.add(name)
            self._know(self._by_name, name, live)

    # -- everything else

    def _learn_from_mobility(self, live: Live, message: Message) -> None:
        session = live.session
        home = message.text("home_address")
        if home not in NO_ADDRESSES and home not in (session.care_of, session.home_agent):
            self._know(self._by_home, home, live)
            live.home.add(home)
        if message.kind == "binding_update":
            if message.source not in (home, session.home_agent):
                self._at(live, message.source, message.destination)
            if message.flag("udp"):
                self._know(self._by_flow, (message.source, message.number("source_port"), message.destination), live)
            self._learn_name(live, message.text("mn_id"))
        elif message.kind == "binding_acknowledgement" and message.number("ipv4_status") < FIRST_REJECTING_STATUS:
            given = message.text("ipv4_home_address")
            if given not in NO_ADDRESSES:
                self._know(self._by_home, given, live)

    def _owner(self, message: Message) -> Live | None:
        kind = message.kind
        if kind == "tunnelled":
            return self._of_tunnelled(message)
        if message.is_mobility or kind == "esp":
            return self._of_mobility(message)
        if kind in ("icmpv6_error", "icmp_error"):
            quoted = self._latest(message.text("quoted_source"), message.text("quoted_destination"))
            return quoted or self._by_client.get((message.source, 0))
        if kind == "ike_other":
            return self._by_sa.get((message.text("spi_i"), message.text("spi_r")))
        if kind == "keepalive":
            return self._of_flow(message) or self._latest(message.source, message.destination)
        if kind == "mobile_prefix":
            return self._of_home(message.text("home_address")) or self._latest(message.source, message.destination)
        return self._of_home(message.source, message.destination)

    def _of_mobility(self, message: Message) -> Live | None:
        text = message.text
        name = text("mn_id")
        if name and not message.flag("protected") and name in self._by_name:
            return self._by_name[name]
        live = self._of_home(text("home_address"), text("end_source"), text("end_destination"))
        if live is None or live.ended:
            spi = message.number("spi")
            ends = (message.source, message.destination)
            live = next((self._by_spi[spi, end] for end in ends if (spi, end) in self._by_spi), live)
        return live or self._of_flow(message) or self._of_ends(message)

    def _of_ends(self, message: Message) -> Live | None:
        """Without anything better the addresses tell; without IKE each home address, or each name, is a session of
        its own."""
        live = self._latest(message.source, message.destination)
        if live is None:
            return None
        home, name = message.text("home_address"), message.text("mn_id")
        if name and live.names and name not in live.names and not message.flag("protected"):
            return None
        return live if live.has_ike or home in NO_ADDRESSES or not live.home or home in live.home else None

    def _of_tunnelled(self, message: Message) -> Live | None:
        """The inner address tells, if it belongs there; else the outer ones, if they leave no choice."""
        home = self._of_home(message.text("inner_source"), message.text("inner_destination"))
        ends = (message.source, message.destination)
        known = self._by_pair.get(ends) or self._by_pair.get(ends[::-1]) or {}
        if home is not None and home.session.number in known:
            return home
        if len(known) == 1:
            return next(iter(known.values()))
        return home or self._of_flow(message)

    def _of_home(self, *addresses: str) -> Live | None:
        """The session that one of these is a home address of, or lies in the home prefix of; one that goes on rather
        than one that has ended."""
        over = None
        for address in addresses:
            live = self._by_home.get(address)
            if live is not None:
                if not live.ended:
                    return live
                over = live
        for address in addresses:
            if number_of(address) >= 0:
                for length in self._lengths:
                    key = prefix_of(address, length)
                    live = self._by_prefix.get(key)
                    if live is not None and key not in self._shared:
                        return over if over is not None and live.ended else live
        return over

    def _of_flow(self, message: Message) -> Live | None:
        """By the UE's address and port, as a NAT shows them."""
        source, destination = message.source, message.destination
        up = (source, message.number("source_port"), destination)
        down = (destination, message.number("destination_port"), source)
        return self._by_flow.get(up) or self._by_flow.get(down)

    def _latest(self, source: str, destination: str) -> Live | None:
        """The latest session between these two addresses."""
        known = self._by_pair.get((source, destination)) or self._by_pair.get((destination, source)) or {}
        return next(reversed(known.values()), None)


def _client(message: Message, ue: str) -> tuple[str, int]:
    """What tells UEs apart: behind a NAT the address alone does not."""
    if ":" in ue:
        return ue, 0
    return ue, message.number("source_port" if message.flag("from_initiator") else "destination_port")


def _ends(message: Message) -> Pair:
    """Care-of address and home agent of a message without IKE before it."""
    up = message.kind == "binding_update" or message.flag("home_address_option")
    if message.kind == "esp":
        up = message.get("end_source") == message.get("home_address")
    return (message.source, message.destination) if up else (message.destination, message.source)
