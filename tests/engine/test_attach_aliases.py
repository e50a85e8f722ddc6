# SPDX-License-Identifier: GPL-2.0-or-later
"""A UE that attaches again with the names that the gateway gave it, up to the binding."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from mn_dsmip.engine.effects import AttachFailed, PseudonymChanged
from mn_dsmip.engine.gateway_policy import PolicyConfig
from mn_dsmip.engine.ike.aka_aliases import PeerAliases, ServerAliases
from mn_dsmip.engine.ike.aka_common import AKA, AKA_PRIME, Flavour
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


def restart(network: Operator, secret: bytes) -> ServerAliases:
    """Another gateway in place of the first, which knows nothing but ``secret``."""
    aliases = ServerAliases(random.Random("new").randbytes, secret)
    network.policy = replace(network.policy, aliases=aliases)
    network.start()
    return aliases


@pytest.mark.parametrize("secret", [b"secret", b"another"], ids=["its-secret-kept", "its-secret-lost"])
@pytest.mark.parametrize("flavour", [AKA, AKA_PRIME], ids=["aka", "aka-prime"])
def test_a_gateway_that_was_restarted(secret: bytes, flavour: Flavour) -> None:
    """Keys of fast re-authentications are in memory only: a full one is next, and after it a fast one again."""
    network = operator()
    own = PeerAliases(random.Random("ue").randbytes)
    ue = network.add_ue(aliases=own, flavour=flavour, network_name=b"WLAN")
    attached(network, ue)
    forgotten = own.reauth
    assert forgotten
    network.simulation.do(network.nodes[0], ue.detach)
    assert network.simulation.run(lambda: ue.state is UeState.IDLE, 60)
    aliases = restart(network, secret)
    assert not aliases.holds(forgotten.identity)
    network.simulation.do(network.nodes[0], ue.attach)
    attached(network, ue)
    assert not network.nodes[0].seen(AttachFailed)
    sequence = network.gateway.policy._methods._centre.sequence.copy()
    assert sequence, "a vector was used: the authentication was a full one"
    assert own.reauth and own.reauth.identity != forgotten.identity and aliases.holds(own.reauth.identity)
    again(network, ue)
    assert network.gateway.policy._methods._centre.sequence == sequence, "and now a fast one"
    known = [getattr(each, "identity", "") for each in network.gateway_node.seen(IkeSaEstablished)]
    assert known == ["001010000000001"] * 2
