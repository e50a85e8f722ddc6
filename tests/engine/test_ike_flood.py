# SPDX-License-Identifier: GPL-2.0-or-later
"""Who keeps floods out, and who gets in all the same: cookies, half-open sessions, many UEs."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address

import pytest

from mn_dsmip.engine.ike.aka_common import AKA
from mn_dsmip.engine.ike.aka_peer import AkaPeer
from mn_dsmip.engine.ike.events import IkeFailed, IkeSaEstablished, Timers
from mn_dsmip.engine.ike.proposals import Profile, parse_offer
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_numbers import NotifyType, Protocol
from mn_dsmip.wire.ikev2_payloads import Nonce, Notify
from tests.engine.ike_pair import (
    IMSI,
    PSK,
    UE,
    Pair,
    Policy,
    initiator_config,
    responder_config,
    seeded,
    to_gateway,
    usim,
)
from tests.engine.ike_trouble import ELSEWHERE, answered, fresh_request, silent

WANTS_P256 = Profile(
    (parse_offer("aes256gcm16-prfsha256-ecp256", Protocol.IKE),), (parse_offer("aes128gcm16", Protocol.ESP),)
)


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
    other.initiator.current.spi_i = pair.initiator.current.spi_i
    pair.start().run(1, lambda: bool(pair.responder.sessions))
    other.established()
    assert pair.run(1, lambda: pair.initiator.established) and len(pair.responder.sessions) == 2
    assert pair.keys().keys != other.keys().keys


def test_spis_are_never_given_twice() -> None:
    """Nor is zero, which means none (RFC 7296 3.1)."""
    pair = Pair()
    usual = seeded("gateway 0")
    spis = [b"\1" * 8, b"\1" * 8, bytes(8), b"\2" * 8]
    pair.responder._random = lambda length: spis.pop(0) if length == 8 and spis else usual(length)
    for number in (1, 2):
        pair.responder.receive_datagram(to_gateway(fresh_request(number)), pair.now)
    assert list(pair.responder.sessions) == [b"\1" * 8, b"\2" * 8]


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
