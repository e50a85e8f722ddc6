# SPDX-License-Identifier: GPL-2.0-or-later
"""EAP between strongSwan and us beyond EAP-AKA with a certificate: EAP-only (RFC 5998) in both roles, other methods."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import vici

from mn_dsmip.crypto.aka import Usim
from mn_dsmip.crypto.certs import to_pem
from mn_dsmip.engine.ike.aka_common import AKA, AKA_PRIME, Flavour
from mn_dsmip.engine.ike.events import IkeFailed
from tests.interop.certified import authority, give, identity
from tests.interop.peers.charon import PLUGINS, Charon
from tests.interop.peers.hostapd import Hostapd
from tests.interop.peers.milenage import Card
from tests.interop.peers.network import UE, Field
from tests.interop.peers.ours import Agent
from tests.interop.responding import NAME as HA_NAME
from tests.interop.responding import home_agent, same_keys
from tests.interop.rows import STRONGSWAN
from tests.interop.serving import HOME_AGENT, NAME, serve
from tests.interop.test_responder_eap import IMSI, OPC, RADIUS, SECRET, K, attach, subscriber

pytestmark = pytest.mark.root
PEER = f"{STRONGSWAN} and hostapd 2.10"
METHODS = PLUGINS.format(kernel="kernel-netlink") + " eap-tls eap-mschapv2"
SERVER, USER, PASSWORD = "radius.example.net", "ue.example.net", "a password of theirs"
GATEWAY = f"""\
version: 1
role: gateway
name: gateway
journal: gateway.jsonl
addresses: {{ipv6: "{HOME_AGENT}", ipv4: null}}
pools: {{ipv6: {{internet: "2001:db8:200::/48"}}, ipv4: {{internet: 10.45.0.0/24}}}}
aaa: radius
radius: {{servers: [{{address: 127.0.0.1, secret: {SECRET}}}]}}
ike: {{fqdn: {NAME}, PROOF}}
"""
CERTIFICATE, NONE = "certificate: gateway.pem, key: gateway.key", "eap_only: true"


@pytest.mark.parametrize("flavour", [AKA, AKA_PRIME], ids=["aka", "aka-prime"])
@pytest.mark.feature("EAP-only authentication (RFC 5998), EAP-AKA and EAP-AKA'", peer=PEER, role="UE", bullet="1.1")
def test_our_ue_without_a_certificate(meeting: Field, tmp_path: Path, flavour: Flavour) -> None:
    with (
        closing(Hostapd(meeting.ha, tmp_path, [Card(IMSI, K, OPC)], SECRET)) as radius,
        closing(Charon(meeting.ha, tmp_path, shim=True, settings=RADIUS)) as charon,
    ):
        both = {"local": {"auth": "eap-radius", "id": HA_NAME}, "remote": {"auth": "eap-radius", "id": "%any"}}
        home_agent(charon, **both)
        ours = attach(meeting, subscriber(flavour, Usim(K, OPC), eap_only=True, anchors=(), clock=None))
        try:
            assert not ours.of(IkeFailed), (ours.of(IkeFailed), charon.tail(), radius.log()[-3000:])
            assert charon.said(r"parsed IKE_AUTH request 1 \[ .*N\(EAP_ONLY\)")
            assert charon.said(r"generating IKE_AUTH response 1 \[ IDr EAP/REQ")
            same_keys(ours, charon, 1, 1)
        finally:
            ours.close()


@pytest.mark.feature("EAP-only demanded by strongSwan, our UE wants a certificate: refused", peer=PEER, role="UE",
                     bullet="4")  # fmt: skip
def test_our_ue_wants_a_certificate(meeting: Field, tmp_path: Path) -> None:
    with (
        closing(Hostapd(meeting.ha, tmp_path, [Card(IMSI, K, OPC)], SECRET)),
        closing(Charon(meeting.ha, tmp_path, shim=True, settings=RADIUS)) as charon,
    ):
        home_agent(charon, local={"auth": "eap-radius", "id": HA_NAME}, remote={"auth": "eap-radius", "id": "%any"})
        ours = attach(meeting, subscriber(AKA, Usim(K, OPC)))
        ours.close()
        assert charon.said("peer does not support EAP-only authentication|EAP-only")
        assert ours.of(IkeFailed)[0].authentication


@contextmanager
def served(field: Field, folder: Path, proof: str) -> Iterator[tuple[Agent, Hostapd, Charon]]:
    """Our gateway with hostapd behind it, and strongSwan with a certificate and a password."""
    for name, owner in (("radius", identity(SERVER)), ("gateway", identity(NAME)), ("ca", authority())):
        key, chain = to_pem(owner)
        (folder / f"{name}.pem").write_bytes(chain)
        (folder / f"{name}.key").touch(mode=0o600)
        (folder / f"{name}.key").write_bytes(key)
    files = {"ca_cert": folder / "ca.pem", "server_cert": folder / "radius.pem", "private_key": folder / "radius.key"}
    users = f'"{USER}" TLS\n"ue@example.net" MSCHAPV2 "{PASSWORD}"\n'
    with (
        closing(Hostapd(field.ha, folder, [], SECRET, users, **files)) as radius,
        closing(serve(field, folder, GATEWAY.replace("PROOF", proof))) as agent,
        closing(Charon(field.ue, folder, shim=True, settings={"load": METHODS})) as charon,
    ):
        charon.load_certificate(authority().encoded[0], authority=True)
        give(charon, identity(USER))
        with charon.session() as session:
            session.load_shared({"type": "EAP", "data": PASSWORD.encode(), "owners": ["ue@example.net"], "id": "first"})
        yield agent, radius, charon


def connect(charon: Charon, local: dict[str, Any], proof: str) -> None:
    """A connection with that authentication of its own, and that of the gateway."""
    charon.load_conn(
        "s2c",
        local_addrs=[str(UE)],
        remote_addrs=[HOME_AGENT],
        proposals=["aes256gcm16-prfsha256-curve25519"],
        vips=["::"],
        local=local,
        remote={"auth": proof, "id": NAME},
        children={"user": {"remote_ts": ["::/0"], "esp_proposals": ["aes256gcm16"], "policies": "no"}},
    )


TLS = {"auth": "eap-tls", "id": USER, "aaa_id": SERVER, "certs": [identity(USER).encoded[0]]}
MSCHAPV2 = {"auth": "eap-mschapv2", "id": "ue@example.net"}


@pytest.mark.parametrize("local", [TLS, MSCHAPV2], ids=["tls", "mschapv2"])
@pytest.mark.feature("EAP-TLS and EAP-MSCHAPv2 passed on to RADIUS; our certificate verified", peer=PEER, role="PDN GW",
                     bullet="1.2")  # fmt: skip
def test_other_methods(meeting: Field, tmp_path: Path, local: dict[str, Any]) -> None:
    with served(meeting, tmp_path, CERTIFICATE) as (agent, _, charon):
        connect(charon, local, "pubkey")
        charon.initiate("user").result()
        assert agent.await_entry("ike_sa_established")["identity"] == local["id"]
        assert charon.said(f"authentication of '{NAME}' with ECDSA.* successful")
        assert charon.said(f"authentication of '{NAME}' with EAP successful")


@pytest.mark.feature("EAP-only authentication (RFC 5998) asked for and granted, EAP-TLS", peer=PEER, role="PDN GW",
                     bullet="1.2")  # fmt: skip
def test_our_gateway_without_a_certificate(meeting: Field, tmp_path: Path) -> None:
    with served(meeting, tmp_path, NONE) as (agent, _, charon):
        connect(charon, TLS, "eap-tls")
        charon.initiate("user").result()
        assert agent.await_entry("ike_sa_established")["identity"] == USER
        assert charon.said(r"parsed IKE_AUTH response 1 \[ IDr EAP/REQ")
        assert charon.said("allow mutual EAP-only authentication")


@pytest.mark.feature("wrong password in EAP-MSCHAPv2: no IKE SA", peer=PEER,
                     role="PDN GW", bullet="4")  # fmt: skip
def test_wrong_password(meeting: Field, tmp_path: Path) -> None:
    with served(meeting, tmp_path, CERTIFICATE) as (agent, _, charon):
        with charon.session() as session:
            session.load_shared({"type": "EAP", "data": b"another one", "owners": ["ue@example.net"], "id": "again"})
            session.unload_shared({"id": "first"})
        connect(charon, MSCHAPV2, "pubkey")
        with pytest.raises(vici.exception.CommandException):
            charon.initiate("user").result()
        assert charon.said(
            "EAP-MS-CHAPv2 failed with error"
        )  # RADIUS lets the peer try again, which strongSwan does not
        assert agent.await_entry("ike_failed")["reason"] == (
            "the peer reports AUTHENTICATION_FAILED: it does not accept our authentication or identity"
        )
