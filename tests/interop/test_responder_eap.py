# SPDX-License-Identifier: GPL-2.0-or-later
"""Our UE's EAP-AKA and EAP-AKA' through strongSwan (`eap-radius`) to hostapd; strongSwan has a certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mn_dsmip.crypto.aka import Usim
from mn_dsmip.crypto.certs import Identity, utc_now
from mn_dsmip.engine.ike.aka_common import AKA, AKA_PRIME, Flavour
from mn_dsmip.engine.ike.aka_peer import AkaPeer
from mn_dsmip.engine.ike.eap_method import network_access_identifier
from mn_dsmip.engine.ike.events import ChildSaEstablished, IkeFailed, IkeSaEstablished, InitiatorConfig
from tests.interop.certified import authority, give, identity, long_chain
from tests.interop.peers.charon import Charon
from tests.interop.peers.hostapd import Hostapd
from tests.interop.peers.milenage import Card
from tests.interop.peers.network import HA, UE, Field
from tests.interop.peers.ours import Initiator
from tests.interop.responding import NAME, home_agent, our_config, same_keys
from tests.interop.rows import STRONGSWAN, rows

pytestmark = pytest.mark.root
K, OPC = bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc"), bytes.fromhex("cd63cb71954a9f4e48a5994e37a02baf")
IMSI, MCC, MNC = "232010000000000", "232", "01"
SECRET = "between strongSwan and hostapd"
RADIUS = {"plugins": {"eap-radius": {"servers": {"aaa": {
    "address": "127.0.0.1", "auth_port": 1812, "secret": f'"{SECRET}"', "nas_identifier": "ha",
    "retransmit_tries": 2, "retransmit_timeout": 0.5}}}}}  # fmt: skip


row = rows("UE", "1.1", f"{STRONGSWAN} and hostapd 2.10")


@contextmanager
def servers(field: Field, folder: Path, own: Identity, card: Card, **changes: Any) -> Iterator[tuple[Charon, Hostapd]]:
    """strongSwan as home agent with certificate ``own``; hostapd behind it, one subscriber, ``radius`` its secret."""
    usual: dict[str, Any] = {
        "local": {"auth": "pubkey", "id": NAME, "certs": [own.encoded[0]]},
        "remote": {"auth": "eap-radius", "id": "%any"},
        "send_cert": "always",
    }
    radius = Hostapd(field.ha, folder, [card], changes.pop("radius", SECRET))
    try:
        charon = Charon(field.ha, folder, shim=True, settings=RADIUS)
        try:
            give(charon, own)
            home_agent(charon, **(usual | changes))
            yield charon, radius
        finally:
            charon.close()
    finally:
        radius.close()


def subscriber(flavour: Flavour, usim: Usim, **changes: Any) -> InitiatorConfig:
    """Our UE with that USIM."""
    name = network_access_identifier(IMSI, MCC, MNC, flavour.leading)
    method: Callable[[], AkaPeer] = lambda: AkaPeer(flavour, name, IMSI, usim, b"WLAN")  # noqa: E731
    usual = our_config(psk=None, identity=name, eap=method, anchors=authority().chain, clock=utc_now)
    return replace(usual, expected_name=NAME, **changes)


def attach(field: Field, config: InitiatorConfig) -> Initiator:
    ours = Initiator(field.ue, config, UE, HA)
    try:
        ours.run(lambda: ours.of(IkeFailed) or (ours.of(IkeSaEstablished) and ours.of(ChildSaEstablished)))
    except BaseException:
        ours.close()
        raise
    return ours


@pytest.mark.parametrize(
    "flavour",
    [
        pytest.param(AKA, marks=row("EAP-AKA, gateway certificate verified"), id="aka"),
        pytest.param(AKA_PRIME, marks=row("EAP-AKA', gateway certificate verified"), id="aka-prime"),
    ],
)
def test_authentication(meeting: Field, tmp_path: Path, flavour: Flavour) -> None:
    with servers(meeting, tmp_path, identity(NAME), Card(IMSI, K, OPC)) as (charon, radius):
        ours = attach(meeting, subscriber(flavour, Usim(K, OPC)))
        try:
            assert not ours.of(IkeFailed), (ours.of(IkeFailed), charon.tail(), radius.log()[-3000:])
            same_keys(ours, charon, 1, 1)
            assert charon.said("EAP method EAP_AKA.* succeeded|RADIUS authentication of .* successful")
        finally:
            ours.close()


@row("EAP-AKA resynchronisation (AUTS)")
def test_resynchronisation(meeting: Field, tmp_path: Path) -> None:
    usim = Usim(K, OPC, sqn=1 << 20)
    with servers(meeting, tmp_path, identity(NAME), Card(IMSI, K, OPC)) as (charon, radius):
        ours = attach(meeting, subscriber(AKA, usim))
        try:
            assert not ours.of(IkeFailed), (ours.of(IkeFailed), radius.log()[-3000:])
            assert f"resynchronised {IMSI}" in radius.hlr.said
            assert usim.sqn > 1 << 20
            same_keys(ours, charon, 1, 1)
        finally:
            ours.close()


@row("IKE fragmentation (RFC 7383) with a long certificate chain")
def test_fragmentation(meeting: Field, tmp_path: Path) -> None:
    own = long_chain(NAME)
    config = subscriber(AKA, Usim(K, OPC), anchors=authority("Root of a long chain").chain)
    with servers(meeting, tmp_path, own, Card(IMSI, K, OPC)) as (charon, _):
        ours = attach(meeting, config)
        try:
            assert not ours.of(IkeFailed), (ours.of(IkeFailed), charon.tail())
            assert charon.said(r"splitting IKE message \(\d+ bytes\) into [3-9] fragments")
            assert max(len(each.payload) for each in ours.received) <= 1280 - 48
            same_keys(ours, charon, 1, 1)
        finally:
            ours.close()
