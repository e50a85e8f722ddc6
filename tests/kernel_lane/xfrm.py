# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's part of IPsec and Mobile IPv6: what it holds, and what a Mobile IPv6 daemon would tell it."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import NamedTuple

from mn_dsmip.wire.ip import MOBILITY_HEADER
from tests.agent.datapath_network import Namespace

REQID = 135
"""Joins the policies below to the SAs that strongSwan makes."""


class Keys(NamedTuple):
    """Of one direction; a combined mode's encryption key holds the salt and has no integrity key beside it."""

    encryption: bytes
    integrity: bytes


class KernelSa(NamedTuple):
    """One ESP SA as ``ip -s xfrm state`` shows it."""

    source: str
    destination: str
    spi: bytes
    mode: str
    keys: Keys
    packets: int


def kernel_sas(namespace: Namespace) -> dict[bytes, KernelSa]:
    """The ESP SAs of a namespace's kernel by SPI."""
    text = namespace.run("ip -s xfrm state")
    found = {}
    for block in re.split(r"^(?=src )", text, flags=re.MULTILINE)[1:]:
        if "\tproto esp " not in block:
            continue
        source, destination = block.split()[1], block.split()[3]
        spi = bytes.fromhex(_one(r"spi 0x([0-9a-f]{8})", block))
        keys = Keys(_key("aead|enc", block), _key("auth-trunc", block))
        packets = int(_one(r"lifetime current:\s+\d+\(bytes\), (\d+)\(packets\)", block))
        found[spi] = KernelSa(source, destination, spi, _one(r"mode (\w+)", block), keys, packets)
    return found


def _key(kind: str, block: str) -> bytes:
    found = re.search(rf"\t(?:{kind}) \S+ 0x([0-9a-f]+)", block)
    return bytes.fromhex(found[1]) if found else b""


def _one(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, (pattern, text)
    return match[1]


def told(namespace: Namespace) -> str:
    """Why the kernel drops, for a failing test."""
    return namespace.run("grep -v '\\s0$' /proc/net/xfrm_stat || :", "ip -s xfrm state", "ip xfrm policy")


def protect(namespace: Namespace, home: IPv6Address, agent: IPv6Address, care_of: IPv6Address, at_agent: bool) -> None:
    """Mobility signalling goes through ESP, then gets the care-of address and the header that tells the home address.

    A Home Address option on the way to the home agent, a type 2 Routing Header back (RFC 6275 6.3, 6.4; RFC 4877 4.1).
    """
    up, down = f"src {home} dst {agent}", f"src {agent} dst {home}"
    namespace.run(
        f"ip xfrm state add {up} proto hao mode ro coa {care_of}",
        f"ip xfrm state add {down} proto route2 mode ro coa {care_of}",
        *(
            f"ip xfrm policy add {ends} proto {MOBILITY_HEADER} dir {way}"
            f" tmpl {ends} proto esp mode transport reqid {REQID} tmpl {ends} proto {header} mode ro"
            for ends, way, header in (
                (up, "in" if at_agent else "out", "hao"),
                (down, "out" if at_agent else "in", "route2"),
            )
        ),
    )


def move(namespace: Namespace, home: IPv6Address, agent: IPv6Address, care_of: IPv6Address) -> None:
    """Another care-of address; SAs of ESP know nothing of it."""
    namespace.run(
        f"ip xfrm state update src {home} dst {agent} proto hao mode ro coa {care_of}",
        f"ip xfrm state update src {agent} dst {home} proto route2 mode ro coa {care_of}",
    )
