# SPDX-License-Identifier: GPL-2.0-or-later
"""Our EAP-AKA peer and hostapd's server: pseudonyms, fast re-authentication, protected success."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mn_dsmip.crypto.aka import Usim
from mn_dsmip.engine.aaa.client import AaaDatagram, RadiusClient, RadiusConfig, RadiusEap, RadiusServer
from mn_dsmip.engine.aaa.packets import Caller
from mn_dsmip.engine.ike.aka_aliases import PeerAliases, ReauthContext
from mn_dsmip.engine.ike.aka_common import AKA, AKA_PRIME, Flavour
from mn_dsmip.engine.ike.aka_peer import AkaPeer
from mn_dsmip.engine.ike.eap_method import EapFailure, EapPacket, EapResult, EapSuccess, network_access_identifier
from tests.engine.eap_pair import described
from tests.interop.peers.hostapd import ADDRESS, PORT, Hostapd
from tests.interop.peers.milenage import Card
from tests.interop.peers.network import Field
from tests.interop.rows import rows

pytestmark = pytest.mark.root
SECRET = "radius-secret"
K, OPC = bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc"), bytes.fromhex("cd63cb71954a9f4e48a5994e37a02baf")
IMSI, MCC, MNC = "232010000000000", "232", "01"
FLAVOURS = pytest.mark.parametrize("flavour", [AKA, AKA_PRIME], ids=["aka", "aka-prime"])


row = rows("UE", "2.3", "hostapd 2.10")


class Subscriber:
    """Our peer with its memory, and a RADIUS client on a real socket."""

    def __init__(self, field: Field, flavour: Flavour) -> None:
        self.flavour = flavour
        self.permanent = network_access_identifier(IMSI, MCC, MNC, flavour.leading)
        self.usim = Usim(K, OPC)
        self.aliases = PeerAliases(os.urandom)
        self.seen: list[str] = []
        self._client = RadiusClient(
            RadiusConfig((RadiusServer(ADDRESS, PORT, SECRET.encode()),), "test", IPv4Address("127.0.0.1")), os.urandom
        )
        with field.ha:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((str(ADDRESS), PORT))
        self._socket.setblocking(False)

    def authenticate(self) -> EapResult:
        """How it ends, from our peer's view; both ends' MSKs are compared."""
        self.claimed = self.aliases.first(self.permanent)
        peer = AkaPeer(self.flavour, self.permanent, IMSI, self.usim, b"WLAN", aliases=self.aliases)
        caller = Caller(self.claimed, "test", IPv4Address("127.0.0.1"), "internet", "ue")
        method = RadiusEap(self._client, b"session", caller)
        method.start()
        self.seen = []
        for _ in range(12):
            result = self._wait(method)
            self.seen.append(described(result.packet))
            peer.receive(result.packet)
            answer = peer.take()
            assert answer is not None, self.seen
            if not isinstance(answer, EapPacket):
                if isinstance(answer, EapSuccess):
                    assert isinstance(result, EapSuccess)
                    assert answer.msk == result.msk
                return answer
            self.seen.append(described(answer.packet))
            method.receive(answer.packet)
        raise AssertionError(f"no end: {self.seen}")

    def _wait(self, method: RadiusEap) -> EapResult:
        deadline = time.monotonic() + 20
        while (result := method.take()) is None:
            now = time.monotonic()
            assert now < deadline
            self._client.begin(now)
            for each in self._client.datagrams_to_send():
                self._socket.send(each.octets)
            if select.select([self._socket], [], [], 0.1)[0]:
                self._client.receive_datagram(AaaDatagram(0, 0, self._socket.recv(4096)), now)
        return result

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def subscriber(meeting: Field, flavour: Flavour) -> Iterator[Subscriber]:
    found = Subscriber(meeting, flavour)
    yield found
    found.close()


def server(meeting: Field, tmp_path: Path, **settings: object) -> Hostapd:
    return Hostapd(meeting.ha, tmp_path, [Card(IMSI, K, OPC)], SECRET, **settings)


@row("pseudonym and fast re-authentication identity given, and used")
@FLAVOURS
def test_fast_reauthentication(meeting: Field, tmp_path: Path, subscriber: Subscriber, flavour: Flavour) -> None:
    radius = server(meeting, tmp_path)
    try:
        assert isinstance(subscriber.authenticate(), EapSuccess), (subscriber.seen, radius.log()[-3000:])
        pseudonym = subscriber.aliases.pseudonym
        assert pseudonym
        assert pseudonym.startswith(flavour.pseudonym)
        sqn = subscriber.usim.sqn
        for number in range(3):
            result = subscriber.authenticate()
            assert isinstance(result, EapSuccess), (number, subscriber.seen, radius.log()[-3000:])
            assert subscriber.claimed.startswith(flavour.reauth)
            assert any(each.startswith("REQUEST REAUTHENTICATION") for each in subscriber.seen)
        assert subscriber.usim.sqn == sqn, "no vector was used"
    finally:
        radius.close()


@row("pseudonyms without fast re-authentication")
@FLAVOURS
def test_pseudonyms(meeting: Field, tmp_path: Path, subscriber: Subscriber, flavour: Flavour) -> None:
    radius = server(meeting, tmp_path, eap_sim_id=1)
    try:
        assert isinstance(subscriber.authenticate(), EapSuccess)
        assert subscriber.aliases.reauth is None
        assert isinstance(subscriber.authenticate(), EapSuccess), (subscriber.seen, radius.log()[-3000:])
        assert subscriber.claimed.startswith(flavour.pseudonym)
        assert not any("REAUTH" in each for each in subscriber.seen)
    finally:
        radius.close()


@row("counter too small: a full authentication follows")
@FLAVOURS
def test_counter_too_small(meeting: Field, tmp_path: Path, subscriber: Subscriber, flavour: Flavour) -> None:
    radius = server(meeting, tmp_path)
    try:
        assert isinstance(subscriber.authenticate(), EapSuccess)
        context = subscriber.aliases.reauth
        assert context
        subscriber.aliases.reauth = ReauthContext(context.identity, 100, context.keys)
        assert isinstance(subscriber.authenticate(), EapSuccess), (subscriber.seen, radius.log()[-3000:])
        assert any(each.startswith("REQUEST CHALLENGE") for each in subscriber.seen)
    finally:
        radius.close()


@row("a server that has forgotten: other identities are asked for")
@FLAVOURS
def test_forgotten(meeting: Field, tmp_path: Path, subscriber: Subscriber, flavour: Flavour) -> None:
    radius = server(meeting, tmp_path)
    try:
        assert isinstance(subscriber.authenticate(), EapSuccess)
    finally:
        radius.close()
    radius = server(meeting, tmp_path, name="again")
    try:
        assert isinstance(subscriber.authenticate(), EapSuccess), (subscriber.seen, radius.log()[-3000:])
        assert subscriber.claimed.startswith(flavour.reauth)
        assert any(each.startswith("REQUEST IDENTITY") for each in subscriber.seen)
    finally:
        radius.close()


@row("a server that has forgotten, and a UE that hides its IMSI: the UE refuses")
@FLAVOURS
def test_conservative(meeting: Field, tmp_path: Path, subscriber: Subscriber, flavour: Flavour) -> None:
    subscriber.aliases.conservative = True
    radius = server(meeting, tmp_path)
    try:
        assert isinstance(subscriber.authenticate(), EapSuccess), "who has no pseudonym yet has no choice"
    finally:
        radius.close()
    radius = server(meeting, tmp_path, name="again")
    try:
        result = subscriber.authenticate()
        assert isinstance(result, EapFailure), subscriber.seen
        assert "asks for our IMSI although it should know our pseudonym" in result.reason
        assert subscriber.seen[-2].startswith("RESPONSE CLIENT_ERROR")
        radius.await_log("EAP-AKA: Client reported error|Client Error|client error")
        assert IMSI not in radius.log()
    finally:
        radius.close()


@row("protected success (AT_RESULT_IND), full and fast")
@FLAVOURS
def test_result_indication(meeting: Field, tmp_path: Path, subscriber: Subscriber, flavour: Flavour) -> None:
    radius = server(meeting, tmp_path, eap_sim_aka_result_ind=1)
    try:
        for _ in range(2):
            assert isinstance(subscriber.authenticate(), EapSuccess), (subscriber.seen, radius.log()[-3000:])
            assert any(each.startswith("REQUEST NOTIFICATION") for each in subscriber.seen)
        assert any(each.startswith("REQUEST REAUTHENTICATION") for each in subscriber.seen)
    finally:
        radius.close()
