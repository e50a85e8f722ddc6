# SPDX-License-Identifier: GPL-2.0-or-later
"""The gateway's RADIUS client: whole authentications, loss, silence, fail-over, and answers that prove nothing."""

from __future__ import annotations

import itertools
import random
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest
from pyrad.packet import AuthPacket

from mn_dsmip.crypto.aka import AuthenticationCentre, Subscriber, Usim
from mn_dsmip.engine.aaa.client import (
    CHANNELS,
    IDENTIFIERS,
    AaaDatagram,
    RadiusClient,
    RadiusConfig,
    RadiusEap,
    RadiusServer,
)
from mn_dsmip.engine.aaa.packets import LONGEST_PACKET, Attribute, Caller, Code
from mn_dsmip.engine.ike.aka_common import AKA, AKA_PRIME, Flavour
from mn_dsmip.engine.ike.aka_peer import AkaPeer
from mn_dsmip.engine.ike.aka_server import AkaServer
from mn_dsmip.engine.ike.eap_method import EapFailure, EapMethod, EapPacket, EapResult, EapSuccess
from tests.engine.eap_pair import IMSI, OPC, OTHER_K, WLAN, K, permanent
from tests.engine.radius_pair import NO_NAMES, ServerDouble

SECRET = b"the shared secret"
FIRST, SECOND = (
    RadiusServer(IPv4Address("192.0.2.1"), 1812, SECRET),
    RadiusServer(IPv6Address("2001:db8::2"), 1812, SECRET),
)
NAS = IPv6Address("2001:db8:aaaa::1")


def seeded(seed: object) -> random.Random:
    return random.Random(str(seed))


def eap_server(flavour: Flavour, k: bytes = K) -> ServerDouble:
    centre = AuthenticationCentre(seeded("centre").randbytes, {})
    known = {IMSI: Subscriber(IMSI, k, OPC)}
    return ServerDouble(SECRET, lambda name: AkaServer(flavour, name, known.get, centre, seeded(name).randbytes, WLAN))


class Bench:
    """A client, its servers (``None`` is a silent one), a clock, and a network that loses what ``lose`` says."""

    def __init__(self, *servers: ServerDouble | None) -> None:
        self.servers = servers
        config = RadiusConfig((FIRST, SECOND)[: len(servers)], "pgw.example.net", NAS)
        self.client = RadiusClient(config, seeded("client").randbytes)
        self.now = 0.0
        self.lose = lambda number: False
        self.sent: list[AaaDatagram] = []

    def method(self, name: str, session: bytes = b"session1") -> RadiusEap:
        caller = Caller(name, "pgw.example.net", NAS, "internet", "2001:db8:f::7")
        found = RadiusEap(self.client, session, caller)
        found.start()
        return found

    def turn(self) -> bool:
        """Carry what is to be carried, or let time pass; ``False`` when nothing happens any more."""
        self.client.begin(self.now)
        out = self.client.datagrams_to_send()
        for datagram in out:
            self.sent.append(datagram)
            server = self.servers[datagram.server]
            if server is None or self.lose(len(self.sent)):
                continue
            answer = server.answer(datagram.octets)
            if answer is not None:
                self.client.receive_datagram(datagram._replace(octets=answer), self.now)
        due = self.client.next_timer()
        if not out and due is not None:
            self.now = max(due, self.now)
            self.client.handle_timer(self.now)
        return bool(out) or due is not None

    def until_answered(self, method: RadiusEap) -> EapResult:
        for _ in range(200):
            result = method.take()
            if result is not None:
                assert method.session in self.client.answered()
                return result
            assert self.turn(), "nothing happens any more"
        raise AssertionError("no end")

    def authenticate(
        self, flavour: Flavour = AKA, k: bytes = K, name: str | None = None
    ) -> tuple[EapResult, RadiusEap, AkaPeer]:
        """Let a peer and the method talk to the end."""
        identity = name or permanent(flavour)
        peer = AkaPeer(flavour, identity, IMSI, Usim(k, OPC), WLAN)
        method = self.method(identity)
        while isinstance(result := self.until_answered(method), EapPacket):
            peer.receive(result.packet)
            said = peer.take()
            assert said is not None
            method.receive(said.packet)
        if isinstance(result, EapSuccess):
            peer.receive(result.packet)
            own = peer.take()
            assert isinstance(own, EapSuccess)
            assert own.msk == result.msk
        return result, method, peer


@pytest.mark.parametrize("flavour", [AKA, AKA_PRIME], ids=["aka", "aka-prime"])
def test_authentication(flavour: Flavour) -> None:
    bench = Bench(eap_server(flavour))
    result, method, _ = bench.authenticate(flavour)
    assert isinstance(result, EapSuccess)
    assert (result.identity, len(result.msk)) == (IMSI, 64)
    assert method.accepted
    request = bench.servers[0].requests[0] if bench.servers[0] else None
    assert request is not None
    assert request[int(Attribute.USER_NAME)] == [permanent(flavour).encode()]
    assert request[int(Attribute.NAS_IPV6_ADDRESS)] == [NAS.packed]
    assert request[int(Attribute.CALLED_STATION_ID)] == [b"internet"]
    assert request[int(Attribute.CALLING_STATION_ID)] == [b"2001:db8:f::7"]


@pytest.mark.parametrize("claim", ["2001010000000002@realm", "9001010000000002", "001010000000002@"])
def test_a_claim_is_no_proof(claim: str) -> None:
    """The server asks for another name, and says no name itself: who was authenticated is who EAP saw last."""
    bench = Bench(eap_server(AKA))
    method = bench.method(claim)
    peer = AkaPeer(AKA, permanent(AKA), IMSI, Usim(K, OPC))
    while isinstance(result := bench.until_answered(method), EapPacket):
        peer.receive(result.packet)
        answer = peer.take()
        assert isinstance(answer, EapPacket)
        method.receive(answer.packet)
    assert isinstance(result, EapSuccess)
    assert result.identity == IMSI


def test_wrong_key_is_a_rejection() -> None:
    result, _, _ = Bench(eap_server(AKA, k=OTHER_K)).authenticate()
    assert isinstance(result, EapFailure)
    assert result.reason == f"the RADIUS server 192.0.2.1:1812 rejects {permanent(AKA)}"
    assert result.packet[0] == 4


@pytest.mark.parametrize("seed", range(20))
def test_lost_packets_are_repeated_octet_by_octet(seed: int) -> None:
    bench = Bench(eap_server(AKA))
    chances = seeded(seed)
    losses = {number for number in range(1, 40) if chances.random() < 0.25}
    bench.lose = lambda number: number in losses and number % 3 != 0  # no three in a row
    result, _, _ = bench.authenticate()
    assert isinstance(result, EapSuccess)
    by_authenticator: dict[bytes, set[bytes]] = {}
    for each in bench.sent:
        by_authenticator.setdefault(each.octets[4:20], set()).add(each.octets)
    assert all(len(octets) == 1 for octets in by_authenticator.values())


def test_fail_over_and_back() -> None:
    bench = Bench(None, eap_server(AKA))
    result, _, _ = bench.authenticate()
    assert isinstance(result, EapSuccess)
    assert [each.server for each in bench.sent[:4]] == [0, 0, 0, 1]
    assert bench.client.counters["radius-silent"] == 1
    begun, before = bench.now, len(bench.sent)
    result, _, _ = bench.authenticate()
    assert isinstance(result, EapSuccess)
    assert {each.server for each in bench.sent[before:]} == {1}, "the dead one is left alone"
    assert bench.now == begun
    bench.servers = (eap_server(AKA), None)
    bench.now += 61
    result, _, _ = bench.authenticate()
    assert isinstance(result, EapSuccess)
    assert bench.sent[-1].server == 0


def test_nobody_answers() -> None:
    bench = Bench(None, None)
    result = bench.until_answered(bench.method(permanent(AKA)))
    assert isinstance(result, EapFailure)
    assert result.reason == (
        "the RADIUS server 192.0.2.1:1812 and [2001:db8::2]:1812 does not answer: "
        "a server drops requests of clients and secrets that it does not know"
    )
    assert [each.server for each in bench.sent] == [0, 0, 0, 1, 1, 1]
    assert bench.now < 20


def test_a_server_that_dies_in_the_middle() -> None:
    bench = Bench(eap_server(AKA), eap_server(AKA))
    method = bench.method(permanent(AKA))
    challenge = bench.until_answered(method)
    assert isinstance(challenge, EapPacket)
    bench.servers = (None, bench.servers[1])
    peer = AkaPeer(AKA, permanent(AKA), IMSI, Usim(K, OPC), WLAN)
    peer.receive(challenge.packet)
    said = peer.take()
    assert said is not None
    method.receive(said.packet)
    result = bench.until_answered(method)
    assert isinstance(result, EapFailure)
    assert "192.0.2.1:1812 does not answer" in result.reason


def answers(bench: Bench) -> tuple[AaaDatagram, bytes]:
    """A request, and the genuine answer to it."""
    bench.client.begin(bench.now)
    (request,) = bench.client.datagrams_to_send()
    server = bench.servers[0]
    assert server is not None
    answer = server.answer(request.octets)
    assert answer is not None
    return request, answer


def test_every_changed_octet_is_noticed() -> None:
    bench = Bench(eap_server(AKA))
    method = bench.method(permanent(AKA))
    request, answer = answers(bench)
    for at in range(len(answer)):
        changed = answer[:at] + bytes((answer[at] ^ 1,)) + answer[at + 1 :]
        bench.client.receive_datagram(request._replace(octets=changed), bench.now)
        assert method.take() is None, at
    for end in range(len(answer)):
        bench.client.receive_datagram(request._replace(octets=answer[:end]), bench.now)
        assert method.take() is None, end
    bench.client.receive_datagram(request._replace(octets=bytes(LONGEST_PACKET + 1)), bench.now)
    refused = sum(bench.client.counters.values())
    assert refused == 2 * len(answer) + 1
    bench.client.receive_datagram(request._replace(octets=answer), bench.now)
    assert isinstance(method.take(), EapPacket)
    bench.client.receive_datagram(request._replace(octets=answer), bench.now)
    assert bench.client.counters["radius-unexpected"] >= 1, "an answer counts once"


def test_an_answer_without_message_authenticator_does_not_count() -> None:
    """CVE-2024-3596: the MD5 of the header alone can be forged."""
    bench = Bench(eap_server(AKA))
    method = bench.method(permanent(AKA))
    request, _ = answers(bench)
    packet = AuthPacket(secret=SECRET, packet=request.octets, dict=NO_NAMES)
    reply = packet.CreateReply(message_authenticator=False)
    reply.code = Code.ACCESS_REJECT
    bench.client.receive_datagram(request._replace(octets=reply.ReplyPacket()), bench.now)
    assert method.take() is None
    assert bench.client.counters["radius-authenticator"] == 1


def test_another_secret_is_named_when_the_server_stays_silent_otherwise() -> None:
    other = eap_server(AKA)
    bench = Bench(other)
    method = bench.method(permanent(AKA))
    request, _ = answers(bench)
    other.secret = b"another secret"
    forged = AuthPacket(secret=b"another secret", packet=request.octets, dict=NO_NAMES).CreateReply()
    bench.client.receive_datagram(request._replace(octets=forged.ReplyPacket()), bench.now)
    bench.servers = (None,)
    result = bench.until_answered(method)
    assert isinstance(result, EapFailure)
    assert result.reason.endswith("does not answer: the answer's authenticators are wrong: is the secret the same?")


def test_more_conversations_than_identifiers() -> None:
    bench = Bench(eap_server(AKA))
    count = CHANNELS * IDENTIFIERS + 50
    methods = [bench.method(permanent(AKA), number.to_bytes(8, "big")) for number in range(count)]
    bench.client.begin(bench.now)
    assert bench.client.counters["radius-queued"] == 50
    out = bench.client.datagrams_to_send()
    assert len({(each.channel, each.octets[1]) for each in out}) == CHANNELS * IDENTIFIERS
    server = bench.servers[0]
    assert server is not None
    for each in itertools.islice(out, 60):
        answer = server.answer(each.octets)
        assert answer is not None
        bench.client.receive_datagram(each._replace(octets=answer), bench.now)
    assert len(bench.client.datagrams_to_send()) == 50, "those that waited go as soon as there is room"
    assert sum(isinstance(each.take(), EapPacket) for each in methods) == 60


def test_what_a_server_grants() -> None:
    server = eap_server(AKA)
    server.extra = {
        Attribute.FRAMED_IPV6_PREFIX: [b"\0\x40" + IPv6Network("2001:db8:100:7::/64").network_address.packed[:8]],
        Attribute.FRAMED_IP_ADDRESS: [IPv4Address("10.45.0.9").packed],
        Attribute.USER_NAME: [b"0" + IMSI.encode() + b"@nai.epc.mnc001.mcc001.3gppnetwork.org"],
    }
    result, method, _ = Bench(server).authenticate()
    assert isinstance(result, EapSuccess)
    assert method.accepted
    assert (method.accepted.prefix, method.accepted.ipv4) == (
        IPv6Network("2001:db8:100:7::/64"),
        IPv4Address("10.45.0.9"),
    )
    assert result.identity == IMSI


def test_an_accept_without_keys_is_a_failure() -> None:
    class Keyless(ServerDouble):
        def _reply(self, request: AuthPacket, method: EapMethod, state: bytes) -> bytes:
            reply = request.CreateReply()
            reply[int(Attribute.EAP_MESSAGE)] = [b"\3\1\0\4"]
            octets: bytes = reply.ReplyPacket()
            return octets

    double = eap_server(AKA)
    bench = Bench(Keyless(SECRET, double.method))
    result = bench.until_answered(bench.method(permanent(AKA)))
    assert isinstance(result, EapFailure)
    assert result.reason.endswith("answers ACCESS_ACCEPT without the keys MS-MPPE-Recv-Key and MS-MPPE-Send-Key")
