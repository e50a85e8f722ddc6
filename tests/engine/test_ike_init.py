# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE_SA_INIT in bad company: other groups, forged errors, odd messages."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv6Address

import pytest

from mn_dsmip.engine.base import UdpDatagram
from mn_dsmip.engine.ike.events import IkeFailed, Timers
from mn_dsmip.engine.ike.path import NON_ESP_MARKER, Nat
from mn_dsmip.engine.ike.proposals import Profile, parse_offer
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_numbers import NotifyType, Protocol
from mn_dsmip.wire.ikev2_payloads import KeyExchange, Nonce, Notify, Payload, SecurityAssociation, UnknownPayload
from tests.engine.ike_pair import (
    GATEWAY,
    IKE_PORT,
    UE,
    Pair,
    responder_config,
    to_gateway,
    to_ue,
)
from tests.engine.ike_trouble import ELSEWHERE, answered, fresh_request, silent


def kinds(message: Message) -> list[str]:
    return [type(each).__name__ for each in message.payloads]


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
        (
            lambda p: (*p, Notify(NotifyType.REDIRECT, b"\2\x10" + bytes(16))),
            "redirects us to another gateway without knowing our nonce",
        ),
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
    assert not pair.responder.sessions and pair.responder.counters == {"ike-critical-payload": 1}
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


def test_a_peer_that_does_not_look_for_nats() -> None:
    pair = Pair()
    assert request(pair, lambda message: replace(message, payloads=message.payloads[:3])) is not None
    [session] = pair.responder.sessions.values()
    assert session.nat is None


def test_port_4500_has_the_non_esp_marker() -> None:
    pair = Pair()
    pair.initiator.path = pair.initiator.path._replace(local_port=4500, remote_port=4500)
    pair.established()
    assert all(each.payload.startswith(NON_ESP_MARKER) and each.payload[4:12] != bytes(8) for _, each in pair.wire)
    pair.responder.receive_datagram(UdpDatagram(UE, 4500, GATEWAY, 4500, b"\xff"), pair.now)  # a keepalive
    assert not pair.responder.counters
    pair.responder.receive_datagram(UdpDatagram(UE, 4500, GATEWAY, 4500, b"\xff\xff"), pair.now)
    assert pair.responder.counters == {"ike-no-marker": 1}
