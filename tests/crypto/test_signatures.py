# SPDX-License-Identifier: GPL-2.0-or-later
"""AUTH by signature: NIST's and the RFCs' vectors, who may use which method, and every kind of wrong data."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.crypto.signatures import (
    DIGITAL_SIGNATURE,
    ECDSA_256,
    ECDSA_384,
    ECDSA_521,
    IDENTITY,
    OFFERED_HASHES,
    RSA,
    SHA2_256,
    SHA2_384,
    SHA2_512,
    PrivateKey,
    sign,
    verify,
)
from mn_dsmip.crypto.suites import AuthenticityError, CryptoError
from tests.crypto.published import load, unhex

VECTORS = load("signatures.json")
IDENTIFIERS = {name: unhex(value) for name, value in VECTORS["identifiers"].items()}
CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
PLAIN_METHOD = {"P-256": ECDSA_256, "P-384": ECDSA_384, "P-521": ECDSA_521}
OWN_HASH = {"P-256": SHA2_256, "P-384": SHA2_384, "P-521": SHA2_512}
NAMES = {SHA2_256: "sha256", SHA2_384: "sha384", SHA2_512: "sha512"}
SHA1 = 1
DATA = b"what AUTH covers"

KEYS: dict[str, PrivateKey] = {
    "RSA": rsa.generate_private_key(65537, 2048),
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "P-521": ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}
each_key = pytest.mark.parametrize("name", KEYS)


def identified(identifier: bytes, signature: bytes) -> bytes:
    return bytes((len(identifier),)) + identifier + signature


@pytest.mark.parametrize("vector", VECTORS["ecdsa"], ids=lambda each: f"{each['curve']} {each['hash']} {each['why']}")
def test_ecdsa(vector):
    """The same signature as method 14 carries it (DER) and as methods 9 to 11 do (r | s, RFC 4754 7)."""
    curve = CURVES[vector["curve"]]
    r, s = int(vector["r"], 16), int(vector["s"], 16)
    length = (curve.key_size + 7) // 8
    plain = r.to_bytes(length, "big") + s.to_bytes(length, "big")
    der = identified(IDENTIFIERS[f"ecdsa_{NAMES[vector['hash']]}"], encode_dss_signature(r, s))
    try:
        key = ec.EllipticCurvePublicNumbers(int(vector["x"], 16), int(vector["y"], 16), curve).public_key()
    except ValueError:  # "Q changed" may leave the curve
        assert not vector["valid"]
        return
    checks = [(DIGITAL_SIGNATURE, der)]
    if vector["hash"] == OWN_HASH[vector["curve"]]:
        checks.append((PLAIN_METHOD[vector["curve"]], plain))
    for method, data in checks:
        if vector["valid"]:
            verify(key, method, data, unhex(vector["message"]))
        else:
            with pytest.raises(AuthenticityError):
                verify(key, method, data, unhex(vector["message"]))


@pytest.mark.parametrize("vector", VECTORS["rsa"], ids=lambda each: f"{each['hash_name']} {each['why'][:12]}")
def test_rsa(vector):
    """PKCS#1 v1.5; what is right with SHA-1 is refused nevertheless (RFC 8247 3.2)."""
    key = rsa.RSAPublicNumbers(int(vector["e"], 16), int(vector["n"], 16)).public_key()
    identifier = IDENTIFIERS[f"rsa_{vector['hash_name'].lower()}"]
    good = vector["valid"] and vector["hash_name"] != "SHA1"
    for method, data in (
        (RSA, unhex(vector["signature"])),
        (DIGITAL_SIGNATURE, identified(identifier, unhex(vector["signature"]))),
    ):
        if good:
            verify(key, method, data, unhex(vector["message"]))
        else:
            with pytest.raises(CryptoError):
                verify(key, method, data, unhex(vector["message"]))


@pytest.mark.parametrize("vector", VECTORS["ed25519"], ids=lambda each: each["public"][:6])
def test_ed25519(vector):
    """AlgorithmIdentifier 300506032b6570 and the signature of the message itself (RFC 8410 3, RFC 8420 2)."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(unhex(vector["private"]))
    wanted = identified(unhex("300506032b6570"), unhex(vector["signature"]))
    assert sign(key, unhex(vector["message"]), (SHA2_256, IDENTITY)) == (DIGITAL_SIGNATURE, wanted)
    public = ed25519.Ed25519PublicKey.from_public_bytes(unhex(vector["public"]))
    verify(public, DIGITAL_SIGNATURE, wanted, unhex(vector["message"]))
    with pytest.raises(AuthenticityError):
        verify(public, DIGITAL_SIGNATURE, wanted, unhex(vector["message"]) + b"\0")


@pytest.mark.parametrize("identifier", ["pss_sha256", None], ids=["with trailerField", "without"])
@pytest.mark.parametrize("number", [SHA2_256, SHA2_384, SHA2_512])
def test_pss_as_others_write_it(identifier, number):
    """RFC 7427 A.4.3 prints the default trailerField, DER leaves it out: both come from peers."""
    key, digest = KEYS["RSA"], {2: hashes.SHA256(), 3: hashes.SHA384(), 4: hashes.SHA512()}[number]
    signature = key.sign(DATA, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    printed = bytearray(IDENTIFIERS["pss_sha256"])
    for place in (0x1D, 0x3B):  # the last octet of the two hash OIDs, then the salt's length
        assert printed[place] == 1
        printed[place] = number - 1
    printed[0x42] = digest.digest_size
    if identifier is None:
        printed = bytearray(bytes(printed[:-5]))
        printed[1], printed[14] = printed[1] - 5, printed[14] - 5
    verify(key.public_key(), DIGITAL_SIGNATURE, identified(bytes(printed), signature), DATA)


def test_what_we_sign_is_named_as_rfc_7427_names_it():
    for name, identifier in (("P-256", "ecdsa_sha256"), ("P-384", "ecdsa_sha384"), ("P-521", "ecdsa_sha512")):
        _, data = sign(KEYS[name], DATA, OFFERED_HASHES)
        assert data[1 : 1 + data[0]] == IDENTIFIERS[identifier]
    _, data = sign(KEYS["RSA"], DATA, OFFERED_HASHES)
    printed = IDENTIFIERS["pss_sha256"]  # without the default trailerField, as DER wants it
    assert (
        data[1 : 1 + data[0]]
        == bytes((0x30, printed[1] - 5)) + printed[2:14] + bytes((printed[14] - 5,)) + printed[15:-5]
    )


@each_key
def test_method_14_whenever_the_peer_announces_hashes(name):
    method, data = sign(KEYS[name], DATA, OFFERED_HASHES)
    assert method == DIGITAL_SIGNATURE
    verify(KEYS[name].public_key(), method, data, DATA)


@pytest.mark.parametrize(("name", "method"), [("RSA", RSA), *PLAIN_METHOD.items()])
def test_the_old_methods_for_a_peer_that_announces_nothing(name, method):
    used, data = sign(KEYS[name], DATA, ())
    assert used == method
    assert len(data) == {"RSA": 256, "P-256": 64, "P-384": 96, "P-521": 132}[name]
    verify(KEYS[name].public_key(), method, data, DATA)


def test_the_method_is_the_one_of_the_curve():
    """RFC 4754 7: 9 for P-256, 10 for P-384, 11 for P-521, and no other."""
    for name, own in PLAIN_METHOD.items():
        _, data = sign(KEYS[name], DATA, ())
        for method in PLAIN_METHOD.values():
            if method != own:
                with pytest.raises(CryptoError, match=f"AUTH method {method} does not go with"):
                    verify(KEYS[name].public_key(), method, data, DATA)


@pytest.mark.parametrize("offered", [SHA2_256, SHA2_384, SHA2_512])
@pytest.mark.parametrize("name", ["RSA", "P-256", "P-384", "P-521"])
def test_the_hash_is_one_that_the_peer_announces(name, offered):
    """Also when it is not the one that fits the curve (RFC 7427 4)."""
    method, data = sign(KEYS[name], DATA, (SHA1, offered, 99))
    identifier = data[1 : 1 + data[0]]
    if name == "RSA":
        assert identifier[0x1D] == identifier[0x3B] == offered - 1
    else:
        assert identifier == IDENTIFIERS[f"ecdsa_{NAMES[offered]}"]
    verify(KEYS[name].public_key(), method, data, DATA)


@pytest.mark.parametrize("name", ["RSA", "P-256"])
def test_no_signature_for_a_peer_with_sha1_only(name):
    with pytest.raises(CryptoError, match=r"accepts only hash algorithms \[1\], none of SHA-2"):
        sign(KEYS[name], DATA, (SHA1,))


@pytest.mark.parametrize("announced", [(), (SHA2_256, SHA2_512)])
def test_no_ed25519_signature_for_a_peer_without_identity(announced):
    with pytest.raises(CryptoError, match="Identity"):
        sign(KEYS["Ed25519"], DATA, announced)


@each_key
def test_every_changed_octet_is_noticed(name):
    method, data = sign(KEYS[name], DATA, OFFERED_HASHES)
    public = KEYS[name].public_key()
    for place in range(len(data)):
        changed = data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]
        with pytest.raises(CryptoError):
            verify(public, method, changed, DATA)
    for length in range(len(data)):
        with pytest.raises(CryptoError):
            verify(public, method, data[:length], DATA)
    with pytest.raises(AuthenticityError):
        verify(public, method, data, DATA[:-1])


@pytest.mark.parametrize("name", ["RSA", "P-256", "P-521"])
def test_every_changed_octet_is_noticed_by_the_old_methods(name):
    method, data = sign(KEYS[name], DATA, ())
    public = KEYS[name].public_key()
    for place in range(len(data)):
        with pytest.raises(AuthenticityError):
            verify(public, method, data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :], DATA)
        with pytest.raises(AuthenticityError):
            verify(public, method, data[:place], DATA)
    with pytest.raises(AuthenticityError):
        verify(public, method, data + b"\0", DATA)


@each_key
@given(st.integers(0, 255), st.binary(max_size=120))
def test_noise_is_never_a_signature(name, method, noise):
    with pytest.raises(CryptoError):
        verify(KEYS[name].public_key(), method, noise, DATA)


@pytest.mark.parametrize("signer", KEYS)
@pytest.mark.parametrize("claimed", KEYS)
def test_another_kind_of_key_is_refused(signer, claimed):
    if signer == claimed:
        return
    for announced in (OFFERED_HASHES, ()):
        if signer == "Ed25519" and not announced:
            continue
        method, data = sign(KEYS[signer], DATA, announced)
        with pytest.raises(CryptoError):
            verify(KEYS[claimed].public_key(), method, data, DATA)


@pytest.mark.parametrize("name", ["rsa_sha1", "ecdsa_sha1", "pss_empty", "pss_default"])
def test_sha1_is_refused_in_method_14(name):
    """Genuine signatures with SHA-1, RFC 7427's own identifiers (RFC 8247 3.2: MUST NOT)."""
    key, digest = KEYS["P-256" if name.startswith("ecdsa") else "RSA"], hashes.SHA1()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(DATA, ec.ECDSA(digest))
    else:
        scheme = padding.PKCS1v15() if name == "rsa_sha1" else padding.PSS(padding.MGF1(digest), 20)
        signature = key.sign(DATA, scheme, digest)
    with pytest.raises(CryptoError, match="unknown or not of the certificate's key"):
        verify(key.public_key(), DIGITAL_SIGNATURE, identified(IDENTIFIERS[name], signature), DATA)


def test_sha1_is_refused_in_method_1():
    signature = KEYS["RSA"].sign(DATA, padding.PKCS1v15(), hashes.SHA1())
    with pytest.raises(AuthenticityError, match="made with SHA-1, which is not safe"):
        verify(KEYS["RSA"].public_key(), RSA, signature, DATA)


def test_short_rsa_keys_are_refused():
    key = rsa.generate_private_key(65537, 1024)
    with pytest.raises(CryptoError, match="RSA key of 1024 bits is too short"):
        verify(key.public_key(), RSA, key.sign(DATA, padding.PKCS1v15(), hashes.SHA256()), DATA)


def test_unsuitable_keys_cannot_sign():
    with pytest.raises(CryptoError, match="curve secp256k1 has no AUTH method"):
        sign(ec.generate_private_key(ec.SECP256K1()), DATA, OFFERED_HASHES)


def test_other_methods_are_refused():
    for method in (0, 2, 3, 12, 13, 15, 201):
        with pytest.raises(CryptoError, match=f"AUTH method {method} does not go with"):
            verify(KEYS["RSA"].public_key(), method, bytes(256), DATA)
    ed448_identifier = unhex("300506032b6571")
    signature = ed448.Ed448PrivateKey.generate().sign(DATA)
    with pytest.raises(CryptoError, match="300506032b6571 is unknown"):
        verify(KEYS["Ed25519"].public_key(), DIGITAL_SIGNATURE, identified(ed448_identifier, signature), DATA)
