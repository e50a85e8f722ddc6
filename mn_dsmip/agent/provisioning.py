# SPDX-License-Identifier: GPL-2.0-or-later
"""What an operator provisions: subscribers with their keys, pools of prefixes and addresses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from itertools import combinations
from pathlib import Path

from ..crypto.aka import Subscriber, opc_from_op
from ..engine.aaa.client import RadiusConfig, RadiusServer
from ..engine.base import IPAddress
from ..engine.gateway_policy import ApnPools, Subscription
from ..engine.leases import HOME_PREFIX_LENGTH
from .document import Section, load_empty, load_sections

KEY_OCTETS = 16
RADIUS_PORT = 1812
"""RFC 2865 3."""
DEFAULT_AMF = b"\x80\x00"


def read_identity(section: Section) -> tuple[str, str, str]:
    """IMSI, MCC and MNC, which fit together."""
    imsi, mcc, mnc = section.text("imsi"), section.text("mcc"), section.text("mnc")
    for key, text, lengths, expected in (
        ("imsi", imsi, range(6, 16), "6 to 15 digits"),
        ("mcc", mcc, (3,), "three digits"),
        ("mnc", mnc, (2, 3), "two or three digits"),
    ):
        if not (text.isascii() and text.isdigit() and len(text) in lengths):
            raise section.problem(key, f"{text!r} is not {expected} (TS 23.003 2.2)")
    if not imsi.startswith(mcc + mnc):
        raise section.problem("imsi", f"{imsi} does not begin with MCC {mcc} and MNC {mnc}")
    return imsi, mcc, mnc


def read_keys(section: Section) -> tuple[bytes, bytes]:
    """K, and OPc given or derived from OP (TS 35.206 4.1)."""
    section.demand_private("a subscriber's keys")
    k = section.octets("k", KEY_OCTETS)
    if section.has("opc") == section.has("op"):
        raise section.problem("opc", "either opc or op is expected, the operator's constant")
    if section.has("opc"):
        return k, section.octets("opc", KEY_OCTETS)
    return k, opc_from_op(k, section.octets("op", KEY_OCTETS))


def read_pools(top: Section, owned: Iterable[IPAddress]) -> dict[str, ApnPools]:
    """What each APN gives out; none of it is in use for something else, the ``owned`` addresses included."""
    pools = top.section("pools", required=True)
    assert pools
    ipv6 = pools.section("ipv6", required=True)
    assert ipv6
    ipv4 = pools.section("ipv4") or load_empty(top.path, "pools.ipv4")
    pools.finish()
    prefixes = {apn: ipv6.ipv6_network(apn) for apn in ipv6.take_keys()}
    addresses = {apn: ipv4.ipv4_network(apn) for apn in ipv4.take_keys()}
    if not prefixes:
        raise pools.problem("ipv6", "one APN with its prefix at least is expected")
    for apn, prefix in prefixes.items():
        if prefix.prefixlen > HOME_PREFIX_LENGTH:
            raise ipv6.problem(apn, f"{prefix} is narrower than the /64 that a home network prefix needs")
    for apn in addresses:
        if apn not in prefixes:
            raise ipv4.problem(apn, "this APN has no pool of IPv6 prefixes")
    _check_apart(ipv6, prefixes, owned)
    _check_apart(ipv4, addresses, owned)
    return {apn.lower(): ApnPools(prefix, addresses.get(apn)) for apn, prefix in prefixes.items()}


def _check_apart(section: Section, pools: Mapping[str, IPv4Network | IPv6Network], owned: Iterable[IPAddress]) -> None:
    """APNs may share a whole pool; a part of one would be given out twice."""
    for apn, pool in pools.items():
        for address in owned:
            if address in pool:
                raise section.problem(apn, f"{pool} holds the home agent's own address {address}")
    for (_, one), (apn, other) in combinations(pools.items(), 2):
        if one != other and one.overlaps(other):
            raise section.problem(apn, f"{other} overlaps {one} of another APN")


def read_radius(top: Section, name: str, address: IPAddress) -> RadiusConfig | None:
    """The RADIUS servers of a gateway ``name`` at ``address``; ``None`` where the subscriber store authenticates."""
    if top.choice("aaa", ("store", "radius"), "store") == "store":
        if top.has("radius"):
            raise top.problem("radius", "this section needs `aaa: radius` beside it")
        return None
    section = top.section("radius", required=True)
    assert section
    section.demand_private("secrets shared with RADIUS servers")
    servers = []
    for entry in section.sections("servers"):
        where = entry.read("address", ip_address, "an IP address")
        secret = entry.text("secret").encode()
        if not secret:
            raise entry.problem("secret", "an empty secret protects nothing")
        servers.append(RadiusServer(where, entry.number("port", 1, 65535, RADIUS_PORT), secret))
        entry.finish()
    if not servers:
        raise section.problem("servers", "one server at least is expected, with `address` and `secret`")
    config = RadiusConfig(tuple(servers), section.text("nas_identifier", name), address)
    section.finish()
    return config


def load_subscribers(path: Path, apns: Collection[str]) -> dict[str, Subscription]:
    """Read a subscriber store: a list below ``subscribers``, or the list itself."""
    found: dict[str, Subscription] = {}
    taken: set[IPv6Network | IPv4Address] = set()
    for entry in load_sections(path, "subscribers"):
        imsi, _, _ = read_identity(entry)
        if imsi in found:
            raise entry.problem("imsi", f"{imsi} stands here a second time")
        k, opc = read_keys(entry)
        amf = entry.octets("amf", 2) if entry.has("amf") else DEFAULT_AMF
        allowed = tuple(each.lower() for each in entry.texts("apns")) or tuple(apns)
        for apn in allowed:
            if apn not in apns:
                raise entry.problem("apns", f"APN {apn} is unknown here; known are {', '.join(apns)}")
        prefix = entry.ipv6_network("prefix") if entry.has("prefix") else None
        if prefix is not None and prefix.prefixlen != HOME_PREFIX_LENGTH:
            raise entry.problem("prefix", f"{prefix} is not a /64")
        ipv4 = entry.ipv4("ipv4")
        for key, static in (("prefix", prefix), ("ipv4", ipv4)):
            if static in taken:
                raise entry.problem(key, f"{static} is another subscriber's already")
        taken.update(each for each in (prefix, ipv4) if each is not None)
        credentials = Subscriber(imsi, k, opc, amf)
        found[imsi] = Subscription(credentials, allowed, prefix, ipv4, entry.flag("barred", False))
        entry.finish()
    return found
