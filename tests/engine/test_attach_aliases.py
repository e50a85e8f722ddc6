# SPDX-License-Identifier: GPL-2.0-or-later
"""A UE that attaches again with the names that the gateway gave it, up to the binding."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from mn_dsmip.engine.effects import PseudonymChanged
from mn_dsmip.engine.gateway_policy import PolicyConfig
from mn_dsmip.engine.ike.aka_aliases import PeerAliases, ServerAliases
from mn_dsmip.engine.ike.events import IkeSaEstablished
from mn_dsmip.engine.ue import UserEquipment
from mn_dsmip.engine.ue_states import UeState
from tests.engine.operator_network import Operator
from tests.engine.simulation import Conditions


def operator(**names: bool) -> Operator:
    aliases = ServerAliases(random.Random("network").randbytes, b"secret", **names)
    return Operator(aliases=aliases).start()


def attached(network: Operator, ue: UserEquipment) -> None:
    assert network.simulation.run(lambda: ue.state is UeState.ATTACHED, 60), ue.state


def again(network: Operator, ue: UserEquipment) -> None:
    """Detach and attach."""
    node = network.nodes[network.ues.index(ue)]
    network.simulation.do(node, ue.detach)
    assert network.simulation.run(lambda: ue.state is not UeState.ATTACHED and ue.state is not UeState.DETACHING, 60)
    network.simulation.do(node, ue.attach)
    attached(network, ue)


def test_fast_reauthentication_up_to_the_binding() -> None:
    network = operator()
    aliases = PeerAliases(random.Random("ue").randbytes)
    ue = network.add_ue(aliases=aliases)
    attached(network, ue)
    first = aliases.reauth
    assert first
    assert network.nodes[0].seen(PseudonymChanged)
    sqn = network.gateway.policy._methods._centre.sequence.copy()
    again(network, ue)
    assert network.gateway.policy._methods._centre.sequence == sqn, "no vector was used"
    assert aliases.reauth
    assert aliases.reauth.identity != first.identity
    known = [getattr(each, "identity", "") for each in network.gateway_node.seen(IkeSaEstablished)]
    assert known == ["001010000000001"] * 2, "the gateway knows whom it serves"


def test_a_ue_without_aliases_takes_none() -> None:
    network = operator()
    ue = network.add_ue()
    attached(network, ue)
    again(network, ue)
    assert not network.nodes[0].seen(PseudonymChanged)


def test_the_policy_gives_no_names_unless_told() -> None:
    assert PolicyConfig.__dataclass_fields__["aliases"].default is None


@pytest.mark.parametrize("seed", range(4))
def test_fast_reauthentication_on_a_bad_link(seed: int) -> None:
    """Repeated and lost requests use no identity up twice, and nobody is kept out."""
    aliases = ServerAliases(random.Random("network").randbytes, b"secret")
    network = Operator(seed, Conditions(loss=0.15, duplication=0.15), aliases=aliases).start()
    ue = network.add_ue(aliases=PeerAliases(random.Random("ue").randbytes))
    attached(network, ue)
    for _ in range(3):
        again(network, ue)
    known = {getattr(each, "identity", "") for each in network.gateway_node.seen(IkeSaEstablished)}
    assert known == {"001010000000001"}


def test_a_gateway_that_forgot_everything() -> None:
    """Another secret, no contexts: identities are asked for, down to the permanent one."""
    network = operator()
    ue = network.add_ue(aliases=PeerAliases(random.Random("ue").randbytes))
    attached(network, ue)
    network.gateway.policy.config = replace(
        network.gateway.policy.config, aliases=ServerAliases(random.Random("new").randbytes, b"another")
    )
    again(network, ue)
    assert len(network.gateway_node.seen(IkeSaEstablished)) == 2
