# SPDX-License-Identifier: GPL-2.0-or-later
"""strongSwan as the home agent that our UE meets: its connection, and our side's configuration for it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from mn_dsmip.engine.ike.child import mobility_selector
from mn_dsmip.engine.ike.events import ChildSaEstablished, IkeSaEstablished, InitiatorConfig, Selectors
from mn_dsmip.engine.ike.proposals import Profile, parse_offer
from mn_dsmip.wire.ikev2_numbers import Protocol
from tests.engine.ike_pair import initiator_config
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import HA, UE, Field
from tests.interop.peers.ours import Initiator

NAME, PSK = "ha.example.net", b"a secret of ours and theirs"
PREFIX = "2001:db8:100:1::"
HOME = IPv6Address(f"{PREFIX}10")
HOME_PREFIX = bytes.fromhex("00015180 20010db8010000010000000000000000 40")
"""MIP6_HOME_PREFIX: lifetime 86400 s, 2001:db8:100:1::/64 (RFC 5026 8.2)."""
HOME_AGENT = HA.packed + IPv4Address("198.18.1.1").packed
"""HOME_AGENT_ADDRESS with both versions (TS 24.302 8.2.4.1, TS 24.303)."""
ANY_HOME = Selectors(
    (mobility_selector(IPv6Address(0), IPv6Address(2**128 - 1)),), (mobility_selector(HA),), transport=True
)
FOR_HOME = Selectors((mobility_selector(HOME),), (mobility_selector(HA),), transport=True)


def mobility(*agents: str, **changes: Any) -> dict[str, Any]:
    """strongSwan's child SA `mh` for the Mobility Header, for those home agent addresses."""
    usual = {
        "local_ts": [f"{each}/128[135]" for each in agents], "remote_ts": [f"{PREFIX}/64[135]"],
        "mode": "transport_proxy", "esp_proposals": ["aes256gcm16"], "policies": "no",
    }  # fmt: skip
    return {"mh": usual | changes}


def home_agent(charon: Charon, **changes: Any) -> None:
    """Load a connection `s2c` with the shape of TS 24.303: MH in transport mode, an address pool with prefix and HA."""
    charon.load_pool("home", addrs=f"{PREFIX}10-{PREFIX}ff", **{"16": [HOME_PREFIX], "19": [HOME_AGENT]})
    connection: dict[str, Any] = {
        "local_addrs": [str(HA), "198.18.1.1"],
        "proposals": ["aes256gcm16-prfsha256-curve25519"],
        "pools": ["home"],
        "local": {"auth": "psk", "id": NAME},
        "remote": {"auth": "psk", "id": "%any"},
        "children": mobility(str(HA), esp_proposals=changes.pop("esp_proposals", ["aes256gcm16"])),
    }
    charon.load_conn("s2c", **(connection | changes))
    charon.load_psk(PSK)


def suites(ike: str = "aes256gcm16-prfsha256-curve25519", esp: str = "aes256gcm16") -> Profile:
    """A profile of one proposal each."""
    return Profile((parse_offer(ike, Protocol.IKE),), (parse_offer(esp, Protocol.ESP),))


def our_config(**changes: Any) -> InitiatorConfig:
    """Our UE with a PSK, which asks for prefix and address."""
    usual = initiator_config(psk=PSK, apn=NAME, want_home_address=True, first_child=ANY_HOME, profile=suites())
    return replace(usual, **changes)


def attached(field: Field, **changes: Any) -> Initiator:
    """Our end, once the IKE SA and its first child SA are there."""
    ours = Initiator(field.ue, our_config(**changes), UE, HA)
    try:
        ours.run(lambda: ours.of(IkeSaEstablished) and ours.of(ChildSaEstablished))
    except BaseException:
        ours.close()
        raise
    return ours


def same_keys(ours: Initiator, charon: Charon, ikes: int, children: int) -> None:
    """Both ends hold the same keys, for that many SAs so far."""
    ours.run(lambda: len(charon.child_keys()) >= children and len(charon.ike_keys()) >= ikes, 5)
    assert ours.ike_keys()[-ikes:] == charon.ike_keys()[-ikes:]
    assert ours.child_keys()[-children:] == charon.child_keys()[-children:]
    assert (len(ours.ike_keys()), len(ours.child_keys())) == (ikes, children)


def one_left(ours: Initiator, charon: Charon) -> None:
    """One child SA, and both mean the same one; strongSwan remembers closed ones for 5 s."""
    ours.run(lambda: len(ours.engine.children) == 1 and not ours.engine.tasks)
    ours.run(lambda: len(installed(charon)) == 1, 10)
    (kept,) = ours.engine.children.values()
    (theirs,) = installed(charon)
    assert {theirs["spi-in"], theirs["spi-out"]} == {kept.inbound_spi.hex(), kept.outbound_spi.hex()}


def installed(charon: Charon) -> list[dict[str, Any]]:
    """The child SAs that strongSwan uses."""
    return [child for sa in charon.sas() for child in sa["child-sas"].values() if child["state"] == "INSTALLED"]
