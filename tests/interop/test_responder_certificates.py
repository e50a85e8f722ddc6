# SPDX-License-Identifier: GPL-2.0-or-later
"""strongSwan proves who it is with every kind of key that we verify; our UE has a PSK."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mn_dsmip.crypto.certs import Identity, create_authority, issue, utc_now
from mn_dsmip.engine.ike.events import ChildSaEstablished, IkeFailed, IkeSaEstablished, InitiatorConfig
from tests.interop.certified import authority, give
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import HA, UE, Field
from tests.interop.peers.ours import Initiator
from tests.interop.responding import NAME, home_agent, our_config, same_keys
from tests.interop.rows import rows

pytestmark = pytest.mark.root
CLASSIC = {"signature_authentication": "no"}
"""The AUTH methods of RFC 7296 and RFC 4754 instead of RFC 7427's."""
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "RSA-PKCS1": ("rsa", {}),
    "RSA-PSS": ("rsa", {"rsa_pss": "yes"}),
    "ECDSA-P256": ("p256", {}),
    "ECDSA-P384": ("p384", {}),
    "ECDSA-P521": ("p521", {}),
    "Ed25519": ("ed25519", {}),
    "ECDSA-P256, method 9": ("p256", CLASSIC),
    "ECDSA-P384, method 10": ("p384", CLASSIC),
    "ECDSA-P521, method 11": ("p521", CLASSIC),
}


row = rows("UE", "1.1")


@cache
def key(kind: str) -> Any:  # one of three classes that have nothing in common
    """One key of each kind for the whole run."""
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(curves[kind])


def attempt(field: Field, folder: Path, own: Identity, settings: dict[str, Any], **changes: Any) -> Initiator:
    """An attempt of ours with a strongSwan that has that certificate, to its end; both may be closed then."""
    with closing(Charon(field.ha, folder, shim=True, settings=settings)) as charon:
        give(charon, own)
        local = {"auth": "pubkey", "id": NAME, "certs": [own.encoded[0]]}
        home_agent(charon, local=local, send_cert="always")
        usual: InitiatorConfig = our_config(anchors=authority().chain, clock=utc_now, expected_name=NAME)
        with closing(Initiator(field.ue, replace(usual, **changes), UE, HA)) as ours:
            ours.run(lambda: ours.of(IkeFailed) or (ours.of(IkeSaEstablished) and ours.of(ChildSaEstablished)))
            if not ours.of(IkeFailed):
                same_keys(ours, charon, 1, 1)
        return ours


@row("certificates with RSA (PKCS#1, PSS), ECDSA and Ed25519, signatures as in RFC 7427 and before it")
@pytest.mark.parametrize("case", CASES)
def test_signature(meeting: Field, tmp_path: Path, case: str) -> None:
    kind, settings = CASES[case]
    own = issue(authority(), [NAME], utc_now(), key(kind))
    ours = attempt(meeting, tmp_path, own, settings)
    assert not ours.of(IkeFailed), ours.of(IkeFailed)


@row("a gateway that signs with SHA-1", bullet="4")
def test_sha1(meeting: Field, tmp_path: Path) -> None:
    ours = attempt(meeting, tmp_path, issue(authority(), [NAME], utc_now(), key("rsa")), CLASSIC)
    [failed] = ours.of(IkeFailed)
    assert failed.authentication
    assert failed.reason == (
        "the gateway is not trusted: the signature in AUTH is made with SHA-1, which is not safe (RFC 8247 3.2)"
    )


@row("an authority that has expired; a certificate that is not valid yet", bullet="4")
@pytest.mark.parametrize("case", ["authority", "early"])
def test_untrusted(meeting: Field, tmp_path: Path, case: str) -> None:
    now = utc_now()
    if case == "authority":
        old = create_authority("Old CA", now - timedelta(days=9000))
        ours = attempt(meeting, tmp_path, issue(old, [NAME], now), {}, anchors=old.chain)
        words = "Old CA expired on "
    else:
        ours = attempt(meeting, tmp_path, issue(authority(), [NAME], now + timedelta(days=2)), {})
        words = f"the certificate of {NAME} is not valid before "
    [failed] = ours.of(IkeFailed)
    assert failed.authentication
    assert failed.reason.startswith("the gateway is not trusted: ")
    assert words in failed.reason
