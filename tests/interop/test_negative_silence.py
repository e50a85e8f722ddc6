# SPDX-License-Identifier: GPL-2.0-or-later
"""strongSwan as initiator that stops answering our gateway, in each state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mn_dsmip.engine.base import UdpDatagram
from mn_dsmip.engine.ike.events import ChildSaEstablished, IkeFailed, IkeSaClosed, IkeSaEstablished, IkeSaRekeyed
from mn_dsmip.engine.ike.path import NON_ESP_MARKER
from mn_dsmip.engine.ike.responder_session import ResponderSession
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_numbers import Exchange
from tests.interop.initiating import gateway, initiator, row, same_keys, served
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import Field
from tests.interop.peers.ours import Responder
from tests.interop.test_negative_ue import HURRIED

pytestmark = pytest.mark.root
Call = Callable[[ResponderSession, float], None]
CALLS: dict[str, Call] = {
    "rekeying the child SA": lambda session, now: session.rekey_child(next(iter(session.children)), now),
    "rekeying the IKE SA": lambda session, now: session.rekey(now),
    "checking liveness": lambda session, now: session.check_liveness(now),
}


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    with initiator(meeting, tmp_path) as peer:
        yield peer


@pytest.fixture
def ours(meeting: Field, charon: Charon) -> Iterator[Responder]:
    end = gateway(meeting, timers=replace(HURRIED, half_open=0.5, linger=0.5, liveness=0))
    yield end
    end.close()


def of(exchange: Exchange) -> Callable[[UdpDatagram], bool]:
    """Whether a datagram belongs to that exchange."""
    return lambda datagram: Message.parse(datagram.payload.removeprefix(NON_ESP_MARKER)).exchange == exchange


@row("peer that stops answering: after IKE_SA_INIT; the half-open IKE SA is forgotten", "4")
def test_silence_after_init(ours: Responder, charon: Charon) -> None:
    ours.drop = of(Exchange.IKE_AUTH)
    begun = charon.initiate("s2c-user", seconds=1)
    ours.run(lambda: ours.engine.counters["ike-half-open-expired"] == 1, 10)
    assert not ours.engine.sessions
    assert not ours.of(IkeSaEstablished) + ours.of(IkeFailed), "strangers fill no journal"
    ours.run(begun)
    assert begun.exception()


@row("peer that stops answering: in rekeying of the child SA and of the IKE SA, in a liveness check", "4")
@pytest.mark.parametrize("what", CALLS)
def test_silence_when_asked(ours: Responder, charon: Charon, what: str) -> None:
    served(ours, charon)
    [session] = ours.engine.sessions.values()
    session.unconfirmed.clear()
    charon.stop()
    try:
        CALLS[what](session, time.monotonic())
        ours.engine.settle(session)
        ours.run(lambda: ours.of(IkeSaClosed), 10)
    finally:
        charon.go_on()
    [closed] = ours.of(IkeSaClosed)
    assert (closed.reason, closed.by_peer) == ("the peer does not answer any more", False)
    ours.run(lambda: not ours.engine.sessions, 5)


@row("peer that stops answering: to our DELETE; the IKE SA is closed all the same", "4")
def test_silence_at_the_end(ours: Responder, charon: Charon) -> None:
    served(ours, charon)
    [name] = ours.engine.sessions
    charon.stop()
    try:
        ours.engine.delete(name, time.monotonic(), "the test wants it")
        ours.run(lambda: ours.of(IkeSaClosed), 10)
    finally:
        charon.go_on()
    assert ours.of(IkeSaClosed)[0].reason == "the test wants it; the peer did not confirm"


@row("peer that is slow: our repeated requests and its late answers make one IKE SA and one child SA each", "4")
def test_slow_peer(ours: Responder, charon: Charon) -> None:
    served(ours, charon)
    [session] = ours.engine.sessions.values()
    session.unconfirmed.clear()
    charon.stop()
    session.rekey(time.monotonic())
    ours.engine.settle(session)
    ours.settle()
    sent = len(ours.sent)
    ours.run(lambda: len(ours.sent) >= sent + 2)  # two repetitions wait at the peer
    charon.go_on()
    ours.run(lambda: ours.of(IkeSaRekeyed) and not session.tasks)
    ours.run(lambda: len(charon.sas()) == 1, 5)
    ours.finish(charon.initiate("s2c-mh"))
    same_keys(ours, charon, 2, 2)
    assert len(ours.of(ChildSaEstablished)) == 2
