# SPDX-License-Identifier: GPL-2.0-or-later
"""strongSwan and our gateway begin the same, or what does not go together, at once (RFC 7296 2.8.1, 2.8.2, 2.25)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mn_dsmip.engine.ike.events import IkeSaClosed, IkeSaEstablished, IkeSaRekeyed, RekeyFailed, Timers
from mn_dsmip.engine.ike.responder_session import ResponderSession
from tests.interop.initiating import gateway, initiator, row, served
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import Field
from tests.interop.peers.ours import Responder

pytestmark = pytest.mark.root
ROUNDS = 6
"""The lowest nonce decides who wins: with that many, both do."""


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    with initiator(meeting, tmp_path) as peer:
        yield peer


@pytest.fixture
def ours(meeting: Field, charon: Charon) -> Iterator[Responder]:
    end = gateway(meeting, timers=replace(Timers(), again=0.2))
    try:
        served(end, charon)
        yield end
    finally:
        end.close()


def only(ours: Responder) -> ResponderSession:
    """The session."""
    [found] = ours.engine.sessions.values()
    found.unconfirmed.clear()  # the peer has our answers, although it has not said so
    return found


def collide(ours: Responder, charon: Charon, what: str, **theirs: str) -> None:
    """Their request waits in our socket while ours leaves."""
    session = only(ours)
    requests = charon.log().count("generating CREATE_CHILD_SA request")
    charon.rekey(**theirs).result(5)
    charon.await_log("generating CREATE_CHILD_SA request", requests + 1)
    if what == "child":
        session.rekey_child(next(iter(session.children)), time.monotonic())
    else:
        session.rekey(time.monotonic())
    ours.engine.settle(session)
    ours.settle()


def agreed(ours: Responder, charon: Charon) -> bool:
    """One IKE SA and one child SA, the same at both ends, and nothing under way."""
    session, sas = only(ours), charon.sas()
    if session.tasks or len(session.children) != 1 or len(sas) != 1:
        return False
    [sa], [child] = sas, session.children.values()
    theirs = {(each["spi-in"], each["spi-out"]) for each in sa["child-sas"].values() if each["state"] == "INSTALLED"}
    return (
        theirs == {(child.outbound_spi.hex(), child.inbound_spi.hex())}
        and {sa["initiator-spi"], sa["responder-spi"]} == {session.current.spi_i.hex(), session.current.spi_r.hex()}
        and {each["state"] for each in sa["child-sas"].values()} <= {"INSTALLED", "DELETED"}  # which it keeps a while
    )


@row("both ends rekey the child SA at the same time: one of the two is closed, whoever wins")
def test_both_rekey_the_child(ours: Responder, charon: Charon) -> None:
    for _ in range(ROUNDS):
        collide(ours, charon, "child", child="s2c-user")
        ours.run(lambda: agreed(ours, charon), 15)
    assert set(ours.child_keys()) >= set(charon.child_keys())
    assert not ours.of(IkeSaClosed) + ours.of(RekeyFailed)


@row("both ends rekey the IKE SA at the same time, again and again: one is closed, whoever wins")
def test_both_rekey_the_ike_sa(ours: Responder, charon: Charon) -> None:
    for number in range(ROUNDS):
        collide(ours, charon, "ike", ike="s2c")
        ours.run(lambda number=number: len(ours.of(IkeSaRekeyed)) > number and agreed(ours, charon), 15)  # type: ignore[misc]
    assert set(ours.ike_keys()) >= set(charon.ike_keys())
    assert not ours.of(IkeSaClosed) + ours.of(RekeyFailed)
    assert len(ours.of(IkeSaEstablished)) == 1


@row("strongSwan rekeys the IKE SA while we rekey the child SA: TEMPORARY_FAILURE, then both succeed")
def test_ike_against_child(ours: Responder, charon: Charon) -> None:
    old = next(iter(only(ours).children))
    collide(ours, charon, "child", ike="s2c")
    ours.run(lambda: old not in only(ours).children and agreed(ours, charon), 15)
    assert not ours.of(IkeSaClosed) + ours.of(RekeyFailed)


@row("strongSwan rekeys the child SA while we rekey the IKE SA: TEMPORARY_FAILURE, then both succeed")
def test_child_against_ike(ours: Responder, charon: Charon) -> None:
    collide(ours, charon, "ike", child="s2c-user")
    ours.run(lambda: ours.of(IkeSaRekeyed) and agreed(ours, charon), 15)
    assert not ours.of(IkeSaClosed) + ours.of(RekeyFailed)
