# SPDX-License-Identifier: GPL-2.0-or-later
"""Configuration files of the agents as frozen dataclasses; what they say is checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import yaml
from cryptography import x509

from ..crypto.aka import Subscriber, opc_from_op
from ..crypto.certs import Identity, load_certificates, load_key
from ..crypto.suites import CryptoError
from ..engine.base import IPAddress
from ..engine.discovery import ha_apn_fqdn
from ..engine.gateway_policy import ApnPools, Subscription
from ..engine.ike.proposals import PROFILES, Offer, Profile, parse_offer
from ..engine.leases import HOME_PREFIX_LENGTH
from ..wire.ikev2_numbers import Protocol
from .document import Section, load
from .errors import ConfigError

LONGEST_LIFETIME = 262_140
"""Seconds that fit a binding's lifetime (RFC 6275 6.1.7)."""
KEY_OCTETS = 16
DEFAULT_AMF = b"\x80\x00"


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
    prime: bool
    network_name: str
    liveness: int
    lifetime: int
    overwrite_flag: bool


@dataclass(frozen=True)
class GatewaySettings:
    """A gateway's configuration file, with the subscriber store that it names."""

    common: Common
    address: IPv6Address
    ipv4_address: IPv4Address | None
    subscriptions: dict[str, Subscription]
    apns: dict[str, ApnPools]
    dns: tuple[IPv6Address, ...]
    profile: Profile
    identity: Identity | None
    fqdn: str
    psk: bytes | None = field(repr=False)
    network_name: str
    cookie_threshold: int
    liveness: int
    max_lifetime: int
    refresh_advice: int | None
    prefix_lifetime: int


def load_ue(path: Path) -> UeSettings:
    """Read a UE's configuration; ``ConfigError`` names file, line and key."""
    top = load(path)
    _check_role(top, "ue")
    common = _common(top, "dsmip0")
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
        anchors=_anchors(ike, required=psk is None),
        psk=psk,
        prime=ike.choice("method", ("aka", "aka-prime"), "aka") == "aka-prime",
        network_name=ike.text("network_name", "WLAN"),
        liveness=ike.number("dpd", 0, 86400, 60),
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
    _check_role(top, "gateway")
    common = _common(top, "dsmip0")
    addresses = top.section("addresses", required=True)
    assert addresses
    address, ipv4_address = addresses.ipv6("ipv6"), addresses.ipv4("ipv4")
    addresses.finish()
    psk = _psk(top)
    apns = _apns(top)
    store = top.file("subscribers")
    if store is None and psk is None:
        raise top.problem("subscribers", "missing: the file with the subscriber store")
    subscriptions = load_subscribers(store, apns) if store is not None else {}
    ike = _subsection(top, "ike")
    binding = _subsection(top, "binding")
    settings = GatewaySettings(
        common=common,
        address=address,
        ipv4_address=ipv4_address,
        subscriptions=subscriptions,
        apns=apns,
        dns=tuple(each for each in top.addresses("dns") if isinstance(each, IPv6Address)),
        profile=_profile(ike),
        identity=_identity(ike, required=psk is None),
        fqdn=ike.text("fqdn", str(address)),
        psk=psk,
        network_name=ike.text("network_name", "WLAN"),
        cookie_threshold=ike.number("cookie_threshold", 0, 1_000_000, 64),
        liveness=ike.number("dpd", 0, 86400, 0),
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


def _check_role(top: Section, role: str) -> None:
    found = top.choice("role", ("ue", "gateway"), role)
    if found != role:
        raise top.problem("role", f"this file is for a {found}; start it with `mn-dsmip {found}`")


def _subsection(top: Section, key: str) -> Section:
    """A section that may be missing: then every key has its default."""
    found = top.section(key)
    return found if found is not None else load_empty(top.path, key)


def load_empty(path: Path, name: str) -> Section:
    """A section without keys."""
    empty = yaml.MappingNode("tag:yaml.org,2002:map", [], yaml.Mark(str(path), 0, 0, 0, "", 0))
    return Section(path, f"{name}.", empty)


def _common(top: Section, device: str) -> Common:
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
    imsi, mcc, mnc = _imsi(section)
    k, opc = _keys(section) if required or section.has("k") else (bytes(KEY_OCTETS), bytes(KEY_OCTETS))
    section.has("amf")
    section.finish()
    return Usim(imsi, mcc, mnc, k, opc)


def _imsi(section: Section) -> tuple[str, str, str]:
    imsi, mcc, mnc = section.text("imsi"), section.text("mcc"), section.text("mnc")
    if not (imsi.isascii() and imsi.isdigit() and 6 <= len(imsi) <= 15):
        raise section.problem("imsi", f"{imsi!r} is not 6 to 15 digits (TS 23.003 2.2); quote it to keep leading zeros")
    if not imsi.startswith(mcc + mnc):
        raise section.problem("imsi", f"{imsi} does not begin with MCC {mcc} and MNC {mnc}")
    return imsi, mcc, mnc


def _keys(section: Section) -> tuple[bytes, bytes]:
    """K, and OPc given or derived from OP (TS 35.206 4.1)."""
    section.demand_private("a subscriber's keys")
    k = section.octets("k", KEY_OCTETS)
    if section.has("opc") == section.has("op"):
        raise section.problem("opc", "either opc or op is expected, the operator's constant")
    return k, section.octets("opc", KEY_OCTETS) if section.has("opc") else opc_from_op(
        k, section.octets("op", KEY_OCTETS)
    )


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
        private = load_key(key.read_bytes())
    except (OSError, CryptoError) as problem:
        raise ike.problem("key", f"{key}: {_reason(problem)}") from None
    if private.public_key() != chain[0].public_key():
        raise ike.problem("key", f"{key} is not the key of {certificate}")
    return Identity(private, chain)


def _reason(problem: Exception) -> str:
    return (problem.strerror or str(problem)) if isinstance(problem, OSError) else str(problem)


def _apns(top: Section) -> dict[str, ApnPools]:
    pools = top.section("pools", required=True)
    assert pools
    ipv6, ipv4 = pools.section("ipv6", required=True), pools.section("ipv4")
    assert ipv6
    found = {}
    names4 = ipv4.take_keys() if ipv4 else []
    for apn in ipv6.take_keys():
        prefix = ipv6.ipv6_network(apn)
        if prefix.prefixlen > HOME_PREFIX_LENGTH:
            raise ipv6.problem(apn, f"{prefix} is narrower than the /64 that a home network prefix needs")
        found[apn.lower()] = ApnPools(prefix, ipv4.ipv4_network(apn) if ipv4 and apn in names4 else None)
    for apn in names4:
        if apn.lower() not in found and ipv4:
            raise ipv4.problem(apn, "this APN has no pool of IPv6 prefixes")
    pools.finish()
    return found


def load_subscribers(path: Path, apns: dict[str, ApnPools]) -> dict[str, Subscription]:
    """Read a subscriber store: a list under ``subscribers``, or the list itself."""
    top = load_list(path, "subscribers")
    found: dict[str, Subscription] = {}
    for entry in top:
        imsi, _, _ = _imsi(entry)
        k, opc = _keys(entry)
        amf = entry.octets("amf", 2) if entry.has("amf") else DEFAULT_AMF
        allowed = tuple(each.lower() for each in entry.texts("apns")) or tuple(apns)
        for apn in allowed:
            if apn not in apns:
                raise entry.problem("apns", f"APN {apn} has no pools; known are {', '.join(apns)}")
        prefix = entry.ipv6_network("prefix") if entry.has("prefix") else None
        if prefix is not None and prefix.prefixlen != HOME_PREFIX_LENGTH:
            raise entry.problem("prefix", f"{prefix} is not a /64")
        if imsi in found:
            raise entry.problem("imsi", f"{imsi} stands here a second time")
        found[imsi] = Subscription(
            Subscriber(imsi, k, opc, amf), allowed, prefix, entry.ipv4("ipv4"), entry.flag("barred", False)
        )
        entry.finish()
    return found


def load_list(path: Path, key: str) -> list[Section]:
    """The mappings of a file that holds a list, bare or under ``key``."""
    try:
        node = yaml.compose(path.read_text(), Loader=yaml.SafeLoader)
    except OSError as problem:
        raise ConfigError(path, None, f"cannot be read: {problem.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        node = None
    if isinstance(node, yaml.SequenceNode):
        items = [each for each in node.value if isinstance(each, yaml.MappingNode)]
        return [Section(path, f"{key}[{index}].", each) for index, each in enumerate(items)]
    top = load(path)
    entries = top.sections(key)
    top.finish()
    return entries
