# SPDX-License-Identifier: GPL-2.0-or-later
"""Authorities and certificates that are good today: a peer's clock cannot be set."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mn_dsmip.crypto.certs import Identity, create_authority, issue, utc_now
from tests.interop.peers.charon import Charon


@cache
def authority(name: str = "Test CA") -> Identity:
    """One for the whole run."""
    return create_authority(name, utc_now())


@cache
def identity(*names: str) -> Identity:
    """A key and a certificate for those names."""
    return issue(authority(), names, utc_now())


def give(charon: Charon, owner: Identity) -> None:
    """Make it strongSwan's own."""
    for each in owner.chain:
        charon.load_certificate(each.public_bytes(Encoding.DER))
    form = PrivateFormat.TraditionalOpenSSL if isinstance(owner.key, rsa.RSAPrivateKey) else PrivateFormat.PKCS8
    charon.load_key(owner.key.private_bytes(Encoding.DER, form, NoEncryption()))


@cache
def long_chain(*names: str) -> Identity:
    """RSA 4096 and an authority between the root and the certificate: some 4 KiB on the wire."""
    root, key, now = authority("Root of a long chain"), rsa.generate_private_key(65537, 4096), utc_now()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Authority in between")])
    between = (
        x509.CertificateBuilder(root.chain[0].subject, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(root.key, hashes.SHA256())
    )
    leaf = issue(Identity(key, (between,)), [*names, *(f"{number}.{names[0]}" for number in range(30))], now, key)
    return Identity(leaf.key, (leaf.chain[0], between))
