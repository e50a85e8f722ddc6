# SPDX-License-Identifier: GPL-2.0-or-later
"""How a UE sets up its security association: who it is, what it asks for, whom it trusts (TS 24.303 5.1.2.2)."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import NamedTuple

from ..wire.codec import WireError
from ..wire.ikev2_numbers import CfgAttribute
from ..wire.ikev2_payloads import Configuration, HomePrefix
from .base import IPAddress, ProtocolError
from .ike.aka_peer import AkaPeer
from .ike.child import mobility_selector
from .ike.eap_method import network_access_identifier
from .ike.events import InitiatorConfig, Selectors
from .mip.packet import is_unicast_routable
from .ue_states import UeConfig

ASSIGNED_ADDRESS_SIZE, IPV6_LENGTH = 17, 128
"""Octets of INTERNAL_IP6_ADDRESS; most bits of its prefix."""
EVERYWHERE = mobility_selector(IPv6Address(0), IPv6Address(2**128 - 1))


def initiator_config(
    config: UeConfig,
    home_agent: IPv6Address,
    name: str | None,
    former: IPv6Address | None,
    redirected_from: IPAddress | None,
) -> InitiatorConfig:
    """What IKE needs to know; ``name`` is what the home agent was looked up by, and what its certificate must hold.

    A gateway that others send us to must pass the same test as they (RFC 5685 3).
    """
    identity = network_access_identifier(config.imsi, config.mcc, config.mnc, config.flavour.leading)

    def eap() -> AkaPeer:
        if config.usim is None:
            raise ProtocolError("EAP-AKA needs a USIM")
        return AkaPeer(config.flavour, identity, config.imsi, config.usim, config.network_name, aliases=config.aliases)

    return InitiatorConfig(
        identity=identity,
        apn=config.apn,
        expected_name=name or str(redirected_from or home_agent),
        profile=config.profile,
        first_child=Selectors((EVERYWHERE,), (mobility_selector(home_agent),)),
        anchors=config.anchors,
        eap_only=config.eap_only,
        clock=config.clock,
        eap=eap if config.psk is None else None,
        psk=config.psk,
        home_address=former,
        redirected_from=redirected_from,
        timers=config.timers,
        fragment_size=config.fragment_size,
    )


class Home(NamedTuple):
    """What a gateway gave to a UE, and the prefix of the link that this belongs to."""

    prefix: IPv6Network
    """All of it is the UE's; one address long where the gateway chose the home address."""
    link: IPv6Network
    address: IPv6Address | None = None
    """The home address that the gateway chose; the UE may form any of ``prefix`` if it chose none."""


def assigned_home(configuration: Configuration | None, address_only: bool) -> Home | None:
    """What a CFG_REPLY gives: a home network prefix, else a home address (RFC 5026 5.3.1, 5.3.2, 8.2).

    Nothing when there is none of use. ``address_only``: no home address may be formed (USE_ASSIGNED_HoA).
    """
    if configuration is None:
        return None
    prefix = None if address_only else _home_prefix(configuration.all(CfgAttribute.MIP6_HOME_PREFIX))
    return Home(prefix, prefix) if prefix else _home_address(configuration.all(CfgAttribute.INTERNAL_IP6_ADDRESS))


def _home_prefix(values: list[bytes]) -> IPv6Network | None:
    try:
        found = HomePrefix.parse(values[0]) if values else None
    except WireError:
        return None
    if found is None or found.prefix_length != 64 or not is_unicast_routable(found.prefix):
        return None
    return IPv6Network((found.prefix, 64), strict=False)


def _home_address(values: list[bytes]) -> Home | None:
    """Of an address and its prefix length in octets (RFC 7296 3.15.1)."""
    if not values or len(values[0]) != ASSIGNED_ADDRESS_SIZE or values[0][16] > IPV6_LENGTH:
        return None
    address = IPv6Address(values[0][:16])
    if not is_unicast_routable(address):
        return None
    return Home(IPv6Network(address), IPv6Network((address, values[0][16]), strict=False), address)
