# SPDX-License-Identifier: GPL-2.0-or-later
"""What a gateway answers to configuration requests of peers that know RFC 7296, and of those that know RFC 5026."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network

import pytest

from mn_dsmip.crypto.aka import AuthenticationCentre
from mn_dsmip.engine.gateway_policy import ApnPools, GatewayPolicy, PolicyConfig
from mn_dsmip.engine.ike.events import Refusal
from mn_dsmip.engine.ike.policy import Peer
from mn_dsmip.wire.ikev2_numbers import CfgAttribute as Cfg
from mn_dsmip.wire.ikev2_numbers import CfgType, IdType, NotifyType
from mn_dsmip.wire.ikev2_payloads import Attribute, Configuration, IdInitiator
from tests.engine.ike_pair import seeded

HOME_AGENT, PEER = IPv6Address("2001:db8:aaaa::1"), IPv6Address("2001:db8:f:1::7")
PREFIX = IPv6Network("2001:db8:100::/64")


def policy(ipv6: str = "2001:db8:100::/48", ipv4: str | None = "10.45.0.0/24") -> GatewayPolicy:
    pools = ApnPools(IPv6Network(ipv6), IPv4Network(ipv4) if ipv4 else None)
    config = PolicyConfig(HOME_AGENT, {}, {"internet": pools}, dns=(IPv6Address("2001:db8::53"),), psk=b"secret")
    return GatewayPolicy(config, AuthenticationCentre(seeded(1), {}), seeded(2))


def peer(name: str = "ue1") -> Peer:
    claimed = IdInitiator(IdType.RFC822, name.encode())
    return Peer(bytes(8), PEER, HOME_AGENT, claimed, "internet", identity=name)


def ask(*attributes: Attribute) -> Configuration:
    return Configuration(CfgType.REQUEST, attributes)


def answer(found: Configuration | Refusal | None) -> list[tuple[int, bytes]]:
    assert isinstance(found, Configuration), found
    assert found.cfg_type == CfgType.REPLY
    return [(each.type, each.value) for each in found.attributes]


def test_addresses_for_a_peer_of_rfc_7296() -> None:
    decides = policy()
    asked = ask(
        Attribute(Cfg.INTERNAL_IP6_ADDRESS),
        Attribute(Cfg.INTERNAL_IP4_ADDRESS),
        Attribute(Cfg.INTERNAL_IP4_NETMASK),
        Attribute(Cfg.INTERNAL_IP6_DNS),
        Attribute(0x3FFF, b"unknown"),
    )
    expected = [
        (Cfg.INTERNAL_IP6_ADDRESS, PREFIX[1].packed + b"\x40"),
        (Cfg.INTERNAL_IP4_ADDRESS, bytes((10, 45, 0, 1))),
        (Cfg.INTERNAL_IP4_NETMASK, b"\xff" * 4),
        (Cfg.INTERNAL_IP6_DNS, IPv6Address("2001:db8::53").packed),
    ]
    assert answer(decides.assign(peer(), asked)) == expected
    assert answer(decides.assign(peer(), asked)) == expected, "the same on every reauthentication"


def test_the_prefix_goes_before_an_address() -> None:
    found = answer(policy().assign(peer(), ask(Attribute(Cfg.INTERNAL_IP6_ADDRESS), Attribute(Cfg.MIP6_HOME_PREFIX))))
    assert [kind for kind, _ in found] == [Cfg.MIP6_HOME_PREFIX]


def test_an_address_that_the_peer_names() -> None:
    decides = policy()
    mine = PREFIX[0xABCD].packed + b"\x40"
    assert answer(decides.assign(peer(), ask(Attribute(Cfg.INTERNAL_IP6_ADDRESS, mine)))) == [
        (Cfg.INTERNAL_IP6_ADDRESS, mine)
    ]
    foreign = IPv6Address("2001:db8:bad::1").packed + b"\x40"
    assert answer(decides.assign(peer(), ask(Attribute(Cfg.INTERNAL_IP6_ADDRESS, foreign)))) == [
        (Cfg.INTERNAL_IP6_ADDRESS, PREFIX[1].packed + b"\x40")
    ]


def test_one_version_is_enough() -> None:
    both = ask(Attribute(Cfg.INTERNAL_IP6_ADDRESS), Attribute(Cfg.INTERNAL_IP4_ADDRESS))
    assert [kind for kind, _ in answer(policy(ipv4=None).assign(peer(), both))] == [Cfg.INTERNAL_IP6_ADDRESS]


@pytest.mark.parametrize(
    ("kind", "pools", "words"),
    [
        (Cfg.INTERNAL_IP4_ADDRESS, {"ipv4": None}, "INTERNAL_IP4_ADDRESS"),
        (Cfg.INTERNAL_IP4_ADDRESS, {"ipv4": "10.45.0.1/32"}, "INTERNAL_IP4_ADDRESS"),
        (Cfg.INTERNAL_IP6_ADDRESS, {"ipv6": "2001:db8:100::/64"}, "INTERNAL_IP6_ADDRESS"),
        (Cfg.MIP6_HOME_PREFIX, {"ipv6": "2001:db8:100::/64"}, "MIP6_HOME_PREFIX"),
    ],
)
def test_nothing_is_left(kind: Cfg, pools: dict[str, str | None], words: str) -> None:
    decides = policy(**pools)
    if pools.get("ipv4", "") is not None:
        answer(decides.assign(peer("first"), ask(Attribute(kind))))
    found = decides.assign(peer("second"), ask(Attribute(kind)))
    assert isinstance(found, Refusal)
    assert found.notify == NotifyType.INTERNAL_ADDRESS_FAILURE
    assert found.reason == f"no home network prefix or address is left for APN internet ({words} was asked for)"


def test_a_released_address_is_another_peers() -> None:
    decides = policy(ipv4="10.45.0.1/32")
    wanted = ask(Attribute(Cfg.INTERNAL_IP4_ADDRESS), Attribute(Cfg.INTERNAL_IP6_ADDRESS))
    answer(decides.assign(peer("first"), wanted))
    decides.leases.release(("first", "internet"))
    assert (Cfg.INTERNAL_IP4_ADDRESS, bytes((10, 45, 0, 1))) in answer(decides.assign(peer("second"), wanted))
