# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE_SA_INIT in bad company: cookies, other groups, forged errors, floods."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv6Address

import pytest

from mn_dsmip.engine.base import UdpDatagram
from mn_dsmip.engine.ike.aka_common import AKA
from mn_dsmip.engine.ike.aka_peer import AkaPeer
from mn_dsmip.engine.ike.events import IkeFailed, IkeSaEstablished, Timers
from mn_dsmip.engine.ike.proposals import Profile, parse_offer
from mn_dsmip.engine.ike.session import NON_ESP_MARKER, Nat
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_numbers import Exchange, NotifyType, Protocol
from mn_dsmip.wire.ikev2_payloads import KeyExchange, Nonce, Notify, Payload, SecurityAssociation, UnknownPayload
from tests.engine.ike_pair import (
    GATEWAY,
    IKE_PORT,
    IMSI,
    PSK,
    UE,
    Pair,
    Policy,
    initiator_config,
    responder_config,
    seeded,
    to_gateway,
    to_ue,
    usim,
)

ELSEWHERE = IPv6Address("2001:db8:bad::1")


def init_request(pair: Pair) -> Message:
    """The UE's first message."""
    return Message.parse(pair.wire[0][1].payload)


def answered(pair: Pair, *payloads: Payload, spi: bytes = bytes(8), source: IPv6Address = GATEWAY) -> UdpDatagram:
    """Something that claims to answer the UE's IKE_SA_INIT."""
    ispi = init_request(pair).initiator_spi
    return to_ue(Message(ispi, spi, Exchange.IKE_SA_INIT, 0, payloads, False, True).build(), source)


def silent() -> Pair:
    """A UE that has begun, and a gateway whose answers the test writes."""
    pair = Pair()
    pair.disturb = lambda number, datagram: []
    return pair.start()


def kinds(message: Message) -> list[str]:
    return [type(each).__name__ for each in message.payloads]


# Cookies (RFC 7296 2.6)


def test_cookie() -> None:
    pair = Pair(responder=responder_config(cookie_threshold=0)).start()
    pair.step()
    assert not pair.responder.sessions and pair.responder.next_timer() is None  # nothing is remembered
    pair.run(1, lambda: pair.initiator.established)
    chart = pair.chart()
    assert chart[1] == "<-- IKE_SA_INIT 0 N(COOKIE)"
    assert chart[2] == chart[0].replace("IKE_SA_INIT 0 ", "IKE_SA_INIT 0 N(COOKIE) ")
    first, again = (Message.parse(pair.wire[n][1].payload) for n in (0, 2))
    assert again.payloads[1:] == first.payloads and again.message_id == 0 and not any(again.responder_spi)
    assert len(pair.ue(IkeSaEstablished)) == len(pair.gateway(IkeSaEstablished)) == 1
    assert pair.responder.counters == {"ike-cookie-demanded": 1}


def test_cookies_are_demanded_only_under_load() -> None:
    pair = Pair(responder=responder_config(cookie_threshold=2)).established()
    assert not pair.responder.counters
    for number in (1, 2, 3):
        pair.inject(to_gateway(fresh_request(number)))
    pair.quiet()
    assert pair.responder.counters == {"ike-cookie-demanded": 1}


def fresh_request(number: int, port: int = IKE_PORT) -> bytes:
    """An IKE_SA_INIT that nobody goes on with."""
    other = Pair(seed=f"stranger {number}")
    other.disturb = lambda *_: []
    return other.start().wire[0][1].payload


def with_cookie(octets: bytes, cookie: bytes) -> bytes:
    message = Message.parse(octets)
    return replace(message, payloads=(Notify(NotifyType.COOKIE, cookie), *message.payloads)).build()


def cookie_for(pair: Pair, octets: bytes, source: IPv6Address = UE) -> bytes:
    pair.responder.receive_datagram(to_gateway(octets, source), pair.now)
    [answer] = pair.responder.datagrams_to_send()
    [demand] = Message.parse(answer.payload).payloads
    assert isinstance(demand, Notify) and demand.notify_type == NotifyType.COOKIE
    assert 1 <= len(demand.data) <= 64 and answer.destination == source
    return demand.data


def sessions_after(pair: Pair, octets: bytes, source: IPv6Address = UE) -> int:
    pair.responder.receive_datagram(to_gateway(octets, source), pair.now)
    pair.responder.datagrams_to_send()
    return len(pair.responder.sessions)


def test_a_cookie_is_good_for_its_request_from_its_address_only() -> None:
    pair = Pair(responder=responder_config(cookie_threshold=0))
    octets, other = fresh_request(1), fresh_request(2)
    cookie = cookie_for(pair, octets)
    for bad in (
        b"\0",
        cookie[:-1],
        cookie + b"\0",
        cookie[:-1] + bytes((cookie[-1] ^ 1,)),
        bytes(33),
        b"\7" + cookie[1:],
    ):
        assert sessions_after(pair, with_cookie(octets, bad)) == 0
    assert sessions_after(pair, with_cookie(other, cookie)) == 0  # another nonce and SPI
    assert sessions_after(pair, with_cookie(octets, cookie), ELSEWHERE) == 0
    assert sessions_after(pair, with_cookie(octets, cookie)) == 1


def test_cookies_last_for_two_secrets() -> None:
    timers = Timers(cookie_secret=60)
    pair = Pair(responder=responder_config(cookie_threshold=0, timers=timers))
    first, second = fresh_request(1), fresh_request(2)
    old = cookie_for(pair, first)
    pair.now = 61.0
    young = cookie_for(pair, second)
    assert young[0] != old[0]
    assert sessions_after(pair, with_cookie(first, old)) == 1
    pair.now = 122.0
    assert sessions_after(pair, with_cookie(second, young)) == 2
    third = fresh_request(3)
    stale = cookie_for(pair, third)
    pair.now = 400.0  # nobody came for long: the secret is as old as that
    assert sessions_after(pair, with_cookie(third, stale)) == 2


def test_a_copy_of_a_cookie_demand_is_ignored() -> None:
    pair = silent()
    demand = answered(pair, Notify(NotifyType.COOKIE, b"cookie"))
    for _ in range(10):
        pair.inject(demand)
    pair.quiet()
    assert len(pair.wire) == 2 and not pair.initiator.counters


def test_cookie_after_cookie_is_not_followed_for_ever() -> None:
    pair = silent()
    for number in range(10):
        pair.inject(answered(pair, Notify(NotifyType.COOKIE, b"cookie %d" % number)))
        pair.quiet()
    assert len(pair.wire) == 4
    assert pair.initiator.counters["ike-cookie-rounds"] == 7
    pair.run()
    [failed] = pair.ue(IkeFailed)
    assert failed.reason == "the gateway demands cookie after cookie" and failed.clause == "RFC 7296 2.6"


@pytest.mark.parametrize("cookie", [b"", bytes(65)])
def test_a_cookie_has_1_to_64_octets(cookie: bytes) -> None:
    pair = silent()
    pair.inject(answered(pair, Notify(NotifyType.COOKIE, cookie)))
    pair.quiet()
    assert len(pair.wire) == 1


# Another group (RFC 7296 1.3)

WANTS_P256 = Profile(
    (parse_offer("aes256gcm16-prfsha256-ecp256", Protocol.IKE),), (parse_offer("aes128gcm16", Protocol.ESP),)
)


def test_another_group() -> None:
    pair = Pair(responder=responder_config(profile=WANTS_P256)).established()
    assert pair.chart()[1] == "<-- IKE_SA_INIT 0 N(INVALID_KE_PAYLOAD)"
    first, again = (Message.parse(pair.wire[n][1].payload) for n in (0, 2))
    wanted = Message.parse(pair.wire[1][1].payload).payloads[0]
    assert isinstance(wanted, Notify) and wanted.data == b"\x00\x13"
    assert again.payloads[0] == first.payloads[0]  # the full proposal again, so that nobody can push us down
    assert [each.group for each in (*first.payloads, *again.payloads) if isinstance(each, KeyExchange)] == [31, 19]
    assert again.payloads[2:] == first.payloads[2:]
    assert pair.keys().chosen.group and pair.keys().chosen.group.name == "ECP-256"


def test_cookie_and_another_group() -> None:
    pair = Pair(responder=responder_config(profile=WANTS_P256, cookie_threshold=0)).established()
    assert [line.split()[3] for line in pair.chart()[1:6:2]] == ["N(COOKIE)", "N(INVALID_KE_PAYLOAD)", "SA"]
    assert kinds(Message.parse(pair.wire[4][1].payload))[:2] == ["Notify", "SecurityAssociation"]  # the cookie is kept


@pytest.mark.parametrize("data", [b"\x00\x02", b"\x00\x00", b"", b"\x13", b"\x00\x13\x00"])
def test_a_group_that_we_did_not_offer(data: bytes) -> None:
    pair = silent()
    pair.inject(answered(pair, Notify(NotifyType.INVALID_KE_PAYLOAD, data)))
    pair.run()
    [failed] = pair.ue(IkeFailed)
    number = int.from_bytes(data, "big") if len(data) == 2 else 0
    assert failed.reason.startswith(
        f"the gateway wants Diffie-Hellman group {number}; we offered CURVE25519, ECP-256, "
    )
    assert failed.notify == NotifyType.INVALID_KE_PAYLOAD


def test_a_gateway_that_changes_its_mind_about_groups() -> None:
    pair = silent()
    for number in (19, 19, 31):
        pair.inject(answered(pair, Notify(NotifyType.INVALID_KE_PAYLOAD, struct.pack("!H", number))))
        pair.quiet()
    assert len(pair.wire) == 2  # a copy of the demand is ignored, going back is not followed
    assert pair.initiator.counters == {"ike-init-error": 1}


# Unauthenticated errors (RFC 7296 2.21.1)

ERRORS = (
    Notify(NotifyType.NO_PROPOSAL_CHOSEN),
    Notify(NotifyType.INVALID_SYNTAX),
    Notify(NotifyType.AUTHENTICATION_FAILED),
    Notify(NotifyType.INVALID_MAJOR_VERSION),
    Notify(NotifyType.INVALID_IKE_SPI),
    Notify(9999),
)


@pytest.mark.parametrize("forged", ERRORS, ids=lambda each: str(each.notify_type))
def test_a_forged_error_does_not_end_the_attempt(forged: Notify) -> None:
    pair = Pair()
    held: list[UdpDatagram] = []
    pair.disturb = lambda number, datagram: held.append(datagram) or [] if number == 1 else [(0.01, datagram)]
    pair.start()
    pair.inject(answered(pair, forged))
    pair.quiet()
    assert pair.initiator.counters == {"ike-init-error": 1} and not pair.ue(IkeFailed)
    pair.inject(held[0], 2.0)  # the genuine answer comes at last
    assert pair.run(30, lambda: pair.initiator.established)


@pytest.mark.parametrize("forged", ERRORS, ids=lambda each: str(each.notify_type))
def test_an_error_without_a_better_answer_ends_it_after_a_while(forged: Notify) -> None:
    pair = silent()
    pair.inject(answered(pair, forged))
    pair.run()
    [failed] = pair.ue(IkeFailed)
    assert pair.now == pytest.approx(Timers().patience, abs=0.1)
    assert failed.notify == forged.notify_type and not failed.authentication
    assert failed.reason.startswith("the gateway refused")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda p: p[1:], "0 SecurityAssociation payloads where one belongs"),
        (lambda p: (p[0], *p[2:]), "0 KeyExchange payloads where one belongs"),
        (lambda p: (*p[:2], *p[3:]), "0 Nonce payloads where one belongs"),
        (lambda p: (*p, p[2]), "2 Nonce payloads where one belongs"),
        (lambda p: (p[0], KeyExchange(31, bytes(32)), *p[2:]), "Curve25519 public value refused"),
        (lambda p: (p[0], KeyExchange(31, bytes(31)), *p[2:]), "Curve25519 public value refused"),
        (lambda p: (p[0], KeyExchange(19, bytes(64)), *p[2:]), "key exchange does not fit its choice"),
        (lambda p: (*p[:2], Nonce(bytes(15)), *p[3:]), "key exchange does not fit its choice"),
        (lambda p: (*p[:2], Nonce(bytes(257)), *p[3:]), "key exchange does not fit its choice"),
        (
            lambda p: (SecurityAssociation((*p[0].proposals, *p[0].proposals)), *p[1:]),
            "algorithms that we did not offer",
        ),
        (lambda p: (*p, Notify(NotifyType.REDIRECT, b"\2\x10" + bytes(16))), "redirects us to another one"),
    ],
)
def test_answers_that_are_no_answers(
    change: Callable[[tuple[Payload, ...]], tuple[Payload, ...]], complaint: str
) -> None:
    """Each may come from anybody: it is counted, and said only when nothing better comes."""
    pair = Pair()

    def disturb(number: int, datagram: UdpDatagram) -> list[tuple[float, UdpDatagram]]:
        if datagram.destination == UE:
            message = Message.parse(datagram.payload)
            datagram = to_ue(replace(message, payloads=change(message.payloads)).build())
        return [(0.01, datagram)]

    pair.disturb = disturb
    pair.start()
    pair.run(until=lambda: bool(pair.ue(IkeFailed)))
    assert complaint in pair.ue(IkeFailed)[0].reason
    assert pair.initiator.counters["ike-init-error"] >= 1


def test_an_answer_without_responder_spi() -> None:
    pair = Pair()
    pair.disturb = lambda number, datagram: [
        (0.01, to_ue(datagram.payload[:8] + bytes(8) + datagram.payload[16:]) if number == 1 else datagram)
    ]
    assert pair.established().initiator.counters == {"ike-init-error": 1}


def test_answers_from_elsewhere_do_not_count() -> None:
    pair = silent()
    pair.inject(answered(pair, Notify(NotifyType.NO_PROPOSAL_CHOSEN), source=ELSEWHERE))
    pair.inject(to_ue(bytes(8) + pair.wire[0][1].payload[8:]))
    pair.quiet()
    assert pair.initiator.counters == {"ike-unknown-spi": 2}


# What a gateway makes of odd requests


def request(pair: Pair, change: Callable[[Message], Message]) -> Message | None:
    """The gateway's answer to the UE's first message, changed."""
    octets = change(Message.parse(fresh_request(1))).build()
    pair.responder.receive_datagram(to_gateway(octets), pair.now)
    answers = [Message.parse(each.payload) for each in pair.responder.datagrams_to_send()]
    assert len(answers) <= 1
    return answers[0] if answers else None


@pytest.mark.parametrize(
    ("change", "counter"),
    [
        (lambda m: replace(m, payloads=m.payloads[1:]), "ike-malformed"),
        (lambda m: replace(m, payloads=(*m.payloads, m.payloads[1])), "ike-malformed"),
        (lambda m: replace(m, payloads=(*m.payloads[:2], Nonce(bytes(15)))), "ike-malformed"),
        (lambda m: replace(m, message_id=1), "ike-malformed"),
        (lambda m: replace(m, responder_spi=b"\1" * 8), "ike-malformed"),
        (
            lambda m: replace(m, payloads=(m.payloads[0], KeyExchange(31, bytes(32)), *m.payloads[2:])),
            "ike-public-value",
        ),
        (lambda m: replace(m, payloads=(m.payloads[0], KeyExchange(31, b"x"), *m.payloads[2:])), "ike-public-value"),
        (lambda m: replace(m, version=0x10), "ike-version"),
        (lambda m: replace(m, is_response=True), "ike-unknown-spi"),
        (lambda m: replace(m, from_original_initiator=False), "ike-unknown-spi"),
    ],
)
def test_requests_that_get_no_answer(change: Callable[[Message], Message], counter: str) -> None:
    pair = Pair()
    assert request(pair, change) is None
    assert pair.responder.counters == {counter: 1}
    assert not pair.responder.sessions


def test_a_higher_major_version_is_told_ours() -> None:
    """RFC 7296 2.5."""
    pair = Pair()
    answer = request(pair, lambda message: replace(message, version=0x30))
    assert answer and answer.version == 0x20 and answer.payloads == (Notify(NotifyType.INVALID_MAJOR_VERSION),)
    assert not pair.responder.sessions


def test_a_higher_minor_version_is_no_obstacle() -> None:
    assert request(Pair(), lambda message: replace(message, version=0x21)) is not None


def test_unknown_payloads_in_a_request() -> None:
    """RFC 7296 2.5: a critical one is refused by name, another is skipped."""
    pair = Pair()
    answer = request(pair, lambda m: replace(m, payloads=(*m.payloads, UnknownPayload(200, True, b""))))
    assert answer and answer.payloads == (Notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, b"\xc8"),)
    assert not pair.responder.sessions
    answer = request(pair, lambda m: replace(m, payloads=(UnknownPayload(200, False, b""), *m.payloads)))
    assert answer and isinstance(answer.payloads[0], SecurityAssociation)


def test_payloads_in_any_order() -> None:
    """RFC 7296 2.5."""
    answer = request(Pair(), lambda m: replace(m, payloads=m.payloads[::-1]))
    assert answer and isinstance(answer.payloads[0], SecurityAssociation)


def test_nat_is_seen_by_both() -> None:
    """RFC 7296 2.23: a translated source shows at the gateway, and the UE learns that it is behind a NAT."""
    pair = Pair()
    outside = IPv6Address("2001:db8:f:1::99")

    def translate(number: int, datagram: UdpDatagram) -> list[tuple[float, UdpDatagram]]:
        if datagram.destination == GATEWAY:
            return [(0.01, datagram._replace(source=outside, source_port=40000))]
        return [(0.01, datagram._replace(destination=UE, destination_port=IKE_PORT))]

    pair.disturb = translate
    pair.established()
    [session] = pair.responder.sessions.values()
    assert session.nat == Nat(peer=True, ourselves=False)
    assert pair.initiator.nat == Nat(peer=False, ourselves=True)
    assert session.path.remote_port == 40000 and session.path.remote == outside


def test_port_4500_has_the_non_esp_marker() -> None:
    pair = Pair()
    pair.initiator.path = pair.initiator.path._replace(local_port=4500, remote_port=4500)
    pair.established()
    assert all(each.payload.startswith(NON_ESP_MARKER) and each.payload[4:12] != bytes(8) for _, each in pair.wire)
    pair.responder.receive_datagram(UdpDatagram(UE, 4500, GATEWAY, 4500, b"\xff"), pair.now)  # RFC 3948 2.3 keepalive
    assert pair.responder.counters == {"ike-no-marker": 1}


# Many at once


def test_the_same_request_gets_the_same_answer_and_makes_one_session() -> None:
    pair = Pair()
    octets = fresh_request(1)
    answers = []
    for source in (UE, UE, ELSEWHERE):
        pair.responder.receive_datagram(to_gateway(octets, source), pair.now)
        [answer] = pair.responder.datagrams_to_send()
        answers.append((answer.payload, answer.destination))
    assert [payload for payload, _ in answers] == [answers[0][0]] * 3
    assert answers[2][1] == ELSEWHERE  # where it came from, wherever that is
    assert len(pair.responder.sessions) == 1


def test_two_ues_may_choose_the_same_spi() -> None:
    """RFC 7296 2.1: behind one NAT even the same address and port; the whole message tells them apart."""
    policy = Policy(psk=PSK)
    pair = Pair(initiator_config(psk=PSK), policy=policy)
    other = Pair(initiator_config(psk=PSK), policy=policy, seed="other")
    other.responder = pair.responder
    other.initiator.spi_i = pair.initiator.spi_i
    pair.start().run(1, lambda: bool(pair.responder.sessions))
    other.established()
    assert pair.run(1, lambda: pair.initiator.established) and len(pair.responder.sessions) == 2
    assert pair.keys().keys != other.keys().keys


def test_half_open_sessions_end() -> None:
    timers = Timers(half_open=30)
    pair = Pair(responder=responder_config(timers=timers, maximum_half_open=2, cookie_threshold=100))
    for number in range(4):
        pair.responder.receive_datagram(to_gateway(fresh_request(number)), pair.now)
    assert len(pair.responder.sessions) == 2
    assert pair.responder.counters == {"ike-half-open-full": 2}
    pair.run(31)
    assert not pair.responder.sessions and pair.responder.counters["ike-half-open-expired"] == 2
    pair.start().run(until=lambda: pair.initiator.established)
    assert pair.initiator.established  # there is room again


FLOOD = 3000


def test_flood() -> None:
    """Requests from invented addresses cost the gateway no memory beyond the threshold, and keep nobody out."""
    pair = Pair(responder=responder_config(cookie_threshold=32))
    template, random = Message.parse(fresh_request(1)), seeded("flood")
    pair.start()
    for number in range(FLOOD):
        payloads = (*template.payloads[:2], Nonce(random(32)), *template.payloads[3:])
        octets = replace(template, initiator_spi=random(8), payloads=payloads).build()
        pair.responder.receive_datagram(to_gateway(octets, IPv6Address(random(16))), pair.now)
        if number % 100 == 0:
            pair.step(pair.now)  # the UE's own messages come in between
    assert len(pair.responder.datagrams_to_send()) == FLOOD
    assert len(pair.responder.sessions) == 32
    assert pair.responder.counters == {"ike-cookie-demanded": FLOOD - 32}
    pair.settle()
    assert pair.run(5, lambda: pair.initiator.established)
    assert pair.chart()[1] == "<-- IKE_SA_INIT 0 N(COOKIE)"
    pair.run(200, lambda: len(pair.responder.sessions) == 1)
    assert pair.responder.counters["ike-half-open-expired"] == 32


def test_strangers_cannot_fill_the_journal() -> None:
    pair = Pair(responder=responder_config(profile=WANTS_P256))
    legacy = initiator_config(
        profile=Profile((parse_offer("aes128-sha1-prfsha1-modp1024", Protocol.IKE),), WANTS_P256.esp)
    )
    octets = Pair(legacy).start().wire[0][1].payload
    for tenth in range(30):
        pair.responder.receive_datagram(to_gateway(octets), tenth / 10)
    pair.settle()
    assert pair.responder.counters == {"ike-no-proposal": 30}
    assert len(pair.gateway(IkeFailed)) == 3


def test_many_ues_at_once() -> None:
    """Found by SPI, each with its own keys; one timer list for all."""
    policy = Policy()
    first = Pair(policy=policy)
    pairs = [first]
    for number in range(1, 40):
        peer = AkaPeer(AKA, initiator_config().identity, IMSI, usim())
        pair = Pair(initiator_config(eap=lambda peer=peer: peer), policy=policy, seed=number)
        pair.responder = first.responder
        pairs.append(pair)
    for pair in pairs:
        pair.start()
    for _ in range(20):
        for pair in pairs:
            pair.step(1.0)
    assert all(pair.initiator.established for pair in pairs)
    assert len(first.responder.sessions) == 40
    assert len({pair.keys().keys.ei for pair in pairs}) == 40
