# SPDX-License-Identifier: GPL-2.0-or-later
"""Old, damaged and forged bytes towards our UE while strongSwan is its gateway: counted, dropped, and life goes on."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mn_dsmip.engine.base import UdpDatagram
from mn_dsmip.engine.ike.events import (
    ChildSaClosed,
    ChildSaEstablished,
    IkeFailed,
    IkeSaClosed,
    IkeSaEstablished,
    IkeSaRekeyed,
)
from mn_dsmip.wire.ikev2 import HEADER_LENGTH, Message
from mn_dsmip.wire.ikev2_numbers import Exchange, NotifyType
from mn_dsmip.wire.ikev2_payloads import Notify
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import HA, UE, Field
from tests.interop.peers.ours import Initiator
from tests.interop.responding import FOR_HOME, attached, home_agent, mobility, our_config
from tests.interop.rows import rows
from tests.interop.test_negative_ue import HURRIED
from tests.interop.test_responder_agent import APN, agent

pytestmark = pytest.mark.root
MESSAGE_ID = slice(20, 24)


row = rows("UE", "4")


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    peer = Charon(meeting.ha, tmp_path, shim=True)
    home_agent(peer)
    yield peer
    peer.close()


@pytest.fixture
def ours(meeting: Field, charon: Charon) -> Iterator[Initiator]:
    end = attached(meeting)
    yield end
    end.close()


def again(ours: Initiator, datagrams: list[UdpDatagram]) -> None:
    """Let them arrive once more."""
    for datagram in datagrams:
        ours.engine.receive_datagram(datagram, time.monotonic())
        ours.settle()


def alive(ours: Initiator) -> None:
    """Another child SA comes about."""
    before = len(ours.of(ChildSaEstablished))
    ours.engine.create_child(FOR_HOME, time.monotonic())
    ours.run(lambda: len(ours.of(ChildSaEstablished)) > before)


@row("replayed messages of strongSwan, and messages for IKE SAs that are gone: dropped and counted")
def test_replays(ours: Initiator, charon: Charon) -> None:
    ours.finish(charon.rekey(child="mh"))
    ours.run(lambda: ours.of(ChildSaClosed))
    ours.engine.check_liveness(time.monotonic())
    ours.run(lambda: not ours.engine.tasks)
    old = list(ours.received)
    ours.engine.rekey(time.monotonic())
    ours.run(lambda: ours.of(IkeSaRekeyed) and not ours.engine.tasks)
    happened, sent = len(ours.events), len(ours.sent)
    again(ours, old)
    assert len(ours.events) == happened, "no new keys, no new SA"
    assert len(ours.sent) <= sent + 1, "the last answer at most is repeated (RFC 7296 2.1)"
    counters = ours.engine.counters
    assert counters["ike-unexpected-response"] + counters["ike-message-id"] + counters["ike-repeated-request"] == len(
        old
    )
    ours.engine.handle_timer(time.monotonic() + HURRIED.linger + 1)  # the replaced IKE SA is forgotten
    ours.settle()
    sent = len(ours.sent)
    again(ours, old)
    assert counters["ike-unknown-spi"] == len(old)
    assert len(ours.sent) == sent
    alive(ours)
    ours.finish(charon.terminate(ike="s2c"))
    happened, sent = len(ours.events), len(ours.sent)
    again(ours, old)
    assert (len(ours.events), len(ours.sent)) == (happened, sent)


@row("message ids outside the window, damaged octets, reflected messages: dropped and counted")
def test_damage(ours: Initiator, charon: Charon) -> None:
    ours.finish(charon.rekey(child="mh"))
    ours.run(lambda: ours.of(ChildSaClosed))
    [request] = [each for each in ours.received if not Message.parse(each.payload).is_response][-1:]
    sent, happened = len(ours.sent), len(ours.events)
    expected = ours.engine.current.expected_id
    for wrong in (expected + 1, expected + 1000, 0x7FFFFFFF, 0xFFFFFFFF):
        again(ours, [request._replace(payload=_with_id(request.payload, wrong))])
    assert ours.engine.counters["ike-message-id"] == 4
    for position in range(HEADER_LENGTH, len(request.payload)):
        octets = bytearray(_with_id(request.payload, expected))
        octets[position] ^= 1 << position % 8
        again(ours, [request._replace(payload=bytes(octets))])
    for length in range(len(request.payload)):
        again(ours, [request._replace(payload=request.payload[:length])])
    again(ours, [each._replace(source=HA, destination=UE) for each in ours.sent])
    assert ours.engine.counters["ike-reflected"] >= 1
    assert (len(ours.sent), len(ours.events)) == (sent, happened)
    alive(ours)
    assert not ours.of(IkeSaClosed)


def _with_id(octets: bytes, number: int) -> bytes:
    return octets[: MESSAGE_ID.start] + struct.pack("!I", number) + octets[MESSAGE_ID.stop :]


@row("a stranger's errors in answer to IKE_SA_INIT (RFC 7296 2.21.1): strongSwan's answer still counts")
@pytest.mark.parametrize(
    "kind", [NotifyType.NO_PROPOSAL_CHOSEN, NotifyType.AUTHENTICATION_FAILED, NotifyType.INVALID_KE_PAYLOAD]
)
def test_stranger_at_first(meeting: Field, charon: Charon, kind: NotifyType) -> None:
    charon.stop()
    config = our_config(timers=replace(HURRIED, patience=5.0))
    with closing(Initiator(meeting.ue, config, UE, HA)) as ours:
        first = Message.parse(ours.sent[0].payload)
        data = struct.pack("!H", 2) if kind is NotifyType.INVALID_KE_PAYLOAD else b""
        forged = Message(first.initiator_spi, bytes(8), Exchange.IKE_SA_INIT, 0, (Notify(kind, data),), False, True)
        again(ours, [UdpDatagram(HA, 500, UE, 500, forged.build())])
        assert ours.engine.counters["ike-init-error"] == 1
        charon.go_on()
        ours.run(lambda: ours.of(IkeFailed) or (ours.of(IkeSaEstablished) and ours.of(ChildSaEstablished)))
        assert not ours.of(IkeFailed)


@row("unprotected INVALID_IKE_SPI and DELETE in an established IKE SA: nothing ends")
def test_stranger_afterwards(ours: Initiator, charon: Charon) -> None:
    spis = ours.engine.current.spi_i, ours.engine.current.spi_r
    expected = ours.engine.current.expected_id
    for kind in (NotifyType.INVALID_IKE_SPI, NotifyType.INVALID_SYNTAX, NotifyType.AUTHENTICATION_FAILED):
        for number in (0, expected, ours.engine.current.next_id):
            for response in (False, True):
                forged = Message(*spis, Exchange.INFORMATIONAL, number, (Notify(kind),), False, response)
                again(ours, [UdpDatagram(HA, 500, UE, 500, forged.build())])
    assert not ours.of(IkeSaClosed)
    alive(ours)
    ours.finish(charon.rekey(ike="s2c"))
    ours.run(lambda: ours.of(IkeSaRekeyed))


@row("`mn-dsmip ue`: ESP with the SPI of a child SA that strongSwan closed, or with damage: counted, in `status`")
def test_old_esp(meeting: Field, charon: Charon, tmp_path: Path) -> None:
    home_agent(charon, local={"auth": "psk", "id": APN}, children=mobility(str(HA)))
    with agent(meeting, tmp_path) as ue:
        spis = [
            bytes.fromhex(ue.await_entry("child_sa_established", count)["child"]["inbound_spi"]) for count in (1, 2)
        ]
        ue.await_entry("state_changed", new="REGISTERING")
        with meeting.ha, socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ESP) as stranger:
            for spi in spis:
                stranger.sendto(spi + struct.pack("!I", 1) + os.urandom(64), (str(UE), 0))
            wait_for(ue, "esp-integrity", 2)
            charon.begin("terminate", child="mh", timeout=5000).result()
            ue.await_entry("child_sa_closed", 2)
            for spi in spis:
                stranger.sendto(spi + struct.pack("!I", 2) + os.urandom(64), (str(UE), 0))
            wait_for(ue, "esp-unknown-spi", 2)


def wait_for(ue: Any, counter: str, least: int) -> None:
    """Until the agent has counted that."""
    deadline = time.monotonic() + 10
    while ue.ask("status")["counters"].get(counter, 0) < least:
        assert time.monotonic() < deadline, ue.ask("status")["counters"]
        time.sleep(0.02)  # a poll of a condition that has its limit
