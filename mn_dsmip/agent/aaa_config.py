# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration file of an AAA server: where it listens, which gateways may ask, whom it knows."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from ..engine.aaa.front import FrontClient
from ..engine.base import IPAddress
from ..engine.gateway_policy import Subscription
from .config import Common, check_role, read_common
from .document import load
from .provisioning import RADIUS_PORT, load_subscribers


@dataclass(frozen=True)
class AaaSettings:
    """An AAA server's configuration file, with the subscriber store that it names."""

    common: Common
    listen: tuple[tuple[IPAddress, int], ...]
    clients: tuple[FrontClient, ...]
    subscriptions: dict[str, Subscription]
    apns: tuple[str, ...]
    network_name: str
    pseudonyms: bool
    fast_reauth: bool
    protect_result: bool


def load_aaa(path: Path) -> AaaSettings:
    """Read an AAA server's configuration and its subscriber store; ``ConfigError`` names file, line and key."""
    top = load(path)
    check_role(top, "aaa")
    common = read_common(top, "")
    top.demand_private("secrets shared with gateways")
    port = top.number("port", 1, 65535, RADIUS_PORT)
    listen = top.addresses("listen")
    if not listen:
        raise top.problem("listen", "one address of this machine at least is expected")
    clients = []
    for entry in top.sections("clients"):
        network = entry.read("network", ip_network, "an address or network such as 192.0.2.0/24")
        secret = entry.text("secret").encode()
        if not secret:
            raise entry.problem("secret", "an empty secret protects nothing")
        clients.append(FrontClient(network, secret))
        entry.finish()
    if not clients:
        raise top.problem("clients", "one gateway at least is expected, with `network` and `secret`")
    apns = tuple(each.lower() for each in top.texts("apns"))
    store = top.file("subscribers")
    if store is None:
        raise top.problem("subscribers", "missing: the file with the subscriber store")
    settings = AaaSettings(
        common=common,
        listen=tuple((address, port) for address in listen),
        clients=tuple(clients),
        subscriptions=load_subscribers(store, apns),
        apns=apns,
        network_name=top.text("network_name", "WLAN"),
        pseudonyms=top.flag("pseudonyms", True),
        fast_reauth=top.flag("fast_reauth", True),
        protect_result=top.flag("protect_result", False),
    )
    top.finish()
    return settings
