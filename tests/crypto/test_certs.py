# SPDX-License-Identifier: GPL-2.0-or-later
"""Certificates: what a chain must be, each way it can fail with the sentence a person reads, and malformed ones."""

from __future__ import annotations

import hashlib
import random
from datetime import datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv6Address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID

from mn_dsmip.crypto.certs import (
    LONGEST_CHAIN,
    CertificateError,
    Identity,
    authority_hash,
    check_name,
    create_authority,
    issue,
    load_certificates,
    load_key,
    names_of,
    public_key,
    to_pem,
    verify_chain,
)
from mn_dsmip.crypto.signatures import OFFERED_HASHES, sign, verify

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
NAME = "internet.apn.epc.mnc001.mcc001.pub.3gppnetwork.org"
ADDRESS = IPv6Address("2001:db8:aaaa::1")
AUTHORITY = create_authority("Demo CA", NOW - timedelta(days=10))
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")  # damaged on purpose

GATEWAY = issue(AUTHORITY, [NAME, ADDRESS], NOW - timedelta(days=1))
DER = serialization.Encoding.DER
KEYS = {
    "RSA": rsa.generate_private_key(65537, 2048),
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}
SIGNING = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
CERTIFYING = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
Extensions = tuple[tuple[x509.ExtensionType, bool], ...]


def made(
    name: str,
    issuer: Identity | None,
    extensions: Extensions = (),
    begin: datetime = NOW - timedelta(days=1),
    end: datetime = NOW + timedelta(days=1),
    digest: hashes.HashAlgorithm | None = None,
) -> Identity:
    """A certificate with exactly these extensions; its own issuer when ``issuer`` is ``None``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject_name=subject, public_key=key.public_key(), serial_number=7)
    builder = builder.issuer_name(issuer.chain[0].subject if issuer else subject)
    builder = builder.not_valid_before(begin).not_valid_after(end)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    signed = builder.sign(issuer.key if issuer else key, digest or hashes.SHA256())
    return Identity(key, (signed, *(issuer.chain if issuer else ())))


def authority(name: str, issuer: Identity | None = None, length: int | None = None, **options) -> Identity:
    return made(name, issuer, ((x509.BasicConstraints(True, length), True), (CERTIFYING, True)), **options)


def check(identity: Identity, *anchors: Identity, at: datetime = NOW) -> x509.Certificate:
    """As the UE does: everything the gateway sends, without the anchor."""
    return verify_chain(identity.encoded, [each.chain[0] for each in anchors], at)


def test_a_demonstration_certificate_is_trusted():
    assert check(GATEWAY, AUTHORITY) == GATEWAY.chain[0]
    check_name(GATEWAY.chain[0], NAME)
    assert names_of(GATEWAY.chain[0]) == (NAME, ADDRESS)


@pytest.mark.parametrize("issuer_key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_every_kind_of_key(issuer_key, key):
    """Certified, and then used for AUTH."""
    root = create_authority("Root", NOW, issuer_key)
    identity = issue(root, [NAME], NOW, key)
    leaf = check(identity, root)
    method, data = sign(identity.key, b"octets", OFFERED_HASHES)
    verify(public_key(leaf), method, data, b"octets")


def test_default_keys_are_p_256():
    for identity in (AUTHORITY, GATEWAY):
        assert isinstance(identity.key, ec.EllipticCurvePrivateKey)
        assert identity.key.curve.name == "secp256r1"


def test_names_decide_between_names_and_addresses():
    identity = issue(AUTHORITY, [NAME, "192.0.2.1", ADDRESS, "Second.Example"], NOW)
    leaf = identity.chain[0]
    assert names_of(leaf) == (NAME, "second.example", IPv4Address("192.0.2.1"), ADDRESS)
    for name in (NAME, NAME.upper(), NAME + ".", "192.0.2.1", "2001:db8:AAAA:0::1", "second.example"):
        check_name(leaf, name)
    for name in ("192.0.2.2", "2001:db8:aaaa::2", "x" + NAME, NAME[1:], "example", "*.example", "", "Demo CA"):
        with pytest.raises(CertificateError, match=f"is for {NAME}, second.example, 192.0.2.1, "):
            check_name(leaf, name)


def test_wildcards_and_written_addresses_do_not_match():
    """A DNS name that looks like an address is not one; a wildcard stands for itself only."""
    alternative = x509.SubjectAlternativeName([x509.DNSName("192.0.2.1"), x509.DNSName("*.example.org")])
    leaf = made("gateway", AUTHORITY, ((alternative, False),)).chain[0]
    for name in ("192.0.2.1", "a.example.org"):
        with pytest.raises(CertificateError, match="not for"):
            check_name(leaf, name)


def test_without_subject_alternative_name_there_is_no_name():
    """The common name never counts."""
    leaf = made(NAME, AUTHORITY).chain[0]
    assert names_of(leaf) == ()
    with pytest.raises(CertificateError, match=f"the certificate of {NAME} is for no name at all, not for {NAME}"):
        check_name(leaf, NAME)


def test_validity():
    leaf = GATEWAY.chain[0]
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    for at in (begin, end, begin - timedelta(minutes=4)):  # a clock may be a little slow
        check(GATEWAY, AUTHORITY, at=at)
    with pytest.raises(CertificateError, match=f"of {NAME} expired on {end:%Y-%m-%d %H:%M} UTC"):
        check(GATEWAY, AUTHORITY, at=end + timedelta(seconds=1))
    with pytest.raises(CertificateError, match="is not valid before 2026-02-28 12:00 UTC"):
        check(GATEWAY, AUTHORITY, at=begin - timedelta(minutes=6))


def test_validity_of_the_authority():
    old = authority("Old CA", end=NOW - timedelta(hours=1))
    with pytest.raises(CertificateError, match="the certificate of Old CA expired"):
        check(issue(old, [NAME], NOW - timedelta(days=1)), old)


def test_another_authority():
    stranger = create_authority("Stranger", NOW)
    with pytest.raises(CertificateError, match=f"{NAME} was issued by Demo CA, which no configured authority vouches"):
        check(GATEWAY, stranger)
    with pytest.raises(CertificateError, match="which no configured authority vouches for"):
        check(GATEWAY)


def test_a_forged_signature():
    """An authority of the right name with another key."""
    twin = create_authority("Demo CA", NOW)
    with pytest.raises(CertificateError, match="the signature on it is not the one of the authority of that name"):
        check(issue(twin, [NAME], NOW), AUTHORITY)


def test_a_self_signed_gateway():
    alone = made(NAME, None, ((SIGNING, True),))
    with pytest.raises(CertificateError, match=f"was issued by {NAME}, which no configured authority vouches for"):
        check(alone, AUTHORITY)
    with pytest.raises(CertificateError, match="is no certification authority"):  # not even when it is an anchor
        check(alone, alone)


def test_an_authority_may_be_renewed_beside_its_old_key():
    """Several anchors of one name: the one whose key fits counts."""
    twin = create_authority("Demo CA", NOW)
    assert check(GATEWAY, twin, AUTHORITY) == check(GATEWAY, AUTHORITY, twin)


def test_intermediates():
    root = authority("Root", length=1)
    middle = authority("Middle", root)
    gateway = made("gateway", middle, ((SIGNING, True),))
    assert [each.subject.rfc4514_string() for each in gateway.chain] == ["CN=gateway", "CN=Middle", "CN=Root"]
    assert check(gateway, root) == gateway.chain[0]
    assert verify_chain(gateway.encoded[:2], root.chain, NOW) == gateway.chain[0]
    assert verify_chain(gateway.encoded[:1], middle.chain[:1], NOW) == gateway.chain[0]  # an intermediate as anchor
    shuffled = (gateway.encoded[0], AUTHORITY.encoded[0], gateway.encoded[2], gateway.encoded[1])
    assert verify_chain(shuffled, root.chain, NOW) == gateway.chain[0]
    with pytest.raises(CertificateError, match="gateway was issued by Middle, which no configured authority"):
        verify_chain(gateway.encoded[:1], root.chain, NOW)


def test_the_root_that_the_peer_sends_is_not_an_anchor():
    own = create_authority("Attacker", NOW)
    fake = issue(own, [NAME], NOW)
    with pytest.raises(CertificateError):
        verify_chain((*fake.encoded, *own.encoded), AUTHORITY.chain, NOW)


def test_path_length():
    root = authority("Root", length=0)
    middle = authority("Middle", root)
    with pytest.raises(CertificateError, match="the chain below the certificate of Root is longer than it allows"):
        check(made("gateway", middle), root)
    check(made("gateway", root), root)


def test_chains_end():
    chain = authority("A0")
    for number in range(1, LONGEST_CHAIN + 1):
        chain = authority(f"A{number}", chain)
    gateway = made("gateway", chain)
    with pytest.raises(CertificateError, match=f"has more than {LONGEST_CHAIN} certificates"):
        verify_chain(gateway.encoded, gateway.chain[-1:], NOW)
    check(Identity(chain.key, gateway.chain[:LONGEST_CHAIN]), Identity(chain.key, gateway.chain[LONGEST_CHAIN - 1 :]))


def test_loops_end():
    """Two authorities that certify each other, none of them trusted."""
    first, second = authority("First"), authority("Second")
    crossed = (made("gateway", first).encoded[0], *_cross(first, second), *_cross(second, first))
    with pytest.raises(CertificateError):
        verify_chain(crossed, AUTHORITY.chain, NOW)


def _cross(subject: Identity, issuer: Identity) -> tuple[bytes]:
    builder = x509.CertificateBuilder(
        issuer.chain[0].subject, subject.chain[0].subject, subject.key.public_key(), 9, NOW, NOW + timedelta(days=1)
    ).add_extension(x509.BasicConstraints(True, None), True)
    return (builder.sign(issuer.key, hashes.SHA256()).public_bytes(DER),)


@pytest.mark.parametrize(
    "extensions",
    [(), ((x509.BasicConstraints(False, None), True),), ((SIGNING, True),)],
    ids=["no extension", "CA false", "only key usage"],
)
def test_a_gateway_cannot_certify_another(extensions):
    subscriber = made("subscriber", AUTHORITY, extensions)
    with pytest.raises(CertificateError, match="the certificate of subscriber is no certification authority"):
        check(made("gateway", subscriber), AUTHORITY)


def test_key_usage():
    signer = made("CA", None, ((x509.BasicConstraints(True, None), True), (SIGNING, True)))
    with pytest.raises(CertificateError, match="key usage of the certificate of CA does not allow key cert sign"):
        check(made("gateway", signer), signer)
    with pytest.raises(CertificateError, match="certificate of gateway does not allow digital signature"):
        check(made("gateway", AUTHORITY, ((CERTIFYING, True),)), AUTHORITY)
    assert check(made("gateway", AUTHORITY), AUTHORITY)  # no extension: no restriction (RFC 5280 4.2.1.3)


def test_critical_extensions_must_be_understood():
    """RFC 5280 4.2: for example name constraints, which are not evaluated here."""
    constraints = x509.NameConstraints([x509.DNSName("example.org")], None)
    private = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\0")
    limited = made("CA", None, ((x509.BasicConstraints(True, None), True), (constraints, True)))
    with pytest.raises(CertificateError, match="CA has a critical extension that is not understood: 2.5.29.30"):
        check(made("gateway", limited), limited)
    with pytest.raises(CertificateError, match="gateway has a critical extension that is not understood: 1.3.6.1.4.1"):
        check(made("gateway", AUTHORITY, ((private, True),)), AUTHORITY)
    check(made("gateway", AUTHORITY, ((private, False),)), AUTHORITY)
    web = x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.1")])
    check(made("gateway", AUTHORITY, ((web, True),)), AUTHORITY)


def test_sha1_signatures_are_refused():
    """Genuine ones, which some versions of the library still verify."""
    issuer, signed = _sha1_chain()
    with pytest.raises(CertificateError, match="is signed with sha1, which can be forged"):
        verify_chain([signed.public_bytes(DER)], [issuer], NOW)


def _sha1_chain() -> tuple[x509.Certificate, x509.Certificate]:
    """The library refuses to make one: take a SHA-256 one, put SHA-1's algorithm in and sign anew."""
    key = KEYS["RSA"]
    root = create_authority("Root", NOW, key)
    made_now = issue(root, [NAME], NOW, KEYS["P-256"]).chain[0]
    sha256, sha1 = (bytes.fromhex(f"300d06092a864886f70d0101{number}0500") for number in ("0b", "05"))
    body = made_now.tbs_certificate_bytes.replace(sha256, sha1)
    signature = key.sign(body, padding.PKCS1v15(), hashes.SHA1())
    content = body + sha1 + b"\x03" + _length(len(signature) + 1) + b"\0" + signature
    return root.chain[0], x509.load_der_x509_certificate(b"\x30" + _length(len(content)) + content)


def _length(value: int) -> bytes:
    return b"\x82" + value.to_bytes(2, "big")


def test_nothing_sent():
    with pytest.raises(CertificateError, match="sent no certificate"):
        verify_chain([], AUTHORITY.chain, NOW)


def test_every_truncation_is_refused():
    whole = GATEWAY.encoded[0]
    for length in range(len(whole)):
        with pytest.raises(CertificateError):
            verify_chain([whole[:length]], AUTHORITY.chain, NOW)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_every_damage_is_refused(key):
    """Each octet changed in three ways: never trusted, and never another exception than ours.

    The count of unused bits before the signature is left out: it is 0, and the library takes 1 for an even last octet.
    """
    root = create_authority("Root", NOW, key)
    identity = issue(root, [NAME, ADDRESS], NOW)
    whole, signature = identity.encoded[0], identity.chain[0].signature
    assert whole.endswith(b"\0" + signature)
    unused_bits = len(whole) - len(signature) - 1
    for place in set(range(len(whole))) - {unused_bits}:
        for mask in (0x01, 0x80, 0xFF):
            damaged = whole[:place] + bytes((whole[place] ^ mask,)) + whole[place + 1 :]
            with pytest.raises(CertificateError):
                verify_chain([damaged], root.chain, NOW)


def test_damage_that_an_authority_signs_is_survived():
    """An authority that the UE trusts may certify nonsense: names, keys and extensions are read safely."""
    key, source = KEYS["Ed25519"], random.Random(1)
    root = create_authority("Root", NOW, key)
    gateway = issue(root, [NAME, ADDRESS], NOW, KEYS["P-256"])
    body = gateway.chain[0].tbs_certificate_bytes
    outcomes = {"trusted": 0, "refused": 0}
    for _ in range(3000):
        place = source.randrange(4, len(body))
        damaged = body[:place] + bytes((source.randrange(256),)) + body[place + 1 :]
        signature = key.sign(damaged)
        content = damaged + bytes.fromhex("300506032b6570") + b"\x03\x41\0" + signature
        try:
            leaf = verify_chain([b"\x30" + _length(len(content)) + content], root.chain, NOW)
            check_name(leaf, NAME)
            public_key(leaf)
            outcomes["trusted"] += 1
        except CertificateError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 100


def test_keys_without_auth_method():
    key = dsa.generate_private_key(2048)
    builder = x509.CertificateBuilder(
        AUTHORITY.chain[0].subject, AUTHORITY.chain[0].subject, key.public_key(), 3, NOW, NOW + timedelta(days=1)
    )
    with pytest.raises(CertificateError, match="neither RSA, ECDSA nor Ed25519"):
        public_key(builder.sign(AUTHORITY.key, hashes.SHA256()))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with pytest.raises(CertificateError, match="the private key is neither RSA, ECDSA nor Ed25519"):
        load_key(pem)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_files(key):
    """What is written is read again."""
    identity = issue(AUTHORITY, [NAME], NOW, key)
    pem_key, pem_chain = to_pem(identity)
    assert load_certificates(pem_chain) == identity.chain
    assert load_certificates(pem_chain + to_pem(AUTHORITY)[1]) == (*identity.chain, *AUTHORITY.chain)
    loaded = load_key(pem_key)
    assert loaded.public_key() == key.public_key()
    assert "PRIVATE" not in repr(identity)


def test_unusable_files():
    for text in (b"", b"hello", to_pem(GATEWAY)[0], to_pem(GATEWAY)[1][:-40]):
        with pytest.raises(CertificateError, match="no PEM certificate"):
            load_certificates(text)
    for text in (b"", b"hello", to_pem(GATEWAY)[1], to_pem(GATEWAY)[0][:-40]):
        with pytest.raises(CertificateError, match="no usable PEM private key"):
            load_key(text)
    locked = KEYS["P-256"].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    with pytest.raises(CertificateError, match="no usable PEM private key: .*encrypted"):
        load_key(locked)


def test_authority_hash():
    """SHA-1 over the whole SubjectPublicKeyInfo, not over the key alone (RFC 7296 3.7)."""
    info = AUTHORITY.key.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert info in AUTHORITY.encoded[0]
    assert authority_hash(AUTHORITY.chain[0]) == hashlib.sha1(info).digest()
