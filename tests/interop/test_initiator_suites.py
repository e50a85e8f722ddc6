# SPDX-License-Identifier: GPL-2.0-or-later
"""Every algorithm of our gateway with strongSwan as initiator, and how the choice is made."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mn_dsmip.engine.ike.events import ChildSaClosed
from mn_dsmip.engine.ike.proposals import PROFILES
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_numbers import NotifyType
from mn_dsmip.wire.ikev2_payloads import KeyExchange, Notify
from tests.engine.test_ike_suites import ESP_SUITES, IKE_SUITES
from tests.interop.initiating import PSK, gateway, remote_access, row, same_keys, served
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import Field
from tests.interop.responding import suites

pytestmark = pytest.mark.root
USER: dict[str, Any] = {"remote_ts": ["::/0", "0.0.0.0/0"], "policies": "no"}


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
            if sent.source_port == 500
            for each in Message.parse(sent.payload).payloads
            if isinstance(each, Notify)
        ]
        assert told[0] == NotifyType.INVALID_KE_PAYLOAD
        groups = [
            each.group for received in end.received[:2] for each in Message.parse(received.payload).payloads
            if isinstance(each, KeyExchange)
        ]  # fmt: skip
        assert groups == [31, 20]
        end.finish(charon.terminate(ike="s2c"))
    finally:
        end.close()


@row("child SA with forward secrecy (KE in CREATE_CHILD_SA), rekeyed by both sides")
@pytest.mark.parametrize("group", ["curve25519", "ecp256", "modp2048"])
def test_forward_secrecy(meeting: Field, tmp_path: Path, group: str) -> None:
    charon = Charon(meeting.ue, tmp_path, shim=True)
    charon.load_psk(PSK)
    remote_access(charon, children={"s2c-user": {**USER, "esp_proposals": [f"aes256gcm16-{group}"]}})
    profile = suites(ike="aes256gcm16-prfsha256-curve25519-ecp256-modp2048")
    end = gateway(meeting, profile=profile)
    try:
        served(end, charon)
        end.finish(charon.rekey(child="s2c-user"))
        end.run(lambda: len(end.of(ChildSaClosed)) == 1)
        assert charon.said(r"CREATE_CHILD_SA request \d+ \[ N\(REKEY_SA\) SA No KE TSi TSr \]")
        end.finish(charon.rekey(child="s2c-user"))  # and its next request tells that it has our answer
        end.run(lambda: len(end.of(ChildSaClosed)) == 2)
        [entry] = end.engine.sessions.values()
        entry.rekey_child(next(iter(entry.children)), time.monotonic())
        end.engine.settle(entry)
        end.run(lambda: len(end.of(ChildSaClosed)) == 3)
        assert charon.said(r"parsed CREATE_CHILD_SA request \d+ \[ N\(REKEY_SA\) SA No KE TSi TSr \]")
        same_keys(end, charon, 1, 4)
    finally:
        end.close()
        charon.close()


@row("strongSwan demands forward secrecy of the child SA that IKE_AUTH made: our rekeying asks again with a group")
def test_forward_secrecy_is_demanded(meeting: Field, tmp_path: Path) -> None:
    charon = Charon(meeting.ue, tmp_path, shim=True)
    charon.load_psk(PSK)
    remote_access(charon, children={"s2c-user": {**USER, "esp_proposals": ["aes256gcm16-curve25519"]}})
    end = gateway(meeting)
    try:
        served(end, charon)
        [entry] = end.engine.sessions.values()
        entry.unconfirmed.clear()
        entry.rekey_child(next(iter(entry.children)), time.monotonic())
        end.engine.settle(entry)
        end.run(lambda: end.of(ChildSaClosed))
        assert charon.said(r"generating CREATE_CHILD_SA response 0 \[ N\(NO_PROP\) \]")
        same_keys(end, charon, 1, 2)
    finally:
        end.close()
        charon.close()
