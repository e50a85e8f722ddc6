# SPDX-License-Identifier: GPL-2.0-or-later
"""Whom a gateway takes an authenticated peer for: an IMSI that EAP proved is nobody else's, however it is spelt."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest

from mn_dsmip.crypto.aka import AuthenticationCentre, Subscriber
from mn_dsmip.engine.gateway_policy import ApnPools, GatewayPolicy, PolicyConfig, Subscription
from mn_dsmip.engine.ike.events import Refusal
from mn_dsmip.engine.ike.policy import Peer
from mn_dsmip.wire.ikev2_numbers import IdType, NotifyType
from mn_dsmip.wire.ikev2_payloads import IdInitiator
from tests.engine.ike_pair import APN, GATEWAY, UE, seeded

LONG, SHORT = "001010000000001", "01010000000001"
"""The longer IMSI reads as an EAP-AKA identity of the shorter one."""


def authorised(identity: str, psk: bytes | None, *known: str) -> str:
    """Who is let in when that identity was authenticated."""
    subscriptions = {imsi: Subscription(Subscriber(imsi, bytes(16), bytes(16)), (APN,)) for imsi in known}
    config = PolicyConfig(GATEWAY, subscriptions, {APN: ApnPools(IPv6Network("2001:db8:1::/48"))}, psk=psk)
    policy = GatewayPolicy(config, AuthenticationCentre(seeded(1), {}), seeded(2))
    claimed = IdInitiator(IdType.RFC822, identity.encode())
    peer = Peer(b"session1", UE, IPv6Address(GATEWAY), claimed, APN, identity)
    assert policy.authorise(peer) is None
    return peer.identity


@pytest.mark.parametrize("psk", [None, b"a secret"])
def test_an_imsi_is_not_read_as_another(psk: bytes | None) -> None:
    assert authorised(LONG, psk, LONG, SHORT) == LONG
    assert authorised(LONG, b"a secret", SHORT) == LONG


def test_a_peer_with_a_psk_is_known_by_its_nai() -> None:
    assert authorised(f"0{LONG}@nai.epc.mnc001.mcc001.3gppnetwork.org", b"a secret", LONG) == LONG
    assert authorised("somebody@example.net", b"a secret", LONG) == "somebody@example.net"


@pytest.mark.parametrize(
    ("apn", "says"),
    [
        ("ims", f"subscriber {LONG} may not use APN ims"),
        ("nowhere", f"subscriber {LONG} wants APN nowhere, which is unknown here; known are {APN}, ims"),
    ],
)
def test_an_apn_that_is_unknown_and_one_that_is_forbidden(apn: str, says: str) -> None:
    """To the peer both are one AUTHENTICATION_FAILED; the operator has to know which."""
    pools = {name: ApnPools(IPv6Network(f"2001:db8:{n}::/48")) for n, name in enumerate((APN, "ims"), 1)}
    subscriptions = {LONG: Subscription(Subscriber(LONG, bytes(16), bytes(16)), (APN,))}
    policy = GatewayPolicy(PolicyConfig(GATEWAY, subscriptions, pools), AuthenticationCentre(seeded(1), {}), seeded(2))
    refusal = policy.authorise(Peer(b"session1", UE, GATEWAY, IdInitiator(IdType.RFC822, b""), apn, LONG))
    assert refusal == Refusal(NotifyType.AUTHENTICATION_FAILED, says)
