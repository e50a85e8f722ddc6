# SPDX-License-Identifier: GPL-2.0-or-later
"""What our PDN GW refuses, drops and survives while strongSwan is the peer; and what its journal says of it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest
import vici

from mn_dsmip.crypto.aka import Subscriber
from mn_dsmip.engine.base import UdpDatagram
from mn_dsmip.engine.gateway_policy import Subscription
from mn_dsmip.engine.ike.events import IkeFailed, IkeSaClosed, IkeSaEstablished
from mn_dsmip.wire.ikev2 import Message
from tests.interop.initiating import APN, PEER, gateway, initiator, policy, remote_access, row, served
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import HA, UE, Field
from tests.interop.peers.ours import Responder
from tests.interop.test_negative_ue import HURRIED

pytestmark = pytest.mark.root
FLOOD = 400


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    with initiator(meeting, tmp_path) as peer:
        yield peer


def refusal(ours: Responder, begun: Future[list[str]]) -> IkeFailed:
    """Why a peer was not let in."""
    try:
        ours.run(begun)
        with pytest.raises(vici.exception.CommandException):
            begun.result()
        ours.run(lambda: ours.of(IkeFailed))
    finally:
        ours.close()
    assert not ours.of(IkeSaEstablished)
    return ours.of(IkeFailed)[0]


@row("wrong PSK", "4")
def test_wrong_psk(meeting: Field, charon: Charon) -> None:
    failed = refusal(gateway(meeting, policy(psk=b"another secret")), charon.initiate("s2c-user"))
    assert failed.reason == "the peer does not prove that it has the pre-shared key: its AUTH is wrong"
    assert failed.authentication
    assert charon.said("received AUTHENTICATION_FAILED notify error")


@row("no common suite: the journal names what each side offered", "4")
def test_no_common_suite(meeting: Field, charon: Charon) -> None:
    remote_access(charon, proposals=["aes128-sha256-ecp256"])
    failed = refusal(gateway(meeting), charon.initiate("s2c-user"))
    assert charon.said("received NO_PROPOSAL_CHOSEN notify error")
    assert failed.peer == UE
    assert "AES-CBC-128/HMAC-SHA2-256-128/PRF-HMAC-SHA2-256/ECP-256" in failed.reason
    assert "AES-GCM-16-256/PRF-HMAC-SHA2-256/CURVE25519" in failed.reason


@row("APN unknown", "4")
def test_unknown_apn(meeting: Field, charon: Charon) -> None:
    remote_access(charon, remote={"auth": "psk", "id": "nowhere"})
    failed = refusal(gateway(meeting), charon.initiate("s2c-user"))
    assert failed.reason == f"subscriber {PEER} wants APN nowhere, which is unknown here; known are {APN}"


@row("subscriber barred", "4")
def test_barred(meeting: Field, charon: Charon) -> None:
    barred = Subscription(Subscriber(PEER, bytes(16), bytes(16)), (APN,), barred=True)
    failed = refusal(gateway(meeting, policy(subscriptions={PEER: barred})), charon.initiate("s2c-user"))
    assert failed.reason == f"subscriber {PEER} is barred"


@row("flood of half-open IKE SAs from many addresses and ports: strongSwan still gets in, with a cookie", "4")
def test_flood(meeting: Field, charon: Charon) -> None:
    end = gateway(meeting, cookie_threshold=16)
    try:
        served(end, charon)
        genuine = Message.parse(end.received[0].payload)
        end.finish(charon.terminate(ike="s2c"))
        flood(meeting, genuine)
        end.run(lambda: end.engine.counters["ike-cookie-demanded"] >= FLOOD // 4)  # the kernel drops some of them
        before = len(end.received)
        end.finish(charon.initiate("s2c-user"))
        assert charon.said(r"parsed IKE_SA_INIT response 0 \[ N\(COOKIE\) \]")
        assert len(end.of(IkeSaEstablished)) == 2
        assert len(end.engine.sessions) <= 16 + 2, "a stranger without a cookie costs no memory"
        assert len(end.received) - before < 12
    finally:
        end.close()


def flood(meeting: Field, genuine: Message) -> None:
    """Send copies of an IKE_SA_INIT with other SPIs, from ten addresses and as many ports as there are copies."""
    sources = [f"2001:db8:1::{number:x}" for number in range(0x100, 0x10A)]
    meeting.ue.run(*(f"ip addr add {each}/64 dev ue0 nodad" for each in sources))
    for number in range(FLOOD):
        forged = replace(genuine, initiator_spi=os.urandom(8))
        with meeting.ue, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as stranger:
            stranger.bind((sources[number % len(sources)], 0))
            stranger.sendto(forged.build(), (str(HA), 500))


@row("replayed IKE messages, and messages for IKE SAs that are gone: dropped and counted", "4")
def test_replays(meeting: Field, charon: Charon) -> None:
    end = gateway(meeting)
    try:
        served(end, charon)
        end.finish(charon.initiate("s2c-mh"))
        end.finish(charon.rekey(child="s2c-user"))
        end.run(lambda: len(end.received) >= 5)
        old = list(end.received)
        sent, keys = len(end.sent), end.ike_keys()
        again(end, old[:-1])
        assert end.ike_keys() == keys
        assert end.engine.counters["ike-message-id"] >= len(old) - 2
        assert len(end.sent) <= sent + 1, "only the last answer is repeated (RFC 7296 2.1)"
        end.finish(charon.terminate(ike="s2c"))
        assert end.of(IkeSaClosed)
        end.engine.handle_timer(time.monotonic() + 200)  # long after: the closed IKE SA is forgotten
        end.settle()
        assert not end.engine.sessions
        sent = len(end.sent)
        again(end, old[1:])
        assert end.engine.counters["ike-unknown-spi"] >= len(old) - 1
        assert len(end.sent) == sent
    finally:
        end.close()


def again(end: Responder, datagrams: list[UdpDatagram]) -> None:
    """Let old datagrams arrive once more."""
    for datagram in datagrams:
        end.engine.receive_datagram(datagram, time.monotonic())
        end.settle()


@row("message ids outside the window: dropped and counted", "4")
def test_message_ids(meeting: Field, charon: Charon) -> None:
    end = gateway(meeting)
    try:
        served(end, charon)
        last = end.received[-1]
        message = Message.parse(last.payload[4:] if last.payload[:4] == bytes(4) else last.payload)
        sent = len(end.sent)
        for wrong in (message.message_id + 2, message.message_id + 1000, 0xFFFFFFFF):
            octets = bytearray(last.payload)
            at = octets.index(message.message_id.to_bytes(4, "big"), len(octets) - len(message.build()) + 16)
            octets[at : at + 4] = wrong.to_bytes(4, "big")
            again(end, [last._replace(payload=bytes(octets))])
        assert end.engine.counters["ike-message-id"] + end.engine.counters["ike-integrity"] >= 3
        assert len(end.sent) == sent
        end.finish(charon.initiate("s2c-mh"))  # the session is none the worse
    finally:
        end.close()


@row("strongSwan falls silent: our liveness check ends the session", "4")
def test_dead_peer(meeting: Field, charon: Charon) -> None:
    end = gateway(meeting, timers=replace(HURRIED, liveness=0.3))
    try:
        served(end, charon)
        charon.stop()
        end.run(lambda: end.of(IkeSaClosed), 10)
        assert end.of(IkeSaClosed)[0].reason == "the peer does not answer any more"
    finally:
        charon.go_on()
        end.close()
