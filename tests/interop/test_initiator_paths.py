# SPDX-License-Identifier: GPL-2.0-or-later
"""How strongSwan's messages reach our gateway: fragments, a NAT, port 4500, IPv4, another address of the peer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mn_dsmip.engine.ike.events import (
    ChildSaClosed,
    ChildSaEstablished,
    IkeSaClosed,
    IkeSaEstablished,
    IkeSaRekeyed,
    ResponderConfig,
)
from mn_dsmip.engine.ike.path import KEEPALIVE, NON_ESP_MARKER
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_payloads import EncryptedFragment
from tests.interop.certified import authority, long_chain
from tests.interop.initiating import (
    NAME,
    PSK,
    gateway,
    initiator,
    policy,
    remote_access,
    row,
    same_keys,
    served,
)
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import HA_IPV4, PRIVATE_UE, UE, UE_IPV4, Field
from tests.interop.peers.ours import Responder
from tests.interop.responding import suites

pytestmark = pytest.mark.root
ELSEWHERE, OTHER_IPV4 = "2001:db8:1::77", "198.18.1.4"


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    with initiator(meeting, tmp_path, {"fragment_size": 300}) as peer:
        yield peer


def fragments(datagrams: list[Any]) -> list[EncryptedFragment]:
    """The pieces of messages among them."""
    payloads = [each.payload.removeprefix(NON_ESP_MARKER) for each in datagrams]
    messages = [Message.parse(each) for each in payloads if len(each) > 28]
    return [each for message in messages for each in message.payloads if isinstance(each, EncryptedFragment)]


@row("IKE fragmentation (RFC 7383): strongSwan's request, and our answer with a large certificate chain")
def test_fragments(meeting: Field, charon: Charon) -> None:
    charon.load_certificate(authority("Root of a long chain").encoded[0], authority=True)
    remote_access(charon, remote={"auth": "pubkey", "id": NAME}, fragmentation="yes")
    end = gateway(meeting, identity=long_chain(NAME))
    try:
        served(end, charon)
        assert max(each.total for each in fragments(end.received)) >= 2
        assert max(each.total for each in fragments(end.sent)) >= 3
        assert charon.said(r"reassembled fragmented IKE message")
        assert charon.said(f"authentication of '{NAME}' with RSA.* successful")
        same_keys(end, charon, 1, 1)
    finally:
        end.close()


@row("fragmentation that strongSwan does not offer: our long answer goes in one piece")
def test_no_fragments(meeting: Field, charon: Charon) -> None:
    charon.load_certificate(authority("Root of a long chain").encoded[0], authority=True)
    remote_access(charon, remote={"auth": "pubkey", "id": NAME}, fragmentation="no")
    end = gateway(meeting, identity=long_chain(NAME))
    try:
        served(end, charon)
        assert not fragments(end.sent) + fragments(end.received)
        assert max(len(each.payload) for each in end.sent) > 3000
    finally:
        end.close()


@row("IKE begins on port 4500 (RFC 7296 2.23)")
def test_port_4500(meeting: Field, charon: Charon) -> None:
    remote_access(charon, local_port="4500", remote_port="4500")
    end = gateway(meeting)
    try:
        served(end, charon)
        assert {each.destination_port for each in end.received} == {4500}
        assert {each.source_port for each in end.sent} == {4500}
        same_keys(end, charon, 1, 1)
    finally:
        end.close()


@row("the peer moves to another address without MOBIKE: it reauthenticates from there and keeps its home address")
def test_other_address(meeting: Field, charon: Charon) -> None:
    remote_access(charon, local_addrs=["%any"])
    end = gateway(meeting)
    try:
        served(end, charon)
        meeting.ue.run(f"ip addr add {ELSEWHERE}/64 dev ue0 nodad", f"ip addr del {UE}/64 dev ue0")
        end.run(lambda: len(end.of(IkeSaEstablished)) == 2, 15)
        assert str(end.of(IkeSaEstablished)[1].peer) == ELSEWHERE
        first, second = (each.configuration for each in end.of(IkeSaEstablished))
        assert first == second
        end.run(lambda: end.of(IkeSaClosed), 15)
        end.finish(charon.terminate(ike="s2c"))
    finally:
        end.close()


@pytest.fixture
def behind_nat(nat_meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    peer = Charon(nat_meeting.ue, tmp_path, shim=True, settings={"keep_alive": "1s"})
    peer.load_psk(PSK)
    remote_access(peer, local_addrs=[str(PRIVATE_UE)], remote_addrs=[str(HA_IPV4)])
    yield peer
    peer.close()


@pytest.fixture
def on_ipv4(nat_meeting: Field, behind_nat: Charon) -> Iterator[Responder]:
    end = Responder(nat_meeting.ha, ResponderConfig(NAME, suites(), None), policy(), [HA_IPV4])
    try:
        served(end, behind_nat)
        yield end
    finally:
        end.close()


@row("strongSwan behind a NAT, over IPv4: found by both, port 4500, keepalives ignored, rekeying from both sides")
def test_nat(on_ipv4: Responder, behind_nat: Charon) -> None:
    [entry] = on_ipv4.engine.sessions.values()
    assert entry.nat
    assert (entry.nat.peer, entry.nat.ourselves) == (True, False)
    assert entry.path.remote == UE_IPV4
    assert entry.path.local_port == 4500
    assert entry.path.remote_port not in (500, 4500), "the NAT's choice"
    on_ipv4.run(lambda: [each for each in on_ipv4.received if each.payload == KEEPALIVE], 10)
    on_ipv4.finish(behind_nat.rekey(child="s2c-user"))
    on_ipv4.run(lambda: on_ipv4.of(ChildSaClosed))
    entry.rekey(time.monotonic())
    on_ipv4.engine.settle(entry)
    on_ipv4.run(lambda: on_ipv4.of(IkeSaRekeyed) and not entry.tasks)
    same_keys(on_ipv4, behind_nat, 2, 2)
    assert not on_ipv4.engine.counters


@row("the NAT gets another address: our gateway goes on with where the newest genuine message came from")
def test_new_mapping(nat_meeting: Field, on_ipv4: Responder, behind_nat: Charon) -> None:
    assert nat_meeting.nat
    [entry] = on_ipv4.engine.sessions.values()
    nat_meeting.nat.run(f"ip addr del {UE_IPV4}/24 dev outside0", f"ip addr add {OTHER_IPV4}/24 dev outside0")
    on_ipv4.finish(behind_nat.rekey(child="s2c-user"))
    on_ipv4.run(lambda: on_ipv4.of(ChildSaClosed))
    assert len(on_ipv4.of(ChildSaEstablished)) == 2
    assert str(entry.path.remote) == OTHER_IPV4
    entry.check_liveness(time.monotonic())
    on_ipv4.engine.settle(entry)
    on_ipv4.run(lambda: not entry.tasks)
    assert not on_ipv4.of(IkeSaClosed)
    same_keys(on_ipv4, behind_nat, 1, 2)
