# SPDX-License-Identifier: GPL-2.0-or-later
"""A UE that attaches right after its detach: the home agent still knows its last sequence number (RFC 6275 10.3.2)."""

from __future__ import annotations

import pytest

from mn_dsmip.engine.mip.events import BindingUpdateRefused, BindingUpdateSent
from mn_dsmip.engine.ue_states import UeState
from tests.engine.operator_network import Operator
from tests.engine.simulation import Node


def numbers(node: Node) -> list[int]:
    """Sequence numbers of the Binding Updates sent so far."""
    return [one.sequence for one in node.seen(BindingUpdateSent) if isinstance(one, BindingUpdateSent)]


def detach_and_attach(network: Operator) -> None:
    (ue,), (node,) = network.ues, network.nodes
    network.simulation.do(node, ue.detach)
    assert network.simulation.run(lambda: ue.state not in (UeState.ATTACHED, UeState.DETACHING), 60)
    network.simulation.do(node, ue.attach)
    assert network.simulation.run(lambda: ue.state is UeState.ATTACHED, 60), ue.state


@pytest.mark.parametrize("seed", range(6))
def test_sequence_numbers_go_on(seed: int) -> None:
    """The UE stores the last one (RFC 6275 11.7.1), so that nothing is refused; half of all others would be."""
    network = Operator(seed).start()
    network.add_ue()
    assert network.simulation.run(lambda: network.ues[0].state is UeState.ATTACHED, 60)
    detach_and_attach(network)
    detach_and_attach(network)
    sent = numbers(network.nodes[0])
    assert sent == [(sent[0] + more) % 0x10000 for more in range(5)], "three registrations, two ends"
    assert network.nodes[0].seen(BindingUpdateRefused) == []


@pytest.mark.parametrize("behind", [1, 300, 0x7FFF])
def test_a_ue_that_forgot_its_number_is_told(behind: int) -> None:
    network = Operator().start()
    ue = network.add_ue()
    assert network.simulation.run(lambda: ue.state is UeState.ATTACHED, 60)
    ended = (numbers(network.nodes[0])[-1] + 1) % 0x10000
    # UE --- BU, lifetime 0 (n) ---> PDN GW, which keeps n for 10 s; then a UE that was switched off and on
    network.simulation.do(network.nodes[0], ue.detach)
    assert network.simulation.run(lambda: ue.state is not UeState.ATTACHED and ue.state is not UeState.DETACHING, 60)
    ue.network.sequence = (ended - behind) % 0x10000
    network.simulation.do(network.nodes[0], ue.attach)
    assert network.simulation.run(lambda: ue.state is UeState.ATTACHED, 60)
    # --- BU (n - behind + 1) ---> <--- BA 135 (n) --- --- BU (n + 1) ---> <--- BA 0 ---
    *_, last, refused, accepted = numbers(network.nodes[0])
    assert (last, refused, accepted) == (ended, (ended - behind + 1) % 0x10000, (ended + 1) % 0x10000)
    (event,) = network.nodes[0].seen(BindingUpdateRefused)
    assert isinstance(event, BindingUpdateRefused) and event.status == 135
