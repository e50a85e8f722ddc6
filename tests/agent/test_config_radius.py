# SPDX-License-Identifier: GPL-2.0-or-later
"""`aaa: radius` in a gateway's configuration, and all that can be wrong with it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from mn_dsmip.agent.config import load_gateway
from mn_dsmip.agent.errors import ConfigError
from mn_dsmip.engine.aaa.client import RadiusServer
from tests.agent.files import Samples

SERVERS = """\
radius:
  servers:
    - {address: 192.0.2.1, secret: "one secret"}
    - {address: "2001:db8::2", port: 1645, secret: "another secret"}
"""


def changed(samples: Samples, radius: str, aaa: str = "aaa: radius\n") -> Path:
    return samples.edit("gateway.yaml", "subscribers: subscribers.yaml\n", aaa + radius)


def test_servers_in_order(samples: Samples) -> None:
    settings = load_gateway(changed(samples, SERVERS))
    assert settings.subscriptions == {}
    assert settings.radius
    assert settings.radius.servers == (
        RadiusServer(IPv4Address("192.0.2.1"), 1812, b"one secret"),
        RadiusServer(IPv6Address("2001:db8::2"), 1645, b"another secret"),
    )
    assert (settings.radius.nas_identifier, str(settings.radius.nas_address)) == (settings.fqdn, "2001:db8:aaaa::1")
    assert "one secret" not in repr(settings)


@pytest.mark.parametrize(
    ("radius", "aaa", "words"),
    [
        (SERVERS, "", "radius: this section needs `aaa: radius` beside it"),
        (SERVERS, "aaa: diameter\n", "'diameter' is not one of store, radius"),
        ("", "aaa: radius\n", "radius: missing"),
        ("radius: {servers: []}\n", "aaa: radius\n", "one server at least is expected, with `address` and `secret`"),
        ("radius: {servers: [{address: 192.0.2.1}]}\n", "aaa: radius\n", "radius.servers[0].secret: missing"),
        (
            "radius: {servers: [{address: 192.0.2.1, secret: ''}]}\n",
            "aaa: radius\n",
            "an empty secret protects nothing",
        ),
        ("radius: {servers: [{address: here, secret: s}]}\n", "aaa: radius\n", "'here' is not an IP address"),
        ("radius: {servers: [{address: 192.0.2.1, secret: s, port: 0}]}\n", "aaa: radius\n", "not between 1 and 65535"),
        (SERVERS.replace("port", "prot"), "aaa: radius\n", "did you mean port?"),
        (SERVERS + "subscribers: subscribers.yaml\n", "aaa: radius\n", "with `aaa: radius` the servers know"),
    ],
)
def test_what_may_not_be_said(samples: Samples, radius: str, aaa: str, words: str) -> None:
    path = changed(samples, radius, aaa)
    with pytest.raises(ConfigError) as refused:
        load_gateway(path)
    assert words in str(refused.value)


def test_a_psk_leaves_nothing_to_authenticate(samples: Samples) -> None:
    changed(samples, SERVERS)
    path = samples.edit("gateway.yaml", "  certificate: gateway.pem\n", "  psk: a secret\n  certificate: gateway.pem\n")
    with pytest.raises(ConfigError, match="leaves nothing for RADIUS servers to authenticate"):
        load_gateway(path)
