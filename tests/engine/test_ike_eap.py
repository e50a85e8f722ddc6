# SPDX-License-Identifier: GPL-2.0-or-later
"""EAP inside IKE_AUTH: failures, endless and early ends, servers that answer later."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from mn_dsmip.crypto.aka import Subscriber
from mn_dsmip.engine.base import Event
from mn_dsmip.engine.ike.eap_method import EapFailure, EapPacket, EapResult, EapSuccess
from mn_dsmip.engine.ike.events import IkeFailed, IkeSaEstablished, Refusal
from mn_dsmip.engine.ike.policy import Peer
from mn_dsmip.engine.ike.responder_session import ResponderSession
from mn_dsmip.wire.ikev2_numbers import NotifyType
from mn_dsmip.wire.ikev2_payloads import Eap, Notify
from tests.engine.ike_pair import (
    IMSI,
    OPC,
    K,
    Pair,
    Policy,
)
from tests.engine.ike_trouble import attempt, change_answer, nobody_in


def test_a_usim_with_another_key() -> None:
    policy = Policy()
    policy.subscriber = Subscriber(IMSI, bytes(16), OPC)
    pair = attempt(policy=policy)
    failed = nobody_in(pair)
    assert pair.chart()[4:6] == ["--> IKE_AUTH 2 EAP", "<-- IKE_AUTH 2 EAP"]  # Authentication-Reject, EAP-Failure alone
    assert failed.reason == "the network did not prove that it knows our subscription: MAC-A in AUTN is wrong"
    assert failed.authentication and failed.clause == "RFC 4187 6.3.3"
    assert pair.gateway(IkeFailed)[0].reason == "the UE says that AUTN is wrong: K or OP differ"
    assert pair.responder.counters["eap-authentication-reject"] == 1
    assert pair.initiator.counters["eap-authentication-reject"] == 1


def test_nobody_by_that_name() -> None:
    policy = Policy()
    policy.subscriber = Subscriber("001010000000002", K, OPC)
    usual = policy.usual_method

    def renamed(peer: Peer) -> Any:  # whatever the policy gives
        method = usual(peer)
        method._subscribers = {}.get
        return method

    policy.method = renamed
    pair = attempt(policy=policy)
    assert nobody_in(pair).authentication
    assert pair.gateway(IkeFailed)[0].reason == "no subscriber has the identity that the UE gave"


class Scripted:
    """An EAP method that says what the test wants, one result for each time it is asked."""

    def __init__(self, *results: EapResult | None) -> None:
        self.counters: Counter[str] = Counter()
        self.results = list(results)
        self.received: list[bytes] = []
        self.happened: list[Event] = []

    def start(self) -> None:
        pass

    def receive(self, packet: bytes) -> None:
        self.received.append(packet)

    def take(self) -> EapResult | None:
        return self.results.pop(0) if self.results else None

    def events(self) -> list[Event]:
        happened, self.happened = self.happened, []
        return happened


def test_success_before_any_challenge_is_not_believed() -> None:
    policy = Policy()
    policy.method = lambda peer: Scripted(EapSuccess(bytes(64), IMSI, b"\3\1\0\4"))
    pair = attempt(policy=policy)
    assert "there is no answer" in nobody_in(pair).reason
    assert pair.initiator.counters["eap-early-success"] == 1


def test_eap_without_end_ends() -> None:
    policy = Policy()
    policy.method = lambda peer: Scripted(*[EapPacket(b"\1%c\0\5\1" % number) for number in range(100)])
    pair = attempt(policy=policy)
    assert "EAP rounds without end" in nobody_in(pair).reason
    assert len(pair.wire) == 2 + 2 * 21


def test_failure_that_comes_at_once() -> None:
    policy = Policy()
    policy.method = lambda peer: Scripted(EapFailure("the subscriber is barred", "", b"\4\1\0\4"))
    pair = attempt(policy=policy)
    assert nobody_in(pair).reason == "the network refused the authentication without saying why"
    assert pair.gateway(IkeFailed)[0].reason == "the subscriber is barred"
    assert pair.chart()[3] == "<-- IKE_AUTH 1 IDr CERT AUTH EAP"  # the failure comes with the proof of who says it


# A server that takes its time


def slow() -> tuple[Pair, ResponderSession, Scripted]:
    """The UE waits for the answer to its first IKE_AUTH."""
    policy = Policy()
    method = Scripted()
    policy.method = lambda peer: method
    pair = Pair(policy=policy).start()
    pair.run(0.5)
    assert [line.split()[1] for line in pair.chart()] == ["IKE_SA_INIT"] * 2 + ["IKE_AUTH"]
    [session] = pair.responder.sessions.values()
    return pair, session, method


def test_an_eap_server_that_answers_later() -> None:
    pair, session, _ = slow()
    pair.run(6.0)
    requests = [line for line in pair.chart() if "IKE_AUTH 1" in line]
    assert len(requests) == 3 and pair.responder.counters == {"ike-message-id": 2}  # repeated, not answered, not lost
    server = pair.policy.usual_method(pair.policy.peers[0])
    assert not isinstance(server, bytes | Refusal)
    server.start()
    session._eap = server  # the distant server has answered
    pair.responder.resume(session.name, pair.now)
    pair.settle()
    assert pair.run(5, lambda: pair.initiator.established)
    assert pair.chart()[5] == "<-- IKE_AUTH 1 IDr CERT AUTH EAP"


def test_a_resume_for_nobody() -> None:
    pair, session, method = slow()
    pair.responder.resume(bytes(8), pair.now)  # no such session
    pair.responder.resume(session.name, pair.now)  # and still no answer
    method.results.append(EapPacket(b"\1\1\0\5\1"))
    pair.run(120)
    assert not pair.responder.sessions and pair.responder.counters["ike-half-open-expired"] == 1
    session.close("over", by_peer=False)
    sent = len(pair.wire)
    session.resume(pair.now)
    assert not session.datagrams_to_send() and len(pair.wire) == sent


def test_requests_ahead_of_the_answer_wait() -> None:
    """The window is 1: what comes before the last answer is as good as lost (RFC 7296 2.3)."""
    pair, session, method = slow()
    template, _ = pair.look(pair.wire[2][1])
    pair.responder.receive_datagram(pair.forge(replace(template, message_id=2), [Eap(b"\2\1\0\4")]), pair.now)
    assert not method.received and pair.responder.counters == {"ike-message-id": 1}
    method.results.append(EapPacket(b"\1\1\0\5\1"))
    pair.responder.resume(session.name, pair.now)
    pair.settle()
    pair.run(0.1)
    assert len(method.received) == 1


def test_a_stale_notify_of_success_is_no_secret() -> None:
    """A notify beside AUTH in the first answer does not end the exchange (RFC 7296 2.21.2)."""
    pair = Pair()
    change_answer(3, lambda payloads: [*payloads, Notify(NotifyType.NO_PROPOSAL_CHOSEN), Notify(50000, b"x")], pair)
    assert pair.established().ue(IkeSaEstablished)


def test_a_gateway_that_gives_up_at_once() -> None:
    """IDr and EAP-Failure without AUTH, as when its RADIUS server is silent: nobody's word, so another try may help."""
    pair = Pair()
    change_answer(3, lambda payloads: [payloads[0], Eap(bytes((4, 1, 0, 4)))], pair)
    failed = attempt_with(pair)
    assert failed.reason == "the gateway gave up (EAP-Failure) before it proved who it is"
    assert not failed.authentication and failed.clause == "RFC 7296 2.16"


def attempt_with(pair: Pair) -> IkeFailed:
    """Run it to its end at the UE."""
    pair.start()
    assert pair.run(60, lambda: bool(pair.ue(IkeFailed)))
    [failed] = pair.ue(IkeFailed)
    return failed
