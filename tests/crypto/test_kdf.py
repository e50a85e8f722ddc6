# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys of IKE SAs, child SAs and AUTH: NIST's vector and a whole published bootstrap, with GCM and with CBC."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import fields

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from mn_dsmip.crypto.groups import GROUPS
from mn_dsmip.crypto.kdf import (
    ChildKeys,
    IkeKeys,
    child_keys,
    ike_keys,
    rekey_skeyseed,
    shared_key_auth,
    signed_octets,
    skeyseed,
)
from mn_dsmip.crypto.signatures import sign, verify
from mn_dsmip.crypto.suites import PRF, AuthenticityError
from tests.crypto.published import PROTECTIONS, constant, load, unhex

NIST = load("ikev2_keys.json")
BOOTSTRAP = load("ikev2.json")
MSK = unhex(load("eap_aka.json")["exchange"]["msk"])
NONCES = unhex(BOOTSTRAP["initiator_nonce"] + BOOTSTRAP["responder_nonce"])
SPIS = unhex(BOOTSTRAP["initiator_spi"] + BOOTSTRAP["responder_spi"])
# ID payloads without their generic header: type, three zero octets, data (RFC 7296 2.15, 3.5)
ID_INITIATOR = b"\x03\0\0\0" + b"0001010123456789@nai.epc.mnc001.mcc001.3gppnetwork.org"
ID_RESPONDER = b"\x02\0\0\0" + b"internet"


def concatenated(keys: IkeKeys | ChildKeys) -> bytes:
    return b"".join(getattr(keys, each.name) for each in fields(keys))


def message(name: str) -> bytes:
    return unhex(next(each["octets"] for each in BOOTSTRAP["messages"] if each["name"] == name))


@pytest.fixture(name="keys")
def _keys() -> IkeKeys:
    seed = skeyseed(PRF[5], NONCES, unhex(BOOTSTRAP["shared"]))
    return ike_keys(PRF[5], PROTECTIONS["GCM-128"], seed, NONCES, SPIS)


class TestNist:
    """The whole chain with PRF_HMAC_SHA1: SKEYSEED, SK_*, child SAs with and without a new exchange, rekeying."""

    prf = PRF[NIST["prf"]]
    nonces = unhex(NIST["ni"] + NIST["nr"])
    new_shared = unhex(NIST["g_ir_new"])
    sk_d = unhex(NIST["key_material"])[:20]

    def test_skeyseed(self):
        assert skeyseed(self.prf, self.nonces, unhex(NIST["g_ir"])) == unhex(NIST["skeyseed"])

    def test_sk(self):
        """132 octets: three PRF keys, two HMAC-SHA1-96 keys and two keys of 16 octets; we cut ours from the same."""
        spis = unhex(NIST["spi_i"] + NIST["spi_r"])
        keys = ike_keys(self.prf, PROTECTIONS["CBC-128 SHA1"], unhex(NIST["skeyseed"]), self.nonces, spis)
        assert concatenated(keys) == unhex(NIST["key_material"])[: 3 * 20 + 2 * 20 + 2 * 16]
        assert keys.d == self.sk_d

    def test_child_keys(self):
        ours, theirs = child_keys(self.prf, PROTECTIONS["CBC-128 SHA1"], self.sk_d, self.nonces)
        assert concatenated(ours) + concatenated(theirs) == unhex(NIST["child"])[: 2 * (16 + 20)]

    def test_child_keys_of_a_new_exchange(self):
        pair = child_keys(self.prf, PROTECTIONS["CBC-128 SHA1"], self.sk_d, self.nonces, self.new_shared)
        assert b"".join(concatenated(each) for each in pair) == unhex(NIST["child_with_dh"])[: 2 * (16 + 20)]

    def test_rekeying(self):
        assert rekey_skeyseed(self.prf, self.sk_d, self.nonces, self.new_shared) == unhex(NIST["rekey_skeyseed"])


class TestBootstrap:
    """Curve25519, PRF_HMAC_SHA2_256, AES-GCM-16 with 128 bits; the same values again with AES-CBC."""

    def test_exchange(self):
        initiator = GROUPS[31].generate(constant(unhex(BOOTSTRAP["initiator_private"])))
        responder = GROUPS[31].generate(constant(unhex(BOOTSTRAP["responder_private"])))
        assert initiator.public == unhex(BOOTSTRAP["initiator_public"])
        assert responder.public == unhex(BOOTSTRAP["responder_public"])
        assert initiator.shared(responder.public) == unhex(BOOTSTRAP["shared"])

    def test_keys_with_a_combined_mode(self, keys):
        assert skeyseed(PRF[5], NONCES, unhex(BOOTSTRAP["shared"])) == unhex(BOOTSTRAP["skeyseed"])
        published = BOOTSTRAP["keys"]
        assert {name: getattr(keys, name) for name in published} == {k: unhex(v) for k, v in published.items()}
        assert keys.ai == keys.ar == b""

    def test_keys_with_integrity(self):
        seed = unhex(BOOTSTRAP["skeyseed"])
        keys = ike_keys(PRF[5], PROTECTIONS["CBC-128 SHA2-256"], seed, NONCES, SPIS)
        published = {name[3:]: unhex(value) for name, value in BOOTSTRAP["cbc"].items() if name.startswith("SK_")}
        assert {name: getattr(keys, name) for name in published} == published
        assert len(published) == 6

    def test_child_keys(self, keys):
        """The child SA for the home address: nonces 20..3f and a0..bf of its own CREATE_CHILD_SA."""
        nonces = bytes(range(0x20, 0x40)) + bytes(range(0xA0, 0xC0))
        ours, theirs = child_keys(PRF[5], PROTECTIONS["GCM-128"], keys.d, nonces)
        assert ours.encryption + theirs.encryption == unhex(BOOTSTRAP["child_keymat"])
        assert ours.integrity == theirs.integrity == b""

    def test_signed_octets_and_the_gateways_signature(self, keys):
        """Message 4: Ed25519 over the gateway's IKE_SA_INIT response, Ni and its ID payload."""
        signed = signed_octets(PRF[5], message("I-2"), NONCES[:32], keys.pr, ID_RESPONDER)
        body = unhex(BOOTSTRAP["auth_responder_signature"])
        public = ed25519.Ed25519PublicKey.from_public_bytes(unhex(BOOTSTRAP["ed25519_public"]))
        verify(public, body[0], body[4:], signed)
        private = ed25519.Ed25519PrivateKey.from_private_bytes(unhex(BOOTSTRAP["ed25519_private"]))
        assert sign(private, signed, (2, 5)) == (14, body[4:])
        with pytest.raises(AuthenticityError):
            verify(public, body[0], body[4:], signed + b"\0")

    def test_auth_with_the_msk(self, keys):
        """Messages 7 and 8; the gateway's covers the same octets as its signature did."""
        assert PRF[5](MSK, b"Key Pad for IKEv2") == unhex(BOOTSTRAP["prf_msk_key_pad"])
        ours = signed_octets(PRF[5], message("I-1"), NONCES[32:], keys.pi, ID_INITIATOR)
        theirs = signed_octets(PRF[5], message("I-2"), NONCES[:32], keys.pr, ID_RESPONDER)
        assert shared_key_auth(PRF[5], MSK, ours) == unhex(BOOTSTRAP["auth_initiator"])
        assert shared_key_auth(PRF[5], MSK, theirs) == unhex(BOOTSTRAP["auth_responder"])


@pytest.mark.parametrize("number", PRF)
@pytest.mark.parametrize("protection", PROTECTIONS.values(), ids=PROTECTIONS)
def test_every_suite_gets_keys_of_its_lengths(number, protection):
    prf = PRF[number]
    keys = ike_keys(prf, protection, bytes(prf.length), NONCES, SPIS)
    integrity, encryption = protection.integrity_key_length, protection.encryption.key_length
    assert [len(getattr(keys, each.name)) for each in fields(keys)] == [
        prf.length, integrity, integrity, encryption, encryption, prf.length, prf.length
    ]  # fmt: skip
    for child in child_keys(prf, protection, keys.d, NONCES):
        assert (len(child.encryption), len(child.integrity)) == (encryption, integrity)
    shown = repr(keys) + repr(child)
    assert not any(key.hex() in shown or repr(key)[2:-1] in shown for key in (keys.d, keys.pi, keys.pr))


def test_a_rekeyed_sa_uses_the_old_prf_for_skeyseed():
    """prf(SK_d (old), g^ir (new) | Ni | Nr) (RFC 7296 2.18)."""
    assert rekey_skeyseed(PRF[2], b"old", b"nonces", b"shared") == hmac.digest(b"old", b"sharednonces", hashlib.sha1)
