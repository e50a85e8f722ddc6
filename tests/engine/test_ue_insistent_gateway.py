# SPDX-License-Identifier: GPL-2.0-or-later
"""A gateway that gives nothing to who asks for no address (FAILED_CP_REQUIRED, RFC 7296 3.15.4)."""

from __future__ import annotations

import pytest

from mn_dsmip.engine.effects import AttachFailed
from mn_dsmip.engine.ike.events import IkeSaEstablished, Refusal
from mn_dsmip.engine.ike.policy import Peer
from mn_dsmip.engine.ue_states import UeState
from mn_dsmip.wire.ikev2_numbers import CfgAttribute, NotifyType
from mn_dsmip.wire.ikev2_payloads import Configuration
from tests.engine.operator_network import Operator
from tests.engine.test_attach import attached


def insist(operator: Operator, monkeypatch: pytest.MonkeyPatch, always: bool = False) -> list[set[int]]:
    """Have the gateway refuse requests without INTERNAL_IP6_ADDRESS, or all; what was asked is noted."""
    policy = operator.gateway.policy
    usual, requests = policy.assign, list[set[int]]()

    def assign(peer: Peer, request: Configuration | None) -> Configuration | Refusal | None:
        asked = {each.type for each in request.attributes} if request else set()
        requests.append(asked)
        if always or CfgAttribute.INTERNAL_IP6_ADDRESS not in asked:
            return Refusal(NotifyType.FAILED_CP_REQUIRED, "no address was asked for")
        return usual(peer, request)

    monkeypatch.setattr(policy, "assign", assign)
    return requests


def test_the_ue_asks_once_more_and_for_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = Operator().start()
    requests = insist(operator, monkeypatch)
    ue = operator.add_ue()
    assert attached(operator, ue)
    both = {CfgAttribute.MIP6_HOME_PREFIX, CfgAttribute.INTERNAL_IP6_ADDRESS}
    assert [each & both for each in requests] == [{CfgAttribute.MIP6_HOME_PREFIX}, both]
    refused, accepted = operator.nodes[0].seen(IkeSaEstablished)
    assert isinstance(refused, IkeSaEstablished) and isinstance(accepted, IkeSaEstablished)
    assert (refused.child_notify, accepted.child_notify) == (NotifyType.FAILED_CP_REQUIRED, None)
    assert operator.gateway.status(0)["sessions"] == 1, "the first IKE SA is closed"


def test_a_second_refusal_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = Operator().start()
    requests = insist(operator, monkeypatch, always=True)
    ue = operator.add_ue()
    assert not attached(operator, ue)
    assert ue.state is UeState.FAILED
    assert len(requests) == 2
    (failed,) = operator.nodes[0].seen(AttachFailed)
    assert isinstance(failed, AttachFailed)
    assert failed.reason == (
        "the gateway assigned neither a home network prefix nor a home address (the gateway refused: it insists on a "
        "configuration request that we did not send (FAILED_CP_REQUIRED))"
    )
