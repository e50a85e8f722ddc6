# SPDX-License-Identifier: GPL-2.0-or-later
"""Configuration files of the agents as frozen dataclasses; what they say is checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from cryptography import x509

from ..crypto.certs import Identity, load_certificates, load_key
from ..crypto.suites import CryptoError
from ..engine.aaa.client import RadiusConfig
from ..engine.base import IPAddress
from ..engine.discovery import ha_apn_fqdn
from ..engine.gateway_policy import ApnPools, Subscription
from ..engine.ike.events import Timers
from ..engine.ike.fragmentation import IP_DATAGRAM
from ..engine.ike.proposals import PROFILES, Offer, Profile, parse_offer
from ..wire.ikev2_numbers import Protocol
from .document import Section, demand_private, load, load_empty
from .provisioning import KEY_OCTETS, load_subscribers, read_identity, read_keys, read_pools, read_radius

LONGEST_LIFETIME = 262_140
"""Seconds that fit a binding's lifetime (RFC 6275 6.1.7)."""

SHORTEST_LIFETIME, LONGEST_KEYS = 10, 30 * 86400
"""Seconds that keys may be set to live."""
SMALLEST_FRAGMENT, LARGEST_DATAGRAM = 576, 65535
"""Octets; the former is IPv4's datagram that all hosts take (RFC 7383 2.5.1)."""


@dataclass(frozen=True)
class Common:
    """What both agents have."""

    path: Path
    name: str
    state_dir: Path
    control: Path
    journal: Path | None
    keylog: Path | None
    device: str


@dataclass(frozen=True)
class Usim:
    """The subscriber's credentials; never shown by ``repr``."""

    imsi: str
    mcc: str
    mnc: str
    k: bytes = field(repr=False)
    opc: bytes = field(repr=False)


@dataclass(frozen=True)
class UeSettings:
    """A UE's configuration file."""

    common: Common
    usim: Usim
    apn: str
    attach: bool
    ipv4: bool
    interface: str
    home_agents: tuple[IPAddress, ...]
    dns_servers: tuple[IPAddress, ...]
    srv_fallback: bool
    profile: Profile
    anchors: tuple[x509.Certificate, ...]
    psk: bytes | None = field(repr=False)
    eap_only: bool
    prime: bool
    network_name: str
    aliases: bool
    hide_imsi: bool
    timers: Timers
    fragment_size: int
    lifetime: int
    overwrite_flag: bool


@dataclass(frozen=True)
class GatewaySettings:
    """A gateway's configuration file, with the subscriber store that it names."""

    common: Common
    address: IPv6Address
    ipv4_address: IPv4Address | None
    subscriptions: dict[str, Subscription]
    radius: RadiusConfig | None
    apns: dict[str, ApnPools]
    dns: tuple[IPv6Address, ...]
    profile: Profile
    identity: Identity | None
    eap_only: bool
    fqdn: str
    psk: bytes | None = field(repr=False)
    network_name: str
    pseudonyms: bool
    fast_reauth: bool
    cookie_threshold: int
    timers: Timers
    fragment_size: int
    max_lifetime: int
    refresh_advice: int | None
    prefix_lifetime: int


def load_ue(path: Path) -> UeSettings:
    """Read a UE's configuration; ``ConfigError`` names file, line and key."""
    top = load(path)
    check_role(top, "ue")
    common = read_common(top, "dsmip0")
    apn = top.text("apn")
    psk = _psk(top)
    usim = _usim(top, required=psk is None)
    try:
        ha_apn_fqdn(apn, usim.mcc, usim.mnc)
    except ValueError as problem:
        raise top.problem("apn", str(problem)) from None
    access = top.section("access", required=True)
    assert access
    interface = access.text("interface")
    access.finish()
    discovery = _subsection(top, "discovery")
    ike = _subsection(top, "ike")
    binding = _subsection(top, "binding")
    eap_only = ike.flag("eap_only", False)
    settings = UeSettings(
        common=common,
        usim=usim,
        apn=apn,
        attach=top.choice("attach", ("auto", "manual"), "auto") == "auto",
        ipv4=top.flag("ipv4", False),
        interface=interface,
        home_agents=discovery.addresses("home_agents"),
        dns_servers=discovery.addresses("servers"),
        srv_fallback=discovery.flag("srv_fallback", False),
        profile=_profile(ike),
        anchors=_anchors(ike, required=psk is None and not eap_only),
        psk=psk,
        eap_only=eap_only,
        prime=ike.choice("method", ("aka", "aka-prime"), "aka") == "aka-prime",
        network_name=ike.text("network_name", "WLAN"),
        aliases=ike.flag("aliases", True),
        hide_imsi=ike.flag("hide_imsi", False),
        timers=_timers(ike, liveness=60),
        fragment_size=_fragment_size(ike),
        lifetime=binding.number("lifetime", 20, LONGEST_LIFETIME, 3600),
        overwrite_flag=binding.flag("overwrite_flag", True),
    )
    discovery.choice("method", ("dns",), "dns")
    ike.has("psk")
    for section in (discovery, ike, binding, top):
        section.finish()
    return settings


def load_gateway(path: Path) -> GatewaySettings:
    """Read a gateway's configuration and its subscriber store; ``ConfigError`` names file, line and key."""
    top = load(path)
    check_role(top, "gateway")
    common = read_common(top, "dsmip0")
    addresses = top.section("addresses", required=True)
    assert addresses
    address, ipv4_address = addresses.ipv6("ipv6"), addresses.ipv4("ipv4")
    addresses.finish()
    psk = _psk(top)
    owned: list[IPAddress] = [address, *([ipv4_address] if ipv4_address else [])]
    apns = read_pools(top, owned)
    ike = _subsection(top, "ike")
    fqdn = ike.text("fqdn", str(address))
    radius = read_radius(top, fqdn, address)
    if radius is not None and psk is not None:
        raise ike.problem("psk", "a pre-shared key for everybody leaves nothing for RADIUS servers to authenticate")
    store = top.file("subscribers")
    if store is not None and radius is not None:
        raise top.problem("subscribers", "with `aaa: radius` the servers know the subscribers: remove this line")
    if store is None and psk is None and radius is None:
        raise top.problem("subscribers", "missing: the file with the subscriber store")
    subscriptions = load_subscribers(store, apns) if store is not None else {}
    binding = _subsection(top, "binding")
    eap_only = ike.flag("eap_only", False)
    settings = GatewaySettings(
        common=common,
        address=address,
        ipv4_address=ipv4_address,
        subscriptions=subscriptions,
        radius=radius,
        apns=apns,
        dns=_dns(top),
        profile=_profile(ike),
        identity=_identity(ike, required=psk is None and not eap_only),
        eap_only=eap_only,
        fqdn=fqdn,
        psk=psk,
        network_name=ike.text("network_name", "WLAN"),
        pseudonyms=ike.flag("pseudonyms", False),
        fast_reauth=ike.flag("fast_reauth", False),
        cookie_threshold=ike.number("cookie_threshold", 0, 1_000_000, 64),
        timers=_timers(ike, liveness=0),
        fragment_size=_fragment_size(ike),
        max_lifetime=binding.number("max_lifetime", 20, LONGEST_LIFETIME, 3600),
        refresh_advice=binding.number("refresh_advice", 4, LONGEST_LIFETIME, 4)
        if binding.has("refresh_advice")
        else None,
        prefix_lifetime=top.number("home_prefix_lifetime", 60, 0xFFFFFFFF, 86400),
    )
    ike.has("psk")
    for section in (ike, binding, top):
        section.finish()
    return settings


def _dns(top: Section) -> tuple[IPv6Address, ...]:
    servers = top.addresses("dns")
    for each in servers:
        if not isinstance(each, IPv6Address):
            raise top.problem("dns", f"{each} is not an IPv6 address; UEs are told IPv6 ones (RFC 7296 3.15.1)")
    return tuple(each for each in servers if isinstance(each, IPv6Address))


def check_role(top: Section, role: str) -> None:
    """``ConfigError`` when the file is another agent's."""
    found = top.choice("role", ("ue", "gateway", "aaa"), role)
    if found != role:
        raise top.problem("role", f"this file is for a {found}; start it with `mn-dsmip {found}`")


def _subsection(top: Section, key: str) -> Section:
    """A section that may be missing: then every key has its default."""
    found = top.section(key)
    return found if found is not None else load_empty(top.path, key)


def read_common(top: Section, device: str) -> Common:
    """What every agent's file may say; ``device`` is the default for its tunnel device."""
    name = top.text("name", top.path.stem)
    tunnel = _subsection(top, "tunnel")
    device = tunnel.text("device", device)
    tunnel.finish()
    state = top.file("state_dir") or top.path.parent / "state" / name
    return Common(
        path=top.path,
        name=name,
        state_dir=state,
        control=top.file("control") or state / "control.sock",
        journal=top.file("journal"),
        keylog=top.file("keylog"),
        device=device,
    )


def _psk(top: Section) -> bytes | None:
    ike = top.section("ike")
    text = ike.optional("psk") if ike else None
    if text is None or ike is None:
        return None
    ike.demand_private("a pre-shared key")
    return text.encode()


def _usim(top: Section, required: bool) -> Usim:
    section = top.section("subscriber", required=True)
    assert section
    file = section.file("file")
    if file is not None:
        section.finish()
        section = load(file)
    imsi, mcc, mnc = read_identity(section)
    k, opc = read_keys(section) if required or section.has("k") else (bytes(KEY_OCTETS), bytes(KEY_OCTETS))
    section.has("amf")
    section.finish()
    return Usim(imsi, mcc, mnc, k, opc)


def _timers(ike: Section, liveness: int) -> Timers:
    """Seconds; ``liveness`` is the role's default for the time without a sign of the peer."""
    usual = Timers()
    return Timers(
        liveness=ike.number("dpd", 0, 86400, liveness),
        ike_lifetime=_period(ike, "ike_lifetime", SHORTEST_LIFETIME, usual.ike_lifetime),
        child_lifetime=_period(ike, "child_lifetime", SHORTEST_LIFETIME, usual.child_lifetime),
        nat_keepalive=ike.number("nat_keepalive", 0, 3600, int(usual.nat_keepalive)),
    )


def _period(ike: Section, key: str, least: int, usual: float, most: int = LONGEST_KEYS) -> int:
    """A number of seconds or octets, or 0 for never."""
    found = ike.number(key, 0, most, int(usual))
    if 0 < found < least:
        raise ike.problem(key, f"{found} is neither 0, which means never, nor {least} or more")
    return found


def _fragment_size(ike: Section) -> int:
    return _period(ike, "fragment_size", SMALLEST_FRAGMENT, IP_DATAGRAM, LARGEST_DATAGRAM)


def _profile(ike: Section) -> Profile:
    """A profile's name, or suites: ``ike`` and ``esp`` lists of names."""
    if ike.has("suites"):
        suites = ike.section("suites")
        assert suites
        profile = Profile(
            *(
                tuple(_offer(suites, key, text, protocol) for text in suites.texts(key))
                for key, protocol in (("ike", Protocol.IKE), ("esp", Protocol.ESP))
            )
        )
        suites.finish()
        if not profile.ike or not profile.esp:
            raise ike.problem("suites", "lists `ike` and `esp` with one suite each at least are expected")
        ike.has("profile")
        return profile
    return PROFILES[ike.choice("profile", PROFILES, "modern")]


def _offer(section: Section, key: str, text: str, protocol: Protocol) -> Offer:
    try:
        return parse_offer(text, protocol)
    except ValueError as problem:
        raise section.problem(key, str(problem)) from None


def _anchors(ike: Section, required: bool) -> tuple[x509.Certificate, ...]:
    path = ike.file("ca")
    if path is None:
        if required:
            raise ike.problem("ca", "missing: the file with the authority that vouches for the gateway")
        return ()
    return _certificates(ike, "ca", path)


def _certificates(section: Section, key: str, path: Path) -> tuple[x509.Certificate, ...]:
    try:
        return load_certificates(path.read_bytes())
    except (OSError, CryptoError) as problem:
        raise section.problem(key, f"{path}: {_reason(problem)}") from None


def _identity(ike: Section, required: bool) -> Identity | None:
    certificate, key = ike.file("certificate"), ike.file("key")
    if certificate is None or key is None:
        if required:
            raise ike.problem("certificate", "missing: `certificate` and `key` name the gateway's PEM files")
        return None
    chain = _certificates(ike, "certificate", certificate)
    try:
        demand_private(key, "the gateway's private key")
        private = load_key(key.read_bytes())
    except (OSError, CryptoError) as problem:
        raise ike.problem("key", f"{key}: {_reason(problem)}") from None
    if private.public_key() != chain[0].public_key():
        raise ike.problem("key", f"{key} is not the key of {certificate}")
    return Identity(private, chain)


def _reason(problem: Exception) -> str:
    return (problem.strerror or str(problem)) if isinstance(problem, OSError) else str(problem)
