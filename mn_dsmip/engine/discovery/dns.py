# SPDX-License-Identifier: GPL-2.0-or-later
"""Discovery by DNS: lookup by Home Agent Name (TS 24.303 5.1.2.1.2, RFC 5026 5.1.1), SRV as a fallback (5.1.2).

AAAA and A are asked in parallel (D-6). Each question goes to one server after the other until one answers. An answer
counts only with the id, the question, the port and the server of its query (RFC 5452).
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
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
from .events import DiscoveryFailed, HomeAgentFound

DNS_PORT = 53
PORTS = range(61000, 65536)
"""Source ports of queries: random (RFC 5452 4.5), and beyond those that Linux gives to applications."""
RETRANSMISSION = Backoff(first=1.0, factor=2.0, limit=8.0, tries=5)
"""A sending goes to the next server in turn."""
LONGEST_CHAIN = 8
"""CNAMEs followed for one question."""
SERVICE = "_mip6._ipv6"
"""RFC 5026 5.1.2."""

AAAA, A, SRV = dns.rdatatype.AAAA, dns.rdatatype.A, dns.rdatatype.SRV


@dataclass
class _Query:
    """One question on its way; ``chain`` counts the CNAMEs that led to it."""

    name: dns.name.Name
    kind: dns.rdatatype.RdataType
    chain: int
    attempt: int = 0
    deadline: float = 0.0
    identifier: int = 0
    port: int = 0
    server: IPAddress | None = None


class DnsDiscovery:
    """Looks up ``name``: ``start``, then the five verbs with ``UdpDatagram``; ends in one event.

    ``srv_domain`` is asked for the service when the name itself has no address; ``None`` leaves that out.
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
        self._queries: list[_Query] = []
        self._found: dict[dns.rdatatype.RdataType, list[IPAddress]] = {AAAA: [], A: []}
        self._complaint = ""
        self._expected_name = name
        self._events: list[Event] = []
        self._datagrams: list[UdpDatagram] = []

    def start(self, now: float) -> None:
        """Ask for both families at once."""
        if not self._servers:
            self._finish(f"there is no DNS server to ask for {self._name}: the router advertised none")
            return
        name = dns.name.from_text(self._name)
        self._ask(_Query(name, AAAA, 0), now)
        self._ask(_Query(name, A, 0), now)

    def next_timer(self) -> float | None:
        """When the next query is repeated."""
        return earliest(*(query.deadline for query in self._queries))

    def handle_timer(self, now: float) -> None:
        """Repeat what is not answered, to the next server; give up after the last."""
        for query in [each for each in self._queries if each.deadline <= now]:
            query.attempt += 1
            if query.attempt < max(RETRANSMISSION.tries, len(self._servers)):
                self._send(query, now)
            else:
                self._queries.remove(query)
                kind = dns.rdatatype.to_text(query.kind)
                servers = ", ".join(str(server) for server in self._servers)
                self._conclude(f"no DNS server answered the {kind} query for {query.name} (asked: {servers})", now)

    def datagrams_to_send(self) -> list[UdpDatagram]:
        """Queries to send."""
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    def events(self) -> list[Event]:
        """``HomeAgentFound`` or ``DiscoveryFailed`` at the end."""
        events, self._events = self._events, []
        return events

    def _ask(self, query: _Query, now: float) -> None:
        self._queries.append(query)
        self._send(query, now)

    def _send(self, query: _Query, now: float) -> None:
        draw = struct.unpack("!HH", self._random(4))
        query.identifier, query.port = draw[0], PORTS[draw[1] % len(PORTS)]
        query.server = self._servers[query.attempt % len(self._servers)]
        query.deadline = now + RETRANSMISSION.delay(query.attempt)
        message = dns.message.make_query(query.name, query.kind, use_edns=0, payload=1232, id=query.identifier)
        self._datagrams.append(UdpDatagram(self._local, query.port, query.server, DNS_PORT, message.to_wire()))

    def receive_datagram(self, datagram: UdpDatagram, now: float) -> None:
        """Take an answer; anything that answers no query of ours is counted and ignored."""
        query = next((each for each in self._queries if each.port == datagram.destination_port), None)
        if query is None or datagram.source != query.server or datagram.source_port != DNS_PORT:
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
        self._queries.remove(query)
        self._take(query, answer, now)

    def _take(self, query: _Query, answer: dns.message.Message, now: float) -> None:
        code = answer.rcode()
        kind = dns.rdatatype.to_text(query.kind)
        if answer.flags & dns.flags.TC:
            self._conclude(f"the {kind} answer for {query.name} does not fit a datagram", now)
        elif code == dns.rcode.NXDOMAIN:
            self._conclude(f"{query.name} does not exist: is the APN known to this operator?", now)
        elif code != dns.rcode.NOERROR:
            self._conclude(
                f"the DNS server answered {dns.rcode.to_text(code)} to the {kind} query for {query.name}", now
            )
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
            self._found[query.kind] += [_address(record.address) for record in records]
            self._conclude("", now)
        elif name != query.name and chain < LONGEST_CHAIN:
            self._ask(_Query(name, query.kind, chain), now)  # the alias leads elsewhere: ask there
        elif chain >= LONGEST_CHAIN:
            self._conclude(f"{query.name} leads from alias to alias without end", now)
        else:
            self._conclude(f"{query.name} has no {dns.rdatatype.to_text(query.kind)} record", now)

    def _take_services(self, records: list, answer: dns.message.Message, now: float) -> None:  # type: ignore[type-arg]
        """Targets in the order of RFC 2782: lowest priority first, weighted choice among equals."""
        targets = [each for each in self._in_order(records) if each.target != dns.name.root]
        if not targets:
            self._conclude(f"{self._srv_domain} offers no Mobile IPv6 service", now)
            return
        target = targets[0].target
        self._expected_name = target.to_text(omit_final_dot=True)
        self._ask(_Query(target, AAAA, 0), now)
        self._ask(_Query(target, A, 0), now)

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
        """One question is settled; end when it was the last."""
        self._complaint = self._complaint or complaint
        if self._queries or self.done:
            return
        if any(self._found.values()):
            self._finish("")
        elif self._srv_domain is not None:
            domain, self._srv_domain = self._srv_domain, None
            self._ask(_Query(dns.name.from_text(f"{SERVICE}.{domain}"), SRV, 0), now)
        else:
            self._finish(self._complaint)

    def _finish(self, complaint: str) -> None:
        self.done = True
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
