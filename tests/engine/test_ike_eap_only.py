# SPDX-License-Identifier: GPL-2.0-or-later
"""EAP-only authentication (RFC 5998): no certificate, both ends prove themselves by the key that EAP agrees on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mn_dsmip.crypto.aka import Subscriber
from mn_dsmip.engine.ike.aka_common import AKA, AKA_PRIME, Flavour
from mn_dsmip.engine.ike.events import IkeFailed, IkeSaEstablished
from mn_dsmip.wire.ikev2_numbers import NotifyType
from mn_dsmip.wire.ikev2_payloads import Authentication, IdResponder, Payload
from tests.engine.ike_pair import IMSI, OPC, Pair, Policy, initiator_config, responder_config
from tests.engine.ike_trouble import change_answer, nobody_in

OFFERING = {"eap_only": True, "anchors": (), "clock": None}


def pair_with(flavour: Flavour = AKA, policy: Policy | None = None, **gateway: object) -> Pair:
    """A UE that offers EAP-only and knows no authority, and that gateway."""
    config = initiator_config(flavour, **OFFERING)
    return Pair(config, responder_config(**gateway), policy or Policy(flavour))


@pytest.mark.parametrize("flavour", [AKA, AKA_PRIME], ids=["aka", "aka-prime"])
@pytest.mark.parametrize("gateway", [{"identity": None}, {"eap_only": True}], ids=["no certificate", "not sent"])
def test_both_sides_prove_themselves_by_eap(flavour: Flavour, gateway: dict[str, object]) -> None:
    pair = pair_with(flavour, **gateway).established()
    chart = pair.chart()
    assert chart[2].endswith("SA TSi TSr N(EAP_ONLY_AUTHENTICATION)")
    assert chart[3] == "<-- IKE_AUTH 1 IDr EAP"  # RFC 5998 3: neither CERT nor AUTH
    assert chart[-2] == "--> IKE_AUTH 3 AUTH"
    assert chart[-1].startswith("<-- IKE_AUTH 3 AUTH ")
    assert pair.gateway(IkeSaEstablished)[0].identity == IMSI


def test_a_certificate_that_comes_all_the_same_is_verified() -> None:
    pair = Pair(replace(initiator_config(), eap_only=True)).established()
    assert pair.chart()[3].startswith("<-- IKE_AUTH 1 IDr CERT AUTH EAP")


def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    pair = pair_with().start()
    pair.run(60)
    failed = nobody_in(pair)
    assert failed.reason == "the gateway authenticates by certificate and no authority is configured"


def test_a_ue_that_does_not_offer_it_gets_a_certificate_or_nothing() -> None:
    pair = Pair(responder=responder_config(identity=None)).start()
    pair.run(60)
    assert nobody_in(pair).authentication
    assert pair.gateway(IkeFailed)[0].reason == "the gateway has no certificate to authenticate itself with"
    pair = Pair(responder=responder_config(eap_only=True)).established()
    assert pair.chart()[3].startswith("<-- IKE_AUTH 1 IDr CERT AUTH EAP")


def test_a_ue_that_does_not_offer_it_does_not_take_it() -> None:
    pair = Pair()

    def without_proof(payloads: list[Payload]) -> list[Payload]:
        return [each for each in payloads if not isinstance(each, Authentication)]

    change_answer(3, without_proof, pair)
    pair.start()
    pair.run(60)
    assert "Authentication payloads" in nobody_in(pair).reason
    assert not [line for line in pair.chart() if line.startswith("--> IKE_AUTH 2")], "no EAP answer has left"


def test_a_gateway_without_the_subscribers_key_is_not_believed() -> None:
    policy = Policy()
    policy.subscriber = Subscriber(IMSI, bytes(16), OPC)
    pair = pair_with(policy=policy, identity=None).start()
    pair.run(60)
    assert nobody_in(pair).reason == "the network did not prove that it knows our subscription: MAC-A in AUTN is wrong"


def test_the_last_auth_must_fit_the_idr_of_the_first_answer() -> None:
    pair = pair_with(identity=None)

    def renamed(payloads: list[Payload]) -> list[Payload]:
        return [
            replace(each, data=each.data.upper()) if isinstance(each, IdResponder) else each for each in payloads
        ]  # fmt: skip

    change_answer(3, renamed, pair)
    pair.start()
    pair.run(60)
    failed = nobody_in(pair)
    assert failed.reason == "the gateway does not prove that it has the key that EAP agreed on"
    assert pair.chart()[-2].endswith(f"N({NotifyType.AUTHENTICATION_FAILED.name})")
