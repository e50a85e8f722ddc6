# SPDX-License-Identifier: GPL-2.0-or-later
"""Every algorithm that we have, once with strongSwan; how the choice is made; cookies and other groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mn_dsmip.engine.ike.events import ChildSaEstablished, IkeSaEstablished
from mn_dsmip.engine.ike.proposals import PROFILES
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_numbers import Exchange, NotifyType
from mn_dsmip.wire.ikev2_payloads import KeyExchange, Notify
from tests.engine.test_ike_suites import ESP_SUITES, IKE_SUITES
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import HA, UE, Field
from tests.interop.peers.ours import Initiator
from tests.interop.responding import attached, home_agent, our_config, same_keys, suites
from tests.interop.rows import rows

pytestmark = pytest.mark.root


row = rows("UE", "1.1")


@pytest.fixture(scope="module")
def charon(shared_meeting: Field, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Charon]:
    peer = Charon(shared_meeting.ha, tmp_path_factory.mktemp("suites"), shim=True)
    yield peer
    peer.close()


@row("every IKE suite of ours: ciphers, integrity, PRF, groups")
@pytest.mark.parametrize("suite", IKE_SUITES)
def test_ike_suite(shared_meeting: Field, charon: Charon, suite: str) -> None:
    home_agent(charon, proposals=[suite])
    before = len(charon.ike_keys())
    ours = attached(shared_meeting, profile=suites(ike=suite))
    try:
        assert ours.ike_keys() == charon.ike_keys()[before:]
        ours.finish(charon.terminate(ike="s2c"))
    finally:
        ours.close()


@row("every ESP suite of ours")
@pytest.mark.parametrize("suite", ESP_SUITES)
def test_esp_suite(shared_meeting: Field, charon: Charon, suite: str) -> None:
    home_agent(charon, esp_proposals=[suite])
    before = len(charon.child_keys())
    ours = attached(shared_meeting, profile=suites(esp=suite))
    try:
        assert ours.child_keys() == charon.child_keys()[before:]
        ours.finish(charon.terminate(ike="s2c"))
    finally:
        ours.close()


@row("the profile 'modern' meets strongSwan's default proposals")
def test_defaults(shared_meeting: Field, charon: Charon) -> None:
    home_agent(charon, proposals=["default"], esp_proposals=["default"])
    ours = attached(shared_meeting, profile=PROFILES["modern"])
    try:
        assert ours.of(IkeSaEstablished)
        assert ours.of(ChildSaEstablished)
        ours.finish(charon.terminate(ike="s2c"))
    finally:
        ours.close()


def first_messages(ours: Initiator) -> list[Message]:
    """IKE_SA_INIT as both ends sent it."""
    found = [Message.parse(each.payload) for each in (*ours.sent, *ours.received)]
    return [each for each in found if each.exchange == Exchange.IKE_SA_INIT]


@row("INVALID_KE_PAYLOAD: the group is chosen anew")
def test_other_group(shared_meeting: Field, charon: Charon) -> None:
    home_agent(charon, proposals=["aes256gcm16-prfsha256-ecp384"])
    ours = attached(shared_meeting, profile=PROFILES["modern"])
    try:
        told = [each for message in first_messages(ours) for each in message.payloads if isinstance(each, Notify)]
        assert NotifyType.INVALID_KE_PAYLOAD in [each.notify_type for each in told]
        groups = [
            each.group for sent in ours.sent[:2] for each in Message.parse(sent.payload).payloads
            if isinstance(each, KeyExchange)
        ]  # fmt: skip
        assert groups == [31, 20]
        assert ours.ike_keys() == charon.ike_keys()[-1:]
        ours.finish(charon.terminate(ike="s2c"))
    finally:
        ours.close()


@row("COOKIE: demanded under load, and given")
def test_cookie(meeting: Field, tmp_path: Path) -> None:
    charon = Charon(meeting.ha, tmp_path, shim=True, settings={"cookie_threshold": 1, "cookie_threshold_ip": 1})
    home_agent(charon)
    silent = Initiator(meeting.ue, our_config(), UE, HA)
    try:
        charon.await_log("generating IKE_SA_INIT response")  # a half-open IKE SA, on which we never go on
    finally:
        silent.close()
    ours = attached(meeting)
    try:
        told = [each for message in first_messages(ours) for each in message.payloads if isinstance(each, Notify)]
        cookies = [each.data for each in told if each.notify_type == NotifyType.COOKIE]
        assert len(cookies) >= 2, "theirs, and ours that repeats it"
        assert len(set(cookies)) == 1
        same_keys(ours, charon, 1, 1)
    finally:
        ours.close()
        charon.close()
