# SPDX-License-Identifier: GPL-2.0-or-later
"""What strongSwan, or hostapd behind it, refuses our UE, and where they fall silent; what our user reads then."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest

from mn_dsmip.crypto.aka import Usim
from mn_dsmip.engine.ike.aka_common import AKA
from mn_dsmip.engine.ike.child import mobility_selector
from mn_dsmip.engine.ike.events import (
    ChildSaEstablished,
    ChildSaFailed,
    IkeFailed,
    IkeSaClosed,
    IkeSaEstablished,
    Selectors,
)
from mn_dsmip.wire.ikev2_numbers import NotifyType
from tests.interop.certified import identity
from tests.interop.peers.charon import Charon
from tests.interop.peers.milenage import Card
from tests.interop.peers.network import HA, UE, Field
from tests.interop.peers.ours import Initiator
from tests.interop.responding import FOR_HOME, NAME, attached, home_agent, our_config, suites
from tests.interop.rows import STRONGSWAN, rows
from tests.interop.test_negative_ue import HURRIED, failure
from tests.interop.test_responder_eap import IMSI, OPC, K, attach, servers, subscriber

pytestmark = pytest.mark.root
BOTH = f"{STRONGSWAN} and hostapd 2.10"
ELSEWHERE = IPv6Address("2001:db8:bad::1")
OUTSIDE = Selectors((mobility_selector(ELSEWHERE),), (mobility_selector(HA),), transport=True)


row = rows("UE", "4")


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    peer = Charon(meeting.ha, tmp_path, shim=True)
    home_agent(peer)
    yield peer
    peer.close()


@row("APN unknown")
def test_unknown_apn(meeting: Field, charon: Charon) -> None:
    failed = failure(meeting, apn="nowhere")
    assert charon.said(r"looking for peer configs matching .*\[nowhere\]")
    assert charon.said("no matching peer config found")
    assert failed.authentication
    assert failed.reason == (
        "the gateway refused: it does not accept our authentication or identity (AUTHENTICATION_FAILED), "
        "or it does not serve APN nowhere"
    )


@row("no common ESP suite: the IKE SA stands, we name what we offered")
def test_no_common_esp_suite(meeting: Field, charon: Charon) -> None:
    with closing(Initiator(meeting.ue, our_config(profile=suites(esp="aes128-sha256")), UE, HA)) as ours:
        ours.run(lambda: ours.of(IkeSaEstablished))
        [made] = ours.of(IkeSaEstablished)
        assert made.child_refused == (
            "the gateway refused our ESP proposal (NO_PROPOSAL_CHOSEN): we offered AES-CBC-128/HMAC-SHA2-256-128"
        )
        assert charon.said("no acceptable proposal found")
        ours.finish(charon.terminate(ike="s2c"))
        assert ours.of(IkeSaClosed)


@row("traffic that strongSwan does not protect (TS_UNACCEPTABLE): the IKE SA stands")
def test_other_selectors(meeting: Field, charon: Charon) -> None:
    with closing(attached(meeting)) as ours:
        ours.engine.create_child(OUTSIDE, time.monotonic())
        ours.run(lambda: ours.of(ChildSaFailed))
        [failed] = ours.of(ChildSaFailed)
        assert failed.notify == NotifyType.TS_UNACCEPTABLE
        assert failed.reason == (
            "the gateway refused: it does not protect the traffic that we asked for (TS_UNACCEPTABLE)"
        )
        ours.engine.create_child(FOR_HOME, time.monotonic())
        ours.run(lambda: len(ours.of(ChildSaEstablished)) == 2)


def refusal(field: Field, **changes: Any) -> IkeFailed:
    """How EAP-AKA with the right USIM ends."""
    with closing(attach(field, replace(subscriber(AKA, Usim(K, OPC)), **changes))) as ours:
        [failed] = ours.of(IkeFailed)
        return failed


@row("certificate of another name")
def test_other_name(meeting: Field, tmp_path: Path) -> None:
    with servers(meeting, tmp_path, identity(NAME), Card(IMSI, K, OPC)):
        failed = refusal(meeting, expected_name="pgw.example.org")
    assert failed.authentication
    assert failed.reason == (
        f"the gateway is not trusted: the certificate of {NAME} is for {NAME}, not for pgw.example.org"
    )


@row("a PSK where our UE wants a certificate")
def test_no_certificate(meeting: Field, tmp_path: Path) -> None:
    gateway = {"auth": "psk", "id": NAME}
    with servers(meeting, tmp_path, identity(NAME), Card(IMSI, K, OPC), local=gateway):
        failed = refusal(meeting)
    assert failed.authentication
    assert failed.reason == "the gateway is not trusted: the gateway sent no certificate"


@row("subscriber unknown", peer=BOTH)
def test_unknown_subscriber(meeting: Field, tmp_path: Path) -> None:
    with servers(meeting, tmp_path, identity(NAME), Card("232010000000099", K, OPC)):
        failed = refusal(meeting)
    assert failed.authentication
    assert failed.reason == "the network could not authenticate us (code 16384)"


@row("RADIUS server silent: strongSwan gives up, and we say so", peer=BOTH)
def test_no_answer_of_radius(meeting: Field, tmp_path: Path) -> None:
    with servers(meeting, tmp_path, identity(NAME), Card(IMSI, K, OPC)) as (charon, radius):
        radius.process.send_signal(signal.SIGSTOP)
        try:
            failed = refusal(meeting)
        finally:
            radius.process.send_signal(signal.SIGCONT)
        assert charon.said("RADIUS Access-Request timed out")
    assert not failed.authentication, "worth another try"
    assert failed.reason == "the gateway gave up (EAP-Failure) before it proved who it is"


@row("RADIUS server with another secret: strongSwan gives up, and we say so", peer=BOTH)
def test_other_radius_secret(meeting: Field, tmp_path: Path) -> None:
    with servers(meeting, tmp_path, identity(NAME), Card(IMSI, K, OPC), radius="another secret") as (charon, radius):
        failed = refusal(meeting)
        assert "Message-Authenticator" in radius.log()
        assert charon.said("RADIUS Access-Request timed out")
    assert not failed.authentication, "worth another try"
    assert failed.reason == "the gateway gave up (EAP-Failure) before it proved who it is"


CALLS: dict[str, Callable[[Initiator], None]] = {
    "a child SA": lambda ours: ours.engine.create_child(FOR_HOME, time.monotonic()),
    "new keys for a child SA": lambda ours: ours.engine.rekey_child(
        ours.of(ChildSaEstablished)[0].child.inbound_spi, time.monotonic()
    ),
    "an end of a child SA": lambda ours: ours.engine.delete_child(
        ours.of(ChildSaEstablished)[0].child.inbound_spi, time.monotonic()
    ),
    "an end of the IKE SA": lambda ours: ours.engine.delete(time.monotonic()),
}


@row("peer that stops answering: when asked for a child SA, for new keys, for an end")
@pytest.mark.parametrize("what", CALLS)
def test_silence(meeting: Field, charon: Charon, what: str) -> None:
    with closing(attached(meeting, timers=replace(HURRIED, liveness=0))) as ours:
        charon.stop()
        CALLS[what](ours)
        ours.run(lambda: ours.of(IkeSaClosed))
        charon.go_on()
    reason = ours.of(IkeSaClosed)[0].reason
    assert "does not answer any more" in reason or reason == "we closed the IKE SA; the peer did not confirm"
    assert reason.startswith("we closed") == (what == "an end of the IKE SA")


@row("peer that stops answering: in the middle of EAP-AKA", peer=BOTH)
def test_silence_in_eap(meeting: Field, tmp_path: Path) -> None:
    with servers(meeting, tmp_path, identity(NAME), Card(IMSI, K, OPC)) as (charon, _):
        config = subscriber(AKA, Usim(K, OPC), timers=HURRIED)
        with closing(Initiator(meeting.ue, config, UE, HA)) as ours:
            ours.run(lambda: charon.said(r"parsed IKE_AUTH request 1 "))
            charon.stop()
            ours.drop = lambda datagram: len([each for each in ours.received if each.source == HA]) > 2
            ours.run(lambda: ours.of(IkeFailed))
            charon.go_on()
    assert ours.of(IkeFailed)[0].reason == "the gateway does not answer IKE_AUTH any more"
