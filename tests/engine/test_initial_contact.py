# SPDX-License-Identifier: GPL-2.0-or-later
"""INITIAL_CONTACT at a gateway ends what the same subscriber had with the same APN, in silence (RFC 7296 2.4)."""

from __future__ import annotations

import pytest

from mn_dsmip.crypto.aka import Usim
from mn_dsmip.engine.ike.auth import AuthTask
from mn_dsmip.engine.ike.events import IkeSaClosed
from mn_dsmip.engine.ue_states import UeState
from mn_dsmip.wire.ikev2_numbers import NotifyType
from mn_dsmip.wire.ikev2_payloads import Notify, Payload
from tests.engine.operator_network import Operator

SILENT = "the peer has begun anew and knows nothing of it (INITIAL_CONTACT)"
TOLD = "a newer IKE SA of the same subscriber and APN replaces it"


@pytest.fixture
def saying_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """UEs send the notify, which ours never do."""
    usual = AuthTask._first_request

    def first_request(task: AuthTask) -> list[Payload]:
        return [*usual(task), Notify(NotifyType.INITIAL_CONTACT)]

    monkeypatch.setattr(AuthTask, "_first_request", first_request)


def attached_again(operator: Operator) -> list[str]:
    """A UE attaches, and another with its USIM; why the gateway closed IKE SAs."""
    first = operator.add_ue()
    operator.simulation.run(lambda: first.state is UeState.ATTACHED, 60)
    subscriber = operator.subscriptions[first.config.imsi].credentials
    assert first.config.usim
    second = operator.add_ue(imsi=subscriber.imsi, usim=Usim(subscriber.k, subscriber.opc, first.config.usim.sqn))
    operator.simulation.run(lambda: second.state is UeState.ATTACHED, 60)
    operator.simulation.run(lambda: False, 5)
    assert second.state is UeState.ATTACHED
    assert operator.gateway.status(operator.simulation.now)["sessions"] == 1
    return [each.reason for each in operator.gateway_node.seen(IkeSaClosed) if isinstance(each, IkeSaClosed)]


def test_the_old_ike_sa_is_told() -> None:
    assert attached_again(Operator().start()) == [TOLD]


@pytest.mark.usefixtures("saying_so")
def test_the_old_ike_sa_is_forgotten_in_silence() -> None:
    assert attached_again(Operator().start()) == [SILENT]
