# SPDX-License-Identifier: GPL-2.0-or-later
"""What a PDN GW decides while IKE runs: who may in, which prefix, which selectors (TS 24.303 5.1.3, TS 23.402 6.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from ..crypto.aka import AuthenticationCentre, Subscriber
from ..wire.ikev2_numbers import CfgAttribute, CfgType, NotifyType
from ..wire.ikev2_payloads import Attribute, Configuration, HomePrefix
from ..wire.ip import MOBILITY_HEADER
from ..wire.mobility import IPv4Status
from .aaa.client import RadiusClient, RadiusEap
from .aaa.packets import Caller
from .aaa.subscribers import SubscriberMethods
from .base import Random
from .ike.aka_aliases import ServerAliases
from .ike.child import address_selector, mobility_selector, narrow
from .ike.eap_method import EapMethod, permanent_imsi
from .ike.events import Refusal, Selectors
from .ike.policy import Peer
from .leases import HOME_PREFIX_LENGTH, Holder, Pool, address_pool, prefix_pool
from .mip.events import Owner

_HOMES = frozenset(
    (CfgAttribute.MIP6_HOME_PREFIX, CfgAttribute.INTERNAL_IP6_ADDRESS, CfgAttribute.INTERNAL_IP4_ADDRESS)
)


@dataclass(frozen=True)
class Subscription:
    """What a subscriber may use; a static prefix or address is given instead of one out of the pool (G-11)."""

    credentials: Subscriber
    apns: tuple[str, ...]
    """The first is the default, for a UE that names none (S-12)."""
    prefix: IPv6Network | None = None
    ipv4: IPv4Address | None = None
    barred: bool = False


@dataclass(frozen=True)
class ApnPools:
    """What an APN gives out; without ``ipv4`` no IPv4 home addresses."""

    prefixes: IPv6Network
    ipv4: IPv4Network | None = None


@dataclass(frozen=True)
class PolicyConfig:
    """What the operator provisioned."""

    home_agent: IPv6Address
    subscriptions: Mapping[str, Subscription]
    apns: Mapping[str, ApnPools]
    dns: tuple[IPv6Address, ...] = ()
    prefix_lifetime: int = 86400
    """Seconds."""
    network_name: bytes = b"WLAN"
    """The access network's name, for EAP-AKA' (TS 24.302 8.1.1)."""
    aliases: ServerAliases | None = None
    """Pseudonyms and fast re-authentication for subscribers of the store."""
    psk: bytes | None = field(default=None, repr=False)
    """Shared with peers that do not use EAP; their identity counts as the subscriber's."""


class Leases:
    """The pools of all APNs; also the home agent's ``Ipv4Assigner``."""

    def __init__(self, config: PolicyConfig) -> None:
        self._config = config
        static = [each for each in config.subscriptions.values() if each.prefix or each.ipv4]
        fixed = [each.prefix for each in static if each.prefix]
        fixed4 = [each.ipv4 for each in static if each.ipv4]
        self.prefixes: dict[str, Pool[IPv6Network]] = {}
        self.ipv4: dict[str, Pool[IPv4Address]] = {}
        self.granted: dict[Holder, tuple[IPv6Network | None, IPv4Address | None]] = {}
        """What a RADIUS server chose for them."""
        self.configured: set[Holder] = set()
        """Whose IPv4 home address was given in IKE: it lasts as long as the IKE SA, binding or not."""
        shared: dict[IPv6Network, Pool[IPv6Network]] = {}
        shared4: dict[IPv4Network, Pool[IPv4Address]] = {}
        for apn, pools in config.apns.items():  # APNs with the same network have one pool of it
            self.prefixes[apn] = shared.setdefault(pools.prefixes, prefix_pool(pools.prefixes, fixed))
            if pools.ipv4 is not None:
                self.ipv4[apn] = shared4.setdefault(pools.ipv4, address_pool(pools.ipv4, fixed4))

    def assign(self, owner: Owner, wanted: IPv4Address | None) -> IPv4Address | IPv4Status:
        """The owner's IPv4 home address, or why it gets none (B-16)."""
        assert isinstance(owner, tuple)
        holder: Holder = owner
        pool = self.ipv4.get(holder[1])
        if pool is None:
            return IPv4Status.ADMINISTRATIVELY_PROHIBITED
        subscription = self._config.subscriptions.get(holder[0])
        _, granted = self.granted.get(holder, (None, None))
        address = pool.take(holder, granted or (subscription.ipv4 if subscription else None))
        if address is None:
            return IPv4Status.DYNAMIC_ASSIGNMENT_NOT_AVAILABLE
        if wanted is not None and wanted != address:
            return IPv4Status.INCORRECT_IPV4_HOME_ADDRESS
        return address

    def ipv4_of(self, holder: Holder) -> IPv4Address | None:
        """The IPv4 home address that ``holder`` has now."""
        pool = self.ipv4.get(holder[1])
        return pool.held_by(holder) if pool else None

    def release(self, holder: Holder) -> None:
        """Both the prefix and the address are free again."""
        self.prefixes[holder[1]].release(holder)
        self.configured.discard(holder)
        self.granted.pop(holder, None)
        if holder[1] in self.ipv4:
            self.ipv4[holder[1]].release(holder)


class GatewayPolicy:
    """The decisions of one PDN GW; ``leases`` holds what it gave out."""

    def __init__(
        self, config: PolicyConfig, centre: AuthenticationCentre, random: Random, radius: RadiusClient | None = None
    ) -> None:
        self.config = config
        self.leases = Leases(config)
        self._radius = radius
        self._distant: dict[bytes, RadiusEap] = {}
        self._methods = SubscriberMethods(
            config.subscriptions, config.apns, centre, random, config.network_name, config.aliases
        )

    def authenticator(self, peer: Peer) -> EapMethod | bytes | Refusal:
        """EAP-AKA' for identities that begin with 6, EAP-AKA for all others; a PSK where one is configured."""
        if self.config.psk is not None:
            return self.config.psk
        identity = peer.claimed.data.decode(errors="replace")
        if self._radius is not None:
            return self._ask(self._radius, peer, identity)
        aliases = self.config.aliases
        imsi = aliases.imsi(identity) if aliases else permanent_imsi(identity)
        claimed = self.config.subscriptions.get(imsi or "")
        if peer.apn is None and claimed is not None:
            peer.apn = claimed.apns[0]  # IDr names the default APN before EAP shows who it really is (S-12)
        return self._methods.method(identity)

    def _ask(self, radius: RadiusClient, peer: Peer, identity: str) -> RadiusEap:
        """Somebody else's server authenticates; the default APN is the first of ours (S-12)."""
        peer.apn = peer.apn or next(iter(self.config.apns))
        about = radius.config
        caller = Caller(identity, about.nas_identifier, about.nas_address, peer.apn, str(peer.address))
        method = self._distant[peer.session] = RadiusEap(radius, peer.session, caller)
        return method

    def forget(self, session: bytes) -> None:
        """What its authentication left here is of no use any more."""
        self._distant.pop(session, None)

    def authorise(self, peer: Peer) -> Refusal | None:
        """Whether the subscriber may use the APN; the default APN when none was named (S-12)."""
        if self.config.psk is not None and "@" in peer.identity:
            imsi = permanent_imsi(peer.identity)  # a peer with a PSK may say who it is in the form of an NAI
            peer.identity = imsi if imsi and imsi in self.config.subscriptions else peer.identity
        subscription = self.config.subscriptions.get(peer.identity)
        if subscription is None and self.config.psk is None and self._radius is None:
            return self._no(f"{peer.identity} is not a subscriber of ours")
        if subscription is not None and subscription.barred:
            return self._no(f"subscriber {peer.identity} is barred")
        allowed = subscription.apns if subscription else tuple(self.config.apns)
        apn = (peer.apn or allowed[0]).lower()
        if apn not in self.config.apns:
            known = ", ".join(self.config.apns)
            return self._no(f"subscriber {peer.identity} wants APN {apn}, which is unknown here; known are {known}")
        if apn not in allowed:
            return self._no(f"subscriber {peer.identity} may not use APN {apn}")
        peer.apn = apn
        return self._take_grant(peer, self.config.apns[apn])

    def _take_grant(self, peer: Peer, pools: ApnPools) -> Refusal | None:
        """The prefix and address that a RADIUS server gives stand in place of ones out of the pools (RFC 3162 2.3)."""
        distant = self._distant.pop(peer.session, None)
        if distant is None or distant.accepted is None:
            return None
        prefix, ipv4 = distant.accepted.prefix, distant.accepted.ipv4
        if prefix and not (prefix.prefixlen == HOME_PREFIX_LENGTH and prefix.subnet_of(pools.prefixes)):
            return self._no(f"the RADIUS server gives {peer.identity} {prefix}, which is no /64 of {pools.prefixes}")
        if ipv4 and (pools.ipv4 is None or ipv4 not in pools.ipv4):
            return self._no(f"the RADIUS server gives {peer.identity} {ipv4}, which is not in APN {peer.apn}'s pool")
        self.leases.granted[holder_of(peer)] = (prefix, ipv4)
        return None

    def _no(self, reason: str) -> Refusal:
        return Refusal(NotifyType.AUTHENTICATION_FAILED, reason)

    def assign(self, peer: Peer, request: Configuration | None) -> Configuration | Refusal | None:
        """One home network prefix, or addresses for peers that ask for those, and DNS servers (S-7, S-8, S-11)."""
        if request is None or request.cfg_type != CfgType.REQUEST:
            return None
        asked = {each.type for each in request.attributes}
        given = self._ipv6_home(peer, request, asked) + self._ipv4_home(peer, request, asked)
        wanted = asked & _HOMES
        if wanted and not given:
            names = " or ".join(CfgAttribute(each).name for each in sorted(wanted))
            reason = f"no home network prefix or address is left for APN {peer.apn} ({names} was asked for)"
            return Refusal(NotifyType.INTERNAL_ADDRESS_FAILURE, reason)
        if CfgAttribute.INTERNAL_IP6_DNS in asked:
            given += [Attribute(CfgAttribute.INTERNAL_IP6_DNS, each.packed) for each in self.config.dns]
        return Configuration(CfgType.REPLY, tuple(given))

    def _ipv6_home(self, peer: Peer, request: Configuration, asked: set[int]) -> list[Attribute]:
        """The prefix; an address out of it for peers that know no more than RFC 7296 3.15.1."""
        if not asked & {CfgAttribute.MIP6_HOME_PREFIX, CfgAttribute.INTERNAL_IP6_ADDRESS}:
            return []
        prefix = self.prefix_of(peer, request)
        if prefix is None:
            return []
        if CfgAttribute.MIP6_HOME_PREFIX in asked:
            value = HomePrefix(self.config.prefix_lifetime, prefix.network_address, HOME_PREFIX_LENGTH)
            return [Attribute(CfgAttribute.MIP6_HOME_PREFIX, value.build())]
        named = (IPv6Address(value[:16]) for value in _home_addresses(request))
        address = next((each for each in named if each in prefix and each != prefix[0]), prefix[1])
        return [Attribute(CfgAttribute.INTERNAL_IP6_ADDRESS, address.packed + bytes((HOME_PREFIX_LENGTH,)))]

    def _ipv4_home(self, peer: Peer, request: Configuration, asked: set[int]) -> list[Attribute]:
        """The IPv4 home address, for peers that ask here and not in a Binding Update; the one that fits, if named."""
        if CfgAttribute.INTERNAL_IP4_ADDRESS not in asked:
            return []
        holder = holder_of(peer)
        address = self.leases.assign(holder, None)
        if isinstance(address, IPv4Status):
            return []
        self.leases.configured.add(holder)
        given = [Attribute(CfgAttribute.INTERNAL_IP4_ADDRESS, address.packed)]
        if CfgAttribute.INTERNAL_IP4_NETMASK in asked:
            given.append(Attribute(CfgAttribute.INTERNAL_IP4_NETMASK, b"\xff\xff\xff\xff"))
        return given

    def prefix_of(self, peer: Peer, request: Configuration) -> IPv6Network | None:
        """The prefix that the peer holds, or one out of the pool: that of the address it names, if it can be (S-17)."""
        assert peer.apn
        subscription = self.config.subscriptions.get(peer.identity)
        pool = self.config.apns[peer.apn].prefixes
        named = (IPv6Network((value[:16], HOME_PREFIX_LENGTH), strict=False) for value in _home_addresses(request))
        wanted = next((prefix for prefix in named if prefix.subnet_of(pool)), None)
        granted, _ = self.leases.granted.get(holder_of(peer), (None, None))
        static = granted or (subscription.prefix if subscription else None)
        return self.leases.prefixes[peer.apn].take(holder_of(peer), static, wanted)

    def narrow(self, peer: Peer, asked: Selectors) -> Selectors | Refusal:
        """Signalling between the peer's own prefix and this home agent, in transport mode; all else in tunnel mode."""
        holder = holder_of(peer)
        prefix = self.leases.prefixes[peer.apn].held_by(holder) if peer.apn else None
        if not asked.transport and any(each.protocol != MOBILITY_HEADER for each in asked.remote):
            return self._narrow_user_plane(prefix, self.leases.ipv4_of(holder), asked)
        if prefix is None:
            return Refusal(
                NotifyType.TS_UNACCEPTABLE, "the peer has no home network prefix whose signalling to protect"
            )
        remote = narrow(asked.remote, (mobility_selector(prefix[0], prefix[-1]),))
        local = narrow(asked.local, (mobility_selector(self.config.home_agent),))
        if not remote or not local:
            reason = f"the selectors asked for are outside {prefix} and {self.config.home_agent}"
            return Refusal(NotifyType.TS_UNACCEPTABLE, reason)
        if not asked.transport:
            return Refusal(NotifyType.NO_PROPOSAL_CHOSEN, "mobility signalling is protected in transport mode")
        return Selectors(local, remote, transport=True)

    def _narrow_user_plane(
        self, prefix: IPv6Network | None, ipv4: IPv4Address | None, asked: Selectors
    ) -> Selectors | Refusal:
        """Any traffic of the peer's home addresses (RFC 4877 6, TS 23.402 6.3: a UE may want its user plane sealed)."""
        homes = [address_selector(prefix[0], prefix[-1])] if prefix else []
        homes += [address_selector(ipv4, ipv4)] if ipv4 else []
        remote = narrow(asked.remote, homes)
        versions = {each.start.version for each in remote}
        local = tuple(each for each in asked.local if each.start.version in versions)
        if not remote or not local:
            known = " and ".join(map(str, filter(None, (prefix, ipv4)))) or "none: it has asked for no address"
            return Refusal(NotifyType.TS_UNACCEPTABLE, f"the selectors are not of the peer's home addresses ({known})")
        return Selectors(local, remote, transport=False)


def _home_addresses(request: Configuration) -> list[bytes]:
    return [value for value in request.all(CfgAttribute.INTERNAL_IP6_ADDRESS) if len(value) == 17]


def holder_of(peer: Peer) -> Holder:
    """Subscriber and APN: to whom leases and bindings belong."""
    return (peer.identity, peer.apn or "")
