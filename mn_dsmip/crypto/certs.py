# SPDX-License-Identifier: GPL-2.0-or-later
"""X.509 for IKEv2: reading, verifying a chain and its names, and a demonstration authority.

The library's own path validation follows the web's rules (an extended key usage, no trust in a certificate itself); IKE
gateways have other certificates (RFC 4945), so the checks that matter here are written out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv6Address, ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtensionOID, NameOID

from .signatures import PrivateKey, PublicKey
from .suites import CryptoError

LONGEST_CHAIN = 6
"""Certificates from the gateway's to the anchor, both counted."""
_CLOCK_SKEW = timedelta(minutes=5)
_UNDERSTOOD = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.EXTENDED_KEY_USAGE,  # accepted and ignored, as RFC 4945 5.1.3.12 lets a configuration say
}
"""Extensions that may be critical; any other critical one makes a certificate unusable (RFC 5280 4.2)."""
_BROKEN_HASHES = (hashes.MD5, hashes.SHA1)


class CertificateError(CryptoError):
    """A certificate that is not trusted; the text says which and why."""


@contextmanager
def _reading() -> Iterator[None]:
    """A ``CertificateError`` for whatever the library says of a malformed certificate, many parts are read late."""
    try:
        yield
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise CertificateError(f"the certificate cannot be read: {error}") from None


@dataclass(frozen=True)
class Identity:
    """A private key with its certificate chain, the key's own certificate first."""

    key: PrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...]

    @property
    def encoded(self) -> tuple[bytes, ...]:
        """The chain as CERT payloads carry it."""
        return tuple(each.public_bytes(serialization.Encoding.DER) for each in self.chain)


def load_certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """All certificates of a PEM file; ``CertificateError`` when there is none."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError as error:
        raise CertificateError(f"no PEM certificate: {error}") from None


def load_key(pem: bytes) -> PrivateKey:
    """An unencrypted PEM private key; ``CertificateError`` for anything else."""
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"no usable PEM private key: {error}") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise CertificateError("the private key is neither RSA, ECDSA nor Ed25519")
    return key


def authority_hash(certificate: x509.Certificate) -> bytes:
    """What a CERTREQ payload holds of an authority: SHA-1 of its SubjectPublicKeyInfo (RFC 7296 3.7)."""
    info = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha1(info).digest()


@_reading()
def verify_chain(encoded: Sequence[bytes], anchors: Iterable[x509.Certificate], at: datetime) -> x509.Certificate:
    """The peer's certificate once a chain of ``encoded`` (DER, the peer's own first) leads to an anchor.

    ``CertificateError`` names the first thing that is wrong: validity, signature, authority, length, key usage.
    """
    offered = [x509.load_der_x509_certificate(each) for each in encoded]
    if not offered:
        raise CertificateError("the gateway sent no certificate")
    leaf, trusted = offered[0], list(anchors)
    _check_itself(leaf, "digital_signature", at)
    current, depth = leaf, 0
    for _ in range(LONGEST_CHAIN):
        issuer = _issuer(current, trusted)
        if issuer is not None:
            _check_authority(issuer, depth, at)
            return leaf
        issuer = _issuer(current, [each for each in offered[1:] if each != current])
        if issuer is None:
            raise CertificateError(_no_issuer(current, (*trusted, *offered[1:])))
        _check_authority(issuer, depth, at)
        current, depth = issuer, depth + 1
    raise CertificateError(f"the chain of {_name(leaf)} has more than {LONGEST_CHAIN} certificates")


def _no_issuer(certificate: x509.Certificate, known: Iterable[x509.Certificate]) -> str:
    issued = f"{_name(certificate)} was issued by {_text(certificate.issuer)}"
    if any(each.subject == certificate.issuer for each in known):
        return f"{issued}, but the signature on it is not the one of the authority of that name"
    return f"{issued}, which no configured authority vouches for"


def _issuer(certificate: x509.Certificate, candidates: Iterable[x509.Certificate]) -> x509.Certificate | None:
    for candidate in candidates:
        if candidate.subject == certificate.issuer:
            digest = certificate.signature_hash_algorithm
            if isinstance(digest, _BROKEN_HASHES):
                raise CertificateError(f"{_name(certificate)} is signed with {digest.name}, which can be forged")
            try:
                certificate.verify_directly_issued_by(candidate)
            except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
                continue
            return candidate
    return None


def _check_itself(certificate: x509.Certificate, usage: str, at: datetime) -> None:
    _check_validity(certificate, at)
    _check_usage(certificate, usage)
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            oid = extension.oid.dotted_string
            raise CertificateError(f"{_name(certificate)} has a critical extension that is not understood: {oid}")


def _check_validity(certificate: x509.Certificate, at: datetime) -> None:
    if at < certificate.not_valid_before_utc - _CLOCK_SKEW:
        raise CertificateError(
            f"{_name(certificate)} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        )
    if at > certificate.not_valid_after_utc:
        raise CertificateError(f"{_name(certificate)} expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")


def _check_authority(certificate: x509.Certificate, below: int, at: datetime) -> None:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise CertificateError(f"{_name(certificate)} is no certification authority") from None
    if not constraints.ca:
        raise CertificateError(f"{_name(certificate)} is no certification authority")
    if constraints.path_length is not None and below > constraints.path_length:
        raise CertificateError(f"the chain below {_name(certificate)} is longer than it allows")
    _check_itself(certificate, "key_cert_sign", at)


def _check_usage(certificate: x509.Certificate, usage: str) -> None:
    """A key usage extension, where there is one, must allow ``usage`` (RFC 4945 5.1.3.2)."""
    try:
        allowed = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not getattr(allowed, usage):
        raise CertificateError(f"the key usage of {_name(certificate)} does not allow {usage.replace('_', ' ')}")


def _name(certificate: x509.Certificate) -> str:
    return f"the certificate of {_text(certificate.subject) or 'an unnamed subject'}"


def _text(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string()


@_reading()
def names_of(certificate: x509.Certificate) -> tuple[str | IPv4Address | IPv6Address, ...]:
    """DNS names, as text in small letters, and IP addresses of the subjectAltName."""
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = alternative.get_values_for_type(x509.IPAddress)
    names = [_canonical(each) for each in alternative.get_values_for_type(x509.DNSName)]
    return (*names, *(each for each in addresses if isinstance(each, IPv4Address | IPv6Address)))


def check_name(certificate: x509.Certificate, expected: str) -> None:
    """``CertificateError`` unless the subjectAltName holds ``expected``, an IP address or exactly that DNS name."""
    names = names_of(certificate)
    wanted: str | IPv4Address | IPv6Address
    try:
        wanted = ip_address(expected)
    except ValueError:
        wanted = _canonical(expected)
    if wanted not in names:
        listed = ", ".join(str(each) for each in names) or "no name at all"
        raise CertificateError(f"{_name(certificate)} is for {listed}, not for {expected}")


def _canonical(name: str) -> str:
    return name.lower().rstrip(".")


@_reading()
def public_key(certificate: x509.Certificate) -> PublicKey:
    """The certificate's key; ``CertificateError`` when no AUTH method goes with it."""
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise CertificateError("the certificate's key is neither RSA, ECDSA nor Ed25519")
    return key


def create_authority(
    name: str, at: datetime, key: PrivateKey | None = None, lifetime: timedelta = timedelta(days=3650)
) -> Identity:
    """A self-signed demonstration authority."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key, at, lifetime)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    builder = builder.add_extension(_usage(authority=True), critical=True)
    return Identity(key, (builder.sign(key, _hash_for(key)),))


def issue(
    authority: Identity,
    names: Sequence[str | IPv4Address | IPv6Address],
    at: datetime,
    key: PrivateKey | None = None,
    lifetime: timedelta = timedelta(days=825),
) -> Identity:
    """A gateway's certificate for ``names`` (DNS names and addresses), signed by ``authority``."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(names[0])[:64])])
    builder = _builder(subject, authority.chain[0].subject, key, at, lifetime)
    builder = builder.add_extension(x509.SubjectAlternativeName([_general(each) for each in names]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(authority=False), critical=True)
    return Identity(key, (builder.sign(authority.key, _hash_for(authority.key)),))


def _general(name: str | IPv4Address | IPv6Address) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(str(name))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, at: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(at).not_valid_after(at + lifetime)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=authority, crl_sign=authority, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _hash_for(key: PrivateKey) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def to_pem(identity: Identity) -> tuple[bytes, bytes]:
    """Key and certificate chain as PEM."""
    key = identity.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key, b"".join(each.public_bytes(serialization.Encoding.PEM) for each in identity.chain)


def utc_now() -> datetime:
    """The wall clock, for certificates."""
    return datetime.now(timezone.utc)
