# SPDX-License-Identifier: GPL-2.0-or-later
"""AUTH by signature: methods 1 (RSA), 9 to 11 (ECDSA, RFC 4754) and 14 (RFC 7427, RFC 8420)."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from .suites import AuthenticityError, CryptoError

RSA, ECDSA_256, ECDSA_384, ECDSA_521, DIGITAL_SIGNATURE = 1, 9, 10, 11, 14
"""AUTH methods (RFC 7296 3.8, RFC 4754 7, RFC 7427 3)."""
SHA2_256, SHA2_384, SHA2_512, IDENTITY = 2, 3, 4, 5
"""Hash algorithms of SIGNATURE_HASH_ALGORITHMS (RFC 7427 7, RFC 8420 2)."""
OFFERED_HASHES = (SHA2_256, SHA2_384, SHA2_512, IDENTITY)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
MINIMUM_RSA_BITS = 2048
"""RFC 8247 4."""

_HASHES: dict[int, hashes.HashAlgorithm] = {
    SHA2_256: hashes.SHA256(),
    SHA2_384: hashes.SHA384(),
    SHA2_512: hashes.SHA512(),
}
_CURVES: dict[str, tuple[int, int]] = {
    "secp256r1": (ECDSA_256, SHA2_256),
    "secp384r1": (ECDSA_384, SHA2_384),
    "secp521r1": (ECDSA_521, SHA2_512),
}


def _der(text: str) -> bytes:
    return bytes.fromhex(text)


# AlgorithmIdentifiers (RFC 7427 A, RFC 8410 3, RFC 4055 2.1 and 3.1); the last octet of the hash's OID tells the hash.
_PKCS1 = {_der(f"300d06092a864886f70d0101{0x0B + n:02x}0500"): SHA2_256 + n for n in range(3)}
_ECDSA = {_der(f"300a06082a8648ce3d0403{0x02 + n:02x}"): SHA2_256 + n for n in range(3)}
# PSS comes as DER wants it, without the default trailerField, or as RFC 7427 A.4.3 prints it, with it; we write DER.
_PSS = {
    _der(
        f"30{0x41 + len(trailer) // 2:02x}06092a864886f70d01010a30{0x34 + len(trailer) // 2:02x}"
        f"a00f300d060960864801650304020{1 + n}0500"
        f"a11c301a06092a864886f70d010108300d060960864801650304020{1 + n}0500"
        f"a2030201{(32, 48, 64)[n]:02x}{trailer}"
    ): SHA2_256 + n
    for trailer in ("", "a303020101")
    for n in range(3)
}
_ED25519 = _der("300506032b6570")


def sign(key: PrivateKey, data: bytes, peer_hashes: tuple[int, ...]) -> tuple[int, bytes]:
    """AUTH method and data; ``peer_hashes`` is what the peer announced, empty when it announced nothing.

    With an announcement method 14 is the only choice (RFC 7427 3); without one the old methods of RFC 7296 serve.
    """
    if peer_hashes:
        identifier, signature = _sign_identified(key, data, peer_hashes)
        return DIGITAL_SIGNATURE, bytes((len(identifier),)) + identifier + signature
    if isinstance(key, rsa.RSAPrivateKey):
        return RSA, key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        method, algorithm = _curve(key.curve)
        r, s = decode_dss_signature(_ecdsa(key, data, algorithm))
        length = (key.curve.key_size + 7) // 8
        return method, r.to_bytes(length, "big") + s.to_bytes(length, "big")
    raise CryptoError("an Ed25519 key needs a peer that announces SIGNATURE_HASH_ALGORITHMS with Identity (RFC 8420 2)")


def _sign_identified(key: PrivateKey, data: bytes, peer_hashes: tuple[int, ...]) -> tuple[bytes, bytes]:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        if IDENTITY not in peer_hashes:
            raise CryptoError("the peer does not accept Ed25519: it does not announce the Identity hash (RFC 8420 2)")
        return _ED25519, key.sign(data)
    wanted = _curve(key.curve)[1] if isinstance(key, ec.EllipticCurvePrivateKey) else SHA2_256
    algorithm = next((each for each in (wanted, SHA2_256, SHA2_384, SHA2_512) if each in peer_hashes), None)
    if algorithm is None:
        raise CryptoError(f"the peer accepts only hash algorithms {list(peer_hashes)}, none of SHA-2 (RFC 7427 4)")
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return _identifier(_ECDSA, algorithm), _ecdsa(key, data, algorithm)
    digest = _HASHES[algorithm]
    return _identifier(_PSS, algorithm), key.sign(data, _pss(digest), digest)


def _ecdsa(key: ec.EllipticCurvePrivateKey, data: bytes, algorithm: int) -> bytes:
    try:
        return key.sign(data, ec.ECDSA(_HASHES[algorithm], deterministic_signing=True))
    except (TypeError, UnsupportedAlgorithm):  # an older library or OpenSSL: as good, but not reproducible
        return key.sign(data, ec.ECDSA(_HASHES[algorithm]))


def _pss(digest: hashes.HashAlgorithm) -> padding.PSS:
    return padding.PSS(padding.MGF1(digest), digest.digest_size)


def _identifier(table: dict[bytes, int], algorithm: int) -> bytes:
    return next(identifier for identifier, number in table.items() if number == algorithm)


def _curve(curve: ec.EllipticCurve) -> tuple[int, int]:
    if curve.name not in _CURVES:
        raise CryptoError(f"curve {curve.name} has no AUTH method (RFC 4754 7)")
    return _CURVES[curve.name]


def verify(key: PublicKey, method: int, data: bytes, signed: bytes) -> None:
    """Check AUTH data; ``AuthenticityError`` when it is wrong, ``CryptoError`` when it cannot be judged."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MINIMUM_RSA_BITS:
        raise CryptoError(f"an RSA key of {key.key_size} bits is too short (RFC 8247 4)")
    try:
        if method == DIGITAL_SIGNATURE:
            _verify_identified(key, data, signed)
        elif method == RSA and isinstance(key, rsa.RSAPublicKey):
            _verify_rsa(key, data, signed)
        elif isinstance(key, ec.EllipticCurvePublicKey) and method == _curve(key.curve)[0]:
            _verify_plain_ecdsa(key, data, signed)
        else:
            raise CryptoError(f"AUTH method {method} does not go with the certificate's key")
    except (InvalidSignature, ValueError):
        raise AuthenticityError("the signature in AUTH is wrong") from None


def _verify_plain_ecdsa(key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes) -> None:
    """r|s, each as long as the curve's order (RFC 4754 7)."""
    half = (key.curve.key_size + 7) // 8
    if len(signature) != 2 * half:
        raise InvalidSignature
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(_HASHES[_curve(key.curve)[1]]))


def _verify_rsa(key: rsa.RSAPublicKey, signature: bytes, signed: bytes) -> None:
    """PKCS#1 v1.5 names its hash inside; SHA-1, RFC 7296's default, is refused by name (RFC 8247 3.2)."""
    for algorithm in (SHA2_256, SHA2_384, SHA2_512):
        try:
            return key.verify(signature, signed, padding.PKCS1v15(), _HASHES[algorithm])
        except InvalidSignature:
            continue
    key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA1())
    raise AuthenticityError("the signature in AUTH is made with SHA-1, which is not safe (RFC 8247 3.2)")


def _verify_identified(key: PublicKey, data: bytes, signed: bytes) -> None:
    length = data[0] if data else 0
    identifier, signature = data[1 : 1 + length], data[1 + length :]
    if identifier == _ED25519 and isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, signed)
    elif identifier in _ECDSA and isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, signed, ec.ECDSA(_HASHES[_ECDSA[identifier]]))
    elif identifier in _PSS and isinstance(key, rsa.RSAPublicKey):
        digest = _HASHES[_PSS[identifier]]
        key.verify(signature, signed, _pss(digest), digest)
    elif identifier in _PKCS1 and isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, signed, padding.PKCS1v15(), _HASHES[_PKCS1[identifier]])
    else:
        raise CryptoError(
            f"signature algorithm {identifier.hex() or 'missing'} is unknown or not of the certificate's key"
        )
