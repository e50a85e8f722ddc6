# SPDX-License-Identifier: GPL-2.0-or-later
"""What a gateway may give to a UE: a home network prefix, or the home address itself (RFC 5026 5.3.1, 5.3.2)."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest

from mn_dsmip.engine.effects import AddAddress, AttachFailed, AttachSucceeded
from mn_dsmip.engine.ike.policy import Peer
from mn_dsmip.engine.ike.responder_session import ResponderSession
from mn_dsmip.engine.mip.config import HomeAgentConfig
from mn_dsmip.engine.mip.home_agent import HomeAgent
from mn_dsmip.engine.ue import UserEquipment
from mn_dsmip.engine.ue_states import UeState
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_numbers import CfgAttribute as Cfg
from mn_dsmip.wire.ikev2_numbers import NotifyType
from mn_dsmip.wire.ikev2_payloads import Attribute, Configuration, HomePrefix, Notify, Payload
from mn_dsmip.wire.mobility import Status
from tests.engine.hosts import echo_request
from tests.engine.operator_network import ACCESS, CORRESPONDENT, Operator
from tests.engine.test_attach import attached

PREFIX = IPv6Network("2001:db8:100::/64")
"""The first that the gateway has to give."""
ADDRESS = PREFIX[0x1234]


def value(address: IPv6Address | str, length: int = 64) -> Attribute:
    return Attribute(Cfg.INTERNAL_IP6_ADDRESS, IPv6Address(address).packed + bytes((length,)))


def prefix(network: str = str(PREFIX[0]), length: int = 64) -> Attribute:
    return Attribute(Cfg.MIP6_HOME_PREFIX, HomePrefix(600, IPv6Address(network), length).build())


def giving(monkeypatch: pytest.MonkeyPatch, *given: Attribute, notify: bool = False, **config: bool) -> Operator:
    """An operator whose gateway answers every request with ``given``, and with USE_ASSIGNED_HoA for ``notify``."""
    operator = Operator().start(home_agent=HomeAgentConfig(**config))
    policy = operator.gateway.policy
    assigns, responds = policy.assign, ResponderSession.respond

    def assign(peer: Peer, request: Configuration | None) -> Configuration:
        answer = assigns(peer, request)
        assert isinstance(answer, Configuration)
        return Configuration(answer.cfg_type, given)

    def respond(session: ResponderSession, request: Message, payloads: list[Payload]) -> None:
        last = notify and any(isinstance(each, Configuration) for each in payloads)
        responds(session, request, [*payloads, *([Notify(NotifyType.USE_ASSIGNED_HOA)] if last else [])])

    monkeypatch.setattr(policy, "assign", assign)
    monkeypatch.setattr(ResponderSession, "respond", respond)
    return operator


def success(operator: Operator) -> AttachSucceeded:
    (succeeded,) = operator.nodes[0].seen(AttachSucceeded)
    assert isinstance(succeeded, AttachSucceeded)
    return succeeded


def reaches(operator: Operator, ue: UserEquipment, source: IPv6Address) -> bool:
    """Whether the correspondent answers what the UE's applications send from there."""
    node = operator.nodes[0]
    node.home.clear()
    operator.simulation.apply(node, echo_request(str(source), CORRESPONDENT))
    return operator.simulation.run(lambda: len(node.home) == 1, 5)


@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize("length", [64, 128])
def test_an_address_alone_is_the_home_address(length: int, served: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = giving(monkeypatch, value(ADDRESS, length), serve_prefixes=served)
    ue = operator.add_ue()
    assert attached(operator, ue), ue.status(0)
    succeeded = success(operator)
    assert (succeeded.home_address, succeeded.home_prefix) == (ADDRESS, IPv6Network(ADDRESS))
    assert AddAddress(ADDRESS, 128) in operator.nodes[0].seen(AddAddress)
    (binding,) = operator.gateway.home_agent.bindings()
    assert (binding.home_address, binding.mobile_router) == (ADDRESS, served), "R is asked for as ever (A.2)"
    assert reaches(operator, ue, ADDRESS)
    assert not reaches(operator, ue, PREFIX[0x77]), "the rest of the prefix is not the UE's"


def test_of_prefix_and_address_the_prefix_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = giving(monkeypatch, value(ADDRESS), prefix())
    assert attached(operator, operator.add_ue())
    assert success(operator).home_prefix == PREFIX and success(operator).home_address != ADDRESS


def test_the_address_counts_where_it_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = giving(monkeypatch, value(ADDRESS), prefix(), notify=True)
    assert attached(operator, operator.add_ue())
    assert success(operator).home_address == ADDRESS


def test_bits_behind_the_prefix_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = giving(monkeypatch, prefix(str(ADDRESS)))
    assert attached(operator, operator.add_ue())
    assert success(operator).home_prefix == PREFIX


@pytest.mark.parametrize(
    "given",
    [
        (),
        (value("fe80::1"),),
        (value("ff02::1"),),
        (value("::"),),
        (value("::1"),),
        (value(ADDRESS, 129),),
        (Attribute(Cfg.INTERNAL_IP6_ADDRESS),),
        (Attribute(Cfg.INTERNAL_IP6_ADDRESS, ADDRESS.packed),),
        (prefix(length=63),),
        (prefix("fe80::"),),
        (Attribute(Cfg.MIP6_HOME_PREFIX, b"\0" * 20),),
    ],
    ids=str,
)
def test_nothing_of_use(given: tuple[Attribute, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    operator = giving(monkeypatch, *given)
    ue = operator.add_ue()
    assert not attached(operator, ue)
    (failed,) = operator.nodes[0].seen(AttachFailed)
    assert isinstance(failed, AttachFailed) and failed.retry_after
    assert failed.reason.startswith("the gateway assigned neither a home network prefix nor a home address")


def test_an_address_of_the_access_means_the_home_link(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = giving(monkeypatch, value(IPv6Network(ACCESS)[0x999]))
    assert not attached(operator, operator.add_ue())
    (failed,) = operator.nodes[0].seen(AttachFailed)
    assert isinstance(failed, AttachFailed) and "the access is the home link" in failed.reason


def test_an_assigned_address_that_somebody_uses_is_not_exchanged_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = giving(monkeypatch, value(ADDRESS))
    monkeypatch.setattr(HomeAgent, "_refusal", lambda *_: Status.DUPLICATE_ADDRESS_DETECTION_FAILED)
    ue = operator.add_ue()
    assert not attached(operator, ue)
    assert ue.state is UeState.FAILED
    (failed,) = operator.nodes[0].seen(AttachFailed)
    assert isinstance(failed, AttachFailed) and "somebody else uses the home address" in failed.reason
