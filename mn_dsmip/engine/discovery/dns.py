# SPDX-License-Identifier: GPL-2.0-or-later
"""Discovery by DNS: lookup by Home Agent Name (TS 24.303 5.1.2.1.2, RFC 5026 5.1.1), SRV as a fallback (5.1.2).

AAAA and A are asked in parallel (D-6). Each question goes to one server after the other until one answers; a server
that cannot or will not say is left out from then on. An answer counts only with the id, the question, the port and
the server of its query (RFC 5452).
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from ..base import Backoff, Event, IPAddress, Random, UdpDatagram, earliest
from ..mip.packet import is_unicast_routable
from .events import DiscoveryFailed, HomeAgentFound

DNS_PORT = 53
PORTS = range(61000, 65536)
"""Source ports of queries: random (RFC 5452 4.5), and beyond those that Linux gives to applications."""
RETRANSMISSION = Backoff(first=1.0, factor=2.0, limit=8.0, tries=5)
"""A sending goes to the next server in turn."""
RESOLUTION_DELAY = 0.05
"""Seconds that the IPv4 address may take longer than an IPv6 address that is enough (as in RFC 8305 3)."""
MOST_TARGETS = 8
"""Targets of a service that are tried, however many it has."""
LONGEST_CHAIN = 8
"""CNAMEs followed for one question."""
SERVICE = "_mip6._ipv6"
"""RFC 5026 5.1.2."""

AAAA, A, SRV = dns.rdatatype.AAAA, dns.rdatatype.A, dns.rdatatype.SRV


@dataclass(eq=False)
class _Query:
    """One question on its way; ``chain`` counts the CNAMEs that led to it."""

    name: dns.name.Name
    kind: dns.rdatatype.RdataType
    chain: int
    attempt: int = 0
    deadline: float = 0.0
    identifier: int = 0
    port: int = 0
    servers: list[IPAddress] = field(default_factory=list)
    """Those to ask in turn, the one asked now in front; without those that gave an error for an answer."""
    refused: str = ""
    """What the last of those said."""

    def __str__(self) -> str:
        return f"the {dns.rdatatype.to_text(self.kind)} query for {self.name}"


class DnsDiscovery:
    """Looks up ``name``: ``start``, then the five verbs with ``UdpDatagram``; ends in one event.

    ``srv_domain`` is asked for the service when the name itself has no address for this access; ``None`` leaves that
    out. One target after the other is looked up (RFC 2782): the first with such an address ends the search, and
    ``more`` goes on with it.
    """

    method = "dns"

    def __init__(
        self, name: str, servers: tuple[IPAddress, ...], local: IPAddress, random: Random, srv_domain: str | None = None
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.done = False
        self._name = name
        self._servers = servers
        self._local = local
        self._random = random
        self._srv_domain = srv_domain
        self._targets: list[dns.name.Name] = []
        self._queries: list[_Query] = []
        self._found: dict[dns.rdatatype.RdataType, list[IPAddress]] = {AAAA: [], A: []}
        self._enough_at: float | None = None
        self._complaint = ""
        self._expected_name = name
        self._events: list[Event] = []
        self._datagrams: list[UdpDatagram] = []

    def start(self, now: float) -> None:
        """Ask for both families at once."""
        if not self._servers:
            self._finish(f"there is no DNS server to ask for {self._name}: the router advertised none")
            return
        self._look_up(dns.name.from_text(self._name), now)

    def more(self, now: float) -> bool:
        """Look for another home agent, those found being of no use; ``False`` when there is none to look for."""
        if not self._targets:
            return False
        self.done = False
        self._next_target(now)
        return True

    def next_timer(self) -> float | None:
        """When the next query is repeated, or what was found is enough."""
        return earliest(self._enough_at, *(query.deadline for query in self._queries))

    def handle_timer(self, now: float) -> None:
        """Repeat what is not answered, to the next server; give up after the last."""
        if self._enough_at is not None and self._enough_at <= now:
            self._finish("")
            return
        for query in [each for each in self._queries if each.deadline <= now]:
            query.servers.append(query.servers.pop(0))
            self._ask_again(query, now)

    def _ask_again(self, query: _Query, now: float) -> None:
        """Ask the server whose turn it is; the question ends without an answer when it was asked often enough."""
        query.attempt += 1
        if query not in self._queries:
            return  # another question's end was the end of all
        if query.servers and query.attempt < max(RETRANSMISSION.tries, len(self._servers)):
            self._send(query, now)
            return
        self._queries.remove(query)
        complaint = query.refused
        if query.servers:
            silent = ", ".join(str(server) for server in self._servers if server in query.servers)
            complaint = f"no DNS server answered {query} (asked: {silent})" + (complaint and f"; {complaint}")
        self._conclude(complaint, now)

    def datagrams_to_send(self) -> list[UdpDatagram]:
        """Queries to send."""
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    def events(self) -> list[Event]:
        """``HomeAgentFound`` or ``DiscoveryFailed`` at the end."""
        events, self._events = self._events, []
        return events

    def _look_up(self, name: dns.name.Name, now: float) -> None:
        self._ask(_Query(name, AAAA, 0), now)
        self._ask(_Query(name, A, 0), now)

    def _ask(self, query: _Query, now: float) -> None:
        query.servers = list(self._servers)
        self._queries.append(query)
        self._send(query, now)

    def _send(self, query: _Query, now: float) -> None:
        draw = struct.unpack("!HH", self._random(4))
        query.identifier, query.port = draw[0], PORTS[draw[1] % len(PORTS)]
        query.deadline = now + RETRANSMISSION.delay(query.attempt)
        message = dns.message.make_query(query.name, query.kind, use_edns=0, payload=1232, id=query.identifier)
        self._datagrams.append(UdpDatagram(self._local, query.port, query.servers[0], DNS_PORT, message.to_wire()))

    def receive_datagram(self, datagram: UdpDatagram, now: float) -> None:
        """Take an answer; anything that answers no query of ours is counted and ignored."""
        query = next((each for each in self._queries if each.port == datagram.destination_port), None)
        if query is None or datagram.source != query.servers[0] or datagram.source_port != DNS_PORT:
            self.counters["dns-unexpected"] += 1
            return
        try:
            answer = dns.message.from_wire(datagram.payload, ignore_trailing=False)
        except dns.exception.DNSException:
            self.counters["dns-malformed"] += 1
            return
        if not _belongs(answer, query):
            self.counters["dns-wrong-answer"] += 1
            return
        code = answer.rcode()
        if code in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            self._queries.remove(query)
            self._take(query, answer, now)
        else:
            self._refused(query, code, now)

    def _refused(self, query: _Query, code: dns.rcode.Rcode, now: float) -> None:
        """The server cannot or will not say, which is no word about the name: another may know."""
        query.servers.pop(0)
        query.refused = f"the DNS server answered {dns.rcode.to_text(code)} to {query}"
        self._ask_again(query, now)

    def _take(self, query: _Query, answer: dns.message.Message, now: float) -> None:
        kind = dns.rdatatype.to_text(query.kind)
        if answer.flags & dns.flags.TC:
            self._conclude(f"the {kind} answer for {query.name} does not fit a datagram", now)
        elif answer.rcode() == dns.rcode.NXDOMAIN:
            self._conclude(f"{query.name} does not exist: is the APN known to this operator?", now)
        else:
            self._take_records(query, answer, now)

    def _take_records(self, query: _Query, answer: dns.message.Message, now: float) -> None:
        name, chain = query.name, query.chain
        while (alias := _records(answer, name, dns.rdatatype.CNAME)) and chain < LONGEST_CHAIN:
            name, chain = alias[0].target, chain + 1
        records = _records(answer, name, query.kind)
        if records and query.kind == SRV:
            self._take_services(records, answer, now)
        elif records:
            found = [address for each in records if is_unicast_routable(address := _address(each.address))]
            self._found[query.kind] += found
            kind = dns.rdatatype.to_text(query.kind)
            self._conclude("" if found else f"{query.name} has no {kind} record with an address of a home agent", now)
        elif name != query.name and chain < LONGEST_CHAIN:
            self._ask(_Query(name, query.kind, chain), now)  # the alias leads elsewhere: ask there
        elif chain >= LONGEST_CHAIN:
            self._conclude(f"{query.name} leads from alias to alias without end", now)
        else:
            self._conclude(f"{query.name} has no {dns.rdatatype.to_text(query.kind)} record", now)

    def _take_services(self, records: list, answer: dns.message.Message, now: float) -> None:  # type: ignore[type-arg]
        """Targets in the order of RFC 2782: lowest priority first, weighted choice among equals."""
        targets = [each.target for each in self._in_order(records) if each.target != dns.name.root]
        self._targets = list(dict.fromkeys(targets))[:MOST_TARGETS]
        if self._targets:
            self._next_target(now)
        else:
            self._conclude(f"{self._srv_domain} offers no Mobile IPv6 service", now)

    def _next_target(self, now: float) -> None:
        target = self._targets.pop(0)
        self._expected_name = target.to_text(omit_final_dot=True)
        self._found, self._complaint = {AAAA: [], A: []}, ""
        self._look_up(target, now)

    def _in_order(self, records: list) -> list:  # type: ignore[type-arg]
        ordered = []
        left = sorted(records, key=lambda each: (each.priority, each.weight, each.target))
        while left:
            peers = [each for each in left if each.priority == left[0].priority]
            total = sum(each.weight for each in peers)
            draw = int.from_bytes(self._random(4), "big") % (total + 1)
            for chosen in peers:
                draw -= chosen.weight
                if draw <= 0:
                    break
            ordered.append(chosen)
            left.remove(chosen)
        return ordered

    def _conclude(self, complaint: str, now: float) -> None:
        """One question is settled; end when it was the last, or soon when what is left is not needed."""
        self._complaint = self._complaint or complaint
        usable = bool(self._found[AAAA] if self._local.version == 6 else any(self._found.values()))
        if self._queries:
            if usable and self._local.version == 6 and all(each.kind == A for each in self._queries):
                self._enough_at = now + RESOLUTION_DELAY
        elif usable:
            self._finish("")
        elif self._targets:
            self._next_target(now)
        elif self._srv_domain is not None:
            domain, self._srv_domain = self._srv_domain, None
            self._ask(_Query(dns.name.from_text(f"{SERVICE}.{domain}"), SRV, 0), now)
        else:
            self._finish("" if any(self._found.values()) else self._complaint)

    def _finish(self, complaint: str) -> None:
        self.done = True
        self._queries, self._enough_at = [], None
        if complaint:
            self._events.append(DiscoveryFailed(complaint, "TS 24.303 5.1.2.1.2"))
            return
        ipv6 = tuple(each for each in self._found[AAAA] if isinstance(each, IPv6Address))
        ipv4 = tuple(each for each in self._found[A] if isinstance(each, IPv4Address))
        self._events.append(HomeAgentFound(ipv6, ipv4, self._expected_name, self.method, self._complaint))


def _belongs(answer: dns.message.Message, query: _Query) -> bool:
    """Whether it is a response with the query's id and question (RFC 5452 4)."""
    if answer.id != query.identifier or not answer.flags & dns.flags.QR or len(answer.question) != 1:
        return False
    question = answer.question[0]
    return question.name == query.name and question.rdtype == query.kind and question.rdclass == dns.rdataclass.IN


def _records(answer: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> list:  # type: ignore[type-arg]
    """Records of that name and type in the answer section; record classes are dnspython's, made at run time."""
    for each in answer.answer:
        if each.name == name and each.rdtype == kind and each.rdclass == dns.rdataclass.IN:
            return list(each)
    return []


def _address(text: str) -> IPAddress:
    return IPv6Address(text) if ":" in text else IPv4Address(text)
