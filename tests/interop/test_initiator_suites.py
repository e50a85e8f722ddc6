# SPDX-License-Identifier: GPL-2.0-or-later
"""Every algorithm of our gateway with strongSwan as initiator, and how the choice is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mn_dsmip.engine.ike.proposals import PROFILES
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_numbers import NotifyType
from mn_dsmip.wire.ikev2_payloads import KeyExchange, Notify
from tests.engine.test_ike_suites import ESP_SUITES, IKE_SUITES
from tests.interop.initiating import HA, PSK, STRONGSWAN, gateway, remote_access, served
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import Field
from tests.interop.responding import suites

pytestmark = pytest.mark.root
USER: dict[str, Any] = {"remote_ts": ["::/0", "0.0.0.0/0"], "policies": "no"}


def row(words: str) -> Any:
    """The row of the table that a test fills."""
    return pytest.mark.feature(words, peer=STRONGSWAN, role="PDN GW", bullet="1.2")


@pytest.fixture(scope="module")
def charon(shared_meeting: Field, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Charon]:
    peer = Charon(shared_meeting.ue, tmp_path_factory.mktemp("suites"), shim=True)
    peer.load_psk(PSK)
    yield peer
    peer.close()


@row("every IKE suite of ours: ciphers, integrity, PRF, groups")
@pytest.mark.parametrize("suite", IKE_SUITES)
def test_ike_suite(shared_meeting: Field, charon: Charon, suite: str) -> None:
    remote_access(charon, proposals=[suite])
    before = len(charon.ike_keys())
    end = gateway(shared_meeting, profile=suites(ike=suite))
    try:
        served(end, charon)
        assert end.ike_keys() == charon.ike_keys()[before:]
        end.finish(charon.terminate(ike="s2c"))
    finally:
        end.close()


@row("every ESP suite of ours")
@pytest.mark.parametrize("suite", ESP_SUITES)
def test_esp_suite(shared_meeting: Field, charon: Charon, suite: str) -> None:
    remote_access(charon, children={"s2c-user": {**USER, "esp_proposals": [suite]}})
    before = len(charon.child_keys())
    end = gateway(shared_meeting, profile=suites(esp=suite))
    try:
        served(end, charon)
        end.run(lambda: len(charon.child_keys()) > before, 5)
        assert end.child_keys() == charon.child_keys()[before:]
        end.finish(charon.terminate(ike="s2c"))
    finally:
        end.close()


@row("strongSwan's default proposals meet the profile 'modern'")
def test_defaults(shared_meeting: Field, charon: Charon) -> None:
    remote_access(charon, proposals=["default"], children={"s2c-user": {**USER, "esp_proposals": ["default"]}})
    before = len(charon.ike_keys())
    end = gateway(shared_meeting, profile=PROFILES["modern"])
    try:
        served(end, charon)
        assert end.ike_keys() == charon.ike_keys()[before:]
        end.finish(charon.terminate(ike="s2c"))
    finally:
        end.close()


@row("INVALID_KE_PAYLOAD: strongSwan begins with a group that we refuse, and is told the one we take")
def test_other_group(shared_meeting: Field, charon: Charon) -> None:
    remote_access(charon, proposals=["aes256gcm16-prfsha256-curve25519-ecp384"])
    end = gateway(shared_meeting, profile=suites(ike="aes256gcm16-prfsha256-ecp384"))
    try:
        served(end, charon)
        told = [
            each.notify_type
            for sent in end.sent
            if sent.source_port == 500 and sent.destination == end.received[0].source
            for each in Message.parse(sent.payload).payloads
            if isinstance(each, Notify)
        ]
        assert told[0] == NotifyType.INVALID_KE_PAYLOAD
        groups = [
            each.group for received in end.received[:2] for each in Message.parse(received.payload).payloads
            if isinstance(each, KeyExchange)
        ]  # fmt: skip
        assert groups == [31, 20]
        assert end.received[0].destination == HA
        end.finish(charon.terminate(ike="s2c"))
    finally:
        end.close()
