# SPDX-License-Identifier: GPL-2.0-or-later
"""Whom our gateway takes a UE for when hostapd has authenticated it: never whom it only claims to be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mn_dsmip.crypto.aka import Usim
from mn_dsmip.engine.ike.aka_aliases import PeerAliases
from mn_dsmip.engine.ike.aka_common import AKA, AKA_PRIME, Flavour
from mn_dsmip.engine.ike.aka_peer import AkaPeer
from mn_dsmip.engine.ike.eap_method import network_access_identifier
from mn_dsmip.engine.ike.events import IkeSaEstablished
from tests.interop.peers.hostapd import Hostapd
from tests.interop.peers.milenage import Card
from tests.interop.peers.network import Field
from tests.interop.test_radius_gateway import IMSI, MCC, MNC, OPC, SECRET, K, attach, gateway, row

pytestmark = pytest.mark.root
VICTIM = "001010000000002"


class Pretender(AkaPeer):
    """Claims to be somebody else in IDi, and is itself when EAP-AKA asks."""

    claim = ""

    @property
    def identity(self) -> str:
        return self.claim


def permanent(flavour: Flavour) -> str:
    return network_access_identifier(IMSI, MCC, MNC, flavour.leading)


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param(f"2{VICTIM}@realm", id="in the form of a pseudonym"),
        pytest.param(f"4{VICTIM}@realm", id="in the form of a fast identity"),
    ],
)
@row("a subscriber that claims another's IMSI in IDi is itself", bullet="4")
def test_a_claim_is_no_proof(meeting: Field, tmp_path: Path, claim: str) -> None:
    radius = Hostapd(meeting.ha, tmp_path, [Card(IMSI, K, OPC), Card(VICTIM, bytes(16), OPC)], SECRET)
    try:
        with gateway(meeting, tmp_path) as agent:
            peer = Pretender(AKA, permanent(AKA), IMSI, Usim(K, OPC))
            peer.claim = claim
            ours = attach(meeting, peer=peer)
            assert ours.of(IkeSaEstablished), radius.log()[-3000:]
            assert agent.await_entry("ike_sa_established")["identity"] == IMSI
    finally:
        radius.close()


@pytest.mark.parametrize(
    "flavour",
    [
        pytest.param(
            AKA, marks=row("EAP-AKA: pseudonym and fast re-authentication through our gateway", "2.3"), id="aka"
        ),
        pytest.param(
            AKA_PRIME,
            marks=row("EAP-AKA': pseudonym and fast re-authentication through our gateway", "2.3"),
            id="prime",
        ),
    ],
)
def test_aliases_through_the_gateway(meeting: Field, tmp_path: Path, flavour: Flavour) -> None:
    """IDi is the fast identity that hostapd gave; the gateway holds both ends' keys, or AUTH would be wrong."""
    radius = Hostapd(meeting.ha, tmp_path, [Card(IMSI, K, OPC)], SECRET)
    aliases, usim = PeerAliases(os.urandom), Usim(K, OPC)
    claims, sequence = [], []
    try:
        with gateway(meeting, tmp_path) as agent:
            for number in range(3):
                peer = AkaPeer(flavour, permanent(flavour), IMSI, usim, b"WLAN", aliases=aliases)
                claims.append(peer.identity)
                assert attach(meeting, peer=peer).of(IkeSaEstablished), (number, radius.log()[-3000:])
                sequence.append(usim.sqn)
            agent.await_entry("ike_sa_established", count=3)
    finally:
        radius.close()
    assert [each[0] for each in claims] == [flavour.leading, flavour.reauth, flavour.reauth]
    assert len(set(claims)) == 3
    assert len(set(sequence)) == 1, "the USIM was asked once"
