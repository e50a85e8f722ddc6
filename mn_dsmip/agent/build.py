# SPDX-License-Identifier: GPL-2.0-or-later
"""From a configuration to an engine."""

from __future__ import annotations

import secrets

from ..crypto.aka import AuthenticationCentre, Usim
from ..crypto.certs import utc_now
from ..engine.aaa.front import RadiusFront
from ..engine.aaa.subscribers import SubscriberMethods
from ..engine.gateway import Gateway, GatewayConfig
from ..engine.gateway_policy import PolicyConfig
from ..engine.ike.aka_aliases import PeerAliases, ServerAliases, flavour_of
from ..engine.ike.aka_common import AKA, AKA_PRIME
from ..engine.ike.events import ResponderConfig
from ..engine.mip.config import HomeAgentConfig, MobileConfig
from ..engine.ue import UserEquipment
from ..engine.ue_states import UeConfig
from .aaa_config import AaaSettings
from .config import GatewaySettings, UeSettings
from .store import Store


def build_ue(settings: UeSettings, store: Store) -> UserEquipment:
    """A UE's engine; its USIM goes on from the sequence number in ``store``."""
    usim = settings.usim
    config = UeConfig(
        imsi=usim.imsi,
        mcc=usim.mcc,
        mnc=usim.mnc,
        apn=settings.apn,
        usim=Usim(usim.k, usim.opc, store.sequence_numbers.get(usim.imsi, 0)),
        interface_secret=store.interface_secret,
        profile=settings.profile,
        flavour=AKA_PRIME if settings.prime else AKA,
        network_name=settings.network_name.encode(),
        psk=settings.psk,
        anchors=settings.anchors,
        aliases=_peer_aliases(settings, store) if settings.aliases else None,
        eap_only=settings.eap_only,
        clock=utc_now,
        ipv4=settings.ipv4,
        binding=MobileConfig(lifetime=settings.lifetime, overwrite_flag=settings.overwrite_flag),
        home_agents=settings.home_agents,
        dns_servers=settings.dns_servers,
        srv_fallback=settings.srv_fallback,
        attach=settings.attach,
        timers=settings.timers,
        fragment_size=settings.fragment_size,
    )
    return UserEquipment(config, secrets.token_bytes)


def build_gateway(settings: GatewaySettings, store: Store) -> Gateway:
    """A gateway's engine; sequence numbers and leases go on from ``store``."""
    policy = PolicyConfig(
        home_agent=settings.address,
        subscriptions=settings.subscriptions,
        apns=settings.apns,
        dns=settings.dns,
        prefix_lifetime=settings.prefix_lifetime,
        network_name=settings.network_name.encode(),
        aliases=_server_aliases(settings.pseudonyms, settings.fast_reauth, store),
        psk=settings.psk,
    )
    ike = ResponderConfig(
        name=settings.fqdn,
        profile=settings.profile,
        identity=settings.identity,
        eap_only=settings.eap_only,
        cookie_threshold=settings.cookie_threshold,
        timers=settings.timers,
        fragment_size=settings.fragment_size,
    )
    home_agent = HomeAgentConfig(max_lifetime=settings.max_lifetime, refresh_advice=settings.refresh_advice)
    config = GatewayConfig(policy, ike, home_agent, settings.ipv4_address, radius=settings.radius)
    return Gateway(config, secrets.token_bytes, store.sequence_numbers, list(store.leases.values()))


def build_aaa(settings: AaaSettings, store: Store) -> RadiusFront:
    """An AAA server's engine; sequence numbers go on from ``store``."""
    centre = AuthenticationCentre(secrets.token_bytes, store.sequence_numbers)
    known = SubscriberMethods(
        settings.subscriptions,
        settings.apns,
        centre,
        secrets.token_bytes,
        settings.network_name.encode(),
        _server_aliases(settings.pseudonyms, settings.fast_reauth, store),
        settings.protect_result,
    )
    return RadiusFront(settings.clients, known.method, known.authorise, secrets.token_bytes)


def _peer_aliases(settings: UeSettings, store: Store) -> PeerAliases:
    """What the subscriber is called, as ``store`` remembers it; another EAP method's pseudonym is of no use."""
    pseudonym = store.pseudonyms.get(settings.usim.imsi)
    if pseudonym and flavour_of(pseudonym) is not (AKA_PRIME if settings.prime else AKA):
        pseudonym = None
    return PeerAliases(secrets.token_bytes, pseudonym, settings.hide_imsi)


def _server_aliases(pseudonyms: bool, fast: bool, store: Store) -> ServerAliases | None:
    """Other names for subscribers, if any are to be given."""
    if not (pseudonyms or fast):
        return None
    return ServerAliases(secrets.token_bytes, store.interface_secret, pseudonyms, fast)
