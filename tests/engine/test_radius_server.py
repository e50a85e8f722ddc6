# SPDX-License-Identifier: GPL-2.0-or-later
"""The RADIUS server before our EAP servers: conversations, repeated requests, strangers, our own client."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.crypto.aka import AuthenticationCentre, Subscriber, Usim
from mn_dsmip.engine.aaa import front as front_module
from mn_dsmip.engine.aaa.client import RadiusClient, RadiusConfig, RadiusEap, RadiusServer
from mn_dsmip.engine.aaa.front import (
    LIFETIME,
    AaaAccepted,
    AaaClientRefused,
    AaaRejected,
    FrontClient,
    RadiusFront,
)
from mn_dsmip.engine.aaa.packets import Attribute, Caller, access_request, read_answer
from mn_dsmip.engine.aaa.subscribers import SubscriberMethods
from mn_dsmip.engine.base import UdpDatagram
from mn_dsmip.engine.effects import SqnAdvanced
from mn_dsmip.engine.gateway_policy import Subscription
from mn_dsmip.engine.ike.aka_common import AKA, AKA_PRIME, Flavour
from mn_dsmip.engine.ike.aka_peer import AkaPeer
from mn_dsmip.engine.ike.eap_method import EapFailure, EapPacket, EapResult, EapSuccess
from tests.engine.eap_pair import IMSI, OPC, WLAN, K, permanent

SERVER, GATEWAY, STRANGER = (IPv4Address(each) for each in ("192.0.2.1", "192.0.2.50", "198.51.100.9"))
SECRET = b"the shared secret"


def octets(seed: object) -> random.Random:
    return random.Random(str(seed))


def server(subscription: Subscription | None = None) -> RadiusFront:
    known = subscription or Subscription(Subscriber(IMSI, K, OPC), ("internet",))
    centre = AuthenticationCentre(octets("centre").randbytes, {})
    methods = SubscriberMethods({IMSI: known}, ("internet", "ims"), centre, octets("methods").randbytes, WLAN)
    clients = (FrontClient(IPv4Network("192.0.2.0/24"), b"wide"), FrontClient(IPv4Network("192.0.2.50/32"), SECRET))
    return RadiusFront(clients, methods.method, methods.authorise, octets("front").randbytes)


class Bench:
    """Our client and our server, with nothing between them."""

    def __init__(self, subscription: Subscription | None = None) -> None:
        self.front = server(subscription)
        config = RadiusConfig((RadiusServer(SERVER, 1812, SECRET),), "pgw", IPv6Address("2001:db8::1"))
        self.client = RadiusClient(config, octets("client").randbytes)
        self.now = 0.0
        self.requests: list[UdpDatagram] = []
        self.answers: list[UdpDatagram] = []

    def carry(self) -> None:
        self.client.begin(self.now)
        for each in self.client.datagrams_to_send():
            self.requests.append(UdpDatagram(GATEWAY, 40000 + each.channel, SERVER, 1812, each.octets))
            self.front.receive_datagram(self.requests[-1], self.now)
            for answer in self.front.datagrams_to_send():
                self.answers.append(answer)
                self.client.receive_datagram(each._replace(octets=answer.payload), self.now)

    def authenticate(self, flavour: Flavour = AKA, apn: str = "internet") -> tuple[EapResult | None, RadiusEap]:
        identity = permanent(flavour)
        peer = AkaPeer(flavour, identity, IMSI, Usim(K, OPC), WLAN)
        method = RadiusEap(self.client, b"session", Caller(identity, "pgw", IPv6Address("2001:db8::1"), apn, "ue"))
        method.start()
        for _ in range(10):
            self.carry()
            result = method.take()
            if not isinstance(result, EapPacket):
                return result, method
            peer.receive(result.packet)
            said = peer.take()
            assert said is not None
            method.receive(said.packet)
        raise AssertionError("no end")


@pytest.mark.parametrize("flavour", [AKA, AKA_PRIME], ids=["aka", "aka-prime"])
def test_our_client_and_our_server(flavour: Flavour) -> None:
    bench = Bench()
    result, method = bench.authenticate(flavour)
    assert isinstance(result, EapSuccess)
    assert result.identity == IMSI
    assert method.accepted
    assert method.accepted.user_name == permanent(flavour)
    events = bench.front.events()
    assert AaaAccepted(GATEWAY, IMSI, "internet") in events
    assert [type(each) for each in events].index(SqnAdvanced) < len(events) - 1
    assert bench.front.status(bench.now)["conversations"] == 0


def test_what_the_store_grants_arrives() -> None:
    prefix, ipv4 = IPv6Network("2001:db8:100:7::/64"), IPv4Address("10.45.0.9")
    _, method = Bench(Subscription(Subscriber(IMSI, K, OPC), ("internet",), prefix, ipv4)).authenticate()
    assert method.accepted
    assert (method.accepted.prefix, method.accepted.ipv4) == (prefix, ipv4)


@pytest.mark.parametrize(
    ("subscription", "apn", "reason"),
    [
        (Subscription(Subscriber(IMSI, K, OPC), ("internet",)), "ims", f"subscriber {IMSI} may not use APN ims"),
        (Subscription(Subscriber(IMSI, K, OPC), (), barred=True), "internet", f"subscriber {IMSI} is barred"),
        (
            Subscription(Subscriber(IMSI, OPC, K), ("internet",)),
            "internet",
            "the UE says that AUTN is wrong: K or OP differ",
        ),
    ],
    ids=["apn", "barred", "key"],
)
def test_rejections(subscription: Subscription, apn: str, reason: str) -> None:
    bench = Bench(subscription)
    result, _ = bench.authenticate(apn=apn)
    assert isinstance(result, EapFailure)
    [rejected] = [each for each in bench.front.events() if isinstance(each, AaaRejected)]
    assert (rejected.identity, rejected.reason) == (permanent(AKA), reason)


def test_a_repeated_request_gets_the_same_answer() -> None:
    bench = Bench()
    bench.authenticate()
    before = bench.front.status(bench.now)
    for request, answer in zip(bench.requests, bench.answers, strict=True):
        bench.front.receive_datagram(request, bench.now)
        assert bench.front.datagrams_to_send() == [answer]
    assert bench.front.counters["aaa-repeated"] == len(bench.requests)
    assert bench.front.status(bench.now)["conversations"] == before["conversations"]


def first_request(secret: bytes = SECRET, eap: bytes | None = None, state: bytes | None = None) -> bytes:
    name = permanent(AKA).encode()
    identity = bytes((2, 0)) + (5 + len(name)).to_bytes(2, "big") + b"\1" + name
    caller = Caller(permanent(AKA), "pgw", IPv6Address("2001:db8::1"), "internet", "ue")
    packet = access_request(secret, 7, caller, identity if eap is None else eap, state, octets("request").randbytes)
    built: bytes = packet.RequestPacket()
    return built


@pytest.mark.parametrize(
    ("source", "payload", "word"),
    [
        (STRANGER, first_request(), "aaa-unknown-client"),
        (GATEWAY, first_request(b"wide"), "aaa-authenticator"),  # the narrower network's secret counts
        (IPv4Address("192.0.2.7"), first_request(), "aaa-authenticator"),
        (GATEWAY, first_request()[:30], "aaa-malformed"),
        (GATEWAY, b"", "aaa-malformed"),
        (GATEWAY, b"\4" + first_request()[1:], "aaa-malformed"),
    ],
)
def test_who_does_not_prove_itself_gets_no_answer(source: IPv4Address, payload: bytes, word: str) -> None:
    front = server()
    for _ in range(3):
        front.receive_datagram(UdpDatagram(source, 1, SERVER, 1812, payload), 0.0)
    assert front.datagrams_to_send() == []
    assert front.counters[word] == 3
    [told] = front.events()
    assert isinstance(told, AaaClientRefused)
    assert told.client == source


def test_every_changed_octet_of_a_request_is_noticed() -> None:
    front, genuine = server(), first_request()
    for at in range(len(genuine)):
        changed = genuine[:at] + bytes((genuine[at] ^ 1,)) + genuine[at + 1 :]
        front.receive_datagram(UdpDatagram(GATEWAY, 1, SERVER, 1812, changed), 0.0)
    assert front.datagrams_to_send() == []


@given(st.binary(max_size=200))
def test_any_octets_are_survived(content: bytes) -> None:
    front = server()
    front.receive_datagram(UdpDatagram(GATEWAY, 1, SERVER, 1812, content), 0.0)
    assert front.datagrams_to_send() == []


@given(st.binary(max_size=60))
def test_any_eap_of_a_client_is_survived(content: bytes) -> None:
    front = server()
    front.receive_datagram(UdpDatagram(GATEWAY, 1, SERVER, 1812, first_request(eap=content or b"\0")), 0.0)
    assert len(front.datagrams_to_send()) == 1


def test_a_state_belongs_to_the_client_that_it_was_given_to() -> None:
    front = server()
    front.receive_datagram(UdpDatagram(GATEWAY, 1, SERVER, 1812, first_request()), 0.0)
    (state,) = front._conversations
    other = first_request(b"wide", b"\2\0\0\4", state)
    front.receive_datagram(UdpDatagram(IPv4Address("192.0.2.7"), 1, SERVER, 1812, other), 0.0)
    assert front.counters["aaa-unknown-state"] == 1
    assert front.datagrams_to_send()[-1].payload[0] == 3
    assert state in front._conversations


def test_old_conversations_and_answers_are_forgotten() -> None:
    front = server()
    front.receive_datagram(UdpDatagram(GATEWAY, 1, SERVER, 1812, first_request()), 0.0)
    assert front.next_timer() == LIFETIME
    front.handle_timer(LIFETIME)
    assert front.next_timer() is None
    assert front.status(LIFETIME)["conversations"] == 0
    assert front.counters["aaa-conversation-expired"] == 1


def test_a_flood_costs_no_more_memory_than_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_module, "MOST", 8)
    front = server()
    source = octets("flood")
    name = permanent(AKA).encode()
    identity = bytes((2, 0)) + (5 + len(name)).to_bytes(2, "big") + b"\1" + name
    caller = Caller(permanent(AKA), "pgw", IPv6Address("2001:db8::1"), "internet", "ue")
    for number in range(30):
        payload = access_request(SECRET, number, caller, identity, None, source.randbytes).RequestPacket()
        front.receive_datagram(UdpDatagram(GATEWAY, 1, SERVER, 1812, payload), 0.0)
    assert len(front._conversations) == len(front._answers) == 8


def test_a_client_may_ask_the_server_to_begin() -> None:
    """EAP-Start (RFC 3579 2.1) is an EAP-Message without content: the identity is asked for."""
    front = server()
    caller = Caller(permanent(AKA), "pgw", IPv6Address("2001:db8::1"), "internet", "ue")
    packet = access_request(SECRET, 7, caller, b"", None, octets("start").randbytes)
    packet[int(Attribute.EAP_MESSAGE)] = [b""]
    front.receive_datagram(UdpDatagram(GATEWAY, 1, SERVER, 1812, packet.RequestPacket()), 0.0)
    (answer,) = front.datagrams_to_send()
    assert read_answer(packet, answer.payload).eap == b"\1\0\0\5\1"


def test_a_request_without_eap_gets_no_answer() -> None:
    front = server()
    front.receive_datagram(UdpDatagram(GATEWAY, 1, SERVER, 1812, first_request(eap=b"")), 0.0)
    assert front.counters["aaa-without-eap"] == 1
    assert front.datagrams_to_send() == []
