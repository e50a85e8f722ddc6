# SPDX-License-Identifier: GPL-2.0-or-later
"""The harness itself: strongSwan and hostapd come up, talk to us, and are understood."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from mn_dsmip.engine.ike.child import mobility_selector
from mn_dsmip.engine.ike.events import ChildSaEstablished, IkeSaEstablished, Selectors
from tests.engine.ike_pair import initiator_config
from tests.interop.peers.charon import Charon
from tests.interop.peers.hostapd import Hostapd
from tests.interop.peers.milenage import Card, functions
from tests.interop.peers.network import HA, UE, Field
from tests.interop.peers.ours import Initiator

pytestmark = pytest.mark.root
HOME = IPv6Address("2001:db8:100:1::10")
PSK = b"a secret of ours and theirs"


def test_milenage_of_the_peers() -> None:
    """TS 35.208 test set 1."""
    found = functions(
        bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc"), bytes.fromhex("cd63cb71954a9f4e48a5994e37a02baf"),
        bytes.fromhex("23553cbe9637a89d218ae64dae47bf35"), bytes.fromhex("ff9bb4d0b607"), bytes.fromhex("b9b9"),
    )  # fmt: skip
    assert (found.mac_a.hex(), found.mac_s.hex()) == ("4a9ffac354dfafb3", "01cfaf9ec4e871e9")
    assert (found.res.hex(), found.ak.hex()) == ("a54211d5e3ba50bf", "aa689c648370")
    assert (found.ck.hex(), found.ik.hex()) == (
        "b40ba9a3c58b2a05bbf0d987b21bf8cb", "f769bcd751044604127672711c6d3441")  # fmt: skip
    assert found.ak_resync.hex() == "451e8beca43b"


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    peer = Charon(meeting.ha, tmp_path, shim=True)
    yield peer
    peer.close()


def test_strongswan_and_our_initiator(meeting: Field, charon: Charon) -> None:
    charon.load_conn(
        "s2c",
        local_addrs=[str(HA)],
        proposals=["aes256gcm16-prfsha256-curve25519"],
        local={"auth": "psk", "id": "ha.example.net"},
        remote={"auth": "psk", "id": "%any"},
        children={"mh": {
            "local_ts": [f"{HA}/128[135]"], "remote_ts": ["::/0[135]"], "mode": "transport_proxy",
            "esp_proposals": ["aes256gcm16"], "policies": "no",
        }},
    )  # fmt: skip
    charon.load_psk(PSK)
    child = Selectors((mobility_selector(HOME),), (mobility_selector(HA),), transport=True)
    config = replace(initiator_config(psk=PSK, apn="ha.example.net"), first_child=child, want_home_prefix=False)
    ours = Initiator(meeting.ue, replace(config, want_dns=False), UE, HA)
    try:
        ours.run(lambda: ours.of(IkeSaEstablished))
        assert ours.of(ChildSaEstablished), (ours.of(IkeSaEstablished), charon.tail())
        assert ours.ike_keys() == charon.ike_keys()
        assert ours.child_keys() == charon.child_keys()
        assert (len(ours.ike_keys()), len(ours.child_keys())) == (1, 1)
        ours.finish(charon.rekey(child="mh"))
        ours.run(lambda: len(ours.child_keys()) == 2)
        ours.run(lambda: ours.child_keys() == charon.child_keys(), 5)
    finally:
        ours.close()


def test_hostapd_comes_up(meeting: Field, tmp_path: Path) -> None:
    server = Hostapd(meeting.ha, tmp_path, [Card("001010000000001", bytes(16), bytes(16))])
    try:
        assert server.process.poll() is None
    finally:
        server.close()
    assert server.process.returncode == 0
