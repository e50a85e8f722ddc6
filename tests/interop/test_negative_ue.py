# SPDX-License-Identifier: GPL-2.0-or-later
"""What must fail at our UE when strongSwan is the home agent, and the sentence that the user reads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mn_dsmip.crypto.aka import Usim
from mn_dsmip.crypto.certs import issue, utc_now
from mn_dsmip.engine.base import Backoff
from mn_dsmip.engine.ike.aka_common import AKA
from mn_dsmip.engine.ike.events import IkeFailed, IkeSaClosed, Timers
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_numbers import Exchange
from tests.interop.certified import authority, identity
from tests.interop.peers.charon import Charon
from tests.interop.peers.milenage import Card
from tests.interop.peers.network import HA, UE, Field
from tests.interop.peers.ours import Initiator
from tests.interop.responding import NAME, attached, home_agent, our_config, suites
from tests.interop.rows import STRONGSWAN, rows
from tests.interop.test_responder_eap import IMSI, OPC, K, attach, servers, subscriber

pytestmark = pytest.mark.root
HURRIED = Timers(retransmission=Backoff(first=0.1, factor=2.0, limit=0.4, tries=4), patience=0.5)


row = rows("UE", "4")


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    peer = Charon(meeting.ha, tmp_path, shim=True)
    home_agent(peer)
    yield peer
    peer.close()


def failure(field: Field, **changes: Any) -> IkeFailed:
    """How an attempt with that configuration ends."""
    ours = Initiator(field.ue, our_config(**{"timers": HURRIED, **changes}), UE, HA)
    try:
        ours.run(lambda: ours.of(IkeFailed))
    finally:
        ours.close()
    return ours.of(IkeFailed)[0]


@row("wrong PSK")
def test_wrong_psk(meeting: Field, charon: Charon) -> None:
    failed = failure(meeting, psk=b"another secret")
    assert failed.authentication
    assert failed.reason == (
        "the gateway refused: it does not accept our authentication or identity (AUTHENTICATION_FAILED), "
        f"or it does not serve APN {NAME}"
    )
    assert charon.said("MAC mismatched")


@row("no common suite: we name what we offered")
def test_no_common_suite(meeting: Field, charon: Charon) -> None:
    failed = failure(meeting, profile=suites(ike="aes128-sha256-prfsha256-ecp256"))
    assert failed.reason == (
        "the gateway refused our IKE proposal (NO_PROPOSAL_CHOSEN): we offered "
        "AES-CBC-128/HMAC-SHA2-256-128/PRF-HMAC-SHA2-256/ECP-256"
    )


@row("wrong CA: strongSwan's certificate is not vouched for")
def test_wrong_authority(meeting: Field, tmp_path: Path) -> None:
    with servers(meeting, tmp_path, identity(NAME), Card(IMSI, K, OPC)) as (charon, _):
        ours = attach(meeting, subscriber(AKA, Usim(K, OPC), anchors=authority("Somebody else").chain))
        ours.close()
        assert charon.said("IKE_SA_INIT")
    [failed] = ours.of(IkeFailed)
    assert failed.authentication
    assert failed.reason == (
        f"the gateway is not trusted: the certificate of {NAME} was issued by Test CA, "
        "which no configured authority vouches for"
    )


@row("expired certificate")
def test_expired_certificate(meeting: Field, tmp_path: Path) -> None:
    old = issue(authority(), [NAME], utc_now() - timedelta(days=3), lifetime=timedelta(days=1))
    with servers(meeting, tmp_path, old, Card(IMSI, K, OPC)):
        ours = attach(meeting, subscriber(AKA, Usim(K, OPC)))
        ours.close()
    [failed] = ours.of(IkeFailed)
    assert failed.authentication
    assert failed.reason.startswith(f"the gateway is not trusted: the certificate of {NAME} expired on ")


@row("wrong subscriber key", peer=f"{STRONGSWAN} and hostapd 2.10")
def test_wrong_key(meeting: Field, tmp_path: Path) -> None:
    with servers(meeting, tmp_path, identity(NAME), Card(IMSI, K, OPC)) as (_, radius):
        ours = attach(meeting, subscriber(AKA, Usim(bytes(16), OPC)))
        ours.close()
        assert "EAP-AKA: Client rejected authentication" in radius.log()
    [failed] = ours.of(IkeFailed)
    assert failed.authentication
    assert failed.reason == "the network did not prove that it knows our subscription: MAC-A in AUTN is wrong"


@row("peer that stops answering: in IKE_SA_INIT")
def test_silence_at_first(meeting: Field, charon: Charon) -> None:
    charon.stop()
    failed = failure(meeting)
    charon.go_on()
    assert not failed.authentication
    assert failed.reason == "the gateway does not answer IKE_SA_INIT"


@row("peer that stops answering: in IKE_AUTH")
def test_silence_in_auth(meeting: Field, charon: Charon) -> None:
    ours = Initiator(meeting.ue, our_config(timers=HURRIED), UE, HA)
    ours.drop = lambda datagram: Message.parse(datagram.payload).exchange != Exchange.IKE_SA_INIT
    try:
        ours.run(lambda: ours.of(IkeFailed))
    finally:
        ours.close()
    assert ours.of(IkeFailed)[0].reason == "the gateway does not answer IKE_AUTH any more"
    assert charon.said("generating IKE_AUTH response")


@row("peer that stops answering: established, in CREATE_CHILD_SA and in a liveness check")
@pytest.mark.parametrize("call", ["rekey", "check_liveness"])
def test_silence_afterwards(meeting: Field, charon: Charon, call: str) -> None:
    ours = attached(meeting, timers=replace(HURRIED, liveness=0))
    try:
        charon.stop()
        getattr(ours.engine, call)(time.monotonic())
        ours.run(lambda: ours.of(IkeSaClosed))
        assert ours.of(IkeSaClosed)[0].reason == "the peer does not answer any more"
    finally:
        charon.go_on()
        ours.close()
