# SPDX-License-Identifier: GPL-2.0-or-later
"""`mn-dsmip gateway` with hostapd behind it (`aaa: radius`), and our UE in front."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from mn_dsmip.agent.config import load_gateway
from mn_dsmip.crypto.aka import Usim
from mn_dsmip.crypto.certs import to_pem, utc_now
from mn_dsmip.engine.ike.aka_common import AKA, AKA_PRIME, Flavour
from mn_dsmip.engine.ike.aka_peer import AkaPeer
from mn_dsmip.engine.ike.child import mobility_selector
from mn_dsmip.engine.ike.eap_method import network_access_identifier
from mn_dsmip.engine.ike.events import ChildSaEstablished, IkeFailed, IkeSaEstablished, Selectors
from tests.engine.ike_pair import initiator_config
from tests.interop.certified import authority, identity
from tests.interop.peers.hostapd import Hostapd
from tests.interop.peers.milenage import Card
from tests.interop.peers.network import HA, UE, Field
from tests.interop.peers.ours import Agent, Initiator
from tests.interop.rows import rows

pytestmark = pytest.mark.root
HOSTAPD = "hostapd 2.10"
HOME_AGENT, FQDN, APN, SECRET = IPv6Address("2001:db8:aaaa::1"), "pgw.example.net", "internet", "radius-secret"
K, OPC = bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc"), bytes.fromhex("cd63cb71954a9f4e48a5994e37a02baf")
IMSI, MCC, MNC = "001010000000001", "001", "01"
CONFIGURATION = f"""\
version: 1
role: gateway
name: gateway
journal: gateway.jsonl
addresses: {{ipv6: "{HOME_AGENT}", ipv4: null}}
pools: {{ipv6: {{{APN}: "2001:db8:200::/48"}}, ipv4: {{}}}}
aaa: radius
radius:
  servers: SERVERS
ike: {{fqdn: {FQDN}, certificate: gateway.pem, key: gateway.key}}
"""
ONE = f'[{{address: 127.0.0.1, secret: "{SECRET}"}}]'


row = rows("PDN GW", "2.1", HOSTAPD)


@contextmanager
def gateway(field: Field, folder: Path, servers: str = ONE) -> Iterator[Agent]:
    """The agent, with a certificate and those RADIUS servers."""
    field.ue.run(f"ip -6 route replace default via {HA}")
    key, chain = to_pem(identity(APN, FQDN))
    for name, content in (("gateway.key", key), ("gateway.pem", chain), ("gateway.yaml", CONFIGURATION.encode())):
        path = folder / name
        path.touch(mode=0o600)
        path.write_bytes(content.replace(b"SERVERS", servers.encode()))
    agent = Agent(field.ha, "gateway", folder / "gateway.yaml")
    try:
        yield agent
    finally:
        agent.close()


def attach(
    field: Field, flavour: Flavour = AKA, usim: Usim | None = None, seconds: float = 20, peer: AkaPeer | None = None
) -> Initiator:
    """Our UE's IKE with that USIM, until it is in or refused."""
    name = network_access_identifier(IMSI, MCC, MNC, flavour.leading)
    card = usim or Usim(K, OPC)
    everywhere = mobility_selector(IPv6Address(0), IPv6Address(2**128 - 1))
    config = replace(
        initiator_config(), identity=name, apn=APN, expected_name=APN, anchors=authority().chain, clock=utc_now,
        eap=lambda: peer or AkaPeer(flavour, name, IMSI, card, b"WLAN"),
        first_child=Selectors((everywhere,), (mobility_selector(HOME_AGENT),), transport=True),
    )  # fmt: skip
    ours = Initiator(field.ue, config, UE, HOME_AGENT)
    try:
        ours.run(lambda: ours.of(IkeFailed) or (ours.of(IkeSaEstablished) and ours.of(ChildSaEstablished)), seconds)
    finally:
        ours.close()
    return ours


@pytest.mark.parametrize(
    "flavour",
    [
        pytest.param(AKA, marks=row("EAP-AKA, our UE through our gateway to hostapd"), id="aka"),
        pytest.param(AKA_PRIME, marks=row("EAP-AKA', our UE through our gateway to hostapd"), id="aka-prime"),
    ],
)
def test_authentication(meeting: Field, tmp_path: Path, flavour: Flavour) -> None:
    radius = Hostapd(meeting.ha, tmp_path, [Card(IMSI, K, OPC)], SECRET)
    try:
        with gateway(meeting, tmp_path) as agent:
            ours = attach(meeting, flavour)
            assert not ours.of(IkeFailed), (ours.of(IkeFailed), radius.log()[-2000:])
            assert agent.await_entry("ike_sa_established")["identity"] == IMSI
            assert not [word for word in agent.ask("status")["counters"] if word.startswith(("radius", "ike"))]
    finally:
        radius.close()


@row("resynchronisation (AUTS) through our gateway")
def test_resynchronisation(meeting: Field, tmp_path: Path) -> None:
    radius = Hostapd(meeting.ha, tmp_path, [Card(IMSI, K, OPC)], SECRET)
    try:
        with gateway(meeting, tmp_path):
            assert attach(meeting, usim=Usim(K, OPC, sqn=1 << 20)).of(IkeSaEstablished)
            assert f"resynchronised {IMSI}" in radius.hlr.said
    finally:
        radius.close()


@row("wrong subscriber key: rejected, and both sides say why", bullet="4")
def test_wrong_key(meeting: Field, tmp_path: Path) -> None:
    radius = Hostapd(meeting.ha, tmp_path, [Card(IMSI, bytes(16), OPC)], SECRET)
    try:
        with gateway(meeting, tmp_path) as agent:
            [failed] = attach(meeting).of(IkeFailed)
            assert failed.reason == "the network did not prove that it knows our subscription: MAC-A in AUTN is wrong"
            reason = agent.await_entry("ike_failed")["reason"]
            assert reason.startswith("the RADIUS server 127.0.0.1:1812 rejects 0001010000000001@nai.epc.")
    finally:
        radius.close()


@row("unknown subscriber: rejected", bullet="4")
def test_unknown_subscriber(meeting: Field, tmp_path: Path) -> None:
    radius = Hostapd(meeting.ha, tmp_path, [], SECRET)
    try:
        with gateway(meeting, tmp_path) as agent:
            assert attach(meeting).of(IkeFailed)
            assert "rejects" in agent.await_entry("ike_failed")["reason"]
    finally:
        radius.close()


@row("RADIUS server silent: the next one is asked", bullet="4")
def test_fail_over(meeting: Field, tmp_path: Path) -> None:
    radius = Hostapd(meeting.ha, tmp_path, [Card(IMSI, K, OPC)], SECRET)
    two = f'[{{address: 127.0.0.1, port: 1899, secret: "{SECRET}"}}, {{address: 127.0.0.1, secret: "{SECRET}"}}]'
    try:
        with gateway(meeting, tmp_path, two) as agent:
            assert attach(meeting, seconds=40).of(IkeSaEstablished)
            counters = agent.ask("status")["counters"]
            assert counters["radius-silent"] == 1
    finally:
        radius.close()


@pytest.mark.parametrize(
    "running",
    [
        pytest.param(False, marks=row("RADIUS server silent: the journal names it", bullet="4"), id="silent"),
        pytest.param(True, marks=row("RADIUS server with another secret: the journal hints", bullet="4"), id="secret"),
    ],
)
def test_no_answer(meeting: Field, tmp_path: Path, running: bool) -> None:
    radius = Hostapd(meeting.ha, tmp_path, [Card(IMSI, K, OPC)], "another secret") if running else None
    try:
        with gateway(meeting, tmp_path) as agent:
            [failed] = attach(meeting, seconds=40).of(IkeFailed)
            assert failed.authentication
            assert agent.await_entry("ike_failed")["reason"] == (
                "the RADIUS server 127.0.0.1:1812 does not answer: "
                "a server drops requests of clients and secrets that it does not know"
            )
            if radius is not None:
                assert "Invalid Message-Authenticator" in radius.log()
    finally:
        if radius is not None:
            radius.close()


def test_the_secret_is_for_the_owner_only(tmp_path: Path) -> None:
    from mn_dsmip.agent.errors import ConfigError

    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIGURATION.replace("SERVERS", ONE))
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="holds secrets shared with RADIUS servers and others may read it"):
        load_gateway(path)
