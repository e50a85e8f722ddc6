# SPDX-License-Identifier: GPL-2.0-or-later
"""Discovery by DNS: names, parallel questions, servers that are silent or wrong, aliases, services."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv6Address

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from mn_dsmip.engine.base import UdpDatagram
from mn_dsmip.engine.discovery import DiscoveryFailed, DnsDiscovery, HomeAgentFound, StaticDiscovery, ha_apn_fqdn
from mn_dsmip.engine.discovery.dns import MOST_TARGETS, PORTS, RESOLUTION_DELAY, RETRANSMISSION

NAME = ha_apn_fqdn("internet", "001", "01")
UE, SERVER, SECOND = (IPv6Address(f"2001:db8::{n}") for n in (10, 53, 54))
AGENT, AGENT4 = "2001:db8:aaaa::1", "192.0.2.1"


@pytest.mark.parametrize(
    ("apn", "mcc", "mnc", "name"),
    [
        ("internet", "345", "12", "internet.ha-apn.mnc012.mcc345.pub.3gppnetwork.org"),  # TS 23.003 21's own example
        ("a.b-1", "001", "001", "a.b-1.ha-apn.mnc001.mcc001.pub.3gppnetwork.org"),
    ],
)
def test_names(apn: str, mcc: str, mnc: str, name: str) -> None:
    assert ha_apn_fqdn(apn, mcc, mnc) == name


@pytest.mark.parametrize(
    ("apn", "mcc", "mnc", "says"),
    [
        ("inter_net", "001", "01", "label 'inter_net' is not letters"),
        ("-a", "001", "01", "label '-a'"),
        ("a..b", "001", "01", "label ''"),
        ("ha-apn.x", "001", "01", "contains ha-apn or w-apn"),
        ("x.3gppnetwork.org", "001", "01", "ends in .3gppnetwork.org"),
        ("a" * 60, "001", "01", "octets encoded, 100 are allowed"),
        ("internet", "1", "01", "MCC '1' is not three digits"),
        ("internet", "001", "1", "MNC '1' is not two or three digits"),
    ],
)
def test_names_that_cannot_be(apn: str, mcc: str, mnc: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ha_apn_fqdn(apn, mcc, mnc)


class Resolver:
    """A discovery under test, and the hand of its DNS server."""

    def __init__(self, *servers: IPv6Address, domain: str | None = None, seed: int = 1) -> None:
        self.discovery = DnsDiscovery(NAME, servers or (SERVER,), UE, random.Random(seed).randbytes, domain)
        self.discovery.start(0.0)
        self.now = 0.0
        self.queries = self.discovery.datagrams_to_send()

    def answer(
        self, query: UdpDatagram, *records: str, rcode: int = 0, flags: int = 0, source: IPv6Address | None = None
    ) -> None:
        """Answer with zone-file lines ``name type data``."""
        message = dns.message.from_wire(query.payload)
        response = dns.message.make_response(message)
        response.flags |= flags
        response.set_rcode(dns.rcode.Rcode(rcode))
        for record in records:
            name, kind, data = record.split(" ", 2)
            response.answer.append(dns.rrset.from_text(name, 60, "IN", kind, data))
        reply = UdpDatagram(source or SERVER, 53, UE, query.source_port, response.to_wire())
        self.give(reply)

    def give(self, reply: UdpDatagram) -> None:
        self.discovery.receive_datagram(reply, self.now)
        self.queries += self.discovery.datagrams_to_send()

    def wait(self) -> None:
        """Let the next timer ring."""
        due = self.discovery.next_timer()
        assert due is not None
        self.now = due
        self.discovery.handle_timer(due)
        self.queries += self.discovery.datagrams_to_send()

    def kind(self, query: UdpDatagram) -> str:
        return dns.message.from_wire(query.payload).question[0].to_text().split()[-1]

    def result(self) -> HomeAgentFound | DiscoveryFailed:
        (event,) = self.discovery.events()
        assert isinstance(event, HomeAgentFound | DiscoveryFailed)
        return event


def test_both_families_are_asked_at_once() -> None:
    resolver = Resolver()
    aaaa, a = resolver.queries
    assert (resolver.kind(aaaa), resolver.kind(a)) == ("AAAA", "A")
    assert aaaa.source_port in PORTS and a.source_port in PORTS and aaaa.source_port != a.source_port
    resolver.answer(a, f"{NAME}. A {AGENT4}")
    assert resolver.discovery.events() == []
    resolver.answer(aaaa, f"{NAME}. AAAA {AGENT}", f"{NAME}. AAAA 2001:db8:aaaa::2")
    found = resolver.result()
    assert isinstance(found, HomeAgentFound)
    assert found.addresses == (IPv6Address(AGENT),) or len(found.addresses) == 2
    assert found.ipv4_addresses == (IPv4Address(AGENT4),) and found.name == NAME
    assert resolver.discovery.next_timer() is None


def test_a_silent_server_is_asked_again_and_then_the_next_one() -> None:
    resolver = Resolver(SERVER, SECOND)
    resolver.wait()
    assert [each.destination for each in resolver.queries] == [SERVER, SERVER, SECOND, SECOND]
    identifiers = {dns.message.from_wire(each.payload).id for each in resolver.queries}
    assert len(identifiers) == 4, "each sending has an id and a port of its own (RFC 5452)"
    for query in resolver.queries[2:]:
        kind = resolver.kind(query)
        resolver.answer(query, f"{NAME}. {kind} {AGENT if kind == 'AAAA' else AGENT4}", source=SECOND)
    assert isinstance(resolver.result(), HomeAgentFound)


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.FORMERR, dns.rcode.NOTIMP])
def test_a_server_that_cannot_say_is_no_word_about_the_name(rcode: int) -> None:
    resolver = Resolver(SERVER, SECOND)
    for query in resolver.queries[:2]:
        resolver.answer(query, rcode=rcode)
    assert resolver.now == 0.0
    assert [each.destination for each in resolver.queries[2:]] == [SECOND, SECOND], "the next one is asked at once"
    for query in resolver.queries[2:]:
        kind = resolver.kind(query)
        resolver.answer(query, f"{NAME}. {kind} {AGENT if kind == 'AAAA' else AGENT4}", source=SECOND)
    found = resolver.result()
    assert isinstance(found, HomeAgentFound) and found.addresses == (IPv6Address(AGENT),)


def test_a_name_that_does_not_exist_is_not_asked_for_elsewhere() -> None:
    resolver = Resolver(SERVER, SECOND)
    for query in resolver.queries[:2]:
        resolver.answer(query, rcode=dns.rcode.NXDOMAIN)
    assert len(resolver.queries) == 2 and isinstance(resolver.result(), DiscoveryFailed)


def test_a_server_that_cannot_say_is_not_asked_again_and_a_silent_one_is() -> None:
    resolver = Resolver(SERVER, SECOND)
    for query in resolver.queries[:2]:
        resolver.answer(query, rcode=dns.rcode.SERVFAIL)
    while resolver.discovery.next_timer() is not None:
        resolver.wait()
    assert [each.destination for each in resolver.queries] == [SERVER] * 2 + [SECOND] * 2 * (RETRANSMISSION.tries - 1)
    failed = resolver.result()
    assert isinstance(failed, DiscoveryFailed)
    assert failed.reason == (
        f"no DNS server answered the AAAA query for {NAME}. (asked: {SECOND}); "
        f"the DNS server answered SERVFAIL to the AAAA query for {NAME}."
    )


def test_every_one_of_many_servers_is_asked() -> None:
    servers = [IPv6Address(f"2001:db8::{n}") for n in range(100, 109)]
    resolver = Resolver(*servers)
    for query in resolver.queries:  # grows
        resolver.answer(query, rcode=dns.rcode.REFUSED, source=query.destination)
    assert [each.destination for each in resolver.queries[::2]] == servers
    assert isinstance(resolver.result(), DiscoveryFailed)


def test_nobody_answers() -> None:
    resolver = Resolver()
    while resolver.discovery.next_timer() is not None:
        resolver.wait()
    assert len(resolver.queries) == 2 * RETRANSMISSION.tries
    failed = resolver.result()
    assert isinstance(failed, DiscoveryFailed)
    assert failed.reason == f"no DNS server answered the AAAA query for {NAME}. (asked: 2001:db8::53)"


def test_there_is_no_server_at_all() -> None:
    discovery = DnsDiscovery(NAME, (), UE, random.Random(1).randbytes)
    discovery.start(0.0)
    (failed,) = discovery.events()
    assert isinstance(failed, DiscoveryFailed) and "the router advertised none" in failed.reason


def test_an_ipv6_address_does_not_wait_long_for_an_ipv4_one() -> None:
    resolver = Resolver()
    aaaa, a = resolver.queries
    resolver.now = 0.5
    resolver.answer(aaaa, f"{NAME}. AAAA {AGENT}")
    assert resolver.discovery.events() == [] and resolver.discovery.next_timer() == 0.5 + RESOLUTION_DELAY
    resolver.wait()
    found = resolver.result()
    assert isinstance(found, HomeAgentFound)
    assert (found.addresses, found.ipv4_addresses) == ((IPv6Address(AGENT),), ())
    resolver.answer(a, f"{NAME}. A {AGENT4}")  # too late
    assert resolver.discovery.events() == [] and resolver.discovery.next_timer() is None
    assert resolver.discovery.counters["dns-unexpected"] == 1


def test_an_ipv4_address_is_not_enough_where_the_access_is_ipv6() -> None:
    resolver = Resolver()
    resolver.answer(resolver.queries[1], f"{NAME}. A {AGENT4}")
    resolver.wait()
    resolver.answer(resolver.queries[2], f"{NAME}. AAAA {AGENT}")
    found = resolver.result()
    assert isinstance(found, HomeAgentFound) and found.addresses == (IPv6Address(AGENT),)


def test_answers_that_are_none() -> None:
    resolver = Resolver()
    aaaa, _ = resolver.queries
    good = dns.message.make_response(dns.message.from_wire(aaaa.payload))
    good.answer.append(dns.rrset.from_text(f"{NAME}.", 60, "IN", "AAAA", "2001:db8:bad::1"))
    wrong_id = dns.message.from_wire(good.to_wire())
    wrong_id.id ^= 1
    other_question = dns.message.make_response(dns.message.make_query("other.example.", "AAAA", id=good.id))
    port = aaaa.source_port
    for reply, counter in (
        (UdpDatagram(SECOND, 53, UE, port, good.to_wire()), "dns-unexpected"),
        (UdpDatagram(SERVER, 54, UE, port, good.to_wire()), "dns-unexpected"),
        (UdpDatagram(SERVER, 53, UE, 60000, good.to_wire()), "dns-unexpected"),
        (UdpDatagram(SERVER, 53, UE, port, good.to_wire()[:30]), "dns-malformed"),
        (UdpDatagram(SERVER, 53, UE, port, good.to_wire() + b"\0"), "dns-malformed"),
        (UdpDatagram(SERVER, 53, UE, port, wrong_id.to_wire()), "dns-wrong-answer"),
        (UdpDatagram(SERVER, 53, UE, port, other_question.to_wire()), "dns-wrong-answer"),
        (UdpDatagram(SERVER, 53, UE, port, aaaa.payload), "dns-wrong-answer"),
    ):
        before = resolver.discovery.counters[counter]
        resolver.give(reply)
        assert resolver.discovery.counters[counter] == before + 1
    assert resolver.discovery.events() == []
    for query in resolver.queries[:2]:
        resolver.answer(query, f"{NAME}. {resolver.kind(query)} {AGENT if resolver.kind(query) == 'AAAA' else AGENT4}")
    found = resolver.result()
    assert isinstance(found, HomeAgentFound) and found.addresses == (IPv6Address(AGENT),)


def test_an_alias_is_followed_here_and_elsewhere() -> None:
    resolver = Resolver()
    aaaa, a = resolver.queries
    resolver.answer(aaaa, f"{NAME}. CNAME pgw.example.", f"pgw.example. AAAA {AGENT}")
    resolver.answer(a, f"{NAME}. CNAME pgw.example.")
    (again,) = resolver.queries[2:]
    assert dns.message.from_wire(again.payload).question[0].to_text() == "pgw.example. IN A"
    resolver.answer(again, f"pgw.example. A {AGENT4}")
    found = resolver.result()
    assert isinstance(found, HomeAgentFound)
    assert (found.addresses, found.ipv4_addresses) == ((IPv6Address(AGENT),), (IPv4Address(AGENT4),))
    assert found.name == NAME, "the certificate must hold what was looked up"


def test_aliases_without_end() -> None:
    resolver = Resolver()
    while resolver.queries:
        query = resolver.queries.pop(0)
        name = dns.message.from_wire(query.payload).question[0].name.to_text()
        resolver.answer(query, f"{name} CNAME x{name}")
    failed = resolver.result()
    assert isinstance(failed, DiscoveryFailed) and "from alias to alias without end" in failed.reason


@pytest.mark.parametrize(
    ("rcode", "flags", "says"),
    [
        (dns.rcode.NXDOMAIN, 0, "does not exist: is the APN known to this operator?"),
        (dns.rcode.SERVFAIL, 0, "the DNS server answered SERVFAIL to the AAAA query"),
        (dns.rcode.REFUSED, 0, "answered REFUSED"),
        (0, 0, "has no AAAA record"),
        (0, dns.flags.TC, "does not fit a datagram"),
    ],
)
def test_refusals_are_explained(rcode: int, flags: int, says: str) -> None:
    resolver = Resolver()
    for query in resolver.queries[:2]:
        resolver.answer(query, rcode=rcode, flags=flags)
    failed = resolver.result()
    assert isinstance(failed, DiscoveryFailed) and says in failed.reason


def test_the_service_is_asked_for_when_the_name_has_no_address() -> None:
    resolver = Resolver(domain="example.org")
    for query in resolver.queries[:2]:
        resolver.answer(query, rcode=dns.rcode.NXDOMAIN)
    (service,) = resolver.queries[2:]
    question = dns.message.from_wire(service.payload).question[0]
    assert question.to_text() == "_mip6._ipv6.example.org. IN SRV"
    response = dns.message.make_response(dns.message.from_wire(service.payload))
    targets = ("20 0 500 backup.example.org.", "10 60 500 ha1.example.org.")
    response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "SRV", *targets))
    resolver.give(UdpDatagram(SERVER, 53, UE, service.source_port, response.to_wire()))
    for query in resolver.queries[3:]:
        kind = resolver.kind(query)
        resolver.answer(query, f"ha1.example.org. {kind} {AGENT if kind == 'AAAA' else AGENT4}")
    found = resolver.result()
    assert isinstance(found, HomeAgentFound)
    assert (found.addresses, found.name) == ((IPv6Address(AGENT),), "ha1.example.org")


def service(*targets: str) -> Resolver:
    """Where the name has no address and the service has these targets: ``priority weight name``."""
    resolver = Resolver(domain="example.org")
    for query in resolver.queries[:2]:
        resolver.answer(query, rcode=dns.rcode.NXDOMAIN)
    message = dns.message.from_wire(resolver.queries[2].payload)
    response = dns.message.make_response(message)
    records = [" ".join((*one.split()[:2], "500", one.split()[2])) for one in targets]
    response.answer.append(dns.rrset.from_text(message.question[0].name, 60, "IN", "SRV", *records))
    query = resolver.queries[2]
    del resolver.queries[:]
    resolver.give(UdpDatagram(SERVER, 53, UE, query.source_port, response.to_wire()))
    return resolver


def looked_up(resolver: Resolver, **records: str) -> list[str]:
    """Answer every query; ``records`` has the IPv6 address of each host. What was asked for, in order."""
    asked = []
    for query in resolver.queries:  # grows
        name = dns.message.from_wire(query.payload).question[0].name.to_text()
        asked += [name] if resolver.kind(query) == "AAAA" else []
        host = name.partition(".")[0]
        if resolver.kind(query) == "AAAA" and host in records:
            resolver.answer(query, f"{name} AAAA {records[host]}")
        elif host.startswith("four"):
            resolver.answer(query, *([f"{name} A {AGENT4}"] if resolver.kind(query) == "A" else []))
        else:
            resolver.answer(query, rcode=dns.rcode.NXDOMAIN)
    del resolver.queries[:]
    return asked


def test_targets_without_an_address_are_passed_over_in_the_order_of_their_priority() -> None:
    resolver = service("30 0 three.example.", "10 0 one.example.", "20 0 four.example.")
    assert looked_up(resolver, three=AGENT) == ["one.example.", "four.example.", "three.example."]
    found = resolver.result()
    assert isinstance(found, HomeAgentFound)
    assert (found.addresses, found.name) == ((IPv6Address(AGENT),), "three.example")
    assert not resolver.discovery.more(resolver.now)


def test_more_goes_on_with_the_next_target() -> None:
    resolver = service("10 0 one.example.", "20 0 two.example.", "20 0 two.example.")
    for host, address in (("one", "2001:db8:aaaa::1"), ("two", "2001:db8:aaaa::2")):
        assert looked_up(resolver, one="2001:db8:aaaa::1", two="2001:db8:aaaa::2") == [f"{host}.example."]
        found = resolver.result()
        assert isinstance(found, HomeAgentFound)
        assert (found.addresses, found.name) == ((IPv6Address(address),), f"{host}.example")
        assert resolver.discovery.more(resolver.now) == (host == "one")
        resolver.queries += resolver.discovery.datagrams_to_send()


def test_no_target_has_an_address() -> None:
    resolver = service("10 0 one.example.", "20 0 two.example.")
    assert looked_up(resolver) == ["one.example.", "two.example."]
    failed = resolver.result()
    assert isinstance(failed, DiscoveryFailed) and failed.reason.startswith("two.example. does not exist")


def test_a_service_of_very_many_targets_is_not_followed_to_its_end() -> None:
    resolver = service(*(f"{n} 0 host{n}.example." for n in range(30)))
    assert looked_up(resolver) == [f"host{n}.example." for n in range(MOST_TARGETS)]
    assert isinstance(resolver.result(), DiscoveryFailed)


def test_equals_are_chosen_by_their_weight() -> None:
    first = []
    for seed in range(300):
        resolver = Resolver(domain="example.org", seed=seed)
        for query in resolver.queries[:2]:
            resolver.answer(query, rcode=dns.rcode.NXDOMAIN)
        message = dns.message.from_wire(resolver.queries[2].payload)
        response = dns.message.make_response(message)
        records = ("10 90 500 heavy.example.", "10 10 500 light.example.")
        response.answer.append(dns.rrset.from_text(message.question[0].name, 60, "IN", "SRV", *records))
        resolver.give(UdpDatagram(SERVER, 53, UE, resolver.queries[2].source_port, response.to_wire()))
        first.append(dns.message.from_wire(resolver.queries[3].payload).question[0].name.to_text())
    assert 240 < first.count("heavy.example.") < 295 and len(set(first)) == 2


def test_no_service_either() -> None:
    resolver = Resolver(domain="example.org")
    for query in resolver.queries[:2]:
        resolver.answer(query, rcode=dns.rcode.NXDOMAIN)
    resolver.answer(resolver.queries[2], "_mip6._ipv6.example.org. SRV 0 0 0 .")
    failed = resolver.result()
    assert isinstance(failed, DiscoveryFailed) and "does not exist" in failed.reason


def test_configured_addresses_need_no_question() -> None:
    discovery = StaticDiscovery((IPv6Address(AGENT), IPv4Address(AGENT4)), None)
    discovery.start(0.0)
    assert discovery.events() == [HomeAgentFound((IPv6Address(AGENT),), (IPv4Address(AGENT4),), None, "static")]
    assert discovery.datagrams_to_send() == [] and discovery.next_timer() is None
