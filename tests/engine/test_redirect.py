# SPDX-License-Identifier: GPL-2.0-or-later
"""A gateway sends the UE to another one: before, during and after the authentication (RFC 5685)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest

from mn_dsmip.crypto.certs import Identity
from mn_dsmip.engine.base import IPAddress, ProtocolError, UdpDatagram
from mn_dsmip.engine.effects import AttachFailed, AttachSucceeded, Redirected
from mn_dsmip.engine.gateway import Gateway, GatewayConfig
from mn_dsmip.engine.gateway_policy import ApnPools
from mn_dsmip.engine.ike.events import IkeFailed, IkeRedirected, IkeSaClosed, IkeSaRekeyed, UeRedirected
from mn_dsmip.engine.ike.redirect import Redirect, gateway_of, redirected_from
from mn_dsmip.engine.ue import MAX_REDIRECTS
from mn_dsmip.engine.ue_states import UeState
from mn_dsmip.wire.codec import WireError
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_numbers import Exchange, NotifyType, Protocol
from mn_dsmip.wire.ikev2_payloads import Authentication, Delete, Eap, IdResponder, Nonce, Notify, Payload
from tests.engine.ike_pair import GATEWAY, Pair, initiator_config, to_ue
from tests.engine.ike_trouble import alive, change_answer, deliver, from_gateway
from tests.engine.operator_network import APN, HOME_AGENT, Operator
from tests.engine.simulation import seeded

OTHER = IPv6Address("2001:db8:bbbb::1")


# The notifies


@pytest.mark.parametrize("gateway", [OTHER, IPv4Address("192.0.2.9"), "pgw2.example.net"])
def test_notifies(gateway: IPAddress | str) -> None:
    built = Redirect(gateway, b"nonce data").build()
    assert Redirect.parse(built) == Redirect(gateway, b"nonce data")
    assert Redirect.parse(Redirect(gateway).build()) == Redirect(gateway)


def test_the_octets() -> None:
    """RFC 5685 9.2: type, length, identity; 26 octets of payload for an IPv6 address."""
    assert Redirect(OTHER).build().data == b"\x02\x10" + OTHER.packed
    assert redirected_from(IPv4Address("192.0.2.9")).data == b"\x01\x04\xc0\x00\x02\x09"


NONSENSE = [b"", b"\x02", b"\x02\x10short", b"\x02\x04abcd", b"\x01\x10" + bytes(16), b"\x04\x01a", b"\x03\x00",
            b"\x03\x02\xff\xff"]  # fmt: skip


@pytest.mark.parametrize("data", NONSENSE)
def test_nonsense(data: bytes) -> None:
    with pytest.raises(WireError):
        Redirect.parse(Notify(NotifyType.REDIRECT, data))


# In IKE_SA_INIT


def answer_init(pair: Pair, nonce: bytes | None = None) -> None:
    """Somebody on the way answers the UE's IKE_SA_INIT with a REDIRECT."""
    request = Message.parse(pair.wire[0][1].payload)
    own = next(each.data for each in request.payloads if isinstance(each, Nonce))
    told = Redirect(OTHER, own if nonce is None else nonce).build()
    answer = Message(request.initiator_spi, bytes(8), Exchange.IKE_SA_INIT, 0, (told,), False, True)
    pair.inject(to_ue(answer.build()))


def test_redirected_at_once() -> None:
    pair = Pair()
    pair.disturb = lambda number, datagram: []
    pair.start()
    answer_init(pair)
    pair.run(0.1)
    assert pair.ue(IkeRedirected) == [IkeRedirected(pair.initiator.name, GATEWAY, OTHER, established=False)]
    assert pair.initiator.closed and not pair.ue(IkeFailed) and not pair.ue(IkeSaClosed)


@pytest.mark.parametrize("nonce", [b"", bytes(32)])
def test_who_does_not_know_our_nonce_redirects_nobody(nonce: bytes) -> None:
    pair = Pair()
    pair.start()
    answer_init(pair, nonce)
    assert pair.run(60, lambda: pair.initiator.established)
    assert not pair.ue(IkeRedirected) and pair.initiator.counters["ike-init-error"] == 1


def test_the_new_gateway_learns_who_sent_us() -> None:
    pair = Pair(initiator_config(redirected_from=OTHER)).established()
    told = [each for each in Message.parse(pair.wire[0][1].payload).payloads if isinstance(each, Notify)]
    assert redirected_from(OTHER) in told


# In IKE_AUTH


def test_redirected_by_the_first_answer() -> None:
    """Behind the gateway's signature, before any EAP answer left; there is nothing to delete."""
    pair = Pair()
    told = Redirect(OTHER).build()
    change_answer(3, lambda payloads: [*(each for each in payloads if not isinstance(each, Eap)), told], pair)
    pair.start().quiet()
    assert [each.gateway for each in pair.ue(IkeRedirected)] == [OTHER] and len(pair.wire) == 4


def test_redirected_by_the_last_answer() -> None:
    """The usual place: the AAA server's decision comes with the EAP result (TS 23.402 6.10)."""
    plain = Pair().established()
    last = max(n for n, (_, each) in enumerate(plain.wire) if plain.look(each)[0].exchange == Exchange.IKE_AUTH)
    pair = Pair()
    told = Redirect(OTHER).build()

    def change(payloads: list[Payload]) -> list[Payload]:
        return [each for each in payloads if isinstance(each, Authentication | IdResponder)] + [told]

    change_answer(last, change, pair)
    pair.start().quiet()
    assert [each.gateway for each in pair.ue(IkeRedirected)] == [OTHER] and not pair.ue(IkeFailed)
    assert pair.look(pair.wire[last + 1][1])[1] == [Delete(Protocol.IKE)]
    assert pair.gateway(IkeSaClosed)[0].by_peer


def test_a_gateway_that_is_not_who_it_says_redirects_nobody() -> None:
    pair = Pair()
    told = Redirect(OTHER).build()

    def change(payloads: list[Payload]) -> list[Payload]:
        forged = (replace(each, data=bytes(len(each.data))) if isinstance(each, Authentication) else each
                  for each in payloads if not isinstance(each, Eap))  # fmt: skip
        return [*forged, told]

    change_answer(3, change, pair)
    pair.start().quiet()
    [failed] = pair.ue(IkeFailed)
    assert failed.authentication and not pair.ue(IkeRedirected)


# In an established IKE SA


def test_redirected_later() -> None:
    """RFC 5685 5: answered with nothing; the user decides when to go."""
    pair = Pair().established()
    assert deliver(pair, from_gateway(pair, Redirect(OTHER).build())) == []
    assert [(each.gateway, each.established) for each in pair.ue(IkeRedirected)] == [(OTHER, True)]
    assert not pair.initiator.closed


def test_a_redirection_to_nowhere() -> None:
    pair = Pair().established()
    assert deliver(pair, from_gateway(pair, Notify(NotifyType.REDIRECT, b"\x09"))) == []
    assert not pair.ue(IkeRedirected) and alive(pair)


def test_a_gateway_redirects_and_closes_what_is_left_after_a_while() -> None:
    """RFC 5685 5: the UE goes by itself; for one that does not there is a limit."""
    pair = Pair().established()
    name = pair.initiator.current.spi_r
    assert pair.responder.redirect(name, OTHER, pair.now)
    pair.settle()
    pair.run(until=lambda: bool(pair.gateway(UeRedirected)))
    assert [each.gateway for each in pair.ue(IkeRedirected)] == [OTHER]
    assert [(each.session, each.gateway) for each in pair.gateway(UeRedirected)] == [(name, OTHER)]
    told, limit = pair.now, pair.responder.config.timers.redirected
    pair.run(limit + 1, until=lambda: bool(pair.gateway(IkeSaClosed)))
    assert pair.now - told == pytest.approx(limit, abs=1)
    [closed] = pair.gateway(IkeSaClosed)
    assert (closed.reason, closed.by_peer) == (f"the UE was redirected to {OTHER}", False)


def test_a_ue_that_does_not_understand_stays() -> None:
    pair = Pair().established()
    [session] = pair.responder.sessions.values()
    assert session.redirectable
    session.redirectable = False
    assert not pair.responder.redirect(session.name, OTHER, pair.now)
    assert not pair.responder.redirect(b"nobody..", OTHER, pair.now)


@pytest.mark.parametrize(
    ("text", "gateway"),
    [
        ("2001:db8::9", IPv6Address("2001:db8::9")),
        ("192.0.2.9", IPv4Address("192.0.2.9")),
        ("PGW2.example", "pgw2.example"),
    ],
)
def test_gateways_that_a_person_names(text: str, gateway: IPAddress | str) -> None:
    assert gateway_of(text) == gateway


@pytest.mark.parametrize("text", ["", "pgw2", "pgw 2.example", "2001:db8::9/64", "-.example"])
def test_what_names_no_gateway(text: str) -> None:
    with pytest.raises(ProtocolError, match="neither an address nor a domain name"):
        gateway_of(text)


# A UE and two gateways


def second_gateway(operator: Operator, identity: Identity | None = None) -> Gateway:
    """Another home agent with prefixes of its own, and the same certificate."""
    apns = {APN: ApnPools(IPv6Network("2001:db8:102::/48"), None)}
    policy = replace(operator.policy, home_agent=OTHER, apns=apns)
    gateway = Gateway(GatewayConfig(policy, operator.ike), seeded("the second gateway"))
    operator.simulation.add("pgw2", gateway, str(OTHER), "2001:db8:102::/48", forwards=True)
    return gateway


def redirect(operator: Operator) -> None:
    operator.simulation.do(operator.gateway_node, lambda now: operator.gateway.redirect(now, str(OTHER)))


def test_a_ue_follows() -> None:
    operator = Operator().start()
    other = second_gateway(operator)
    ue, [node] = operator.add_ue(), operator.nodes
    sim = operator.simulation
    assert sim.run(lambda: ue.state is UeState.ATTACHED, 60)
    redirect(operator)
    assert sim.run(lambda: len(node.seen(AttachSucceeded)) == 2, 60)
    assert node.seen(Redirected) == [Redirected(IPv6Address(HOME_AGENT), OTHER)]
    assert sim.run(lambda: not list(operator.gateway.home_agent.bindings()), 60)
    assert len(list(other.home_agent.bindings())) == 1 and not node.seen(AttachFailed)
    assert ue.status(sim.now)["home_agent"] == str(OTHER)


def test_new_keys_when_a_person_wants_them() -> None:
    operator = Operator().start()
    ue, [node] = operator.add_ue(), operator.nodes
    sim = operator.simulation
    with pytest.raises(ProtocolError, match="there is nothing to rekey in state"):
        ue.rekey(sim.now)
    with pytest.raises(ProtocolError, match="there are no sessions"):
        operator.gateway.rekey(sim.now)
    assert sim.run(lambda: ue.state is UeState.ATTACHED, 60)
    sim.do(node, ue.rekey)
    assert sim.run(lambda: len(node.seen(IkeSaRekeyed)) == 1, 60)
    sim.do(operator.gateway_node, operator.gateway.rekey)
    assert sim.run(lambda: len(node.seen(IkeSaRekeyed)) == 2, 60)
    with pytest.raises(ProtocolError, match="nobody has no session here"):
        operator.gateway.rekey(sim.now, "nobody")
    with pytest.raises(ProtocolError, match="nobody has no session here"):
        operator.gateway.redirect(sim.now, str(OTHER), "nobody")
    assert ue.state is UeState.ATTACHED and not node.seen(AttachFailed)


@pytest.mark.parametrize("target", ["ff02::1", "::1", "::", "fe80::1", "192.0.2.1"])
def test_a_ue_follows_to_no_address_that_is_nobodys(target: str) -> None:
    operator = Operator().start()
    ue, [node] = operator.add_ue(), operator.nodes
    sim = operator.simulation
    assert sim.run(lambda: ue.state is UeState.ATTACHED, 60)
    sim.do(operator.gateway_node, lambda now: operator.gateway.redirect(now, target))
    assert sim.run(lambda: bool(node.seen(AttachFailed)), 60)
    [failed] = node.seen(AttachFailed)
    assert isinstance(failed, AttachFailed) and failed.reason.startswith(
        f"{HOME_AGENT} redirects us to {target}, which"
    )
    assert not node.seen(Redirected)


def test_a_ue_that_is_to_detach_does_not_follow() -> None:
    operator = Operator().start()
    second_gateway(operator)
    ue, [node] = operator.add_ue(), operator.nodes
    sim = operator.simulation
    assert sim.run(lambda: ue.state is UeState.ATTACHED, 60)
    redirect(operator)
    sim.do(node, ue.detach)
    assert sim.run(lambda: ue.state is UeState.IDLE, 60)
    sim.run(lambda: False, 60)
    assert not node.seen(Redirected)


def test_gateways_that_send_the_ue_round_in_circles() -> None:
    operator = Operator().start()
    ue, [node] = operator.add_ue(attach=False), operator.nodes
    sim = operator.simulation
    answers: list[UdpDatagram] = []
    kept = ue.network.send_udp

    def everybody_redirects(datagrams: Iterable[UdpDatagram], now: float) -> None:
        for datagram in datagrams:
            if datagram.destination_port != 500:
                kept([datagram], now)
                continue
            request = Message.parse(datagram.payload)
            nonce = next(each.data for each in request.payloads if isinstance(each, Nonce))
            told = Redirect(OTHER, nonce).build()
            octets = Message(request.initiator_spi, bytes(8), Exchange.IKE_SA_INIT, 0, (told,), False, True).build()
            answers.append(UdpDatagram(datagram.destination, 500, datagram.source, 500, octets))

    ue.network.send_udp = everybody_redirects  # type: ignore[method-assign]
    sim.do(node, ue.attach)
    for _ in range(MAX_REDIRECTS + 1):
        assert sim.run(lambda: bool(answers), 60)
        datagram = answers.pop()
        sim.do(node, lambda now, one=datagram: (ue._receive_udp(one, now), ue._settle(now)))
    [failed] = node.seen(AttachFailed)
    assert failed.reason == "home agents redirected us more than 5 times in 300 s" and failed.clause == "RFC 5685 7"
    assert len(node.seen(Redirected)) == MAX_REDIRECTS
