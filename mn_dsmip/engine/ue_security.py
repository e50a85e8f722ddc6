# SPDX-License-Identifier: GPL-2.0-or-later
"""How a UE sets up its security association: who it is, what it asks for, whom it trusts (TS 24.303 5.1.2.2)."""

from __future__ import annotations

from ipaddress import IPv6Address

from ..wire.codec import WireError
from ..wire.ikev2_numbers import CfgAttribute
from ..wire.ikev2_payloads import Configuration, HomePrefix
from .base import IPAddress, ProtocolError
from .ike.aka_peer import AkaPeer
from .ike.child import mobility_selector
from .ike.eap_method import network_access_identifier
from .ike.events import InitiatorConfig, Selectors
from .ue_states import UeConfig

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


def home_prefix(configuration: Configuration | None) -> HomePrefix | None:
    """The one home network prefix of a CFG_REPLY (RFC 5026 8.2); nothing when there is none that can be used."""
    values = configuration.all(CfgAttribute.MIP6_HOME_PREFIX) if configuration else []
    if not values:
        return None
    try:
        found = HomePrefix.parse(values[0])
    except WireError:
        return None
    return found if found.prefix_length == 64 else None
