# SPDX-License-Identifier: GPL-2.0-or-later
"""Authenticated peers that do what they must not: malformed or misplaced content behind a good integrity check."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mn_dsmip.crypto.suites import Sealer
from mn_dsmip.engine.base import UdpDatagram
from mn_dsmip.engine.ike.events import (
    ChildSaClosed,
    ChildSaEstablished,
    ChildSaFailed,
    IkeFailed,
    IkeSaClosed,
    IkeSaEstablished,
)
from mn_dsmip.engine.ike.responder_session import MAXIMUM_CHILDREN
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_numbers import Exchange, NotifyType, Protocol
from mn_dsmip.wire.ikev2_payloads import (
    Delete,
    Nonce,
    Notify,
    Payload,
    SecurityAssociation,
    TrafficSelectorsInitiator,
    TrafficSelectorsResponder,
    UnknownPayload,
)
from mn_dsmip.wire.ikev2_proposals import Proposal, Transform
from tests.engine.ike_pair import (
    ANYWHERE,
    FOR_HOME,
    Pair,
    initiator_config,
    to_gateway,
)
from tests.engine.ike_trouble import alive, change_answer, deliver, from_gateway, replaced, request

CRITICAL = UnknownPayload(200, True, b"future")


# Malformed (RFC 7296 2.21)

MALFORMED = [b"\x00\x00\x00\x03", b"\x29\x00\x00\x08\x00\x00\x40\x00", b"\x00\x00\x00\x05\x00"]


@pytest.mark.parametrize("inner", MALFORMED)
def test_a_malformed_request_ends_the_session(inner: bytes) -> None:
    pair = Pair().established()
    header = Message(
        pair.initiator.current.spi_i, pair.initiator.current.spi_r, Exchange.INFORMATIONAL, 4, (), True, False
    )
    assert deliver(pair, pair.seal_raw(header, 41, inner)) == [Notify(NotifyType.INVALID_SYNTAX)]
    [closed] = pair.gateway(IkeSaClosed)
    assert closed.reason.startswith("the peer sent a malformed message: ") and not closed.by_peer
    assert pair.responder.counters == {"ike-malformed": 1}


@pytest.mark.parametrize("plaintext", [b"\x05", b"ab\x03", b""])
def test_padding_longer_than_the_content(plaintext: bytes) -> None:
    pair = Pair().established()
    header = Message(
        pair.initiator.current.spi_i, pair.initiator.current.spi_r, Exchange.INFORMATIONAL, 4, (), True, False
    )
    sealer = Sealer(pair.keys().chosen.protection, pair.keys().keys.ei, b"", bytes)
    sealer._counter = 1 << 50
    associated = header.associated_data(0, sealer.overhead() + len(plaintext))
    answer = deliver(pair, to_gateway(associated + sealer.seal(plaintext, associated)))
    assert answer == [Notify(NotifyType.INVALID_SYNTAX)]
    assert "padding" in pair.gateway(IkeSaClosed)[0].reason


@pytest.mark.parametrize(
    ("exchange", "payloads"),
    [
        (Exchange.IKE_AUTH, ()),  # the time for that is over
        (Exchange.IKE_SA_INIT + 100, ()),
        (43, ()),
        (Exchange.CREATE_CHILD_SA, ()),
        (Exchange.CREATE_CHILD_SA, (Nonce(bytes(32)),)),
    ],
)
def test_requests_out_of_place(exchange: int, payloads: tuple[Payload, ...]) -> None:
    pair = Pair().established()
    assert deliver(pair, request(pair, *payloads, exchange=exchange)) == [Notify(NotifyType.INVALID_SYNTAX)]
    assert len(pair.gateway(IkeSaClosed)) == 1 and pair.responder.counters == {"ike-malformed": 1}


def test_create_child_before_the_end_of_ike_auth() -> None:
    pair = Pair().start()
    pair.run(1, lambda: len(pair.wire) == 2)
    pair.disturb = lambda number, datagram: []
    pair.quiet()
    header = Message(
        pair.initiator.current.spi_i, pair.initiator.current.spi_r, Exchange.CREATE_CHILD_SA, 1, (), True, False
    )
    assert deliver(pair, pair.forge(header, [])) == [Notify(NotifyType.INVALID_SYNTAX)]
    [failed] = pair.gateway(IkeFailed)
    assert failed.reason == "the UE's request is not acceptable: exchange 36 at this moment"


def test_unknown_critical_payload_in_a_request() -> None:
    """RFC 7296 2.5: named, nothing is done, the SA stands."""
    pair = Pair().established()
    expected = [Notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, b"\xc8")]
    assert deliver(pair, request(pair, Delete(Protocol.IKE), CRITICAL)) == expected
    assert deliver(pair, from_gateway(pair, Delete(Protocol.IKE), CRITICAL)) == expected
    assert pair.responder.counters["ike-critical-payload"] == pair.initiator.counters["ike-critical-payload"] == 1
    pair.initiator.current.next_id += 1
    assert alive(pair)


def test_unknown_payloads_and_notifies_are_skipped() -> None:
    pair = Pair().established()
    odd = (UnknownPayload(200, False, b"x"), Notify(50000), Notify(NotifyType.INITIAL_CONTACT), Notify(16000))
    assert deliver(pair, request(pair, *odd)) == []
    pair.initiator.current.next_id += 1
    assert alive(pair) and not pair.gateway(IkeSaClosed)


@pytest.mark.parametrize("number", [3, 5, 7])
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda payloads: [*payloads, CRITICAL], "the peer's answer has an unknown payload that is marked critical"),
        (lambda payloads: [Notify(NotifyType.INVALID_SYNTAX)], "the gateway refused: it finds our message malformed"),
        (lambda payloads: [], "IKE_AUTH answer is malformed"),
    ],
)
def test_bad_answers_end_the_attempt(
    number: int, change: Callable[[list[Payload]], list[Payload]], complaint: str
) -> None:
    """Whatever goes wrong before the SA is there, the UE is told: no attempt ends in silence."""
    pair = Pair()
    change_answer(number, change, pair)
    pair.start().quiet()
    [failed] = pair.ue(IkeFailed)
    assert complaint in failed.reason and pair.initiator.closed
    assert not pair.ue(IkeSaEstablished)


def test_malformed_content_in_an_answer_ends_the_attempt() -> None:
    pair = Pair()

    def disturb(number: int, datagram: UdpDatagram) -> list[tuple[float, UdpDatagram]]:
        if number == 3:
            datagram = pair.seal_raw(Message.parse(datagram.payload), 36, b"\0\0\0\3")
        return [(0.01, datagram)]

    pair.disturb = disturb
    pair.start().quiet()
    [failed] = pair.ue(IkeFailed)
    assert failed.reason.startswith("the peer sent a malformed message: payload 36 at octet 0 has length 3")


@pytest.mark.parametrize("payload", [Delete(Protocol.IKE), Notify(NotifyType.AUTHENTICATION_FAILED)])
def test_a_gateway_that_gives_up_during_ike_auth(payload: Payload) -> None:
    pair = Pair().start()
    pair.run(1, lambda: len(pair.wire) == 4)
    pair.inject(from_gateway(pair, payload))
    pair.disturb = lambda number, datagram: []
    pair.quiet()
    assert len(pair.ue(IkeFailed)) == 1 and pair.initiator.closed


def test_invalid_syntax_in_an_answer_ends_the_session() -> None:
    """RFC 7296 2.21.3: fatal at both ends, without DELETE."""
    pair = Pair().established()
    change_answer(9, lambda payloads: [Notify(NotifyType.INVALID_SYNTAX)], pair)
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.settle()
    pair.quiet()
    [closed] = pair.ue(IkeSaClosed)
    assert closed.reason == "the peer finds our request malformed (INVALID_SYNTAX)"
    assert len(pair.wire) == 10


@pytest.mark.parametrize("kind", [NotifyType.AUTHENTICATION_FAILED, NotifyType.INVALID_SYNTAX])
def test_fatal_notifies_in_a_request(kind: NotifyType) -> None:
    pair = Pair().established()
    assert deliver(pair, from_gateway(pair, Notify(kind))) == []
    [closed] = pair.ue(IkeSaClosed)
    assert closed.by_peer and closed.reason.startswith(f"the peer reports {kind.name}: it ")


# Child SAs that must not be


def make_child(*change: Callable[[list[Payload]], list[Payload]]) -> Pair:
    """A CREATE_CHILD_SA whose answer is changed; the gateway is left with what it believes."""
    pair = Pair().established()

    def all_changes(payloads: list[Payload]) -> list[Payload]:
        for each in change:
            payloads = each(payloads)
        return payloads

    change_answer(9, all_changes, pair)
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.settle()
    pair.quiet()
    return pair


WIDER, FOREIGN = ANYWHERE.local, ANYWHERE.remote


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (replaced(Notify), "the gateway did not agree to transport mode"),
        (replaced(TrafficSelectorsInitiator, TrafficSelectorsInitiator(WIDER)), "traffic selectors outside those"),
        (replaced(TrafficSelectorsResponder, TrafficSelectorsResponder(WIDER)), "traffic selectors outside those"),
        (replaced(TrafficSelectorsInitiator, TrafficSelectorsInitiator(FOREIGN)), "traffic selectors outside those"),
        (replaced(TrafficSelectorsInitiator, TrafficSelectorsInitiator(())), "traffic selectors outside those"),
        (replaced(TrafficSelectorsInitiator), "0 TrafficSelectorsInitiator payloads"),
        (replaced(Nonce), "0 Nonce payloads"),
        (
            replaced(
                SecurityAssociation,
                SecurityAssociation((Proposal(1, 3, b"spi!", (Transform(1, 12, 128), Transform(5, 0))),)),
            ),
            "ESP algorithms that we did not offer",
        ),
        (
            replaced(
                SecurityAssociation,
                SecurityAssociation((Proposal(1, 3, b"short", (Transform(1, 20, 256), Transform(5, 0))),)),
            ),
            "ESP algorithms that we did not offer",
        ),
    ],
)
def test_child_sas_that_we_do_not_take(change: Callable[[list[Payload]], list[Payload]], complaint: str) -> None:
    """The gateway has made one, so it is deleted again (RFC 7296 1.3.1)."""
    pair = make_child(change)
    [failed] = pair.ue(ChildSaFailed)
    assert complaint in failed.reason
    assert pair.chart()[10:] == ["--> INFORMATIONAL 5 D", "<-- INFORMATIONAL 5 D"]
    assert len(pair.ue(ChildSaEstablished)) == 1 and len(pair.gateway(ChildSaClosed)) == 1


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (NotifyType.NO_ADDITIONAL_SAS, "it accepts no further child SA"),
        (NotifyType.TEMPORARY_FAILURE, "it cannot do that just now"),
        (NotifyType.TS_UNACCEPTABLE, "it does not protect the traffic that we asked for"),
        (NotifyType.SINGLE_PAIR_REQUIRED, "it accepts a single pair of addresses only"),
        (9999, "it reports error 9999"),
    ],
)
def test_refused_child_sas_are_explained(kind: int, sentence: str) -> None:
    pair = make_child(lambda payloads: [Notify(kind)])
    [failed] = pair.ue(ChildSaFailed)
    assert failed.notify == kind and failed.reason.startswith(f"the gateway refused: {sentence}")
    assert len(pair.wire) == 10 and pair.initiator.established and not pair.initiator.closed


def test_a_first_child_that_we_do_not_take() -> None:
    pair = Pair()
    change_answer(7, replaced(Notify), pair)
    pair.established()
    pair.quiet()
    assert pair.ue(IkeSaEstablished)[0].child_refused == "the gateway did not agree to transport mode"
    assert not pair.ue(ChildSaEstablished) and pair.chart()[8:] == ["--> INFORMATIONAL 4 D", "<-- INFORMATIONAL 4 D"]


def test_an_assigned_home_address_refuses_nothing() -> None:
    """USE_ASSIGNED_HoA has a number among the errors and goes with a child SA (RFC 5026 5.3.2)."""
    pair = Pair()
    change_answer(7, lambda payloads: [*payloads, Notify(NotifyType.USE_ASSIGNED_HOA)], pair)
    pair.established()
    pair.quiet()
    assert len(pair.ue(ChildSaEstablished)) == 1 and pair.ue(IkeSaEstablished)[0].child_notify is None


def test_an_answer_without_child_sa_and_without_a_reason() -> None:
    pair = Pair()
    change_answer(7, lambda payloads: payloads[:2], pair)
    pair.established()
    assert pair.ue(IkeSaEstablished)[0].child_refused == "the gateway answered without a child SA"
    assert not pair.ue(ChildSaEstablished)


@pytest.mark.parametrize("exchange", [Exchange.IKE_AUTH, Exchange.IKE_SA_INIT + 100, 43])
def test_a_gateway_that_asks_what_only_a_ue_may_ask(exchange: int) -> None:
    pair = Pair().established()
    assert deliver(pair, from_gateway(pair, exchange=exchange)) == [Notify(NotifyType.INVALID_SYNTAX)]
    assert pair.initiator.counters["ike-unexpected-request"] == 1


@pytest.mark.parametrize("version", [0x10, 0x30])
def test_another_major_version_in_the_middle(version: int) -> None:
    pair = Pair().established()
    for genuine in (request(pair), from_gateway(pair)):
        octets = bytearray(genuine.payload)
        octets[17] = version
        assert deliver(pair, genuine._replace(payload=bytes(octets))) == []
    assert pair.initiator.counters == pair.responder.counters == {"ike-version": 1}
    assert alive(pair)


def test_a_gateway_that_wants_child_sas_of_its_own() -> None:
    pair = Pair().established()
    answer = deliver(pair, from_gateway(pair, Nonce(bytes(32)), exchange=Exchange.CREATE_CHILD_SA))
    assert answer == [Notify(NotifyType.NO_ADDITIONAL_SAS)]
    assert alive(pair)


def test_child_sas_without_end() -> None:
    pair = Pair().established()
    for _ in range(MAXIMUM_CHILDREN + 5):
        pair.initiator.create_child(FOR_HOME, pair.now)
        pair.settle()
        pair.quiet()
    assert len(pair.gateway(ChildSaEstablished)) == MAXIMUM_CHILDREN
    assert {each.notify for each in pair.ue(ChildSaFailed)} == {NotifyType.NO_ADDITIONAL_SAS}
    pair.initiator.delete_child(pair.ue(ChildSaEstablished)[0].child.inbound_spi, pair.now)
    pair.settle()
    pair.quiet()
    assert alive(pair)  # there is room again, for one
    assert not alive(pair)


def test_deletion_of_what_is_not_there() -> None:
    pair = Pair().established()
    assert deliver(pair, request(pair, Delete(Protocol.ESP, (b"none", b"here")))) == []
    pair.initiator.current.next_id += 1
    assert not pair.gateway(ChildSaClosed) and alive(pair)


@pytest.mark.parametrize(("protocol", "closed"), [(Protocol.AH, 0), (Protocol.ESP, 1)])
def test_deletion_names_a_protocol_and_counts_once(protocol: Protocol, closed: int) -> None:
    pair = Pair().established()
    [spi] = (child.child.outbound_spi for child in pair.gateway(ChildSaEstablished))
    answer = deliver(pair, request(pair, Delete(protocol, (spi, spi)), Delete(protocol, (spi,))))
    assert len(pair.gateway(ChildSaClosed)) == closed
    assert [len(each.spis) for each in answer if isinstance(each, Delete)] == [1] * closed


def test_an_end_is_told_once() -> None:
    established, attempt = Pair().established(), Pair().start()
    attempt.run(1, lambda: len(attempt.wire) == 4)
    for pair in (established, attempt):
        [session] = pair.responder.sessions.values()
        for _ in range(2):
            pair.initiator.close("over", by_peer=False)
            session.close("over", by_peer=False)
        pair.responder.settle(session)
        pair.settle()
    for events in (established.ue(IkeSaClosed), established.gateway(IkeSaClosed)):
        assert [each.reason for each in events] == ["over"]
    for failures in (attempt.ue(IkeFailed), attempt.gateway(IkeFailed)):
        assert [each.reason for each in failures] == ["over"]


def test_nothing_is_taken_by_a_closed_session() -> None:
    pair = Pair(initiator_config()).established()
    pair.initiator.delete(pair.now)
    pair.settle()
    pair.quiet()
    for datagram in (request(pair, Delete(Protocol.IKE), ahead=1), from_gateway(pair)):
        assert deliver(pair, datagram) == []
    assert len(pair.wire) == 10 and pair.initiator.next_timer() is None
    pair.inject(pair.wire[8][1])  # the DELETE once more: its answer may have been lost
    pair.quiet()
    assert pair.wire[-1][1].payload == pair.wire[9][1].payload and len(pair.wire) == 11
