# SPDX-License-Identifier: GPL-2.0-or-later
"""A peer with the right keys that says anything at all: nothing is raised, and it harms nobody but its own session."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mn_dsmip.engine.ike.events import IkeSaEstablished
from mn_dsmip.wire.ikev2_numbers import Exchange
from mn_dsmip.wire.ikev2_payloads import Payload
from tests.engine.ike_pair import Pair, initiator_config
from tests.engine.ike_trouble import change_answer, from_gateway, request
from tests.wire.ikev2_samples import any_payload

PROTECTED = (Exchange.INFORMATIONAL, Exchange.CREATE_CHILD_SA, Exchange.IKE_AUTH)
LAST = 7
"""The last message of IKE_AUTH with EAP-AKA."""
anything = st.lists(any_payload, max_size=8)
often = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


def another_gets_in(pair: Pair) -> bool:
    """Whether the gateway still serves others."""
    other = Pair(initiator_config(), seed="another")
    other.responder, other.policy = pair.responder, pair.policy
    return len(other.established().gateway(IkeSaEstablished)) >= 1


@often
@given(anything, st.sampled_from(PROTECTED), st.booleans())
def test_in_an_established_session(payloads: list[Payload], exchange: Exchange, from_ue: bool) -> None:
    pair = Pair().established()
    make = request if from_ue else from_gateway
    pair.inject(make(pair, *payloads, exchange=exchange))
    pair.run(3)
    assert another_gets_in(pair)


@often
@given(anything, st.integers(2, LAST), st.booleans())
def test_in_ike_auth(payloads: list[Payload], number: int, beside: bool) -> None:
    pair = Pair()
    change_answer(number, lambda usual: [*usual, *payloads] if beside else payloads, pair)
    pair.start()
    pair.run(3)
    pair.disturb = None
    assert another_gets_in(pair)
