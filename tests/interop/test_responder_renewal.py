# SPDX-License-Identifier: GPL-2.0-or-later
"""Our UE and strongSwan renew, close and lose things at the same time (RFC 7296 2.1, 2.8, 2.25; RFC 7383)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest
import vici

from mn_dsmip.engine.base import Backoff
from mn_dsmip.engine.ike.events import (
    ChildSaClosed,
    ChildSaEstablished,
    IkeSaClosed,
    IkeSaRekeyed,
    RekeyFailed,
    Timers,
)
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import HA, Field
from tests.interop.peers.ours import Initiator, together
from tests.interop.responding import (
    FOR_HOME,
    PREFIX,
    attached,
    home_agent,
    mobility,
    one_left,
    our_config,
    same_keys,
    suites,
)
from tests.interop.rows import rows

pytestmark = pytest.mark.root
QUICK = Timers(retransmission=Backoff(first=0.3, factor=1.5, limit=1.0, tries=8), again=0.3)
SECOND = IPv6Address("2001:db8:1::3")
GROUPS = ["aes256gcm16-ecp256", "aes256gcm16-curve25519"]


row = rows("UE", "1.1")


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    peer = Charon(meeting.ha, tmp_path, shim=True, settings={"retransmit_timeout": 0.5})
    home_agent(peer)
    yield peer
    peer.close()


@pytest.fixture
def ours(meeting: Field, charon: Charon) -> Iterator[Initiator]:
    end = attached(meeting, timers=QUICK)
    yield end
    end.close()


def deaf(ours: Initiator, deafness: bool = True) -> None:
    """Lose whatever arrives."""
    ours.drop = lambda datagram: deafness


def begun(charon: Charon, words: str, **which: str) -> None:
    """Have strongSwan begin to rekey; its request has left."""
    before = charon.log().count(words)
    charon.rekey(**which).result(5)
    charon.await_log(words, before + 1)


@row("both ends rekey the IKE SA at the same time")
def test_both_rekey_the_ike_sa(ours: Initiator, charon: Charon) -> None:
    deaf(ours)
    begun(charon, "generating CREATE_CHILD_SA request", ike="s2c")
    ours.engine.rekey(time.monotonic())
    ours.settle()
    deaf(ours, False)
    ours.run(lambda: ours.of(IkeSaRekeyed) and not ours.engine.tasks)
    current = ours.engine.current
    ours.run(lambda: _spis(charon) == [(current.spi_i.hex(), current.spi_r.hex())], 10)
    assert set(ours.ike_keys()) >= set(charon.ike_keys())
    ours.engine.create_child(FOR_HOME, time.monotonic())
    ours.run(lambda: len(ours.of(ChildSaEstablished)) == 2)
    ours.run(lambda: ours.child_keys() == charon.child_keys(), 5)
    ours.finish(charon.terminate(ike="s2c"))
    assert ours.of(IkeSaClosed)


def _spis(charon: Charon) -> list[tuple[str, str]]:
    return [(each["initiator-spi"], each["responder-spi"]) for each in charon.sas()]


@row("TEMPORARY_FAILURE from strongSwan, which rekeys its IKE SA while we rekey a child SA: we try again, and succeed")
def test_strongswan_is_busy(ours: Initiator, charon: Charon) -> None:
    old = ours.of(ChildSaEstablished)[0].child
    answer = r"generating CREATE_CHILD_SA response \d+ \[ N\(TEMP_FAIL\) \]"
    ours.drop = lambda datagram: not charon.said(answer)
    begun(charon, "generating CREATE_CHILD_SA request", ike="s2c")
    ours.engine.rekey_child(old.inbound_spi, time.monotonic())
    ours.run(lambda: ours.of(ChildSaClosed))
    assert charon.said("unable to create CHILD_SA while rekeying IKE_SA")
    refused = charon.said(
        "received TEMPORARY_FAILURE notify error"
    )  # when its request comes before its answer (2.25.2)
    ours.run(lambda: refused or ours.of(IkeSaRekeyed))
    assert ours.of(ChildSaClosed)[0].inbound_spi == old.inbound_spi
    assert not ours.of(RekeyFailed)
    one_left(ours, charon)
    same_keys(ours, charon, 1 if refused else 2, 2)


@row("TEMPORARY_FAILURE from us, who rekey the IKE SA while strongSwan rekeys a child SA: both stay in use")
def test_we_are_busy(ours: Initiator, charon: Charon) -> None:
    deaf(ours)
    begun(charon, "generating CREATE_CHILD_SA request", child="mh")
    ours.engine.rekey(time.monotonic())
    ours.settle()
    deaf(ours, False)
    ours.run(lambda: ours.of(IkeSaRekeyed) and not ours.engine.tasks)
    assert charon.said(r"parsed CREATE_CHILD_SA response \d+ \[ N\(TEMP_FAIL\) \]")
    assert charon.said("CHILD_SA rekeying failed, trying again in")
    one_left(ours, charon)
    same_keys(ours, charon, 2, 1)


@row("both ends close the child SA at the same time")
def test_both_close_the_child(ours: Initiator, charon: Charon) -> None:
    child = ours.of(ChildSaEstablished)[0].child
    deaf(ours)
    told = charon.terminate(child="mh")
    charon.await_log("sending DELETE for ESP CHILD_SA")
    ours.engine.delete_child(child.inbound_spi, time.monotonic())
    ours.settle()
    deaf(ours, False)
    ours.finish(told)
    ours.run(lambda: not ours.engine.tasks)
    assert [each.inbound_spi for each in ours.of(ChildSaClosed)] == [child.inbound_spi]
    assert [each["child-sas"] for each in charon.sas()] == [{}]
    ours.engine.create_child(FOR_HOME, time.monotonic())
    ours.run(lambda: len(ours.of(ChildSaEstablished)) == 2)


@row("both ends close the IKE SA at the same time")
def test_both_close_the_ike_sa(ours: Initiator, charon: Charon) -> None:
    deaf(ours)
    told = charon.terminate(ike="s2c")
    charon.await_log("sending DELETE for IKE_SA")
    ours.engine.delete(time.monotonic())
    ours.settle()
    deaf(ours, False)
    ours.finish(told)
    ours.run(lambda: ours.of(IkeSaClosed))
    assert len(ours.of(IkeSaClosed)) == 1
    assert charon.sas() == []


@row("lost messages: strongSwan repeats its answer, we repeat ours, nothing is done twice")
def test_losses(ours: Initiator, charon: Charon) -> None:
    lost: list[bytes] = []

    def first_only(datagram: Any) -> bool:
        lost.append(datagram.payload)
        return len(lost) == 1

    ours.drop = first_only
    ours.engine.create_child(FOR_HOME, time.monotonic())
    ours.run(lambda: len(ours.of(ChildSaEstablished)) == 2)
    assert charon.said("received retransmit of request with ID 2, retransmitting response")
    assert lost[0] == lost[1], "an answer is repeated bit by bit (RFC 7296 2.1)"
    same_keys(ours, charon, 1, 2)
    lost.clear()
    ours.finish(charon.rekey(child="mh"))  # both
    ours.run(lambda: len(ours.of(ChildSaClosed)) == 2)
    assert lost[0] == lost[1]
    same_keys(ours, charon, 1, 4)


@row("keys renewed by our own timers, child SA and IKE SA")
def test_timers(meeting: Field, charon: Charon) -> None:
    timers = replace(QUICK, child_lifetime=0.8, ike_lifetime=1.7)
    with closing(attached(meeting, timers=timers)) as ours:
        ours.run(lambda: len(ours.of(IkeSaRekeyed)) >= 2 and len(ours.of(ChildSaClosed)) >= 3)
        ours.engine.timers = QUICK
        ours.run(lambda: not ours.engine.tasks)
        assert not ours.of(RekeyFailed)
        assert not ours.of(IkeSaClosed)
        ours.run(lambda: ours.ike_keys() == charon.ike_keys() and ours.child_keys() == charon.child_keys(), 5)
        one_left(ours, charon)


@row("keys of the IKE SA renewed by strongSwan's timer")
def test_timer_of_strongswan(meeting: Field, charon: Charon) -> None:
    home_agent(charon, rekey_time="1s", over_time="60s", rand_time="0s")
    with closing(attached(meeting, timers=QUICK)) as ours:
        ours.run(lambda: len(ours.of(IkeSaRekeyed)) >= 2)
        assert not ours.of(IkeSaClosed)
        known = set(ours.ike_keys())
        ours.run(lambda: set(charon.ike_keys()) >= known, 5)


@row("forward secrecy for child SAs: rekeyed by us and by strongSwan, with a group, and with another one first")
def test_forward_secrecy(meeting: Field, charon: Charon) -> None:
    home_agent(charon, esp_proposals=["aes256gcm16-curve25519"])
    two_groups = replace(suites(), esp=tuple(suites(esp=each).esp[0] for each in GROUPS))
    with closing(attached(meeting, timers=QUICK, profile=two_groups)) as ours:
        ours.engine.rekey_child(ours.of(ChildSaEstablished)[0].child.inbound_spi, time.monotonic())
        ours.run(lambda: ours.of(ChildSaClosed))
        assert charon.said(r"generating CREATE_CHILD_SA response \d+ \[ N\(INVAL_KE\) \]")
        ours.finish(charon.rekey(child="mh"))
        ours.run(lambda: len(ours.of(ChildSaClosed)) == 2)
        assert [each.child.group.name for each in ours.of(ChildSaEstablished)[1:] if each.child.group] == [
            "CURVE25519",
            "CURVE25519",
        ]
        same_keys(ours, charon, 1, 3)


@row("our own long messages go in fragments, requests and answers")
def test_our_fragments(meeting: Field, charon: Charon) -> None:
    with closing(attached(meeting, timers=QUICK, fragment_size=200)) as ours:
        assert charon.said(r"received fragment #. of [2-9], reassembled fragmented IKE message")
        ours.finish(charon.rekey(child="mh"))
        ours.run(lambda: ours.of(ChildSaClosed))
        assert charon.log().count("reassembled fragmented IKE message") >= 2
        assert max(len(each.payload) for each in ours.sent[1:]) <= 200 - 48
        same_keys(ours, charon, 1, 2)


@row("two PDN connections of one UE: no INITIAL_CONTACT, strongSwan keeps both IKE SAs (TS 24.303 4.3)")
def test_two_connections(meeting: Field, charon: Charon, ours: Initiator) -> None:
    meeting.ue.run(f"ip addr add {SECOND}/64 dev ue0 nodad")
    with closing(Initiator(meeting.ue, our_config(timers=QUICK), SECOND, HA)) as second:
        together(ours, second, until=lambda: second.of(ChildSaEstablished))
        assert not charon.said("INIT_CONTACT")
        assert len(charon.sas()) == 2
        for end in (ours, second):
            end.engine.check_liveness(time.monotonic())
        together(ours, second, until=lambda: not ours.engine.tasks and not second.engine.tasks)
        assert not ours.of(IkeSaClosed)
        assert sorted(ours.ike_keys() + second.ike_keys()) == sorted(charon.ike_keys())


@row("a child SA that strongSwan asks a UE for: declined (NO_ADDITIONAL_SAS), the rest stands")
def test_child_of_strongswan(meeting: Field, charon: Charon) -> None:
    prefixes = {
        "local_ts": [f"{HA}/128[ipv6-icmp/147]"], "remote_ts": [f"{PREFIX}/64[ipv6-icmp/146]"],
        "mode": "transport_proxy", "esp_proposals": ["aes256gcm16"], "policies": "no",
    }  # fmt: skip
    home_agent(charon, children={**mobility(str(HA)), "mps": prefixes})
    with closing(attached(meeting, timers=QUICK)) as ours:
        asked = charon.initiate("mps")
        with pytest.raises(vici.exception.CommandException):
            ours.finish(asked)
        assert charon.said("received NO_ADDITIONAL_SAS notify, no CHILD_SA built")
        one_left(ours, charon)
        ours.finish(charon.rekey(child="mh"))
        ours.run(lambda: ours.of(ChildSaClosed))
        same_keys(ours, charon, 1, 2)
