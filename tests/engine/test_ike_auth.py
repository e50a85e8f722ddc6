# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE_AUTH with the wrong people: certificates, names, secrets, EAP; who is refused, and what each side says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

from mn_dsmip.crypto.certs import Identity, issue
from mn_dsmip.engine.ike.aka_common import AKA
from mn_dsmip.engine.ike.aka_peer import AkaPeer
from mn_dsmip.engine.ike.eap_method import EapResult, EapSuccess
from mn_dsmip.engine.ike.events import IkeFailed, IkeSaClosed, IkeSaEstablished, Refusal
from mn_dsmip.wire.ikev2_numbers import NotifyType
from mn_dsmip.wire.ikev2_payloads import Authentication, Certificate, Eap, IdResponder, Payload
from tests.engine.ike_pair import (
    FQDN,
    IMSI,
    NOW,
    OWN_NAME,
    PSK,
    Pair,
    Policy,
    authority,
    gateway_identity,
    initiator_config,
    responder_config,
    usim,
)
from tests.engine.ike_trouble import attempt, change_answer, nobody_in, replaced

OTHER = "another.example.net"


# The gateway's certificate


def certificate(name: str, **changes: Any) -> Identity:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    return issue(changes.pop("by", authority()), [name], changes.pop("at", NOW), key, **changes)


@pytest.mark.parametrize(
    ("identity", "complaint"),
    [
        (certificate(OTHER), f"the certificate of {OTHER} is for {OTHER}, not for {FQDN}"),
        (certificate(OWN_NAME), f"the certificate of {OWN_NAME} is for {OWN_NAME}, not for {FQDN}"),
        (certificate(FQDN + ".example.org"), f"is for {FQDN}.example.org, not for {FQDN}"),
        (certificate(FQDN, at=NOW - timedelta(days=900)), "expired on 2025-10-18 12:00 UTC"),
        (certificate(FQDN, at=NOW + timedelta(days=1)), "is not valid before 2026-01-02 12:00 UTC"),
        (
            certificate(FQDN, by=authority("Other CA")),
            "was issued by Other CA, which no configured authority vouches for",
        ),
        (Identity(certificate(FQDN).key, ()), "the gateway sent no certificate"),
        (Identity(gateway_identity().key, certificate(FQDN).chain), "the signature in AUTH is wrong"),
    ],
)
def test_certificates_that_are_not_trusted(identity: Identity, complaint: str) -> None:
    pair = attempt(identity=identity)
    failed = nobody_in(pair)
    assert failed.reason.startswith("the gateway is not trusted: ") and complaint in failed.reason
    assert failed.authentication and failed.clause == "RFC 7296 2.15"
    # No EAP answer has left, only the reason why.
    assert pair.chart()[4:] == ["--> INFORMATIONAL 2 N(AUTHENTICATION_FAILED)", "<-- INFORMATIONAL 2"]
    assert pair.initiator.counters["ike-authentication"] == 1
    [told] = pair.gateway(IkeFailed)
    assert told.reason == ("the peer reports AUTHENTICATION_FAILED: it does not accept our authentication or identity")


def test_a_name_in_the_subject_does_not_count() -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, FQDN)])
    key = ed25519.Ed25519PrivateKey.generate()
    builder = x509.CertificateBuilder(
        authority().chain[0].subject, subject, key.public_key(), 7, NOW, NOW + timedelta(1)
    )
    pair = attempt(identity=Identity(key, (builder.sign(authority().key, None),)))
    assert f"is for no name at all, not for {FQDN}" in nobody_in(pair).reason


def test_without_an_authority_no_certificate_is_good() -> None:
    for config in (initiator_config(anchors=()), initiator_config(clock=None)):
        reason = nobody_in(attempt(config)).reason
        assert reason == "the gateway authenticates by certificate and no authority is configured"


def test_time_passes_between_attempts() -> None:
    """The clock is read at each attempt, not when the configuration is made."""
    times = [NOW, NOW + timedelta(days=1000)]
    config = initiator_config(clock=lambda: times.pop(0))
    assert attempt(config).initiator.established
    assert "expired" in nobody_in(attempt(config)).reason


def test_a_chain_with_an_intermediate_authority() -> None:
    between = issue(authority(), [OTHER], NOW)  # no authority, although it signs
    bad = issue(between, [FQDN], NOW)
    pair = attempt(identity=Identity(bad.key, (*bad.chain, *between.chain)))
    assert "is no certification authority" in nobody_in(pair).reason


# IDr and AUTH


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (replaced(IdResponder, IdResponder(2, b"ims")), "we asked for APN internet and the gateway answers for 'ims'"),
        (replaced(IdResponder, IdResponder(11, b"internet")), "the gateway answers for 'internet'"),
        (replaced(IdResponder, IdResponder(2, b"\xff\x00")), "the gateway answers for"),
        (replaced(IdResponder), "0 IdResponder payloads where one belongs"),
        (replaced(Authentication), "0 Authentication payloads where one belongs"),
        (replaced(Authentication, *[Authentication(14, b"\7")] * 2), "2 Authentication payloads where one belongs"),
        (replaced(Authentication, Authentication(14, b"")), "signature algorithm missing is unknown"),
        (replaced(Authentication, Authentication(14, b"\x07" + bytes(71))), "signature algorithm 00000000000000"),
        (
            replaced(Authentication, Authentication(1, bytes(256))),
            "AUTH method 1 does not go with the certificate's key",
        ),
        (
            replaced(Authentication, Authentication(2, bytes(32))),
            "AUTH method 2 does not go with the certificate's key",
        ),
        (replaced(Authentication, Authentication(13, b"")), "AUTH method 13 does not go with the certificate's key"),
        (replaced(Certificate), "the gateway sent no certificate"),
        (replaced(Certificate, Certificate(4, b"no certificate")), "certificate cannot be read"),
        (replaced(Eap), "no EAP payload"),
        (replaced(Eap, Eap(b"\1")), "an EAP packet to which there is no answer"),
    ],
)
def test_first_answers_that_prove_nothing(change: Callable[[list[Payload]], list[Payload]], complaint: str) -> None:
    pair = Pair()
    change_answer(3, change, pair)
    pair.start().quiet()
    failed = nobody_in(pair)
    assert complaint in failed.reason
    assert not [line for line in pair.chart() if line.startswith("--> IKE_AUTH 2")]  # no EAP answer has left


def test_a_signature_over_another_exchange() -> None:
    """AUTH covers both nonces: one of an earlier session is worth nothing (RFC 7296 2.15)."""
    earlier = Pair(seed="earlier").established()
    [old] = [each for each in earlier.look(earlier.wire[3][1])[1] if isinstance(each, Authentication)]
    pair = Pair()
    change_answer(3, replaced(Authentication, old), pair)
    assert "the signature in AUTH is wrong" in nobody_in(pair.start().quiet()).reason


def test_the_last_auth_needs_the_key_of_eap() -> None:
    pair = Pair()
    change_answer(7, replaced(Authentication, Authentication(2, bytes(32))), pair)
    pair.start().quiet()
    failed = pair.ue(IkeFailed)[0]
    assert (
        failed.reason == "the gateway does not prove that it has the key that EAP agreed on" and failed.authentication
    )
    assert not pair.ue(IkeSaEstablished)
    assert [each.by_peer for each in pair.gateway(IkeSaClosed)] == [True]  # it was told


# Secrets


@pytest.mark.parametrize("wrong", [b"another", PSK + b"x", b""])
def test_another_psk(wrong: bytes) -> None:
    pair = attempt(initiator_config(psk=wrong), policy=Policy(psk=PSK))
    failed = nobody_in(pair)
    assert pair.chart()[3] == "<-- IKE_AUTH 1 N(AUTHENTICATION_FAILED)"
    assert failed.reason == (
        "the gateway refused: it does not accept our authentication or identity (AUTHENTICATION_FAILED), "
        "or it does not serve APN internet"
    )
    assert failed.authentication and failed.notify == NotifyType.AUTHENTICATION_FAILED
    [at_gateway] = pair.gateway(IkeFailed)
    assert at_gateway.reason == "the peer does not prove that it has the pre-shared key: its AUTH is wrong"
    assert at_gateway.authentication and pair.responder.counters == {"ike-authentication": 1}


def test_a_gateway_with_another_psk() -> None:
    pair = Pair(initiator_config(psk=PSK), policy=Policy(psk=PSK))
    change_answer(3, replaced(Authentication, Authentication(2, bytes(32))), pair)
    pair.start().quiet()
    assert pair.ue(IkeFailed)[0].reason == "the gateway does not prove that it has the pre-shared key"


def test_a_ue_that_pretends_to_know_the_msk() -> None:
    """EAP succeeded for one, IKE_AUTH is ended by another: the gateway compares with the MSK."""

    class Pretender(AkaPeer):
        def take(self) -> EapResult | None:
            result = super().take()
            return replace(result, msk=bytes(64)) if isinstance(result, EapSuccess) else result

    config = initiator_config()
    pair = attempt(replace(config, eap=lambda: Pretender(AKA, config.identity, IMSI, usim())))
    assert nobody_in(pair).notify == NotifyType.AUTHENTICATION_FAILED
    reason = "the peer does not prove that it has the key that EAP agreed on: its AUTH is wrong"
    assert [each.reason for each in pair.gateway(IkeFailed)] == [reason]


def test_psk_where_eap_is_demanded_and_the_other_way_round() -> None:
    pair = attempt(initiator_config(psk=PSK))
    assert nobody_in(pair).notify == NotifyType.AUTHENTICATION_FAILED
    assert pair.gateway(IkeFailed)[0].reason == "the peer does not use EAP as it must"
    pair = attempt(policy=Policy(psk=PSK))
    assert nobody_in(pair).notify == NotifyType.AUTHENTICATION_FAILED
    assert pair.gateway(IkeFailed)[0].reason == "the peer wants EAP, we have a pre-shared key for it"


def test_a_gateway_without_certificate_cannot_do_eap() -> None:
    pair = Pair(responder=replace(responder_config(), identity=None)).start().quiet()
    assert nobody_in(pair).notify == NotifyType.AUTHENTICATION_FAILED
    assert pair.gateway(IkeFailed)[0].reason == "the gateway has no certificate to authenticate itself with"


# Policy


def test_an_identity_that_is_refused_at_once() -> None:
    policy = Policy()
    policy.method = lambda peer: Refusal(NotifyType.AUTHENTICATION_FAILED, f"{peer.claimed.data.decode()} is barred")
    pair = attempt(policy=policy)
    assert nobody_in(pair).notify == NotifyType.AUTHENTICATION_FAILED
    assert pair.gateway(IkeFailed)[0].reason == f"{initiator_config().identity} is barred"
    assert len(pair.wire) == 4


def test_an_authenticated_subscriber_without_the_apn() -> None:
    policy = Policy()
    policy.authorisation = Refusal(NotifyType.AUTHENTICATION_FAILED, "the subscriber may not use internet")
    pair = attempt(policy=policy)
    assert nobody_in(pair).authentication
    assert pair.chart()[7] == "<-- IKE_AUTH 3 N(AUTHENTICATION_FAILED)"
    assert pair.gateway(IkeFailed)[0].reason == "the subscriber may not use internet"
    assert pair.policy.peers[0].identity == IMSI  # authorised on whom EAP authenticated (RFC 7296 2.16)
