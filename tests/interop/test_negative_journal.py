# SPDX-License-Identifier: GPL-2.0-or-later
"""What the operator of `mn-dsmip gateway` reads in its journal and its status when strongSwan gets no service."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import vici

from mn_dsmip.agent.samples import write_certificate, write_samples
from mn_dsmip.crypto.certs import issue, to_pem, utc_now
from mn_dsmip.engine.ike.proposals import build_proposals, parse_offer
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_numbers import DhGroup, Exchange, Protocol
from mn_dsmip.wire.ikev2_payloads import KeyExchange, Nonce, SecurityAssociation
from tests.interop.certified import authority
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import UE, Field
from tests.interop.peers.ours import Agent
from tests.interop.rows import rows
from tests.interop.serving import GATEWAY, HOME_AGENT, NAME, connect, serve

pytestmark = pytest.mark.root
IMSI, NAI = "001010000000001", "0001010000000001@nai.epc.mnc001.mcc001.3gppnetwork.org"
ACCEPTED = "aes256gcm16-prfsha256-curve25519"
STRICT = GATEWAY.replace(
    f"  fqdn: {NAME}\n", f"  fqdn: {NAME}\n  suites: {{ike: [{ACCEPTED}], esp: [aes256gcm16]}}\n  cookie_threshold: 8\n"
)
NAMED = "name: gateway\njournal: gateway.jsonl\n"
FLOOD = 300


row = rows("PDN GW", "4", about="`mn-dsmip gateway`, journal and counters: ")


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    peer = Charon(meeting.ue, tmp_path, shim=True)
    connect(peer)
    yield peer
    peer.close()


@pytest.fixture
def gateway(meeting: Field, tmp_path: Path) -> Iterator[Agent]:
    with closing(serve(meeting, tmp_path, STRICT)) as agent:
        yield agent


def refused(charon: Charon) -> None:
    """strongSwan tries, and is told no."""
    with pytest.raises(vici.exception.CommandException):
        charon.initiate("user").result()


def counter(gateway: Agent, name: str) -> int:
    """What `mn-dsmip status` shows."""
    counters: dict[str, int] = gateway.ask("status")["counters"]
    return counters.get(name, 0)


@row("wrong PSK")
def test_wrong_psk(gateway: Agent, charon: Charon) -> None:
    charon.load_psk(b"another secret", NAME)
    refused(charon)
    entry = gateway.await_entry("ike_failed")
    assert entry["reason"] == "the peer does not prove that it has the pre-shared key: its AUTH is wrong"
    assert (entry["peer"], entry["authentication"]) == (str(UE), True)
    assert counter(gateway, "ike-authentication") == 1
    assert gateway.ask("status")["sessions"] == 0


@row("no common IKE suite, both sides' named")
def test_no_common_suite(gateway: Agent, charon: Charon) -> None:
    connect(charon, proposals=["aes128-sha256-ecp256", "aes256-sha512-modp4096"])
    refused(charon)
    entry = gateway.await_entry("ike_failed")
    assert entry["reason"] == (
        "no proposal of the peer is acceptable: it offered "
        "AES-CBC-128/HMAC-SHA2-256-128/PRF-HMAC-SHA2-256/ECP-256 or "
        "AES-CBC-256/HMAC-SHA2-512-256/PRF-HMAC-SHA2-512/MODP-4096, we accept "
        "AES-GCM-16-256/PRF-HMAC-SHA2-256/CURVE25519"
    )
    assert counter(gateway, "ike-no-proposal") == 1


@row("no common ESP suite, both sides' named; the IKE SA stands (RFC 7296 2.21.2)")
def test_no_common_esp_suite(gateway: Agent, charon: Charon) -> None:
    connect(charon, children={"user": {"remote_ts": ["::/0"], "esp_proposals": ["aes128-sha256"]}})
    refused(charon)
    entry = gateway.await_entry("ike_sa_established")
    assert entry["child_refused"] == (
        "no proposal of the peer is acceptable: it offered AES-CBC-128/HMAC-SHA2-256-128, we accept AES-GCM-16-256"
    )
    assert charon.said("received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built")


@row("APN unknown")
def test_unknown_apn(gateway: Agent, charon: Charon) -> None:
    connect(charon, remote={"auth": "psk", "id": "nowhere"})
    refused(charon)
    reason = gateway.await_entry("ike_failed")["reason"]
    assert reason == "subscriber ue@example.net wants APN nowhere, which is unknown here; known are internet"


@row("subscriber barred, whether it says its IMSI or its NAI")
@pytest.mark.parametrize("identity", [IMSI, NAI])
def test_barred(meeting: Field, tmp_path: Path, charon: Charon, identity: str) -> None:
    store = tmp_path / "subscribers.yaml"
    store.touch(mode=0o600)
    store.write_text(
        f'version: 1\nsubscribers:\n  - {{imsi: "{IMSI}", mcc: "001", mnc: "01", k: {"0" * 32}, opc: {"0" * 32}, '
        "apns: [internet], barred: true}\n"
    )
    with closing(serve(meeting, tmp_path, f"{STRICT}subscribers: subscribers.yaml\n")) as gateway:
        connect(charon, local={"auth": "psk", "id": identity})
        refused(charon)
        assert gateway.await_entry("ike_failed")["reason"] == f"subscriber {IMSI} is barred"
        connect(charon)  # who is not in the store comes in with the PSK
        charon.initiate("user").result()


@pytest.fixture
def certified(meeting: Field, tmp_path: Path) -> Iterator[Agent]:
    """A gateway with subscribers and a certificate, so that it demands EAP."""
    folder = tmp_path / "certified"
    write_samples(folder)
    write_certificate(folder, "gateway", [NAME])
    configuration = (folder / "gateway.yaml").read_text().replace("\nname: gateway\n", "\n" + NAMED)
    with closing(serve(meeting, folder, configuration.replace("ike:\n", f"ike:\n  fqdn: {NAME}\n"))) as agent:
        yield agent


@row("EAP demanded, strongSwan comes with a PSK")
def test_eap_is_demanded(certified: Agent, charon: Charon) -> None:
    refused(charon)
    assert certified.await_entry("ike_failed")["reason"] == "the peer does not use EAP as it must"
    assert charon.said("received AUTHENTICATION_FAILED notify error")


@row("EAP-AKA demanded, strongSwan without a USIM")
def test_eap_without_usim(certified: Agent, charon: Charon) -> None:
    ca = certified.config.with_name("ca.pem").read_text()
    charon.load_certificate(ssl.PEM_cert_to_DER_cert(ca), authority=True)
    connect(charon, local={"auth": "eap", "id": NAI}, remote={"auth": "pubkey", "id": NAME})
    refused(charon)
    entry = certified.await_entry("ike_failed")
    assert entry["authentication"]
    assert entry["reason"] == "the UE says that AUTN is wrong: K or OP differ"  # RFC 4187 knows no other rejection
    assert charon.said("no USIM found with quintuplets .* sending AKA_AUTHENTICATION_REJECT")
    assert charon.said(f"authentication of '{NAME}' with ECDSA.* successful")


@pytest.mark.parametrize("problem", ["expired", "foreign"])
@row("strongSwan refuses our certificate: expired, or of a CA that it does not know")
def test_our_certificate_is_refused(meeting: Field, tmp_path: Path, charon: Charon, problem: str) -> None:
    begun = utc_now() - timedelta(days=3)
    old = {"lifetime": timedelta(days=1)} if problem == "expired" else {}
    issuer = authority() if problem == "expired" else authority("Somebody else")
    key, certificate = to_pem(issue(issuer, [NAME], begun, **old))
    (tmp_path / "gateway.key").touch(mode=0o600)
    (tmp_path / "gateway.key").write_bytes(key)
    (tmp_path / "gateway.pem").write_bytes(certificate)
    charon.load_certificate(authority().encoded[0], authority=True)
    connect(charon, remote={"auth": "pubkey", "id": NAME})
    with closing(serve(meeting, tmp_path, f"{STRICT}  certificate: gateway.pem\n  key: gateway.key\n")) as gateway:
        refused(charon)
        entry = gateway.await_entry("ike_sa_closed")
        assert entry["by_peer"]
        assert entry["reason"] == (
            "the peer reports AUTHENTICATION_FAILED: it does not accept our authentication or identity"
        )
        assert gateway.ask("status")["sessions"] == 0


@row("flood of forged IKE_SA_INIT from many addresses and ports: counted, and strongSwan gets in with a cookie")
def test_flood(meeting: Field, gateway: Agent, charon: Charon) -> None:
    sources = [f"2001:db8:1::{number:x}" for number in range(0x100, 0x110)]
    meeting.ue.run(*(f"ip addr add {each}/64 dev ue0 nodad" for each in sources))
    offer = build_proposals([parse_offer(ACCEPTED, Protocol.IKE)], Protocol.IKE, b"")
    for number in range(FLOOD):
        payloads = (
            SecurityAssociation(offer), KeyExchange(DhGroup.CURVE25519, os.urandom(32)), Nonce(os.urandom(32))
        )  # fmt: skip
        forged = Message(os.urandom(8), bytes(8), Exchange.IKE_SA_INIT, 0, payloads, True, False)
        with meeting.ue, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as stranger:
            stranger.bind((sources[number % len(sources)], 0))
            stranger.sendto(forged.build(), (HOME_AGENT, 500))
    charon.initiate("user").result()
    assert charon.said(r"parsed IKE_SA_INIT response 0 \[ N\(COOKIE\) \]")
    assert counter(gateway, "ike-cookie-demanded") >= FLOOD // 4  # a kernel may drop some
    assert gateway.ask("status")["sessions"] == 1
    assert len([each for each in gateway.journal() if each["event"] == "ike_keys_derived"]) <= 8 + 1


@row("peers that go no further than IKE_SA_INIT, octets that are no IKE, and IKE SPIs that nobody has: counted")
def test_strangers(meeting: Field, gateway: Agent, charon: Charon) -> None:
    unknown = Message(os.urandom(8), os.urandom(8), Exchange.INFORMATIONAL, 7, (), True, False)
    old = replace(unknown, version=0x10)
    with meeting.ue, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as stranger:
        for octets in (unknown.build(), old.build(), os.urandom(200), b"", b"\0" * 28):
            stranger.sendto(octets, (HOME_AGENT, 500))
    charon.initiate("user").result()
    counters = gateway.ask("status")["counters"]
    assert counters["ike-unknown-spi"] >= 1
    assert counters["ike-malformed"] >= 2
