# SPDX-License-Identifier: GPL-2.0-or-later
"""Algorithms: names, offers, choices; every suite and every kind of certificate once from end to end."""

from __future__ import annotations

from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mn_dsmip.crypto.certs import Identity, issue
from mn_dsmip.crypto.esp import InboundSa, OutboundSa
from mn_dsmip.crypto.groups import GROUPS
from mn_dsmip.crypto.suites import ENCRYPTION, INTEGRITY, PRF
from mn_dsmip.engine.ike import init
from mn_dsmip.engine.ike.events import ChildSaEstablished, ChildSaFailed, IkeFailed, IkeKeysDerived, IkeSaEstablished
from mn_dsmip.engine.ike.proposals import (
    PROFILES,
    Offer,
    Profile,
    build_proposals,
    check_answer,
    choose,
    parse_offer,
)
from mn_dsmip.wire.ikev2_numbers import NotifyType, Protocol
from mn_dsmip.wire.ikev2_payloads import Authentication, Notify, SecurityAssociation
from mn_dsmip.wire.ikev2_proposals import Proposal, Transform
from tests.engine.ike_pair import FOR_HOME, FQDN, NOW, PSK, Pair, Policy, authority, initiator_config, responder_config

IKE_SUITES = (
    "aes128gcm16-prfsha256-curve25519",
    "aes256gcm16-prfsha384-ecp256",
    "aes256gcm16-prfsha512-ecp384",
    "aes256gcm16-prfsha1-ecp521",
    "aes128-sha1-prfsha1-modp1024",
    "aes128-sha256-prfsha256-modp2048",
    "aes256-sha384-prfsha384-modp3072",
    "aes256-sha512-prfsha512-modp4096",
)
ESP_SUITES = (
    "aes128gcm16",
    "aes256gcm16",
    "aes128-sha1",
    "aes128-sha256",
    "aes256-sha384",
    "aes256-sha512",
    "null-sha256",
)


def profile(ike: str, *esp: str) -> Profile:
    return Profile(
        tuple(parse_offer(each, Protocol.IKE) for each in ike.split(",")),
        tuple(parse_offer(each, Protocol.ESP) for each in esp or ("aes128gcm16",)),
    )


def psk_pair(ue: Profile, gateway: Profile | None = None) -> Pair:
    config = initiator_config(psk=PSK, profile=ue)
    return Pair(config, responder_config(profile=gateway or ue), Policy(psk=PSK))


def test_every_algorithm_of_the_tables_is_tried_here() -> None:
    ike = [parse_offer(each, Protocol.IKE) for each in IKE_SUITES]
    esp = [parse_offer(each, Protocol.ESP) for each in ESP_SUITES]
    assert {group for each in ike for group in each.groups} == set(GROUPS.values())
    assert {prf for each in ike for prf in each.prf} == set(PRF.values())
    assert {integrity for each in ike for integrity in each.integrity} == set(INTEGRITY.values())
    ciphers = {cipher for each in ike for cipher in each.encryption}
    assert ciphers == {each for each in ENCRYPTION.values() if each.name != "NULL"}  # RFC 8247 2.1
    assert {cipher for each in esp for cipher in each.encryption} == set(ENCRYPTION.values())
    assert {integrity for each in esp for integrity in each.integrity} == set(INTEGRITY.values())


@pytest.mark.parametrize("suite", IKE_SUITES)
def test_every_ike_suite_end_to_end(suite: str) -> None:
    pair = psk_pair(profile(suite)).established()
    assert pair.ue(IkeKeysDerived) == pair.gateway(IkeKeysDerived)
    chosen, [offer] = pair.keys().chosen, profile(suite).ike
    assert (chosen.prf, chosen.group) == (offer.prf[0], offer.groups[0])
    assert chosen.protection.encryption == offer.encryption[0]
    assert chosen.protection.integrity == (offer.integrity[0] if offer.integrity else None)
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.initiator.delete(pair.now)
    pair.settle()
    pair.quiet()
    assert [line.split()[1] for line in pair.chart()[4:]] == ["CREATE_CHILD_SA"] * 2 + ["INFORMATIONAL"] * 2
    assert pair.initiator.counters == pair.responder.counters == {}


@pytest.mark.parametrize("suite", ESP_SUITES)
def test_every_esp_suite_carries_packets_both_ways(suite: str) -> None:
    pair = psk_pair(profile(IKE_SUITES[0], suite)).established()
    ue, gateway = pair.ue(ChildSaEstablished)[0].child, pair.gateway(ChildSaEstablished)[0].child
    for sender, receiver in ((ue, gateway), (gateway, ue)):
        outbound = OutboundSa(sender.outbound_spi, sender.protection, sender.outbound_keys, bytes)
        inbound = InboundSa(receiver.inbound_spi, receiver.protection, receiver.inbound_keys)
        assert inbound.open(outbound.seal(b"mobility", 135)) == (135, b"mobility")


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_agree_with_themselves(name: str) -> None:
    pair = psk_pair(PROFILES[name]).established()
    expected = {
        "modern": "AES-GCM-16-256/PRF-HMAC-SHA2-256/CURVE25519",
        "legacy": "AES-CBC-128/HMAC-SHA1-96/PRF-HMAC-SHA1/MODP-2048",
    }
    assert pair.ue(IkeSaEstablished)[0].suite == expected[name]


def test_second_proposals_are_found() -> None:
    ue = profile("aes128-sha1-prfsha1-modp1024,aes256gcm16-prfsha256-ecp256", "aes128-sha1", "aes128gcm16")
    gateway = profile("aes256gcm16-prfsha256-ecp256", "aes128gcm16")
    pair = psk_pair(ue, gateway).established()
    assert str(pair.keys().chosen) == "AES-GCM-16-256/PRF-HMAC-SHA2-256/ECP-256"
    [answered] = [each for each in pair.look(pair.wire[-1][1])[1] if isinstance(each, SecurityAssociation)]
    assert [each.number for each in answered.proposals] == [2]
    assert pair.chart()[1].endswith("N(INVALID_KE_PAYLOAD)")  # the first proposal's group had been tried first


@cache
def identity(kind: str) -> Identity:
    key = {
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
    }[kind]()
    return issue(authority(), [FQDN], NOW, key)


@pytest.mark.parametrize(
    ("kind", "announced", "method"),
    [
        ("ed25519", True, 14),
        ("p256", True, 14),
        ("p384", True, 14),
        ("p521", True, 14),
        ("rsa", True, 14),
        ("p256", False, 9),
        ("p384", False, 10),
        ("p521", False, 11),
        ("rsa", False, 1),
    ],
)
def test_every_kind_of_certificate(kind: str, announced: bool, method: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 7427 3: with SIGNATURE_HASH_ALGORITHMS from both, method 14; without, the old ones."""
    if not announced:
        monkeypatch.setattr(init, "hash_algorithms", lambda: Notify(NotifyType.MOBIKE_SUPPORTED))
    pair = Pair(responder=responder_config(identity=identity(kind))).established()
    [auth] = [each for each in pair.look(pair.wire[3][1])[1] if isinstance(each, Authentication)]
    assert auth.method == method


def test_ed25519_needs_an_announcement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "hash_algorithms", lambda: Notify(NotifyType.MOBIKE_SUPPORTED))
    pair = Pair().start().quiet()
    assert pair.gateway(IkeFailed)[0].reason.startswith("an Ed25519 key needs a peer that announces")
    assert pair.ue(IkeFailed)[0].notify == NotifyType.AUTHENTICATION_FAILED


# Refusals, in both directions


def test_no_common_ike_suite() -> None:
    pair = psk_pair(profile("aes128-sha1-prfsha1-modp1024"), PROFILES["modern"]).start()
    pair.run()
    [failed] = pair.ue(IkeFailed)
    assert failed.reason == (
        "the gateway refused our IKE proposal (NO_PROPOSAL_CHOSEN): "
        "we offered AES-CBC-128/HMAC-SHA1-96/PRF-HMAC-SHA1/MODP-1024"
    )
    assert (failed.clause, failed.notify, failed.authentication) == (
        "RFC 7296 2.7",
        NotifyType.NO_PROPOSAL_CHOSEN,
        False,
    )
    refused = pair.gateway(IkeFailed)[0]
    assert refused.reason.startswith(
        "no proposal of the peer is acceptable: it offered AES-CBC-128/PRF-HMAC-SHA1/HMAC-SHA1-96/MODP-1024, "
        "we accept AES-GCM-16-256/AES-GCM-16-128/"
    )
    assert pair.responder.counters["ike-no-proposal"] == 3  # the error is not authenticated: we went on for a while
    assert not pair.responder.sessions


def test_no_common_esp_suite() -> None:
    pair = psk_pair(profile(IKE_SUITES[0], "aes128-sha1"), profile(IKE_SUITES[0], "aes256gcm16")).established()
    [established] = pair.ue(IkeSaEstablished)
    assert established.child_refused == (
        "the gateway refused our ESP proposal (NO_PROPOSAL_CHOSEN): we offered AES-CBC-128/HMAC-SHA1-96"
    )
    assert pair.gateway(IkeSaEstablished)[0].child_refused == (
        "no proposal of the peer is acceptable: it offered AES-CBC-128/HMAC-SHA1-96, we accept AES-GCM-16-256"
    )
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.settle()
    pair.quiet()
    [failed] = pair.ue(ChildSaFailed)
    assert failed.reason == established.child_refused and failed.notify == NotifyType.NO_PROPOSAL_CHOSEN


# Names


@pytest.mark.parametrize(
    ("text", "protocol", "complaint"),
    [
        ("aes256gcm-prfsha256-ecp256", Protocol.IKE, "'aes256gcm' in suite .* is unknown, did you mean aes256gcm16?"),
        ("blowfish", Protocol.ESP, "'blowfish' in suite 'blowfish' is unknown; known are aes128gcm16, "),
        ("prfsha256-ecp256", Protocol.IKE, "names no cipher"),
        ("aes128-aes128gcm16-sha256", Protocol.ESP, "mixes ciphers with and without their own integrity"),
        ("aes128gcm16-sha256", Protocol.ESP, "names an integrity algorithm beside a cipher that has its own"),
        ("aes128", Protocol.ESP, "lacks an integrity algorithm"),
        ("aes128gcm16-ecp256", Protocol.IKE, "lacks a PRF"),
        ("aes128gcm16-prfsha256", Protocol.IKE, "lacks a Diffie-Hellman group"),
        ("null-sha256-prfsha256-ecp256", Protocol.IKE, "NULL encryption is not allowed for IKE"),
        ("aes128gcm16-prfsha256", Protocol.ESP, "names a PRF, which ESP has not"),
    ],
)
def test_wrong_names_are_explained(text: str, protocol: Protocol, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_offer(text, protocol)


def test_names_mean_what_they_say() -> None:
    offer = parse_offer("AES256GCM16-aes128gcm16-prfsha256-x25519-ecp256", Protocol.IKE)
    assert offer == Offer((ENCRYPTION[20, 256], ENCRYPTION[20, 128]), (), (PRF[5],), (GROUPS[31], GROUPS[19]))
    assert str(offer) == "AES-GCM-16-256/AES-GCM-16-128/PRF-HMAC-SHA2-256/CURVE25519/ECP-256"
    [proposal] = build_proposals([offer], Protocol.IKE, b"")
    transforms = [(each.type, each.id, each.key_length) for each in proposal.transforms]
    assert transforms == [(1, 20, 256), (1, 20, 128), (2, 5, None), (4, 31, None), (4, 19, None)]
    [proposal] = build_proposals([parse_offer("aes128-sha256", Protocol.ESP)], Protocol.ESP, b"spi!")
    transforms = [(each.type, each.id, each.key_length) for each in proposal.transforms]
    assert (proposal.spi, transforms) == (b"spi!", [(1, 12, 128), (3, 12, None), (5, 0, None)])


# Choosing and checking a choice (RFC 7296 2.7, 3.3)

GCM = parse_offer("aes256gcm16-aes128gcm16-prfsha256-curve25519-ecp256", Protocol.IKE)
CBC = parse_offer("aes128-sha256-prfsha256-modp2048", Protocol.IKE)
ESP_GCM = parse_offer("aes128gcm16", Protocol.ESP)
A256, A128, SHA256, X25519, P256 = (Transform(1, 20, 256), Transform(1, 20, 128), Transform(2, 5), Transform(4, 31),
                                    Transform(4, 19))  # fmt: skip


def ike(*transforms: Transform, number: int = 1) -> Proposal:
    return Proposal(number, Protocol.IKE, b"", transforms)


def esp(*transforms: Transform) -> Proposal:
    return Proposal(1, Protocol.ESP, b"spi!", transforms)


@pytest.mark.parametrize(
    "proposal",
    [
        ike(P256, SHA256, A256, A128, X25519),  # any order
        ike(A256, SHA256, X25519, Transform(3, 0)),  # INTEG NONE beside a combined mode
        ike(A256, Transform(1, 28), SHA256, Transform(2, 99), X25519, Transform(4, 35)),  # unknown ids
        ike(A256, Transform(1, 20, attributes=b"\x80\x63\x00\x01"), SHA256, X25519),  # unknown attribute
    ],
)
def test_acceptable_proposals(proposal: Proposal) -> None:
    found = choose([proposal], [GCM], Protocol.IKE)
    assert found is not None
    answer, chosen = found
    assert answer == ike(A256, SHA256, X25519)
    assert str(chosen) == "AES-GCM-16-256/PRF-HMAC-SHA2-256/CURVE25519"


@pytest.mark.parametrize(
    "proposal",
    [
        ike(Transform(1, 20), SHA256, X25519),  # AES without Key Length
        ike(Transform(1, 20, 192), SHA256, X25519),
        ike(A256, Transform(2, 5, 256), X25519),  # Key Length where none belongs
        ike(Transform(1, 20, attributes=b"\x80\x63\x00\x01"), SHA256, X25519),
        ike(A256, SHA256, X25519, Transform(3, 12)),  # integrity beside a combined mode
        ike(A256, SHA256, X25519, Transform(3, 0, attributes=b"\x80\x63\x00\x01")),
        ike(A256, SHA256, X25519, Transform(6, 1)),  # an unknown type rules the proposal out
        ike(A256, SHA256),
        ike(A256, X25519),
        ike(),
        Proposal(1, Protocol.ESP, b"", (A256, SHA256, X25519)),
    ],
)
def test_unacceptable_proposals(proposal: Proposal) -> None:
    assert choose([proposal], [GCM], Protocol.IKE) is None


def test_our_preference_decides_between_proposals() -> None:
    cbc = ike(Transform(1, 12, 128), SHA256, Transform(3, 12), Transform(4, 14))
    gcm = ike(A128, SHA256, P256, number=2)
    found = choose([cbc, gcm], [GCM, CBC], Protocol.IKE)
    assert found is not None and found[0] == gcm
    found = choose([cbc, gcm], [CBC, GCM], Protocol.IKE)
    assert found is not None and found[0] == cbc


@pytest.mark.parametrize(
    ("proposal", "good"),
    [
        (esp(A128, Transform(5, 0)), True),
        (esp(A128, Transform(5, 1), Transform(5, 0)), True),
        (esp(A128, Transform(5, 0), Transform(4, 0), Transform(4, 19)), True),
        (esp(A128), True),  # old peers leave ESN out
        (esp(A128, Transform(5, 1)), False),
        (esp(A128, Transform(5, 0), Transform(4, 19)), False),  # insists on another Diffie-Hellman
    ],
)
def test_esp_proposals(proposal: Proposal, good: bool) -> None:
    assert (choose([proposal], [ESP_GCM], Protocol.ESP) is not None) is good


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        ([ike(A128, SHA256, P256)], True),
        ([ike(SHA256, P256, Transform(3, 0), A128)], True),
        ([ike(Transform(1, 12, 128), Transform(3, 12), SHA256, Transform(4, 14), number=2)], True),
        ([], False),
        ([ike(A128, SHA256, P256), ike(A128, SHA256, P256)], False),
        ([ike(A128, SHA256, P256, number=0)], False),
        ([ike(A128, SHA256, P256, number=2)], False),  # algorithms of another proposal
        ([ike(A128, SHA256, P256, number=3)], False),
        ([ike(A128, A256, SHA256, P256)], False),  # two of a type
        ([ike(A128, SHA256, Transform(4, 20))], False),  # not offered
        ([ike(A128, SHA256, P256, Transform(1, 3))], False),
        ([Proposal(1, Protocol.ESP, b"", (A128, SHA256, P256))], False),
    ],
)
def test_answers_must_be_one_choice_out_of_the_offer(answer: list[Proposal], good: bool) -> None:
    assert (check_answer(answer, [GCM, CBC], Protocol.IKE) is not None) is good
